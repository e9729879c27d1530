//! AsymmetricVerify: whether a signature of a digest is a key pair's. A wrong one is no error.

use serde::{Deserialize, Serialize};

use crate::api::crypto::fields::{Base64, Digest};
use crate::api::fields::Text;
use crate::api::{Context, Effect, Operation, Target, UsedKey};
use crate::base::ids::{KeyId, KeyRef, KeyVersionId};
use crate::base::words::SignatureAlgorithm;
use crate::error::Error;
use crate::keys::Use;

pub struct AsymmetricVerify;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    key_version_id: Text,
    algorithm: SignatureAlgorithm,
    digest: Digest,
    value: Base64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    key_id: KeyId,
    key_version_id: KeyVersionId,
    value: bool,
}

impl Operation for AsymmetricVerify {
    const NAME: &'static str = "AsymmetricVerify";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        Target::using(Use::AsymmetricVerify, UsedKey::Named(&request.key_id)).version(&request.key_version_id.0)
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let key = cx.key_version_named(Use::AsymmetricVerify, &request.key_version_id)?;
        key.signs_with(request.algorithm)?;
        cx.rehearse()?;
        let value = cx.keys.verify(&key, request.algorithm, &request.digest.0, &request.value.0)?;
        Ok(Response { key_id: *key.key(), key_version_id: *key.version(), value })
    }
}
