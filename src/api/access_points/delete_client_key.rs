//! DeleteClientKey: what is signed with it is refused from now on.

use serde::Deserialize;

use crate::api::access_points::{CLIENT_KEY, one};
use crate::api::{Context, Done, Effect, Operation, Target};
use crate::base::ids::AccessKeyId;
use crate::error::Error;

pub struct DeleteClientKey;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    client_key_id: AccessKeyId,
}

impl Operation for DeleteClientKey {
    const NAME: &'static str = "DeleteClientKey";
    const EFFECT: Effect = Effect::Write;
    type Input = Request;
    type Response = Done;

    fn target(request: &Request) -> Target<'_> {
        Target::of(one(CLIENT_KEY, request.client_key_id.as_str()))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Done, Error> {
        cx.auth.access_points().client_key_delete(cx.caller, &request.client_key_id)?;
        Ok(Done {})
    }
}
