//! MACs over database rows, so that a row changed outside the service is refused instead of believed.
//!
//! Owns: the row key, derived once per start from INT on the token, and the MAC of a row. Must not know: SQL, tables.
//! Called by: store, for every row that decides who may do what or which value is served; app, which derives the key.

use aws_lc_rs::hmac;

use crate::base::canonical::{Canonical, Purpose};

/// The 128-bit MAC of one row: HMAC-SHA-256, truncated (RFC 2104 section 5).
pub type RowMac = [u8; 16];

/// A row that carries a MAC over all its other columns.
pub trait Sealed {
    /// The table; a row moved to another table does not verify.
    const TABLE: &'static str;

    /// Adds every column but the MAC, in a fixed order.
    fn fields(&self, row: Canonical) -> Canonical;
}

/// The key of all row MACs of a deployment. Lives in memory only.
pub struct RowKey(hmac::Key);

impl RowKey {
    /// What INT on the token signs to make the row key of a deployment.
    pub fn derivation(deployment: &crate::base::ids::DeploymentId) -> Canonical {
        Canonical::new(Purpose::RowKey).field(deployment.as_bytes())
    }

    /// The key from INT's signature over [`RowKey::derivation`] (32 bytes).
    pub fn new(signature: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, signature))
    }

    /// The MAC of a row.
    pub fn mac<R: Sealed>(&self, row: &R) -> RowMac {
        let input = row.fields(Canonical::new(Purpose::Row).text(R::TABLE));
        let tag = hmac::sign(&self.0, input.as_bytes());
        let mut mac = RowMac::default();
        mac.copy_from_slice(&tag.as_ref()[..16]);
        mac
    }

    /// Whether this is the MAC of the row; compared in constant time.
    pub fn verify<R: Sealed>(&self, row: &R, mac: &[u8]) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.mac(row), mac).is_ok()
    }
}
