//! GetClientKey: a client key's public half and validity.

use serde::Deserialize;

use crate::api::access_points::{CLIENT_KEY, ClientKeyInfo, one};
use crate::api::{Context, Effect, Operation, Target};
use crate::base::ids::AccessKeyId;
use crate::error::Error;

pub struct GetClientKey;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    client_key_id: AccessKeyId,
}

impl Operation for GetClientKey {
    const NAME: &'static str = "GetClientKey";
    const EFFECT: Effect = Effect::Read;
    type Input = Request;
    type Response = ClientKeyInfo;

    fn target(request: &Request) -> Target<'_> {
        Target::of(one(CLIENT_KEY, request.client_key_id.as_str()))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<ClientKeyInfo, Error> {
        Ok(cx.auth.access_points().client_key(cx.caller, &request.client_key_id)?.into())
    }
}
