//! Public keys: what needs no secret is done in this process.
//!
//! Owns: encryption under a public key. Must not know: whose it is. Called by: api (a caller's own key), keys (a master key's).
//! Sources: RFC 8017 (OAEP); the pages of ExportDataKey and AsymmetricEncrypt.

use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPublicEncryptingKey, PublicEncryptingKey};

use crate::error::Error;
use crate::kinds::{EncryptionAlgorithm, WrappingKeySpec};
use crate::secret::Plaintext;

/// An RSA public key and how to encrypt with it.
pub struct PublicKey {
    key: OaepPublicEncryptingKey,
    algorithm: &'static OaepAlgorithm,
}

impl PublicKey {
    /// A key that a caller sent to have a data key exported under it.
    ///
    /// # Errors
    /// [`Error::Lacking`] for what is not served, [`Error::InvalidParameter`] for words that do not belong together, or if the
    /// bytes are not the SubjectPublicKeyInfo (DER) of such a key.
    pub fn of_caller(spec: WrappingKeySpec, algorithm: EncryptionAlgorithm, der: &[u8]) -> Result<Self, Error> {
        match (spec, algorithm) {
            (WrappingKeySpec::EcSm2, EncryptionAlgorithm::Sm2Pke) => return Err(Error::Lacking("SM2PKE".into())),
            (WrappingKeySpec::EcSm2, _) | (_, EncryptionAlgorithm::Sm2Pke) => return Err(Error::invalid("WrappingAlgorithm")),
            (WrappingKeySpec::Rsa2048, _) => {}
        }
        let key = PublicEncryptingKey::from_der(der).map_err(|_| Error::invalid("PublicKeyBlob"))?;
        if key.key_size_bits() != 2048 {
            return Err(Error::invalid("PublicKeyBlob"));
        }
        Self::new(key, algorithm)
    }

    fn new(key: PublicEncryptingKey, algorithm: EncryptionAlgorithm) -> Result<Self, Error> {
        let algorithm = match algorithm {
            EncryptionAlgorithm::OaepSha256 => &OAEP_SHA256_MGF1SHA256,
            EncryptionAlgorithm::OaepSha1 => &OAEP_SHA1_MGF1SHA1,
            EncryptionAlgorithm::Sm2Pke => return Err(Error::Lacking("SM2PKE".into())),
        };
        let key = OaepPublicEncryptingKey::new(key).map_err(|_| Error::Internal("a public key cannot encrypt".into()))?;
        Ok(Self { key, algorithm })
    }

    /// The most bytes that can be encrypted.
    pub fn longest(&self) -> usize {
        self.key.max_plaintext_size(self.algorithm)
    }

    /// Encrypts at most [`PublicKey::longest`] bytes.
    ///
    /// # Errors
    /// [`Error::Internal`] for more.
    pub fn encrypt(&self, plaintext: &Plaintext) -> Result<Vec<u8>, Error> {
        let mut ciphertext = vec![0; self.key.ciphertext_size()];
        let done = self.key.encrypt(self.algorithm, plaintext.expose(), &mut ciphertext, None);
        done.map_err(|_| Error::Internal("encryption under a public key failed".into()))?;
        Ok(ciphertext)
    }
}
