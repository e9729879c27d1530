//! ListKmsInstances: none. Keys are on the token of this deployment; an empty list lets tools that take stock go on.

use serde::{Deserialize, Serialize};

use crate::api::page::{Page, PageFrame, PageNumber, PageSize};
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::error::Error;

/// Rows on a page where nothing is said.
const DEFAULT_PAGE_SIZE: u32 = 20;

pub struct ListKmsInstances;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    page_number: Option<PageNumber>,
    page_size: Option<PageSize>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    kms_instances: List,
    #[serde(flatten)]
    page: PageFrame,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    kms_instance: Vec<String>,
}

impl Operation for ListKmsInstances {
    const NAME: &'static str = "ListKmsInstances";
    const EFFECT: Effect = Effect::Read;
    type Input = Request;
    type Response = Response;

    fn target(_: &Request) -> Target<'_> {
        Target::of(Resource::Everything)
    }

    fn run(_: &Context<'_>, request: Request) -> Result<Response, Error> {
        let page = Page::new(request.page_number, request.page_size, DEFAULT_PAGE_SIZE);
        let kms_instances = List { kms_instance: Vec::new() };
        Ok(Response { kms_instances, page: page.frame(0) })
    }
}
