//! A caller's blob: what Encrypt and its relatives give out and Decrypt takes back.
//!
//! Owns: its bytes and its associated data. Must not know: tokens, databases, Base64. Called by: keys (making and opening), api
//! (reading). Drawn byte for byte in docs/formats.md. Bulla keeps no blob: callers have them for as long as they like, so a
//! format that was ever given out must be read for ever.
//!
//! ```text
//! format (1 byte) = 1 | suite (1 byte) | key version id (16) | the suite's bytes; S1: IV (12) | ciphertext | tag (16)
//! ```

use std::collections::BTreeMap;

use crate::base::canonical::{Canonical, Purpose};
use crate::base::ids::{AccountId, DeploymentId, KeyId, KeyVersionId, Region};
use crate::base::words::Suite;

/// The first byte.
const FORMAT: u8 = 1;

/// The bytes before those of the suite: format, suite, key version id.
const HEAD_LEN: usize = 2 + 16;

/// What callers bind to a blob besides its key: names and values, by name. Sorted, so that two equal maps are one context.
pub type EncryptionContext = BTreeMap<String, String>;

/// A blob taken apart. Nothing of it is verified before the token opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// How it is encrypted.
    pub suite: Suite,
    /// The key version that it names.
    pub key_version: KeyVersionId,
    /// What the suite made.
    pub sealed: Vec<u8>,
}

impl Blob {
    /// Reads a blob; none if these bytes are not the form of one, or of a suite that this program does not know.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (head, sealed) = bytes.split_first_chunk::<HEAD_LEN>()?;
        let [FORMAT, suite, id @ ..] = *head else { return None };
        Some(Self {
            suite: Suite::from_number(suite.into())?,
            key_version: KeyVersionId::from_bytes(id),
            sealed: sealed.to_vec(),
        })
    }

    /// The blob's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&[FORMAT, self.suite as u8], self.key_version.as_bytes().as_slice(), &self.sealed].concat()
    }
}

/// Everything that a blob is bound to; it opens for no other.
pub struct Identity<'a> {
    /// The installation.
    pub deployment: &'a DeploymentId,
    /// The account that owns the key.
    pub account: &'a AccountId,
    /// The region.
    pub region: &'a Region,
    /// The key.
    pub key: &'a KeyId,
    /// Its version.
    pub key_version: &'a KeyVersionId,
    /// How the blob is encrypted.
    pub suite: Suite,
    /// What the caller binds to it.
    pub context: &'a EncryptionContext,
}

impl Identity<'_> {
    /// The associated data: these fields, then name and value of each entry of the caller's context.
    pub fn associated_data(&self) -> Canonical {
        let fixed = Canonical::new(Purpose::Blob)
            .field(self.deployment.as_bytes())
            .text(self.account.as_str())
            .text(self.region.as_str())
            .field(self.key.as_bytes())
            .field(self.key_version.as_bytes())
            .field(&self.suite.number().to_be_bytes());
        self.context.iter().fold(fixed, |data, (name, value)| data.text(name).text(value))
    }
}

#[cfg(test)]
mod tests;
