//! UntagResources: removes tags from several keys, or several secrets; all of their tags where that is said and no key is.

use serde::Deserialize;

use crate::api::tags::fields::{Few, ResourceId, TagKey};
use crate::api::tags::{Changed, On};
use crate::api::{Context, Done, Effect, Input, Operation, Target};
use crate::base::field::Field;
use crate::base::words::ResourceType;
use crate::error::Error;
use crate::tags::Change;

pub struct UntagResources;

/// Parameters. All counts only without TagKey.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    resource_type: ResourceType,
    resource_id: Few<ResourceId, 50>,
    tag_key: Option<Few<TagKey, 20>>,
    all: Option<bool>,
}

/// Read from the parameters.
pub struct Asked(Changed);

impl Input for Asked {
    type Request = Request;

    fn read(request: Request) -> Result<Self, Error> {
        let change = match (request.tag_key, request.all) {
            (Some(keys), _) => Change::Remove(keys.0.into_iter().map(|key| key.0).collect()),
            (None, Some(true)) => Change::RemoveAll,
            (None, _) => return Err(Error::Missing(Field::TagKey)),
        };
        let on = On::many(request.resource_type, request.resource_id.0)?;
        Ok(Self(Changed { on, change }))
    }
}

impl Operation for UntagResources {
    const NAME: &'static str = "UntagResources";
    const EFFECT: Effect = Effect::Write;
    type Input = Asked;
    type Response = Done;

    fn target(asked: &Asked) -> Target<'_> {
        asked.0.target()
    }

    fn run(cx: &Context<'_>, asked: Asked) -> Result<Done, Error> {
        asked.0.done(cx)
    }
}
