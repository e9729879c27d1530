//! ExportDataKey: a data key, out of its blob, under a public key of the caller's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::crypto::fields::{Base64, CiphertextBlob, Context as EncryptionContext};
use crate::api::{Context, Effect, Input, Operation, Target, UsedKey};
use crate::base::field::Field;
use crate::base::ids::{KeyId, KeyVersionId};
use crate::base::words::{EncryptionAlgorithm, WrappingKeySpec};
use crate::error::Error;
use crate::keys::{Blob, ExportKey, Use};

pub struct ExportDataKey;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    ciphertext_blob: CiphertextBlob,
    public_key_blob: Base64,
    wrapping_key_spec: WrappingKeySpec,
    wrapping_algorithm: EncryptionAlgorithm,
    encryption_context: Option<EncryptionContext>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    exported_data_key: Base64,
    key_id: KeyId,
    key_version_id: KeyVersionId,
}

/// What is to be exported, and for whom.
pub struct Export {
    blob: Blob,
    context: BTreeMap<String, String>,
    export_key: ExportKey,
}

impl Input for Export {
    type Request = Request;

    fn read(request: Request) -> Result<Self, Error> {
        let export_key = ExportKey::new(request.wrapping_key_spec, request.wrapping_algorithm, &request.public_key_blob.0)?;
        let context = request.encryption_context.unwrap_or_default().0;
        Ok(Self { blob: request.ciphertext_blob.0, context, export_key })
    }
}

impl Operation for ExportDataKey {
    const NAME: &'static str = "ExportDataKey";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Input = Export;
    type Response = Response;

    fn target(export: &Export) -> Target<'_> {
        let version = export.blob.key_version;
        Target::using(Use::ExportDataKey, UsedKey::OfBlob(version)).version(version)
    }

    fn run(cx: &Context<'_>, export: Export) -> Result<Response, Error> {
        let opened = cx.keys.decrypt(cx.caller, &cx.key_for(Use::ExportDataKey)?, &export.blob, &export.context)?;
        // What is in the blob need not be a data key: Encrypt takes any text.
        let exported = opened.plaintext.from_base64().and_then(|data_key| export.export_key.encrypt(&data_key));
        let exported = exported.ok_or_else(|| {
            Error::invalid_since(Field::CiphertextBlob, "It must be a data key that the public key can encrypt.")
        })?;
        Ok(Response { exported_data_key: Base64(exported), key_id: opened.key, key_version_id: opened.key_version })
    }
}
