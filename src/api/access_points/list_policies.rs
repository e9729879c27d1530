//! ListPolicies: the account's policies of access points, by name.

use serde::Serialize;

use crate::api::access_points::{ListRequest, POLICY};
use crate::api::page::PageFrame;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::AccessPolicyName;
use crate::error::Error;

pub struct ListPolicies;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    policies: Wrapper,
    #[serde(flatten)]
    page: PageFrame,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Wrapper {
    policy: Vec<Item>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    name: AccessPolicyName,
}

impl Operation for ListPolicies {
    const NAME: &'static str = "ListPolicies";
    const EFFECT: Effect = Effect::Read;
    type Input = ListRequest;
    type Response = Response;

    fn target(_: &ListRequest) -> Target<'_> {
        Target::of(Resource::Other(POLICY, None))
    }

    fn run(cx: &Context<'_>, request: ListRequest) -> Result<Response, Error> {
        let page = request.page();
        let found = cx.auth.access_points().policies(cx.caller, page.offset(), i64::from(page.size))?;
        Ok(Response {
            policies: Wrapper { policy: found.items.into_iter().map(|name| Item { name }).collect() },
            page: page.frame(found.total),
        })
    }
}
