//! ReEncrypt: opens a ciphertext and encrypts what was in it anew, under another key, another context, or the newest version of the
//! same key. The plaintext does not leave the service. Needs one permission on each of the two keys.
//!
//! The source is a blob, which names its key, or what was encrypted under the public half of a key pair, which does not. Of the latter
//! the new blob holds what AsymmetricDecrypt would have given: Base64.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::api::crypto::NewBlob;
use crate::api::crypto::fields::{Base64, Context as EncryptionContext};
use crate::api::fields::Text;
use crate::api::{Context, Effect, Input, Operation, Target, UsedKey};
use crate::base::field::Field;
use crate::base::ids::KeyRef;
use crate::base::secret::Plaintext;
use crate::base::words::EncryptionAlgorithm;
use crate::error::Error;
use crate::keys::{Blob, Use, wrong_blob};

pub struct ReEncrypt;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    ciphertext_blob: Base64,
    source_key_id: Option<KeyRef>,
    source_key_version_id: Option<Text>,
    source_encryption_algorithm: Option<EncryptionAlgorithm>,
    source_encryption_context: Option<EncryptionContext>,
    destination_key_id: KeyRef,
    destination_encryption_context: Option<EncryptionContext>,
}

/// What is encrypted anew.
enum Source {
    Blob(Blob, BTreeMap<String, String>),
    Pair(KeyRef, Text, EncryptionAlgorithm, Vec<u8>),
}

/// From where, and under what.
pub struct Move {
    source: Source,
    destination: KeyRef,
    context: BTreeMap<String, String>,
}

impl Input for Move {
    type Request = Request;

    fn read(request: Request) -> Result<Self, Error> {
        let (ciphertext, context) = (request.ciphertext_blob.0, request.source_encryption_context.unwrap_or_default().0);
        let source = match (request.source_key_id, request.source_key_version_id, request.source_encryption_algorithm) {
            (None, None, None) => {
                let blob = Blob::parse(&ciphertext).ok_or_else(wrong_blob)?;
                Source::Blob(blob, context)
            }
            // Such a ciphertext is bound to no context; to take one and not look at it would promise more.
            (Some(_), Some(_), Some(_)) if !context.is_empty() => {
                return Err(Error::invalid_since(
                    Field::SourceEncryptionContext,
                    "A ciphertext of a key pair is bound to none.",
                ));
            }
            (Some(key), Some(version), Some(algorithm)) => Source::Pair(key, version, algorithm, ciphertext),
            (None, ..) => return Err(Error::Missing(Field::SourceKeyId)),
            (_, None, _) => return Err(Error::Missing(Field::SourceKeyVersionId)),
            (.., None) => return Err(Error::Missing(Field::SourceEncryptionAlgorithm)),
        };
        let context = request.destination_encryption_context.unwrap_or_default().0;
        Ok(Self { source, destination: request.destination_key_id, context })
    }
}

impl Source {
    fn plaintext(&self, cx: &Context<'_>) -> Result<Plaintext, Error> {
        match self {
            Source::Blob(blob, context) => {
                Ok(cx.keys.decrypt(cx.caller, &cx.key_for(Use::ReEncryptFrom)?, blob, context)?.plaintext)
            }
            Source::Pair(_, version, algorithm, ciphertext) => {
                let key = cx.key_version_named(Use::ReEncryptFromPair(*algorithm), version)?;
                Ok(cx.keys.private_decrypt(&key, *algorithm, ciphertext)?.to_base64())
            }
        }
    }
}

impl Operation for ReEncrypt {
    const NAME: &'static str = "ReEncrypt";
    /// On the source; on the destination it is ReEncryptTo.
    const PERMISSION: &'static str = "ReEncryptFrom";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Input = Move;
    type Response = NewBlob;

    fn target(asked: &Move) -> Target<'_> {
        let source = match &asked.source {
            Source::Blob(blob, _) => {
                Target::using(Use::ReEncryptFrom, UsedKey::OfBlob(blob.key_version)).version(blob.key_version)
            }
            Source::Pair(key, version, algorithm, _) => {
                Target::using(Use::ReEncryptFromPair(*algorithm), UsedKey::Named(key)).version(&version.0)
            }
        };
        source.and_using(Use::ReEncryptTo, UsedKey::Named(&asked.destination))
    }

    fn run(cx: &Context<'_>, asked: Move) -> Result<NewBlob, Error> {
        let destination = cx.key_for(Use::ReEncryptTo)?;
        let plaintext = asked.source.plaintext(cx)?;
        cx.rehearse()?;
        Ok(cx.keys.encrypt(cx.caller, &destination, &plaintext, &asked.context)?.into())
    }
}
