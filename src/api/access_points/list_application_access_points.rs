//! ListApplicationAccessPoints: the account's access points, by name.

use serde::Serialize;

use crate::api::access_points::{ACCESS_POINT, ListRequest, METHOD};
use crate::api::page::PageFrame;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::AccessPointName;
use crate::error::Error;

pub struct ListApplicationAccessPoints;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    application_access_points: Wrapper,
    #[serde(flatten)]
    page: PageFrame,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Wrapper {
    application_access_point: Vec<Item>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    authentication_method: &'static str,
    name: AccessPointName,
}

impl Operation for ListApplicationAccessPoints {
    const NAME: &'static str = "ListApplicationAccessPoints";
    const EFFECT: Effect = Effect::Read;
    type Input = ListRequest;
    type Response = Response;

    fn target(_: &ListRequest) -> Target<'_> {
        Target::of(Resource::Other(ACCESS_POINT, None))
    }

    fn run(cx: &Context<'_>, request: ListRequest) -> Result<Response, Error> {
        let page = request.page();
        let found = cx.auth.access_points().points(cx.caller, page.offset(), i64::from(page.size))?;
        Ok(Response {
            application_access_points: Wrapper {
                application_access_point: found
                    .items
                    .into_iter()
                    .map(|name| Item { authentication_method: METHOD, name })
                    .collect(),
            },
            page: page.frame(found.total),
        })
    }
}
