//! ExportDataKey: a data key, out of its blob, under a public key of the caller's.

use serde::{Deserialize, Serialize};

use crate::api::crypto::fields::{Base64, CiphertextBlob, Context as EncryptionContext};
use crate::api::crypto::rehearsed;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::{KeyId, KeyVersionId};
use crate::base::words::{EncryptionAlgorithm, WrappingKeySpec};
use crate::error::Error;
use crate::keys::{ExportKey, Use};

/// ExportDataKey.
pub struct ExportDataKey;

/// Parameters.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    ciphertext_blob: CiphertextBlob,
    public_key_blob: Base64,
    wrapping_key_spec: WrappingKeySpec,
    wrapping_algorithm: EncryptionAlgorithm,
    encryption_context: Option<EncryptionContext>,
    dry_run: Option<bool>,
}

/// Answer.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    exported_data_key: Base64,
    key_id: KeyId,
    key_version_id: KeyVersionId,
}

impl Request {
    fn export_key(&self) -> Result<ExportKey, Error> {
        ExportKey::new(self.wrapping_key_spec, self.wrapping_algorithm, &self.public_key_blob.0)
    }
}

impl Operation for ExportDataKey {
    const NAME: &'static str = "ExportDataKey";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Request = Request;
    type Response = Response;

    fn check(request: &Request) -> Result<(), Error> {
        request.export_key().map(drop)
    }

    fn target(request: &Request) -> Target<'_> {
        let version = request.ciphertext_blob.0.key_version;
        Target::using(Use::ExportDataKey, Resource::KeyOf(version)).version(version)
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let export_key = request.export_key()?;
        let context = request.encryption_context.unwrap_or_default().0;
        let opened = cx.keys.decrypt(cx.caller, &request.ciphertext_blob.0, Use::ExportDataKey, &context)?;
        // What is in the blob need not be a data key: Encrypt takes any text.
        let exported = opened.plaintext.from_base64().and_then(|data_key| export_key.encrypt(&data_key));
        let exported = exported.ok_or_else(|| Error::invalid("CiphertextBlob"))?;
        rehearsed(request.dry_run)?;
        Ok(Response { exported_data_key: Base64(exported), key_id: opened.key, key_version_id: opened.key_version })
    }
}
