//! UpdateAlias: gives an alias to another key.

use serde::Deserialize;

use crate::api::{Context, Done, Effect, Operation, Resource, Target};
use crate::base::ids::{Alias, KeyRef};
use crate::error::Error;

pub struct UpdateAlias;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    alias_name: Alias,
    key_id: KeyRef,
}

impl Operation for UpdateAlias {
    const NAME: &'static str = "UpdateAlias";
    const EFFECT: Effect = Effect::Write;
    type Input = Request;
    type Response = Done;

    /// The key that the alias names now is asked for as well: taking a name away is a change to it.
    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Alias(&request.alias_name))
            .and(Resource::Key(&request.key_id))
            .and(Resource::KeyOfAlias(&request.alias_name))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Done, Error> {
        let from = cx.named_by(&request.alias_name)?;
        cx.keys.alias_update(cx.caller, &request.alias_name, &from, &request.key_id)?;
        Ok(Done {})
    }
}
