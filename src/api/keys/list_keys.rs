//! ListKeys: the account's keys, a page at a time, oldest first.

use serde::{Deserialize, Serialize};

use crate::api::keys::filters::KeyFilters;
use crate::api::page::{Page, PageFrame, PageNumber, PageSize};
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::KeyId;
use crate::error::Error;

/// Keys on a page where nothing is said.
const DEFAULT_PAGE_SIZE: u32 = 10;

pub struct ListKeys;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    page_number: Option<PageNumber>,
    page_size: Option<PageSize>,
    filters: Option<KeyFilters>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    keys: KeyList,
    #[serde(flatten)]
    page: PageFrame,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeyList {
    key: Vec<Item>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    key_id: KeyId,
    key_arn: String,
}

impl Operation for ListKeys {
    const NAME: &'static str = "ListKeys";
    const EFFECT: Effect = Effect::Read;
    type Input = Request;
    type Response = Response;

    fn target(_: &Request) -> Target<'_> {
        Target::of(Resource::Keys)
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let page = Page::new(request.page_number, request.page_size, DEFAULT_PAGE_SIZE);
        let conditions = request.filters.unwrap_or_default().conditions(cx.caller);
        let found = cx.keys.list(&cx.caller.account, &conditions, page.offset(), i64::from(page.size))?;
        let item = |id: KeyId| Item { key_id: id, key_arn: cx.caller.arn(None, &id.resource()) };
        Ok(Response {
            keys: KeyList { key: found.keys.into_iter().map(|k| item(k.id)).collect() },
            page: page.frame(found.total),
        })
    }
}
