//! GenerateMac: the HMAC of a message.

use serde::{Deserialize, Serialize};

use crate::api::crypto::fields::Base64;
use crate::api::{Context, Effect, Operation, Target, UsedKey};
use crate::base::ids::{KeyId, KeyRef};
use crate::base::words::MacAlgorithm;
use crate::error::Error;
use crate::keys::Use;

pub struct GenerateMac;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    algorithm: MacAlgorithm,
    message: Base64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    key_id: KeyId,
    algorithm: MacAlgorithm,
    mac: Base64,
}

impl Operation for GenerateMac {
    const NAME: &'static str = "GenerateMac";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        Target::using(Use::GenerateMac, UsedKey::Named(&request.key_id))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let key = cx.key_for(Use::GenerateMac)?;
        let mac = cx.keys.mac(&key, request.algorithm, &request.message.0)?;
        cx.rehearse()?;
        Ok(Response { key_id: *key.key(), algorithm: request.algorithm, mac: Base64(mac) })
    }
}
