//! ListNetworkRules: the account's network rules, by name.

use serde::Serialize;

use crate::api::access_points::create_network_rule::PRIVATE;
use crate::api::access_points::{ListRequest, NETWORK_RULE};
use crate::api::page::PageFrame;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::NetworkRuleName;
use crate::error::Error;

pub struct ListNetworkRules;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    network_rules: Wrapper,
    #[serde(flatten)]
    page: PageFrame,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Wrapper {
    network_rule: Vec<Item>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    name: NetworkRuleName,
    #[serde(rename = "Type")]
    kind: &'static str,
}

impl Operation for ListNetworkRules {
    const NAME: &'static str = "ListNetworkRules";
    const EFFECT: Effect = Effect::Read;
    type Input = ListRequest;
    type Response = Response;

    fn target(_: &ListRequest) -> Target<'_> {
        Target::of(Resource::Other(NETWORK_RULE, None))
    }

    fn run(cx: &Context<'_>, request: ListRequest) -> Result<Response, Error> {
        let page = request.page();
        let found = cx.auth.access_points().rules(cx.caller, page.offset(), i64::from(page.size))?;
        Ok(Response {
            network_rules: Wrapper { network_rule: found.items.into_iter().map(|name| Item { name, kind: PRIVATE }).collect() },
            page: page.frame(found.total),
        })
    }
}
