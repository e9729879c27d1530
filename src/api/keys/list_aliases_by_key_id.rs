//! ListAliasesByKeyId: the aliases of a key, a page at a time, by name.

use serde::{Deserialize, Serialize};

use crate::api::fields::Bounded;
use crate::api::keys::AliasList;
use crate::api::page::{Page, PageFrame, PageNumber};
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::KeyRef;
use crate::error::Error;

/// Rows on a page where nothing is said.
const DEFAULT_PAGE_SIZE: u32 = 10;

pub struct ListAliasesByKeyId;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    page_number: Option<PageNumber>,
    page_size: Option<Bounded<0, 101>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    aliases: AliasList,
    #[serde(flatten)]
    page: PageFrame,
}

impl Operation for ListAliasesByKeyId {
    const NAME: &'static str = "ListAliasesByKeyId";
    const EFFECT: Effect = Effect::Read;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Key(&request.key_id))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let page = Page::new(request.page_number, request.page_size, DEFAULT_PAGE_SIZE);
        let found = cx.keys.aliases_of(cx.caller, &request.key_id, page.offset(), i64::from(page.size))?;
        Ok(Response { aliases: AliasList::new(cx.caller, found.aliases), page: page.frame(found.total) })
    }
}
