//! What key pairs and MAC keys are used for.
//!
//! Owns: which key version an operation uses, that its algorithm is one of the key's, and what the token's failures mean to a
//! caller. Must not know: Base64, parameters. Called by: api.
//!
//! A private half works on the token. The public half is read from there and used in this process.

use aws_lc_rs::constant_time;

use crate::base::field::{Field, Why};
use crate::base::ids::KeyVersionId;
use crate::base::public_key::{Digest32, PublicKey};
use crate::base::secret::Plaintext;
use crate::base::words::{EncryptionAlgorithm, MacAlgorithm, SignatureAlgorithm};
use crate::error::Error;
use crate::keys::token_failure::token_failure;
use crate::keys::{AdmittedKey, AdmittedVersion, Keys};
use crate::token::TokenError;

/// What an algorithm must be.
const NOT_OF_THE_KEY: Why = Why::naming("It must be one that keys of this {} and {} have.", &[Field::KeySpec, Field::KeyUsage]);

/// What a ciphertext must be, whatever is wrong with one.
const NOT_DECRYPTED: &str = "It must be a ciphertext of this key version and algorithm, unchanged.";

impl AdmittedVersion {
    /// That the key signs with this algorithm.
    ///
    /// # Errors
    /// [`Error::Invalid`]; [`Error::Lacking`] for one that no key here has.
    pub fn signs_with(&self, algorithm: SignatureAlgorithm) -> Result<(), Error> {
        match algorithm {
            SignatureAlgorithm::Sm2Dsa => Err(Error::Lacking("CKM_SM2 on the token".into())),
            _ if self.admitted().spec().signs_with(algorithm) => Ok(()),
            _ => Err(Error::invalid_since(Field::Algorithm, NOT_OF_THE_KEY)),
        }
    }

    fn encrypts_with(&self, algorithm: EncryptionAlgorithm) -> Result<(), Error> {
        match algorithm {
            EncryptionAlgorithm::Sm2Pke => Err(Error::Lacking("CKM_SM2 on the token".into())),
            _ if self.admitted().spec().encrypts_with(algorithm) => Ok(()),
            _ => Err(Error::invalid_since(Field::Algorithm, NOT_OF_THE_KEY)),
        }
    }
}

impl Keys {
    /// One version of a key to which a caller was admitted.
    ///
    /// # Errors
    /// [`Error::KeyVersionNotFound`]; [`Error::Unavailable`].
    pub fn version_of(&self, key: AdmittedKey, version: &KeyVersionId) -> Result<AdmittedVersion, Error> {
        let found = self.store.read_row("key_version", |tx| tx.key_version_by_id(version))?;
        key.for_version(&found.ok_or(Error::KeyVersionNotFound)?)
    }

    /// The public half.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the token is away.
    pub fn public_key(&self, key: &AdmittedVersion) -> Result<PublicKey, Error> {
        self.token.public_key(key.version()).map_err(token_failure)
    }

    /// Signs a digest of SHA-256.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an algorithm that is not the key's; [`Error::Unavailable`].
    pub fn sign(&self, key: &AdmittedVersion, algorithm: SignatureAlgorithm, digest: &Digest32) -> Result<Vec<u8>, Error> {
        key.signs_with(algorithm)?;
        self.token.sign_digest(key.version(), algorithm, digest).map_err(token_failure)
    }

    /// Whether this is the key's signature of a digest.
    ///
    /// # Errors
    /// As [`Keys::sign`].
    pub fn verify(
        &self,
        key: &AdmittedVersion,
        algorithm: SignatureAlgorithm,
        digest: &Digest32,
        signature: &[u8],
    ) -> Result<bool, Error> {
        key.signs_with(algorithm)?;
        Ok(self.public_key(key)?.verifies(algorithm, digest, signature))
    }

    /// Encrypts under the public half.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an algorithm that is not the key's, or a plaintext that is too long for it;
    /// [`Error::Unavailable`].
    pub fn public_encrypt(
        &self,
        key: &AdmittedVersion,
        algorithm: EncryptionAlgorithm,
        plaintext: &Plaintext,
    ) -> Result<Vec<u8>, Error> {
        key.encrypts_with(algorithm)?;
        self.public_key(key)?
            .encrypt(algorithm, plaintext.expose())
            .map_err(|_| Error::invalid_since(Field::Plaintext, "It is longer than the key can encrypt with this algorithm."))
    }

    /// Decrypts with the private half.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an algorithm that is not the key's, and for a ciphertext that does not decrypt, whatever
    /// is wrong with it; [`Error::Unavailable`].
    pub fn private_decrypt(
        &self,
        key: &AdmittedVersion,
        algorithm: EncryptionAlgorithm,
        ciphertext: &[u8],
    ) -> Result<Plaintext, Error> {
        key.encrypts_with(algorithm)?;
        if key.admitted().spec().rsa_bytes() != Some(ciphertext.len()) {
            return Err(Error::invalid_since(Field::CiphertextBlob, NOT_DECRYPTED));
        }
        let mut opened = self.token.decrypt_oaep(key.version(), algorithm, ciphertext).map_err(|e| match e {
            TokenError::Tampered => Error::invalid_since(Field::CiphertextBlob, NOT_DECRYPTED),
            other => token_failure(other),
        })?;
        Ok(Plaintext::new(std::mem::take(&mut *opened)))
    }

    /// The MAC of a message under a key's primary version.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an algorithm that is not the key's, or a message that is too long for the token;
    /// [`Error::Unavailable`].
    pub fn mac(&self, key: &AdmittedKey, algorithm: MacAlgorithm, message: &[u8]) -> Result<Vec<u8>, Error> {
        match algorithm {
            MacAlgorithm::HmacSm3 => return Err(Error::Lacking("CKM_SM3_HMAC on the token".into())),
            _ if key.spec().mac_algorithm() != Some(algorithm) => {
                return Err(Error::invalid_since(Field::Algorithm, NOT_OF_THE_KEY));
            }
            _ => {}
        }
        self.token.hmac(key.primary(), algorithm, message).map_err(|e| match e {
            TokenError::Unsupported(_) => Error::invalid_since(Field::Message, "It is longer than the token takes."),
            other => token_failure(other),
        })
    }

    /// Whether this is the MAC of a message.
    ///
    /// # Errors
    /// As [`Keys::mac`].
    pub fn mac_verifies(&self, key: &AdmittedKey, algorithm: MacAlgorithm, message: &[u8], mac: &[u8]) -> Result<bool, Error> {
        let right = self.mac(key, algorithm, message)?;
        Ok(constant_time::verify_slices_are_equal(&right, mac).is_ok())
    }
}
