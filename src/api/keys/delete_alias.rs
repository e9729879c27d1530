//! DeleteAlias: takes an alias away; its key is not touched.

use serde::Deserialize;

use crate::api::{Context, Done, Effect, Operation, Resource, Target};
use crate::base::ids::Alias;
use crate::error::Error;

pub struct DeleteAlias;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    alias_name: Alias,
}

impl Operation for DeleteAlias {
    const NAME: &'static str = "DeleteAlias";
    const EFFECT: Effect = Effect::Write;
    type Input = Request;
    type Response = Done;

    fn target(request: &Request) -> Target<'_> {
        Target::of(Resource::Alias(&request.alias_name)).and(Resource::KeyOfAlias(&request.alias_name))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Done, Error> {
        let from = cx.named_by(&request.alias_name)?;
        cx.keys.alias_delete(cx.caller, &request.alias_name, &from)?;
        Ok(Done {})
    }
}
