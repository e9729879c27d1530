//! Decrypt: opens a blob of Encrypt or GenerateDataKey. The blob names its key version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::crypto::fields::{CiphertextBlob, Context as EncryptionContext};
use crate::api::fields::{no_recipient, plaintext};
use crate::api::{Context, Effect, Input, Operation, Target, UsedKey};
use crate::base::ids::{KeyId, KeyVersionId};
use crate::base::secret::Plaintext;
use crate::error::Error;
use crate::keys::{Blob, Use};

pub struct Decrypt;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    ciphertext_blob: CiphertextBlob,
    encryption_context: Option<EncryptionContext>,
    recipient: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    #[serde(serialize_with = "plaintext")]
    plaintext: Plaintext,
    key_id: KeyId,
    key_version_id: KeyVersionId,
}

/// What is to be opened.
pub struct Ciphertext {
    blob: Blob,
    context: BTreeMap<String, String>,
}

impl Input for Ciphertext {
    type Request = Request;

    fn read(request: Request) -> Result<Self, Error> {
        no_recipient(request.recipient.as_ref())?;
        Ok(Self { blob: request.ciphertext_blob.0, context: request.encryption_context.unwrap_or_default().0 })
    }
}

impl Operation for Decrypt {
    const NAME: &'static str = "Decrypt";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Input = Ciphertext;
    type Response = Response;

    fn target(ciphertext: &Ciphertext) -> Target<'_> {
        let version = ciphertext.blob.key_version;
        Target::using(Use::Decrypt, UsedKey::OfBlob(version)).version(version)
    }

    fn run(cx: &Context<'_>, ciphertext: Ciphertext) -> Result<Response, Error> {
        let opened = cx.keys.decrypt(cx.caller, &cx.key_for(Use::Decrypt)?, &ciphertext.blob, &ciphertext.context)?;
        Ok(Response { plaintext: opened.plaintext, key_id: opened.key, key_version_id: opened.key_version })
    }
}
