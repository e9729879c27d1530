//! UntagResource: removes tags from a key or a secret; tags that are not there do not matter.

use serde::Deserialize;

use crate::api::fields::Text;
use crate::api::tags::fields::TagKeysText;
use crate::api::tags::{Changed, On};
use crate::api::{Context, Done, Effect, Input, Operation, Target};
use crate::base::ids::{KeyRef, SecretRef};
use crate::error::Error;
use crate::tags::Change;

pub struct UntagResource;

/// Parameters. Exactly one of the first three.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: Option<KeyRef>,
    secret_name: Option<SecretRef>,
    certificate_id: Option<Text>,
    tag_keys: TagKeysText,
}

/// Read from the parameters.
pub struct Asked(Changed);

impl Input for Asked {
    type Request = Request;

    fn read(request: Request) -> Result<Self, Error> {
        let on = On::one(request.key_id, request.secret_name, request.certificate_id)?;
        Ok(Self(Changed { on, change: Change::Remove(request.tag_keys.0) }))
    }
}

impl Operation for UntagResource {
    const NAME: &'static str = "UntagResource";
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
