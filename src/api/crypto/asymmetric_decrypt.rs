//! AsymmetricDecrypt: decrypts with the private half of a key pair what anybody encrypted under the public half.

use serde::{Deserialize, Serialize};

use crate::api::crypto::fields::Base64;
use crate::api::crypto::rehearsed;
use crate::api::fields::no_recipient;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::{KeyId, KeyRef, KeyVersionId};
use crate::base::secret::Plaintext;
use crate::base::words::EncryptionAlgorithm;
use crate::error::Error;
use crate::keys::Use;
use crate::wire::encode;

/// AsymmetricDecrypt.
pub struct AsymmetricDecrypt;

/// Parameters.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    key_version_id: KeyVersionId,
    algorithm: EncryptionAlgorithm,
    ciphertext_blob: Base64,
    dry_run: Option<bool>,
    recipient: Option<String>,
}

/// Answer.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    key_id: KeyId,
    key_version_id: KeyVersionId,
    #[serde(serialize_with = "encode::plaintext")]
    plaintext: Plaintext,
}

impl Operation for AsymmetricDecrypt {
    const NAME: &'static str = "AsymmetricDecrypt";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Request = Request;
    type Response = Response;

    fn check(request: &Request) -> Result<(), Error> {
        no_recipient(request.recipient.as_ref())
    }

    fn target(request: &Request) -> Target<'_> {
        let purpose = Use::AsymmetricDecrypt(request.algorithm);
        Target::using(purpose, Resource::Key(&request.key_id)).version(request.key_version_id)
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let purpose = Use::AsymmetricDecrypt(request.algorithm);
        let key = cx.keys.admit_version(cx.caller, &request.key_id, &request.key_version_id, purpose)?;
        let opened = cx.keys.private_decrypt(&key, request.algorithm, &request.ciphertext_blob.0)?;
        rehearsed(request.dry_run)?;
        Ok(Response { key_id: *key.key(), key_version_id: *key.version(), plaintext: opened.to_base64() })
    }
}
