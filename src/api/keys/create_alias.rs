//! CreateAlias: gives a key a second name. Aliases are unique per account and region.

use serde::Deserialize;

use crate::api::{Context, Done, Effect, Operation, Resource, Target};
use crate::base::ids::{Alias, KeyRef};
use crate::error::Error;

pub struct CreateAlias;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    alias_name: Alias,
    key_id: KeyRef,
}

impl Operation for CreateAlias {
    const NAME: &'static str = "CreateAlias";
    const EFFECT: Effect = Effect::Write;
    type Input = Request;
    type Response = Done;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Alias(&request.alias_name)).and(Resource::Key(&request.key_id))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Done, Error> {
        cx.keys.alias_create(cx.caller, &request.alias_name, &request.key_id)?;
        Ok(Done {})
    }
}
