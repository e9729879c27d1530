//! MACs over database rows, so that a row changed outside the service is refused instead of believed.
//!
//! Owns: the row key, derived once per start from ROW on the token, and the MAC of a row. Must not know: SQL, tables.
//! Called by: store, for every row that decides who may do what or which value is served; app, which derives the key.
//!
//! The column `mac` holds the layout of the row, one byte, and the MAC, 16 bytes, which covers the layout too. A layout bears the
//! number of the level of the deployment at which the row was written.

use std::sync::atomic::{AtomicU8, Ordering};

use aws_lc_rs::{constant_time, hmac, rand};

use crate::base::canonical::{Canonical, Purpose};
pub use crate::store::engine::digest::RowMac;
use crate::store::engine::digest::{Digest, MAC_LEN, WHOLE};
use crate::store::engine::known::Known;
use crate::store::engine::level::{Level, Levels};
use crate::store::engine::scope::Counted;

/// A row that carries a MAC over all its other columns.
pub trait Sealed {
    /// The table; a row moved to another table does not verify.
    const TABLE: &'static str;

    /// Which row it says that it is, for people: never a value.
    fn name(&self) -> String;

    /// Adds every column but the MAC that rows of this layout have, in a fixed order. The list of a layout never changes.
    fn fields(&self, layout: Level, row: Canonical) -> Canonical;

    /// Whether the columns that rows of this layout lack hold what their migration gave them. Others are bound by nothing.
    fn fits(&self, _layout: Level) -> bool {
        true
    }

    /// In which digest the row is counted.
    fn counted(&self) -> Counted;

    /// What a digest binds beside the MAC: nothing, where whoever compares rows with the digest verifies each row.
    fn bound(&self) -> &[u8] {
        &[]
    }
}

/// The key of all row MACs of a deployment. Lives in memory only.
#[derive(Clone)]
pub struct RowKey(hmac::Key);

impl RowKey {
    /// The key from ROW's signature over [`crate::store::DeploymentRow::derivation`] (32 bytes).
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

    /// A key for one use, of which nothing leads back.
    fn derive(&self, use_of: &str) -> hmac::Key {
        let derivation = Canonical::new(Purpose::Digests).text(use_of);
        hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&self.0, derivation.as_bytes()).as_ref())
    }
}

/// Bytes of the salt before a masked sum.
pub(in crate::store) const SALT: usize = 8;

/// Seals rows at the level of the deployment, and opens them at any that is served.
pub(in crate::store) struct Sealer {
    key: RowKey,
    elements: hmac::Key,
    masks: hmac::Key,
    tokens: hmac::Key,
    levels: Levels,
    level: AtomicU8,
    known: Known,
}

impl Sealer {
    /// For a deployment at this level, which is among those served; `exact` where every read of a secret is.
    pub(in crate::store) fn new(key: RowKey, levels: Levels, level: Level, exact: bool) -> Self {
        let (elements, masks, tokens) = (key.derive("element"), key.derive("mask"), key.derive("bearer token"));
        Self { key, elements, masks, tokens, levels, level: AtomicU8::new(level.0), known: Known::new(exact) }
    }

    /// With which bearer tokens are hashed.
    pub(in crate::store) fn tokens(&self) -> &hmac::Key {
        &self.tokens
    }

    /// What this node remembers of the digests.
    pub(in crate::store) fn known(&self) -> &Known {
        &self.known
    }

    /// What a digest counts for a row.
    pub(in crate::store) fn element(&self, table: &str, bound: &[u8], mac: &[u8]) -> Digest {
        Digest::of(&self.bind(table, bound, mac))
    }

    /// What a row is remembered by once a digest has proved it: its MAC, or, where the digest binds something beside that for readers who
    /// do not verify the MAC, both.
    pub(in crate::store) fn remembered_as(&self, table: &str, bound: &[u8], mac: &[u8]) -> RowMac {
        let mac = RowMac::try_from(mac).unwrap_or_default();
        if bound.is_empty() {
            return mac;
        }
        let mut both = mac;
        both[1..].copy_from_slice(&self.bind(table, bound, &mac)[..MAC_LEN]);
        both
    }

    fn bind(&self, table: &str, bound: &[u8], mac: &[u8]) -> [u8; WHOLE] {
        let mut context = hmac::Context::with_key(&self.elements);
        for field in [table.as_bytes(), bound] {
            context.update(&(field.len() as u64).to_be_bytes());
            context.update(field);
        }
        context.update(mac);
        let mut bytes = [0; WHOLE];
        bytes.copy_from_slice(context.sign().as_ref());
        bytes
    }

    /// A sum, or several, as it is stored in a place: a salt, and the sum under a mask that is used once.
    pub(in crate::store) fn mask(&self, place: &[u8], sums: &[u8]) -> Vec<u8> {
        let mut salt = [0; SALT];
        rand::fill(&mut salt).expect("the system's generator answers once it has answered");
        let mut stored = salt.to_vec();
        stored.extend(self.masked(place, &salt, sums));
        stored
    }

    /// The sums that are stored in a place; none where the length is wrong.
    pub(in crate::store) fn unmask(&self, place: &[u8], stored: &[u8], length: usize) -> Option<Vec<u8>> {
        let (salt, sums) = stored.split_first_chunk::<SALT>()?;
        (sums.len() == length).then(|| self.masked(place, salt, sums))
    }

    fn masked(&self, place: &[u8], salt: &[u8; SALT], sums: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(sums.len());
        for (block, bytes) in sums.chunks(WHOLE).enumerate() {
            let mut context = hmac::Context::with_key(&self.masks);
            context.update(salt);
            context.update(&(block as u64).to_be_bytes());
            context.update(place);
            let pad = context.sign();
            out.extend(bytes.iter().zip(pad.as_ref()).map(|(byte, pad)| byte ^ pad));
        }
        out
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
    pub(in crate::store) fn macs<R: Sealed>(&self, row: &R) -> impl Iterator<Item = RowMac> {
        let now = self.level();
        let others = self.levels.iter().filter(move |level| *level != now && row.fits(*level));
        std::iter::once(now).chain(others).map(|layout| self.key.seal(row, layout))
    }

    /// Whether this is the column `mac` of the row; compared in constant time.
    pub(in crate::store) fn verify<R: Sealed>(&self, row: &R, mac: &[u8]) -> bool {
        let layout = mac.first().copied().map(Level).filter(|layout| self.levels.contains(*layout) && row.fits(*layout));
        layout.is_some_and(|layout| constant_time::verify_slices_are_equal(&self.key.seal(row, layout), mac).is_ok())
    }
}
