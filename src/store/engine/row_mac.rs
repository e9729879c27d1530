//! MACs over database rows, so that a row changed outside the service is refused instead of believed.
//!
//! Owns: the row key, derived once per start from INT on the token, and the MAC of a row. Must not know: SQL, tables.
//! Called by: store, for every row that decides who may do what or which value is served; app, which derives the key.
//!
//! The column `mac` holds the layout of the row, one byte, and the MAC, 16 bytes, which covers the layout too. A layout bears the
//! number of the level of the deployment at which the row was written.

use std::sync::atomic::{AtomicU8, Ordering};

use aws_lc_rs::{constant_time, hmac};

use crate::base::canonical::{Canonical, Purpose};
use crate::store::engine::level::{Level, Levels};

/// Bytes of a MAC: HMAC-SHA-256, truncated (RFC 2104 section 5).
const MAC_LEN: usize = 16;

/// The column `mac` of a row: its layout and its MAC.
pub type RowMac = [u8; 1 + MAC_LEN];

/// A row that carries a MAC over all its other columns.
pub trait Sealed {
    /// The table; a row moved to another table does not verify.
    const TABLE: &'static str;

    /// Adds every column but the MAC that rows of this layout have, in a fixed order. The list of a layout never changes.
    fn fields(&self, layout: Level, row: Canonical) -> Canonical;

    /// Whether the columns that rows of this layout lack hold what their migration gave them. Others are bound by nothing.
    fn fits(&self, _layout: Level) -> bool {
        true
    }
}

/// The key of all row MACs of a deployment. Lives in memory only.
#[derive(Clone)]
pub struct RowKey(hmac::Key);

impl RowKey {
    /// The key from INT's signature over [`crate::store::DeploymentRow::derivation`] (32 bytes).
    pub fn new(signature: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, signature))
    }

    /// The column `mac` of a row that is written in a layout.
    pub(in crate::store) fn seal<R: Sealed>(&self, row: &R, layout: Level) -> RowMac {
        let input = Canonical::new(Purpose::Row).text(R::TABLE).integer(layout.0.into());
        let tag = hmac::sign(&self.0, row.fields(layout, input).as_bytes());
        let mut sealed = RowMac::default();
        sealed[0] = layout.0;
        sealed[1..].copy_from_slice(&tag.as_ref()[..MAC_LEN]);
        sealed
    }
}

/// Seals rows at the level of the deployment, and opens them at any that is served.
pub(in crate::store) struct Sealer {
    key: RowKey,
    levels: Levels,
    level: AtomicU8,
}

impl Sealer {
    /// For a deployment at this level, which is among those served.
    pub(in crate::store) fn new(key: RowKey, levels: Levels, level: Level) -> Self {
        Self { key, levels, level: AtomicU8::new(level.0) }
    }

    /// The levels that this program serves.
    pub(in crate::store) fn levels(&self) -> Levels {
        self.levels
    }

    /// The level of the deployment, as this node knows it.
    pub(in crate::store) fn level(&self) -> Level {
        Level(self.level.load(Ordering::Relaxed))
    }

    /// Writes at another level from now on.
    pub(in crate::store) fn set_level(&self, level: Level) {
        self.level.store(level.0, Ordering::Relaxed);
    }

    /// The column `mac` of a row that is written now.
    pub(in crate::store) fn mac<R: Sealed>(&self, row: &R) -> RowMac {
        self.key.seal(row, self.level())
    }

    /// What the column `mac` of a row that was read may be, the likeliest first.
    pub(in crate::store) fn macs<R: Sealed>(&self, row: &R) -> Vec<RowMac> {
        let now = self.level();
        let others = self.levels.iter().filter(|level| *level != now && row.fits(*level));
        std::iter::once(now).chain(others).map(|layout| self.key.seal(row, layout)).collect()
    }

    /// Whether this is the column `mac` of the row; compared in constant time.
    pub(in crate::store) fn verify<R: Sealed>(&self, row: &R, mac: &[u8]) -> bool {
        let layout = mac.first().copied().map(Level).filter(|layout| self.levels.contains(*layout) && row.fits(*layout));
        layout.is_some_and(|layout| constant_time::verify_slices_are_equal(&self.key.seal(row, layout), mac).is_ok())
    }
}
