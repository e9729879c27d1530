//! GenerateAndExportDataKey: a new data key, as a blob and under a public key of the caller's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::crypto::fields::{Base64, Context as EncryptionContext, NumberOfBytes, data_key_length};
use crate::api::{Context, Effect, Input, Operation, Target, UsedKey};
use crate::base::field::Field;
use crate::base::ids::{KeyId, KeyRef, KeyVersionId};
use crate::base::words::{DataKeySpec, EncryptionAlgorithm, WrappingKeySpec};
use crate::error::Error;
use crate::keys::{ExportKey, Use};

pub struct GenerateAndExportDataKey;

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
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    ciphertext_blob: Base64,
    exported_data_key: Base64,
    key_id: KeyId,
    key_version_id: KeyVersionId,
}

/// What is to be made, under what, and for whom.
pub struct NewDataKey {
    key: KeyRef,
    /// Bytes.
    length: usize,
    export_key: ExportKey,
    context: BTreeMap<String, String>,
}

impl Input for NewDataKey {
    type Request = Request;

    fn read(request: Request) -> Result<Self, Error> {
        let export_key = ExportKey::new(request.wrapping_key_spec, request.wrapping_algorithm, &request.public_key_blob.0)?;
        let length = data_key_length(request.number_of_bytes, request.key_spec);
        // 214 bytes at most under RSA_2048, whatever GenerateDataKey can make.
        if length > export_key.longest() {
            return Err(Error::invalid_since(Field::NumberOfBytes, "It must be as many as the public key can encrypt."));
        }
        let context = request.encryption_context.unwrap_or_default().0;
        Ok(Self { key: request.key_id, length, export_key, context })
    }
}

impl Operation for GenerateAndExportDataKey {
    const NAME: &'static str = "GenerateAndExportDataKey";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Input = NewDataKey;
    type Response = Response;

    fn target(new: &NewDataKey) -> Target<'_> {
        Target::using(Use::GenerateAndExportDataKey, UsedKey::Named(&new.key))
    }

    fn run(cx: &Context<'_>, new: NewDataKey) -> Result<Response, Error> {
        let key = cx.key_for(Use::GenerateAndExportDataKey)?;
        cx.rehearse()?;
        let (text, made) = cx.keys.encrypt_new_data_key(cx.caller, &key, new.length, &new.context)?;
        let exported = text.from_base64().and_then(|data_key| new.export_key.encrypt(&data_key));
        let exported = exported.ok_or_else(|| Error::Internal("a new data key cannot be exported".into()))?;
        Ok(Response {
            ciphertext_blob: Base64(made.blob),
            exported_data_key: Base64(exported),
            key_id: made.key,
            key_version_id: made.key_version,
        })
    }
}
