//! VerifyMac: whether a MAC is that of a message. A wrong one is no error.

use serde::{Deserialize, Serialize};

use crate::api::crypto::fields::Base64;
use crate::api::{Context, Effect, Operation, Target, UsedKey};
use crate::base::ids::{KeyId, KeyRef};
use crate::base::words::MacAlgorithm;
use crate::error::Error;
use crate::keys::Use;

pub struct VerifyMac;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    algorithm: MacAlgorithm,
    message: Base64,
    mac: Base64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    key_id: KeyId,
    algorithm: MacAlgorithm,
    value: bool,
}

impl Operation for VerifyMac {
    const NAME: &'static str = "VerifyMac";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        Target::using(Use::VerifyMac, UsedKey::Named(&request.key_id))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let key = cx.key_for(Use::VerifyMac)?;
        let value = cx.keys.mac_verifies(&key, request.algorithm, &request.message.0, &request.mac.0)?;
        cx.rehearse()?;
        Ok(Response { key_id: *key.key(), algorithm: request.algorithm, value })
    }
}
