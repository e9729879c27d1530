//! Uses of key versions that this node has reserved and not used yet.
//!
//! Owns: the limits, and blocks of uses in memory. Must not know: the database, what is encrypted. Called by: keys::reserve.
//!
//! Suite 1 draws a random 96-bit IV for each encryption, which bounds the encryptions under one key version (NIST SP 800-38D:
//! 2^32). A node reserves uses in blocks, in the database, before it uses them: a crash wastes the rest of a block, nothing is ever
//! counted too low. In the common case a use costs one atomic subtraction.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::base::ids::{KeyId, KeyVersionId};

/// Uses reserved at once, at most.
const MAX_BLOCK: i64 = 65_536;

/// Keys of which figures tell.
const TOLD: usize = 100;

/// How often one key version may encrypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UseLimits {
    /// From here on the key gets a new version as soon as it can.
    pub rotate: i64,
    /// From here on the version encrypts no more.
    pub stop: i64,
}

impl UseLimits {
    /// The highest values that are safe with random IVs: 2^30 and 2^31.
    pub const HIGHEST: Self = Self { rotate: 1 << 30, stop: 1 << 31 };

    /// From here on the log warns: a quarter of the way to rotation, 2^28 at the highest limits.
    pub(super) fn warn(self) -> i64 {
        self.rotate / 4
    }

    /// A block that is small against the limits.
    pub(super) fn block(self) -> i64 {
        (self.rotate / 16).clamp(1, MAX_BLOCK)
    }
}

impl Default for UseLimits {
    fn default() -> Self {
        Self::HIGHEST
    }
}

/// Figures for metrics, of this node since its start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UseFigures {
    /// Encryptions under master keys.
    pub uses: u64,
    /// Uses reserved, by all nodes, of the version that encrypts, of the keys that this node has encrypted under: of those that have the
    /// most, these first.
    pub reserved: Vec<(KeyId, i64)>,
}

/// What this node has reserved and not used yet, by version.
pub(super) struct Uses {
    limits: UseLimits,
    blocks: RwLock<HashMap<KeyVersionId, Arc<Block>>>,
    uses: AtomicU64,
    /// What was reserved of the version that encrypts, by all nodes.
    reserved: Mutex<HashMap<KeyId, i64>>,
}

#[derive(Default)]
struct Block {
    left: AtomicI64,
    /// Held by the one that fetches the next block.
    refill: Mutex<()>,
}

impl Block {
    fn take(&self) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n > 0).then(|| n - 1)).is_ok()
    }
}

impl Uses {
    pub(super) fn new(limits: UseLimits) -> Self {
        Self { limits, blocks: RwLock::default(), uses: AtomicU64::new(0), reserved: Mutex::default() }
    }

    pub(super) fn limits(&self) -> UseLimits {
        self.limits
    }

    /// Takes one use of a version. `fetch` reserves the next block where this one is used up, and answers how many uses it has.
    pub(super) fn take<E>(&self, version: &KeyVersionId, fetch: impl Fn() -> Result<i64, E>) -> Result<(), E> {
        let block = self.block(version);
        while !block.take() {
            let _refilling = block.refill.lock();
            if block.left.load(Ordering::Relaxed) == 0 {
                block.left.store(fetch()?, Ordering::Relaxed);
            }
        }
        self.uses.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Remembers that so many uses of the version that encrypts are reserved.
    pub(super) fn reserved(&self, key: KeyId, uses: i64) {
        self.reserved.lock().insert(key, uses);
    }

    pub(super) fn figures(&self) -> UseFigures {
        let mut reserved: Vec<_> = self.reserved.lock().iter().map(|(key, uses)| (*key, *uses)).collect();
        reserved.sort_unstable_by_key(|(key, uses)| (-uses, *key));
        reserved.truncate(TOLD);
        UseFigures { uses: self.uses.load(Ordering::Relaxed), reserved }
    }

    fn block(&self, version: &KeyVersionId) -> Arc<Block> {
        if let Some(block) = self.blocks.read().get(version) {
            return Arc::clone(block);
        }
        Arc::clone(self.blocks.write().entry(*version).or_default())
    }
}
