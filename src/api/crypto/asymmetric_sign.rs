//! AsymmetricSign: signs a digest with a key pair.

use serde::{Deserialize, Serialize};

use crate::api::crypto::fields::{Base64, Digest};
use crate::api::fields::Text;
use crate::api::{Context, Effect, Operation, Target, UsedKey};
use crate::base::ids::{KeyId, KeyRef, KeyVersionId};
use crate::base::words::SignatureAlgorithm;
use crate::error::Error;
use crate::keys::Use;

pub struct AsymmetricSign;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    key_version_id: Text,
    algorithm: SignatureAlgorithm,
    digest: Digest,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    key_id: KeyId,
    key_version_id: KeyVersionId,
    value: Base64,
}

impl Operation for AsymmetricSign {
    const NAME: &'static str = "AsymmetricSign";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        Target::using(Use::AsymmetricSign, UsedKey::Named(&request.key_id)).version(&request.key_version_id.0)
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let key = cx.key_version_named(Use::AsymmetricSign, &request.key_version_id)?;
        key.signs_with(request.algorithm)?;
        cx.rehearse()?;
        let value = Base64(cx.keys.sign(&key, request.algorithm, &request.digest.0)?);
        Ok(Response { key_id: *key.key(), key_version_id: *key.version(), value })
    }
}
