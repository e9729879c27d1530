//! Public keys that callers send.
//!
//! Owns: which of them a data key is exported under. Must not know: data keys. Called by: api.
//! Source: the page of ExportDataKey.

use crate::base::field::{Field, Why};
use crate::base::public_key::PublicKey;
use crate::base::secret::Plaintext;
use crate::base::words::{EncryptionAlgorithm, WrappingKeySpec};
use crate::error::Error;

/// A public key of a caller's, and how to encrypt under it.
pub struct ExportKey {
    key: PublicKey,
    algorithm: EncryptionAlgorithm,
    longest: usize,
}

impl ExportKey {
    /// The key in these bytes, SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// [`Error::Lacking`] for what is not served, [`Error::Invalid`] for words that do not belong together and for
    /// bytes that are no such key.
    pub fn new(spec: WrappingKeySpec, algorithm: EncryptionAlgorithm, der: &[u8]) -> Result<Self, Error> {
        match (spec, algorithm) {
            (WrappingKeySpec::EcSm2, EncryptionAlgorithm::Sm2Pke) => return Err(Error::Lacking("SM2PKE".into())),
            (WrappingKeySpec::EcSm2, _) | (_, EncryptionAlgorithm::Sm2Pke) => {
                let why = Why::naming("It must be one of the {}.", &[Field::WrappingKeySpec]);
                return Err(Error::invalid_since(Field::WrappingAlgorithm, why));
            }
            (WrappingKeySpec::Rsa2048, _) => {}
        }
        let key = PublicKey::from_der(der.to_vec());
        match (key.rsa_bits(), key.longest_plaintext(algorithm)) {
            (Some(2048), Ok(longest)) => Ok(Self { key, algorithm, longest }),
            _ => Err(Error::invalid_since(
                Field::PublicKeyBlob,
                "It must be an RSA key of 2,048 bits as SubjectPublicKeyInfo in DER, in Base64.",
            )),
        }
    }

    /// The most bytes that can be exported.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Encrypts a data key; none if it is longer than [`ExportKey::longest`].
    pub fn encrypt(&self, data_key: &Plaintext) -> Option<Vec<u8>> {
        self.key.encrypt(self.algorithm, data_key.expose()).ok()
    }
}
