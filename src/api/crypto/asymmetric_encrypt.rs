//! AsymmetricEncrypt: encrypts under the public half of a key pair. Unlike Encrypt, the bytes that Base64 stands for: whoever has
//! the public key can do the same without this service.

use serde::Deserialize;

use crate::api::crypto::NewBlob;
use crate::api::crypto::fields::{Base64, SecretBytes};
use crate::api::fields::Text;
use crate::api::{Context, Effect, Operation, Target, UsedKey};
use crate::base::ids::KeyRef;
use crate::base::words::EncryptionAlgorithm;
use crate::error::Error;
use crate::keys::Use;

pub struct AsymmetricEncrypt;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    key_version_id: Text,
    algorithm: EncryptionAlgorithm,
    plaintext: SecretBytes,
}

impl Operation for AsymmetricEncrypt {
    const NAME: &'static str = "AsymmetricEncrypt";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Input = Request;
    type Response = NewBlob;

    fn target(request: &Request) -> Target<'_> {
        let purpose = Use::AsymmetricEncrypt(request.algorithm);
        Target::using(purpose, UsedKey::Named(&request.key_id)).version(&request.key_version_id.0)
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<NewBlob, Error> {
        let purpose = Use::AsymmetricEncrypt(request.algorithm);
        let key = cx.key_version_named(purpose, &request.key_version_id)?;
        let encrypted = cx.keys.public_encrypt(&key, request.algorithm, &request.plaintext.0)?;
        cx.rehearse()?;
        Ok(NewBlob { ciphertext_blob: Base64(encrypted), key_id: *key.key(), key_version_id: *key.version() })
    }
}
