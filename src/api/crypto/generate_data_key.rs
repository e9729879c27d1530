//! GenerateDataKey: a new data key, in the clear and as a blob. Decrypt of the blob gives the same text.

use serde::{Deserialize, Serialize};

use crate::api::crypto::fields::{Base64, Context as EncryptionContext, NumberOfBytes, data_key_length};
use crate::api::crypto::rehearsed;
use crate::api::fields::no_recipient;
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::{KeyId, KeyRef, KeyVersionId};
use crate::base::secret::Plaintext;
use crate::base::words::DataKeySpec;
use crate::error::Error;
use crate::keys::Use;
use crate::wire::encode;

/// GenerateDataKey.
pub struct GenerateDataKey;

/// Parameters.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    key_spec: Option<DataKeySpec>,
    number_of_bytes: Option<NumberOfBytes>,
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
    ciphertext_blob: Base64,
    key_id: KeyId,
    key_version_id: KeyVersionId,
}

impl Operation for GenerateDataKey {
    const NAME: &'static str = "GenerateDataKey";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Request = Request;
    type Response = Response;

    fn check(request: &Request) -> Result<(), Error> {
        no_recipient(request.recipient.as_ref())
    }

    fn target(request: &Request) -> Target<'_> {
        Target::using(Use::GenerateDataKey, Resource::Key(&request.key_id))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<Response, Error> {
        let key = cx.keys.admit(cx.caller, &request.key_id, Use::GenerateDataKey)?;
        rehearsed(request.dry_run)?;
        let plaintext = cx.keys.new_data_key_text(data_key_length(request.number_of_bytes, request.key_spec))?;
        let context = request.encryption_context.unwrap_or_default().0;
        let made = cx.keys.encrypt(cx.caller, &key, &plaintext, &context)?;
        Ok(Response { plaintext, ciphertext_blob: Base64(made.blob), key_id: made.key, key_version_id: made.key_version })
    }
}
