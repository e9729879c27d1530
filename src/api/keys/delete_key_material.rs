//! DeleteKeyMaterial: takes imported material off the token. The key keeps its id and waits for the same material.

use serde::Deserialize;

use crate::api::{Context, Done, Effect, Operation, Resource, Target};
use crate::base::ids::KeyRef;
use crate::error::Error;

pub struct DeleteKeyMaterial;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
}

impl Operation for DeleteKeyMaterial {
    const NAME: &'static str = "DeleteKeyMaterial";
    const EFFECT: Effect = Effect::Write;
    type Input = Request;
    type Response = Done;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Key(&request.key_id))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Done, Error> {
        cx.keys.delete_material(cx.caller, &request.key_id)?;
        Ok(Done {})
    }
}
