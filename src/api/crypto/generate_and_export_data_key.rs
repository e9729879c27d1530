//! GenerateAndExportDataKey: a new data key, as a blob and under a public key of the caller's.

use serde::{Deserialize, Serialize};

use crate::api::crypto::fields::{Base64, Context as EncryptionContext, NumberOfBytes, data_key_length};
use crate::api::crypto::rehearsed;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::{KeyId, KeyRef, KeyVersionId};
use crate::base::words::{DataKeySpec, EncryptionAlgorithm, WrappingKeySpec};
use crate::error::Error;
use crate::keys::{ExportKey, Use};

/// GenerateAndExportDataKey.
pub struct GenerateAndExportDataKey;

/// Parameters.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    key_spec: Option<DataKeySpec>,
    number_of_bytes: Option<NumberOfBytes>,
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
    ciphertext_blob: Base64,
    exported_data_key: Base64,
    key_id: KeyId,
    key_version_id: KeyVersionId,
}

impl Request {
    fn export_key(&self) -> Result<ExportKey, Error> {
        ExportKey::new(self.wrapping_key_spec, self.wrapping_algorithm, &self.public_key_blob.0)
    }

    fn length(&self) -> usize {
        data_key_length(self.number_of_bytes, self.key_spec)
    }
}

impl Operation for GenerateAndExportDataKey {
    const NAME: &'static str = "GenerateAndExportDataKey";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Request = Request;
    type Response = Response;

    fn check(request: &Request) -> Result<(), Error> {
        // 214 bytes at most under RSA_2048, whatever GenerateDataKey can make.
        if request.length() > request.export_key()?.longest() { Err(Error::invalid("NumberOfBytes")) } else { Ok(()) }
    }

    fn target(request: &Request) -> Target<'_> {
        Target::using(Use::GenerateAndExportDataKey, Resource::Key(&request.key_id))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let export_key = request.export_key()?;
        let key = cx.keys.admit(cx.caller, &request.key_id, Use::GenerateAndExportDataKey)?;
        rehearsed(request.dry_run)?;
        let text = cx.keys.new_data_key_text(request.length())?;
        let exported = text.from_base64().and_then(|data_key| export_key.encrypt(&data_key));
        let exported = exported.ok_or_else(|| Error::Internal("a new data key cannot be exported".into()))?;
        let context = request.encryption_context.unwrap_or_default().0;
        let made = cx.keys.encrypt(cx.caller, &key, &text, &context)?;
        Ok(Response {
            ciphertext_blob: Base64(made.blob),
            exported_data_key: Base64(exported),
            key_id: made.key,
            key_version_id: made.key_version,
        })
    }
}
