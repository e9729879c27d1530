//! GetPublicKey: the public half of a key pair, in PEM.

use serde::{Deserialize, Serialize};

use crate::api::fields::Text;
use crate::api::{Context, Effect, Operation, Target, UsedKey};
use crate::base::ids::{KeyId, KeyRef, KeyVersionId};
use crate::error::Error;
use crate::keys::Use;

pub struct GetPublicKey;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    key_version_id: Text,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    key_id: KeyId,
    key_version_id: KeyVersionId,
    public_key: String,
}

impl Operation for GetPublicKey {
    const NAME: &'static str = "GetPublicKey";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Input = Request;
    type Response = Response;

    fn target(request: &Request) -> Target<'_> {
        Target::using(Use::GetPublicKey, UsedKey::Named(&request.key_id)).version(&request.key_version_id.0)
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let key = cx.key_version_named(Use::GetPublicKey, &request.key_version_id)?;
        cx.rehearse()?;
        let public_key = cx.keys.public_key(&key)?.to_pem();
        Ok(Response { key_id: *key.key(), key_version_id: *key.version(), public_key })
    }
}
