//! ListSecrets: the account's secrets, or those that fit the filters, a page at a time, by name.

use serde::{Deserialize, Serialize};

use crate::api::page::{Page, PageFrame, PageNumber, PageSize};
use crate::api::secrets::Tags;
use crate::api::secrets::filters::Filters;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::clock::Timestamp;
use crate::base::ids::SecretName;
use crate::base::words::SecretType;
use crate::error::Error;
use crate::secrets::SecretDescription;

/// Secrets on a page where nothing is said.
const DEFAULT_PAGE_SIZE: u32 = 10;

pub struct ListSecrets;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    page_number: Option<PageNumber>,
    page_size: Option<PageSize>,
    fetch_tags: Option<bool>,
    filters: Option<Filters>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    #[serde(flatten)]
    page: PageFrame,
    secret_list: SecretList,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SecretList {
    secret: Vec<Item>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    secret_name: SecretName,
    secret_type: SecretType,
    create_time: Timestamp,
    update_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    planned_delete_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Tags>,
}

impl From<SecretDescription> for Item {
    fn from(d: SecretDescription) -> Self {
        Self {
            secret_name: d.secret.name,
            secret_type: d.secret.secret_type,
            create_time: d.secret.created_at,
            update_time: d.secret.updated_at,
            planned_delete_time: d.planned_delete_time,
            tags: d.tags.map(Tags::from),
        }
    }
}

impl Operation for ListSecrets {
    const NAME: &'static str = "ListSecrets";
    const EFFECT: Effect = Effect::Read;
    type Input = Request;
    type Response = Response;

    fn target(_: &Request) -> Target<'_> {
        Target::of(Resource::Secrets)
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let page = Page::new(request.page_number, request.page_size, DEFAULT_PAGE_SIZE);
        let with_tags = request.fetch_tags == Some(true);
        let filter = request.filters.unwrap_or_default().0;
        let found = cx.secrets.list(cx.caller, &filter, page.offset(), i64::from(page.size), with_tags)?;
        Ok(Response {
            page: page.frame(found.total),
            secret_list: SecretList { secret: found.secrets.into_iter().map(Item::from).collect() },
        })
    }
}
