//! ReEncrypt: opens a blob and encrypts what was in it anew, under another key, another context, or the newest version of the same
//! key. The plaintext does not leave the service. Needs one permission on each of the two keys.

use serde::Deserialize;

use crate::api::crypto::fields::{CiphertextBlob, Context as EncryptionContext};
use crate::api::crypto::{NewBlob, rehearsed};
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::error::Error;
use crate::ids::KeyRef;
use crate::keys::Use;

/// ReEncrypt.
pub struct ReEncrypt;

/// Parameters.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    ciphertext_blob: CiphertextBlob,
    source_encryption_context: Option<EncryptionContext>,
    destination_key_id: KeyRef,
    destination_encryption_context: Option<EncryptionContext>,
    dry_run: Option<bool>,
}

impl Operation for ReEncrypt {
    const NAME: &'static str = "ReEncrypt";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Request = Request;
    type Response = NewBlob;

    fn target(request: &Request) -> Target<'_> {
        let version = request.ciphertext_blob.0.key_version;
        Target::by(Use::ReEncryptFrom.action(), Resource::KeyOf(version))
            .and_by(Use::ReEncryptTo.action(), Resource::Key(&request.destination_key_id))
            .version(version)
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<NewBlob, Error> {
        let destination = cx.keys.admit(cx.caller, &request.destination_key_id, Use::ReEncryptTo)?;
        let context = request.source_encryption_context.unwrap_or_default().0;
        let opened = cx.keys.decrypt(cx.caller, &request.ciphertext_blob.0, Use::ReEncryptFrom, &context)?;
        rehearsed(request.dry_run)?;
        let context = request.destination_encryption_context.unwrap_or_default().0;
        Ok(cx.keys.encrypt(cx.caller, &destination, &opened.plaintext, &context)?.into())
    }
}
