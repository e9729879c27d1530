//! How often a key version has encrypted, over all nodes.
//!
//! Owns: the reservation of uses and their limits. Must not know: what is encrypted. Called by: keys::{data_key, …}, through
//! [`Keys::reserve`], the only way from an admitted key to the version that encrypts.
//!
//! Suite 1 draws a random 96-bit IV for each encryption, which bounds the encryptions under one key version (NIST SP 800-38D:
//! 2^32). A node reserves uses in blocks, in the database, before it uses them: a crash wastes the rest of a block, nothing is ever
//! counted too low. In the common case a use costs one atomic subtraction.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::base::ids::{KeyId, KeyVersionId};
use crate::error::Error;
use crate::keys::{AdmittedKey, Keys, rotation};
use crate::store::{Abort, KeyVersionRow, Tx};

/// Uses reserved at once.
const BLOCK: i64 = 65_536;

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
    fn warn(self) -> i64 {
        self.rotate / 4
    }

    /// A block that is small against the limits.
    fn block(self) -> i64 {
        (self.rotate / 16).clamp(1, BLOCK)
    }
}

impl Default for UseLimits {
    fn default() -> Self {
        Self::HIGHEST
    }
}

/// Proof that one encryption under a key's primary version is counted. Whoever encrypts takes it by value.
#[derive(Debug)]
pub struct CountedUse {
    version: KeyVersionId,
}

impl CountedUse {
    /// The version that encrypts.
    pub fn version(&self) -> &KeyVersionId {
        &self.version
    }
}

/// Figures for metrics, of this node since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UseFigures {
    /// Encryptions under master keys.
    pub uses: u64,
    /// The most uses reserved of any one version that this node has encrypted under.
    pub highest: u64,
}

/// What this node has reserved and not used yet, by version.
pub(super) struct Uses {
    limits: UseLimits,
    blocks: RwLock<HashMap<KeyVersionId, Arc<Block>>>,
    uses: AtomicU64,
    highest: AtomicI64,
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
        Self { limits, blocks: RwLock::default(), uses: AtomicU64::new(0), highest: AtomicI64::new(0) }
    }

    fn block(&self, version: &KeyVersionId) -> Arc<Block> {
        if let Some(block) = self.blocks.read().unwrap_or_else(PoisonError::into_inner).get(version) {
            return Arc::clone(block);
        }
        Arc::clone(self.blocks.write().unwrap_or_else(PoisonError::into_inner).entry(*version).or_default())
    }
}

impl Keys {
    /// Counts one encryption under the key's primary version.
    ///
    /// # Errors
    /// [`Error::KeyUsesExhausted`] when the version has encrypted as often as it may; [`Error::Unavailable`] when the database is
    /// away and this node's block is used up.
    pub fn reserve(&self, key: &AdmittedKey) -> Result<CountedUse, Error> {
        let version = *key.primary();
        let block = self.uses.block(&version);
        while !block.take() {
            let _refilling = block.refill.lock().unwrap_or_else(PoisonError::into_inner);
            if block.left.load(Ordering::Relaxed) == 0 {
                block.left.store(self.reserve_block(key.key(), &version)?, Ordering::Relaxed);
            }
        }
        self.uses.uses.fetch_add(1, Ordering::Relaxed);
        Ok(CountedUse { version })
    }

    /// The figures now.
    pub fn use_figures(&self) -> UseFigures {
        UseFigures {
            uses: self.uses.uses.load(Ordering::Relaxed),
            highest: u64::try_from(self.uses.highest.load(Ordering::Relaxed)).unwrap_or_default(),
        }
    }

    /// Reserves the next block; how many uses it has.
    fn reserve_block(&self, key: &KeyId, version: &KeyVersionId) -> Result<i64, Error> {
        let limits = self.uses.limits;
        let (before, after) = self.store.write("key_uses_reserve", |tx| {
            let row = tx.key_version_by_id(version)?.ok_or(Abort::App(Error::KeyNotFound))?;
            let uses = row.uses + limits.block().min(limits.stop - row.uses);
            if uses <= row.uses {
                return Err(Abort::App(Error::KeyUsesExhausted));
            }
            if uses >= limits.rotate {
                self.make_rotation_due(tx, key, version)?;
            }
            tx.key_version_update(&row, &KeyVersionRow { uses, ..row.clone() })?;
            Ok::<_, Abort<Error>>((row.uses, uses))
        })?;
        self.uses.highest.fetch_max(after, Ordering::Relaxed);
        for (limit, what) in [(limits.warn(), "watch it"), (limits.rotate, "it needs a new version")] {
            if (before..after).contains(&(limit - 1)) {
                log::warn!("version {version} of key {key} has encrypted {limit} times: {what}");
            }
        }
        Ok(after - before)
    }

    /// Lets the next round of jobs rotate a key whose primary version has encrypted often.
    fn make_rotation_due(&self, tx: &mut Tx<'_>, key: &KeyId, version: &KeyVersionId) -> Result<(), Abort<Error>> {
        let key = tx.key_by_id(key)?.ok_or(Abort::App(Error::KeyNotFound))?;
        if key.primary_version == *version && rotation::rotates(&key).is_ok() {
            rotation::due_now(tx, &key.id, self.clock.now())?;
        }
        Ok(())
    }
}
