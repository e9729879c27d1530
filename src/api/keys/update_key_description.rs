//! UpdateKeyDescription: describes a key anew.

use serde::Deserialize;

use crate::api::fields::Description;
use crate::api::{Context, Done, Effect, Operation, Resource, Target};
use crate::base::ids::KeyRef;
use crate::error::Error;

pub struct UpdateKeyDescription;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    /// Without it the key has none afterwards: declarative clients leave out what is to be removed.
    #[serde(default)]
    description: Description,
}

impl Operation for UpdateKeyDescription {
    const NAME: &'static str = "UpdateKeyDescription";
    const EFFECT: Effect = Effect::Write;
    type Input = Request;
    type Response = Done;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Key(&request.key_id))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Done, Error> {
        cx.keys.set_description(cx.caller, &request.key_id, &request.description.0)?;
        Ok(Done {})
    }
}
