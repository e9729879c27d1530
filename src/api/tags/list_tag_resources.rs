//! ListTagResources: keys or secrets with all their tags, found by their names, by their tags, or by both; 200 tags at a time.

use serde::{Deserialize, Serialize};

use crate::api::fields::Text;
use crate::api::tags::On;
use crate::api::tags::fields::{Few, ResourceId, TagFlat};
use crate::api::{Context, Effect, Input, Operation, Resource, Target};
use crate::base::field::Field;
use crate::base::words::ResourceType;
use crate::error::Error;
use crate::tags::Filter;

pub struct ListTagResources;

/// Parameters. ResourceId or Tag, or both; a resource must then have all of the tags.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    resource_type: ResourceType,
    resource_id: Option<Few<ResourceId, 50>>,
    tag: Option<Few<TagFlat, 20>>,
    next_token: Option<Text>,
}

/// Answer. NextToken is empty at the end.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    tag_resources: List,
    next_token: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    tag_resource: Vec<Item>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    resource_type: ResourceType,
    resource_id: String,
    tag_key: String,
    tag_value: String,
}

/// Whose tags, and which.
pub struct Asked {
    kind: ResourceType,
    /// The resources that are named; none if it is the tags alone that count.
    on: Option<On>,
    filters: Vec<Filter>,
    /// Where the page before ended.
    after: Option<String>,
}

impl Input for Asked {
    type Request = Request;

    fn read(request: Request) -> Result<Self, Error> {
        if request.resource_id.is_none() && request.tag.is_none() {
            return Err(Error::Missing(Field::ResourceId));
        }
        let kind = request.resource_type;
        let on = request.resource_id.map(|ids| On::many(kind, ids.0)).transpose()?;
        let tags = request.tag.into_iter().flat_map(|tags| tags.0);
        let filters = tags.map(|tag| (tag.key.0, tag.value.map(|value| value.0))).collect();
        let after = request.next_token.map(|token| token.0);
        Ok(Self { kind, on, filters, after })
    }
}

impl Operation for ListTagResources {
    const NAME: &'static str = "ListTagResources";
    const EFFECT: Effect = Effect::Read;
    type Input = Asked;
    type Response = Response;

    fn target(asked: &Asked) -> Target<'_> {
        match (&asked.on, asked.kind) {
            (Some(on), _) => on.target(),
            (None, ResourceType::Key) => Target::of(Resource::Keys),
            (None, ResourceType::Secret) => Target::of(Resource::Secrets),
        }
    }

    fn run(cx: &Context<'_>, asked: Asked) -> Result<Response, Error> {
        let (filters, after) = (asked.filters, asked.after.as_deref());
        let found = match (asked.on, asked.kind) {
            (Some(On::Keys(keys)), _) => cx.keys.tagged(cx.caller, &keys, &filters, after),
            (Some(On::Secrets(secrets)), _) => cx.secrets.tagged(cx.caller, &secrets, &filters, after),
            (None, ResourceType::Key) => cx.keys.tagged(cx.caller, &[], &filters, after),
            (None, ResourceType::Secret) => cx.secrets.tagged(cx.caller, &[], &filters, after),
        }?;
        let items = found.tags.into_iter().map(|(resource_id, tag)| Item {
            resource_type: asked.kind,
            resource_id,
            tag_key: tag.tag_key,
            tag_value: tag.tag_value,
        });
        Ok(Response { tag_resources: List { tag_resource: items.collect() }, next_token: found.next.unwrap_or_default() })
    }
}
