//! TagResources: sets the same tags on several keys, or several secrets; on all of them or on none.

use serde::Deserialize;

use crate::api::tags::fields::{Few, ResourceId, TagFlat, all_different};
use crate::api::tags::{Changed, On};
use crate::api::{Context, Done, Effect, Input, Operation, Target};
use crate::base::field::Field;
use crate::base::words::ResourceType;
use crate::error::Error;
use crate::tags::Change;

pub struct TagResources;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    resource_type: ResourceType,
    resource_id: Few<ResourceId, 50>,
    tag: Few<TagFlat, 20>,
}

/// Read from the parameters.
pub struct Asked(Changed);

impl Input for Asked {
    type Request = Request;

    fn read(request: Request) -> Result<Self, Error> {
        if !all_different(request.tag.0.iter().map(|tag| &tag.key)) {
            return Err(Error::invalid_since(Field::Tag, "Each key must be there once."));
        }
        let on = On::many(request.resource_type, request.resource_id.0)?;
        let pairs = request.tag.0.into_iter().map(|tag| (tag.key.0, tag.value.unwrap_or_default().0));
        Ok(Self(Changed { on, change: Change::Set(pairs.collect()) }))
    }
}

impl Operation for TagResources {
    const NAME: &'static str = "TagResources";
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
