//! GenerateDataKeyWithoutPlaintext: a new data key, as a blob only.

use serde::Deserialize;

use crate::api::crypto::NewBlob;
use crate::api::crypto::fields::{Context as EncryptionContext, NumberOfBytes, data_key_length};
use crate::api::{Context, Effect, Operation, Target, UsedKey};
use crate::base::ids::KeyRef;
use crate::base::words::DataKeySpec;
use crate::error::Error;
use crate::keys::Use;

pub struct GenerateDataKeyWithoutPlaintext;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    key_spec: Option<DataKeySpec>,
    number_of_bytes: Option<NumberOfBytes>,
    encryption_context: Option<EncryptionContext>,
}

impl Operation for GenerateDataKeyWithoutPlaintext {
    const NAME: &'static str = "GenerateDataKeyWithoutPlaintext";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Input = Request;
    type Response = NewBlob;

    fn target(request: &Request) -> Target<'_> {
        Target::using(Use::GenerateDataKeyWithoutPlaintext, UsedKey::Named(&request.key_id))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<NewBlob, Error> {
        let key = cx.key_for(Use::GenerateDataKeyWithoutPlaintext)?;
        cx.rehearse()?;
        let length = data_key_length(request.number_of_bytes, request.key_spec);
        let context = request.encryption_context.unwrap_or_default().0;
        Ok(cx.keys.encrypt_new_data_key(cx.caller, &key, length, &context)?.1.into())
    }
}
