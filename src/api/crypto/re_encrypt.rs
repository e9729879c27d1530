//! ReEncrypt: opens a ciphertext and encrypts what was in it anew, under another key, another context, or the newest version of the
//! same key. The plaintext does not leave the service. Needs one permission on each of the two keys.
//!
//! The source is a blob, which names its key, or what was encrypted under the public half of a key pair, which does not. Of the latter
//! the new blob holds what AsymmetricDecrypt would have given: Base64.

use serde::Deserialize;

use crate::api::crypto::fields::{Base64, Context as EncryptionContext};
use crate::api::crypto::{NewBlob, rehearsed};
use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::base::ids::{KeyRef, KeyVersionId};
use crate::base::secret::Plaintext;
use crate::base::words::EncryptionAlgorithm;
use crate::error::Error;
use crate::keys::{Blob, Use};

/// ReEncrypt.
pub struct ReEncrypt;

/// Parameters.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Request {
    ciphertext_blob: Base64,
    source_key_id: Option<KeyRef>,
    source_key_version_id: Option<KeyVersionId>,
    source_encryption_algorithm: Option<EncryptionAlgorithm>,
    source_encryption_context: Option<EncryptionContext>,
    destination_key_id: KeyRef,
    destination_encryption_context: Option<EncryptionContext>,
    dry_run: Option<bool>,
}

/// What is encrypted anew.
enum Source<'a> {
    Blob(Blob),
    Pair(&'a KeyRef, KeyVersionId, EncryptionAlgorithm),
}

impl Request {
    fn source(&self) -> Result<Source<'_>, Error> {
        match (&self.source_key_id, self.source_key_version_id, self.source_encryption_algorithm) {
            (None, None, None) => {
                Blob::parse(&self.ciphertext_blob.0).map(Source::Blob).ok_or_else(|| Error::invalid("CiphertextBlob"))
            }
            (Some(key), Some(version), Some(algorithm)) => Ok(Source::Pair(key, version, algorithm)),
            (None, ..) => Err(Error::MissingParameter("SourceKeyId".into())),
            (_, None, _) => Err(Error::MissingParameter("SourceKeyVersionId".into())),
            (.., None) => Err(Error::MissingParameter("SourceEncryptionAlgorithm".into())),
        }
    }

    fn plaintext(&self, cx: &Context<'_>) -> Result<Plaintext, Error> {
        let none = EncryptionContext::default();
        let context = &self.source_encryption_context.as_ref().unwrap_or(&none).0;
        match self.source()? {
            Source::Blob(blob) => Ok(cx.keys.decrypt(cx.caller, &blob, Use::ReEncryptFrom, context)?.plaintext),
            Source::Pair(key, version, algorithm) => {
                let key = cx.keys.admit_version(cx.caller, key, &version, Use::ReEncryptFromPair(algorithm))?;
                Ok(cx.keys.private_decrypt(&key, algorithm, &self.ciphertext_blob.0)?.to_base64())
            }
        }
    }
}

impl Operation for ReEncrypt {
    const NAME: &'static str = "ReEncrypt";
    const EFFECT: Effect = Effect::Read;
    const DRY_RUN: bool = true;
    type Request = Request;
    type Response = NewBlob;

    fn check(request: &Request) -> Result<(), Error> {
        match (request.source()?, &request.source_encryption_context) {
            // Such a ciphertext is bound to no context; to take one and not look at it would promise more.
            (Source::Pair(..), Some(context)) if !context.0.is_empty() => Err(Error::invalid("SourceEncryptionContext")),
            _ => Ok(()),
        }
    }

    fn target(request: &Request) -> Target<'_> {
        let source = match request.source() {
            Ok(Source::Blob(blob)) => {
                Target::using(Use::ReEncryptFrom, Resource::KeyOf(blob.key_version)).version(blob.key_version)
            }
            Ok(Source::Pair(key, version, algorithm)) => {
                Target::using(Use::ReEncryptFromPair(algorithm), Resource::Key(key)).version(version)
            }
            // Not after `check`.
            Err(_) => Target::using(Use::ReEncryptFrom, Resource::Keys),
        };
        source.and_using(Use::ReEncryptTo, Resource::Key(&request.destination_key_id))
    }

    fn run(cx: &Context<'_>, request: Request) -> Result<NewBlob, Error> {
        let destination = cx.keys.admit(cx.caller, &request.destination_key_id, Use::ReEncryptTo)?;
        let plaintext = request.plaintext(cx)?;
        rehearsed(request.dry_run)?;
        let context = request.destination_encryption_context.unwrap_or_default().0;
        Ok(cx.keys.encrypt(cx.caller, &destination, &plaintext, &context)?.into())
    }
}
