//! Encrypt: encrypts up to 6 KB under a symmetric key's primary version.

use serde::Deserialize;

use crate::api::crypto::NewBlob;
use crate::api::crypto::fields::{Context as EncryptionContext, PlainText};
use crate::api::{Context, Effect, Operation, Target, UsedKey};
use crate::base::ids::KeyRef;
use crate::error::Error;
use crate::keys::Use;

pub struct Encrypt;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    key_id: KeyRef,
    plaintext: PlainText,
    encryption_context: Option<EncryptionContext>,
}

impl Operation for Encrypt {
    const NAME: &'static str = "Encrypt";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Input = Request;
    type Response = NewBlob;

    fn target(request: &Request) -> Target<'_> {
        Target::using(Use::Encrypt, UsedKey::Named(&request.key_id))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<NewBlob, Error> {
        let key = cx.key_for(Use::Encrypt)?;
        cx.rehearse()?;
        let context = request.encryption_context.unwrap_or_default().0;
        Ok(cx.keys.encrypt(cx.caller, &key, &request.plaintext.0, &context)?.into())
    }
}
