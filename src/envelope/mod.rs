//! The envelope of a secret value: what is encrypted under a data key, and everything that must be true for it to open.
//!
//! Owns: key derivation, commitment, encryption and the associated data of a secret version. Must not know: tokens, databases.
//! Called by: secrets (seal, open), which gets the data key from keys. Drawn byte for byte in docs/formats.md.
//!
//! ```text
//! info              = context(purpose 2) with SHA-256(wrapped) as its last field
//! K_enc ‖ K_commit  = HKDF-SHA-256(ikm = data key, salt = empty, info)          32 + 32 bytes   RFC 5869
//! ciphertext        = AES-256-GCM(K_enc, nonce, value, associated data = info)  value + 16 bytes  NIST SP 800-38D
//! ```
//!
//! `K_commit` is stored and compared first, in constant time: GCM alone lets one ciphertext open under two keys.

pub mod blob;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{constant_time, digest, hkdf};
use zeroize::Zeroizing;

use crate::base::canonical::{Canonical, Purpose};
use crate::base::clock::Timestamp;
use crate::base::ids::{
    AccountId, DeploymentId, KeyId, KeyVersionId, Region, SecretId, SecretName, SecretVersionUuid, VersionId,
};
use crate::base::secret::{DataKey, Plaintext};
use crate::base::words::{DataType, Suite};

/// Everything a secret version is bound to. A value sealed for one identity opens for no other.
pub struct Identity<'a> {
    /// The installation.
    pub deployment: &'a DeploymentId,
    /// The account that owns the secret.
    pub account: &'a AccountId,
    /// The region.
    pub region: &'a Region,
    /// The secret, by its id that never recurs.
    pub secret: &'a SecretId,
    /// The secret's name.
    pub name: &'a SecretName,
    /// The version, by its id that never recurs.
    pub version_uuid: &'a SecretVersionUuid,
    /// The caller's name of the version.
    pub version: &'a VersionId,
    /// Text or binary.
    pub data_type: DataType,
    /// When the version was made.
    pub created_at: Timestamp,
    /// The CMK.
    pub key: &'a KeyId,
    /// The CMK's version that wraps the data key.
    pub key_version: &'a KeyVersionId,
    /// How the data key is wrapped.
    pub suite: Suite,
}

impl Identity<'_> {
    /// The associated data of the wrapped data key.
    pub fn data_key_context(&self) -> Canonical {
        self.context(Purpose::DataKey)
    }

    fn context(&self, purpose: Purpose) -> Canonical {
        Canonical::new(purpose)
            .field(self.deployment.as_bytes())
            .text(self.account.as_str())
            .text(self.region.as_str())
            .field(self.secret.as_bytes())
            .text(self.name.as_str())
            .field(self.version_uuid.as_bytes())
            .text(self.version.as_str())
            .text(self.data_type.as_str())
            .integer(self.created_at.0)
            .field(self.key.as_bytes())
            .field(self.key_version.as_bytes())
            .field(&self.suite.number().to_be_bytes())
    }

    /// The info of the key derivation and the associated data of the value: binds the value to its wrapped data key too, so that
    /// both layers move together or not at all.
    fn value_context(&self, wrapped: &[u8]) -> Canonical {
        self.context(Purpose::Value).field(digest::digest(&digest::SHA256, wrapped).as_ref())
    }
}

/// A sealed value, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// K_commit, 32 bytes.
    pub commitment: Vec<u8>,
    /// 12 bytes.
    pub nonce: Vec<u8>,
    /// The value's length and 16 bytes of tag.
    pub ciphertext: Vec<u8>,
}

/// The stored bytes do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tampered;

/// Seals a value. Takes the data key over: a data key is used for exactly one encryption.
pub fn seal(identity: &Identity<'_>, key: DataKey, wrapped: &[u8], value: &Plaintext) -> Sealed {
    let mut nonce = [0u8; NONCE_LEN];
    aws_lc_rs::rand::fill(&mut nonce).expect("the system's random source does not fail once it is seeded");
    seal_with_nonce(identity, key, wrapped, value, nonce)
}

fn seal_with_nonce(identity: &Identity<'_>, key: DataKey, wrapped: &[u8], value: &Plaintext, nonce: [u8; 12]) -> Sealed {
    let info = identity.value_context(wrapped);
    let derived = Derived::new(&key, &info);
    let mut ciphertext = Vec::with_capacity(value.expose().len() + AES_256_GCM.tag_len());
    ciphertext.extend_from_slice(value.expose());
    derived
        .cipher()
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(info.as_bytes()), &mut ciphertext)
        .expect("values are far below the limit of one AES-GCM message");
    Sealed { commitment: derived.commitment().to_vec(), nonce: nonce.to_vec(), ciphertext }
}

/// Opens a sealed value.
///
/// # Errors
/// [`Tampered`] when any byte of what is stored, or of the identity, is not what was sealed.
pub fn open(identity: &Identity<'_>, key: DataKey, wrapped: &[u8], sealed: Sealed) -> Result<Plaintext, Tampered> {
    let info = identity.value_context(wrapped);
    let derived = Derived::new(&key, &info);
    constant_time::verify_slices_are_equal(derived.commitment(), &sealed.commitment).map_err(|_| Tampered)?;
    let nonce = Nonce::try_assume_unique_for_key(&sealed.nonce).map_err(|_| Tampered)?;
    let mut value = Zeroizing::new(sealed.ciphertext);
    let length = derived.cipher().open_in_place(nonce, Aad::from(info.as_bytes()), &mut value).map_err(|_| Tampered)?.len();
    value.truncate(length);
    Ok(Plaintext::new(std::mem::take(&mut *value)))
}

/// K_enc and K_commit of one data key in one context.
struct Derived(Zeroizing<[u8; 64]>);

impl Derived {
    fn new(key: &DataKey, info: &Canonical) -> Self {
        /// 64 bytes of output.
        struct Both;
        impl hkdf::KeyType for Both {
            fn len(&self) -> usize {
                64
            }
        }
        let mut bytes = Zeroizing::new([0u8; 64]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
            .extract(key.expose())
            .expand(&[info.as_bytes()], Both)
            .and_then(|okm| okm.fill(&mut *bytes))
            .expect("64 bytes are within HKDF-SHA-256's 8,160");
        Self(bytes)
    }

    fn cipher(&self) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.0[..32]).expect("K_enc has 32 bytes"))
    }

    fn commitment(&self) -> &[u8] {
        &self.0[32..]
    }
}

#[cfg(test)]
mod tests;
