//! GenerateDataKey: a new data key, in the clear and as a blob. Decrypt of the blob gives the same text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::crypto::fields::{Base64, Context as EncryptionContext, NumberOfBytes, data_key_length};
use crate::api::fields::{no_recipient, plaintext};
use crate::api::{Context, Effect, Input, Operation, Target, UsedKey};
use crate::base::ids::{KeyId, KeyRef, KeyVersionId};
use crate::base::secret::Plaintext;
use crate::base::words::DataKeySpec;
use crate::error::Error;
use crate::keys::Use;

pub struct GenerateDataKey;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    key_spec: Option<DataKeySpec>,
    number_of_bytes: Option<NumberOfBytes>,
    encryption_context: Option<EncryptionContext>,
    recipient: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    #[serde(serialize_with = "plaintext")]
    plaintext: Plaintext,
    ciphertext_blob: Base64,
    key_id: KeyId,
    key_version_id: KeyVersionId,
}

/// What is to be made, and under what.
pub struct NewDataKey {
    key: KeyRef,
    /// Bytes.
    length: usize,
    context: BTreeMap<String, String>,
}

impl Input for NewDataKey {
    type Request = Request;

    fn read(request: Request) -> Result<Self, Error> {
        no_recipient(request.recipient.as_ref())?;
        let length = data_key_length(request.number_of_bytes, request.key_spec);
        Ok(Self { key: request.key_id, length, context: request.encryption_context.unwrap_or_default().0 })
    }
}

impl Operation for GenerateDataKey {
    const NAME: &'static str = "GenerateDataKey";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Input = NewDataKey;
    type Response = Response;

    fn target(new: &NewDataKey) -> Target<'_> {
        Target::using(Use::GenerateDataKey, UsedKey::Named(&new.key))
    }

    fn run(cx: &Context<'_>, new: NewDataKey) -> Result<Response, Error> {
        let key = cx.key_for(Use::GenerateDataKey)?;
        cx.rehearse()?;
        let (plaintext, made) = cx.keys.encrypt_new_data_key(cx.caller, &key, new.length, &new.context)?;
        Ok(Response { plaintext, ciphertext_blob: Base64(made.blob), key_id: made.key, key_version_id: made.key_version })
    }
}
