//! Callers' blobs: made under a master key and opened with it, on the token.
//!
//! Owns: which key a blob belongs to, and that everything which is not a whole blob of the caller's own account, under the very
//! context it was made with, gets the same answer. Must not know: Base64, parameters. Called by: api.
//!
//! The work is done on the token by the key itself: what a caller encrypts is its own, so there is no data key in between.

use crate::auth::Caller;
use crate::base::field::{Field, Why};
use crate::base::ids::{KeyId, KeyVersionId};
use crate::base::secret::Plaintext;
use crate::base::words::Suite;
use crate::envelope::blob::{Blob, EncryptionContext, Identity};
use crate::error::Error;
use crate::keys::find::is_shown;
use crate::keys::token_failure::token_failure;
use crate::keys::{AdmittedKey, FoundKey, Keys};
use crate::store::{Abort, KeyRow};
use crate::token::TokenError;

/// A new blob, and what it is under.
pub struct Encrypted {
    /// The blob's bytes.
    pub blob: Vec<u8>,
    /// The key.
    pub key: KeyId,
    /// Its version.
    pub key_version: KeyVersionId,
}

/// What was in a blob, and what the blob is under.
pub struct Decrypted {
    /// As it was encrypted.
    pub plaintext: Plaintext,
    /// The key.
    pub key: KeyId,
    /// Its version.
    pub key_version: KeyVersionId,
}

impl Keys {
    /// Looks up the symmetric key of the caller's account that has this version. Where there is none, also where another account has it,
    /// the answer is that to every wrong blob.
    pub fn of_blob(&self, caller: &Caller, version: &KeyVersionId) -> FoundKey {
        let row = self.store.read("key_of_blob", |tx| {
            let version = tx.key_version_by_id(version)?.ok_or(Abort::App(wrong_blob()))?;
            let key = tx.key_by_id(&version.key_id)?;
            let ours = |k: &KeyRow| k.account_id == caller.account && is_shown(k) && k.spec.is_symmetric();
            key.filter(ours).ok_or(Abort::App(wrong_blob()))
        });
        let relative = row.as_ref().map_or_else(|_| format!("key/{version}"), |key: &KeyRow| key.id.resource());
        FoundKey { home: None, relative, row }
    }

    /// Encrypts a caller's bytes, at least one, under the primary version of a key.
    ///
    /// # Errors
    /// [`Error::KeyUsesExhausted`]; [`Error::Unavailable`] when the token is away.
    pub fn encrypt(
        &self,
        caller: &Caller,
        under: &AdmittedKey,
        plaintext: &Plaintext,
        context: &EncryptionContext,
    ) -> Result<Encrypted, Error> {
        let counted = self.reserve(under)?;
        let (key, key_version) = (*under.key(), *counted.version());
        let bound = self.identity(caller, &key, &key_version, self.suite, context).associated_data();
        let sealed = self.token.wrap(self.suite, &key_version, plaintext.expose(), &bound)?;
        let blob = Blob { suite: self.suite, key_version, sealed }.to_bytes();
        Ok(Encrypted { blob, key, key_version })
    }

    /// Opens a blob with the key version that it names, which must be one of this key's: what it was made with is bound to its key.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming CiphertextBlob, whatever is wrong with blob or context; [`Error::Unavailable`] when the token is away;
    /// [`Error::Integrity`] if it has lost the key.
    pub fn decrypt(
        &self,
        caller: &Caller,
        under: &AdmittedKey,
        blob: &Blob,
        context: &EncryptionContext,
    ) -> Result<Decrypted, Error> {
        let (key, key_version) = (*under.key(), blob.key_version);
        let bound = self.identity(caller, &key, &key_version, blob.suite, context).associated_data();
        let mut opened = self.token.unwrap(blob.suite, &key_version, &blob.sealed, &bound).map_err(|e| match e {
            TokenError::Tampered => wrong_blob(),
            // Of a suite or a length that is not for this token: nothing that was made here.
            TokenError::Unsupported(what) => {
                log::debug!("a blob that the token cannot process: {what}");
                wrong_blob()
            }
            other => token_failure(other),
        })?;
        Ok(Decrypted { plaintext: Plaintext::new(std::mem::take(&mut *opened)), key, key_version })
    }

    /// A new data key of this many bytes, as callers see it and as blobs hold it, in Base64; and encrypted under the primary version
    /// of a key. Three calls to the token.
    ///
    /// # Errors
    /// As [`Keys::encrypt`].
    pub fn encrypt_new_data_key(
        &self,
        caller: &Caller,
        under: &AdmittedKey,
        bytes: usize,
        context: &EncryptionContext,
    ) -> Result<(Plaintext, Encrypted), Error> {
        let counted = self.reserve(under)?;
        let (key, key_version) = (*under.key(), *counted.version());
        let bound = self.identity(caller, &key, &key_version, self.suite, context).associated_data();
        let (text, sealed) = self.token.wrap_random(self.suite, &key_version, bytes, &bound, Base64Key::of)?;
        let blob = Blob { suite: self.suite, key_version, sealed }.to_bytes();
        Ok((text.0, Encrypted { blob, key, key_version }))
    }

    fn identity<'a>(
        &'a self,
        caller: &'a Caller,
        key: &'a KeyId,
        key_version: &'a KeyVersionId,
        suite: Suite,
        context: &'a EncryptionContext,
    ) -> Identity<'a> {
        let (account, region) = (&caller.account, &caller.region);
        Identity { deployment: &self.sys.deployment, account, region, key, key_version, suite, context }
    }
}

/// What a blob must be, whatever is wrong with one.
pub const A_BLOB: Why =
    Why::naming("one that this account was given, unchanged, with the {} that it was made with", &[Field::EncryptionContext]);

/// A data key in the form that callers see.
struct Base64Key(Plaintext);

impl Base64Key {
    fn of(bytes: &[u8]) -> Self {
        Self(Plaintext::base64(bytes))
    }
}

impl AsRef<[u8]> for Base64Key {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

/// The one answer to every blob that does not open, so that no part of one can be tried out by itself.
pub fn wrong_blob() -> Error {
    Error::invalid_since(Field::CiphertextBlob, Why::must_be(A_BLOB))
}
