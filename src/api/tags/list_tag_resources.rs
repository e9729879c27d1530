//! ListTagResources: keys or secrets with all their tags, found by their names, by their tags, or by both; 200 tags at a time.

use serde::{Deserialize, Serialize};

use crate::api::tags::fields::{Few, ResourceId, TagFlat};
use crate::api::tags::{On, only_here};
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::Region;
use crate::base::words::ResourceType;
use crate::error::Error;
use crate::tags::Filter;

/// ListTagResources.
pub struct ListTagResources;

/// Parameters. ResourceId or Tag, or both; a resource must then have all of the tags.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    region_id: Region,
    resource_type: ResourceType,
    resource_id: Option<Few<ResourceId, 50>>,
    tag: Option<Few<TagFlat, 20>>,
    next_token: Option<String>,
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

impl Request {
    /// The resources that are named; none if it is the tags alone that count.
    fn on(&self) -> Result<Option<On<'_>>, Error> {
        self.resource_id.as_ref().map(|ids| On::many(self.resource_type, &ids.0)).transpose()
    }

    fn filters(&self) -> Vec<Filter> {
        let tags = self.tag.iter().flat_map(|tags| &tags.0);
        tags.map(|tag| (tag.key.0.clone(), tag.value.as_ref().map(|value| value.0.clone()))).collect()
    }
}

impl Operation for ListTagResources {
    const NAME: &'static str = "ListTagResources";
    const EFFECT: Effect = Effect::Read;
    type Request = Request;
    type Response = Response;

    fn check(request: &Request) -> Result<(), Error> {
        if request.on()?.is_none() && request.tag.is_none() {
            return Err(Error::MissingParameter("ResourceId".into()));
        }
        Ok(())
    }

    fn target(request: &Request) -> Target<'_> {
        match request.on().expect("check has refused names of another kind") {
            Some(on) => on.target(),
            None => Target::of(match request.resource_type {
                ResourceType::Key => Resource::Keys,
                ResourceType::Secret => Resource::Secrets,
            }),
        }
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        only_here(cx, &request.region_id)?;
        let (filters, after) = (request.filters(), request.next_token.as_deref().filter(|token| !token.is_empty()));
        let found = match (request.on()?, request.resource_type) {
            (Some(On::Keys(keys)), _) => cx.keys.tagged(cx.caller, &keys, &filters, after),
            (Some(On::Secrets(secrets)), _) => cx.secrets.tagged(cx.caller, &secrets, &filters, after),
            (None, ResourceType::Key) => cx.keys.tagged(cx.caller, &[], &filters, after),
            (None, ResourceType::Secret) => cx.secrets.tagged(cx.caller, &[], &filters, after),
        }?;
        let items = found.tags.into_iter().map(|(resource_id, tag)| Item {
            resource_type: request.resource_type,
            resource_id,
            tag_key: tag.tag_key,
            tag_value: tag.tag_value,
        });
        Ok(Response { tag_resources: List { tag_resource: items.collect() }, next_token: found.next.unwrap_or_default() })
    }
}
