//! Decrypt: opens a blob of Encrypt or GenerateDataKey. The blob names its key version.

use serde::{Deserialize, Serialize};

use crate::api::crypto::fields::{CiphertextBlob, Context as EncryptionContext};
use crate::api::crypto::rehearsed;
use crate::api::fields::no_recipient;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::{KeyId, KeyVersionId};
use crate::base::secret::Plaintext;
use crate::error::Error;
use crate::keys::Use;
use crate::wire::encode;

/// Decrypt.
pub struct Decrypt;

/// Parameters.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    ciphertext_blob: CiphertextBlob,
    encryption_context: Option<EncryptionContext>,
    dry_run: Option<bool>,
    recipient: Option<String>,
}

/// Answer.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    #[serde(serialize_with = "encode::plaintext")]
    plaintext: Plaintext,
    key_id: KeyId,
    key_version_id: KeyVersionId,
}

impl Operation for Decrypt {
    const NAME: &'static str = "Decrypt";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Request = Request;
    type Response = Response;

    fn check(request: &Request) -> Result<(), Error> {
        no_recipient(request.recipient.as_ref())
    }

    fn target(request: &Request) -> Target<'_> {
        let version = request.ciphertext_blob.0.key_version;
        Target::using(Use::Decrypt, Resource::KeyOf(version)).version(version)
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let context = request.encryption_context.unwrap_or_default().0;
        let opened = cx.keys.decrypt(cx.caller, &request.ciphertext_blob.0, Use::Decrypt, &context)?;
        rehearsed(request.dry_run)?;
        Ok(Response { plaintext: opened.plaintext, key_id: opened.key, key_version_id: opened.key_version })
    }
}
