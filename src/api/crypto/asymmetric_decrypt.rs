//! AsymmetricDecrypt: decrypts with the private half of a key pair what anybody encrypted under the public half.

use serde::{Deserialize, Serialize};

use crate::api::crypto::fields::Base64;
use crate::api::fields::{Text, no_recipient, plaintext};
use crate::api::{Context, Effect, Input, Operation, Target, UsedKey};
use crate::base::ids::{KeyId, KeyRef, KeyVersionId};
use crate::base::secret::Plaintext;
use crate::base::words::EncryptionAlgorithm;
use crate::error::Error;
use crate::keys::Use;

pub struct AsymmetricDecrypt;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    key_version_id: Text,
    algorithm: EncryptionAlgorithm,
    ciphertext_blob: Base64,
    recipient: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    key_id: KeyId,
    key_version_id: KeyVersionId,
    #[serde(serialize_with = "plaintext")]
    plaintext: Plaintext,
}

/// What is to be opened, and with what.
pub struct Ciphertext {
    key: KeyRef,
    version: Text,
    algorithm: EncryptionAlgorithm,
    ciphertext: Vec<u8>,
}

impl Input for Ciphertext {
    type Request = Request;

    fn read(request: Request) -> Result<Self, Error> {
        no_recipient(request.recipient.as_ref())?;
        let Request { key_id: key, key_version_id: version, algorithm, ciphertext_blob, .. } = request;
        Ok(Self { key, version, algorithm, ciphertext: ciphertext_blob.0 })
    }
}

impl Operation for AsymmetricDecrypt {
    const NAME: &'static str = "AsymmetricDecrypt";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Input = Ciphertext;
    type Response = Response;

    fn target(asked: &Ciphertext) -> Target<'_> {
        let purpose = Use::AsymmetricDecrypt(asked.algorithm);
        Target::using(purpose, UsedKey::Named(&asked.key)).version(&asked.version.0)
    }

    fn run(cx: &Context<'_>, asked: Ciphertext) -> Result<Response, Error> {
        let purpose = Use::AsymmetricDecrypt(asked.algorithm);
        let key = cx.key_version_named(purpose, &asked.version)?;
        let opened = cx.keys.private_decrypt(&key, asked.algorithm, &asked.ciphertext)?;
        Ok(Response { key_id: *key.key(), key_version_id: *key.version(), plaintext: opened.to_base64() })
    }
}
