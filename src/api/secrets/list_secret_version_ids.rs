//! ListSecretVersionIds: the versions of a secret with their labels, oldest first; those without a label on demand.

use serde::{Deserialize, Serialize};

use crate::api::page::{Page, PageFrame, PageNumber, PageSize};
use crate::api::secrets::VersionStages;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::clock::Timestamp;
use crate::base::ids::{SecretName, SecretRef, VersionId};
use crate::error::Error;
use crate::secrets::ListedVersion;

/// Versions on a page where nothing is said.
const DEFAULT_PAGE_SIZE: u32 = 20;

pub struct ListSecretVersionIds;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    secret_name: SecretRef,
    include_deprecated: Option<bool>,
    page_number: Option<PageNumber>,
    page_size: Option<PageSize>,
}

/// Answer. TotalCount counts what IncludeDeprecated lets through.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    secret_name: SecretName,
    #[serde(flatten)]
    page: PageFrame,
    version_ids: VersionIds,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VersionIds {
    version_id: Vec<Item>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    version_id: VersionId,
    create_time: Timestamp,
    version_stages: VersionStages,
}

impl From<ListedVersion> for Item {
    fn from(listed: ListedVersion) -> Self {
        Self { version_id: listed.version, create_time: listed.created_at, version_stages: listed.stages.into() }
    }
}

impl Operation for ListSecretVersionIds {
    const NAME: &'static str = "ListSecretVersionIds";
    const EFFECT: Effect = Effect::Read;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Secret(&request.secret_name))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let page = Page::new(request.page_number, request.page_size, DEFAULT_PAGE_SIZE);
        let versions = cx.secrets.versions(cx.caller, &request.secret_name, request.include_deprecated == Some(true))?;
        let total = i64::try_from(versions.len()).unwrap_or(i64::MAX);
        Ok(Response {
            secret_name: request.secret_name.name,
            page: page.frame(total),
            version_ids: VersionIds { version_id: page.of(versions).map(Item::from).collect() },
        })
    }
}
