//! ListKeyVersions: the versions of a key, a page at a time, oldest first.

use serde::{Deserialize, Serialize};

use crate::api::fields::Bounded;
use crate::api::keys::KeyVersion;
use crate::api::page::{Page, PageFrame, PageNumber};
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::KeyRef;
use crate::error::Error;

/// Rows on a page where nothing is said.
const DEFAULT_PAGE_SIZE: u32 = 10;

pub struct ListKeyVersions;

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
    key_versions: KeyVersionList,
    #[serde(flatten)]
    page: PageFrame,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeyVersionList {
    key_version: Vec<KeyVersion>,
}

impl Operation for ListKeyVersions {
    const NAME: &'static str = "ListKeyVersions";
    const EFFECT: Effect = Effect::Read;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Key(&request.key_id))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let page = Page::new(request.page_number, request.page_size, DEFAULT_PAGE_SIZE);
        let found = cx.keys.versions(cx.caller, &request.key_id, page.offset(), i64::from(page.size))?;
        Ok(Response {
            key_versions: KeyVersionList { key_version: found.versions.into_iter().map(KeyVersion::from).collect() },
            page: page.frame(found.total),
        })
    }
}
