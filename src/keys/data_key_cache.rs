//! Data keys that were unwrapped a moment ago, for deployments whose token is across a network.
//!
//! Owns: how many are kept and how long. Must not know: admission: whoever asks has been admitted, each time. Called by: `data_key`,
//! jobs (which drops those of keys that may not be used any more).
//!
//! Off unless it is configured: while a data key is kept, whoever reads this process's memory can open what it encrypted without the
//! token, and a token that is unplugged does not end reading for as long.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;
use zeroize::Zeroizing;

use crate::base::canonical::Canonical;
use crate::base::ids::{KeyId, KeyVersionId};
use crate::base::secret::DataKey;
use crate::base::words::Suite;

/// What is kept is found by a hash of all that it was unwrapped from.
type Name = [u8; 32];

/// The cache.
pub(super) struct DataKeyCache {
    entries: usize,
    age: Duration,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_name: HashMap<Name, Entry>,
    /// In the order in which they came, so that the oldest goes first.
    order: VecDeque<(Name, Instant)>,
    hits: u64,
}

struct Entry {
    key: KeyId,
    data_key: DataKey,
    since: Instant,
}

impl DataKeyCache {
    /// Of so many data keys, each for so long; none with 0 entries.
    pub(super) fn new(entries: usize, age: Duration) -> Self {
        Self { entries, age, kept: Mutex::default() }
    }

    /// Whether anything is ever kept.
    pub(super) fn is_on(&self) -> bool {
        self.entries > 0
    }

    /// How often a data key was found here.
    pub(super) fn hits(&self) -> u64 {
        self.kept.lock().hits
    }

    /// What names a data key.
    pub(super) fn name(version: &KeyVersionId, suite: Suite, wrapped: &[u8], context: &Canonical) -> Name {
        let parts = [version.as_bytes(), &suite.number().to_be_bytes()[..], wrapped, context.as_bytes()];
        let mut text = Zeroizing::new(Vec::new());
        for part in parts {
            text.extend((part.len() as u64).to_be_bytes());
            text.extend(part);
        }
        digest(&SHA256, &text).as_ref().try_into().expect("SHA-256 gives 32 bytes")
    }

    /// The data key of this name, if it is kept and young enough.
    pub(super) fn find(&self, name: &Name) -> Option<DataKey> {
        let mut kept = self.kept.lock();
        let entry = kept.by_name.get(name).filter(|entry| entry.since.elapsed() < self.age)?;
        let found = copy(&entry.data_key);
        kept.hits += 1;
        Some(found)
    }

    /// Keeps a copy.
    pub(super) fn keep(&self, name: Name, key: KeyId, data_key: &DataKey) {
        let since = Instant::now();
        let mut kept = self.kept.lock();
        kept.drop_older_than(self.age);
        while kept.by_name.len() >= self.entries {
            let Some((oldest, at)) = kept.order.pop_front() else { return };
            if kept.by_name.get(&oldest).is_some_and(|entry| entry.since == at) {
                kept.by_name.remove(&oldest);
            }
        }
        kept.order.push_back((name, since));
        kept.by_name.insert(name, Entry { key, data_key: copy(data_key), since });
    }

    /// The keys of which data keys are kept, those that are too old dropped.
    pub(super) fn keys(&self) -> HashSet<KeyId> {
        let mut kept = self.kept.lock();
        kept.drop_older_than(self.age);
        kept.by_name.values().map(|entry| entry.key).collect()
    }

    /// Drops and wipes the data keys of these keys.
    pub(super) fn forget(&self, keys: &HashSet<KeyId>) {
        self.kept.lock().by_name.retain(|_, entry| !keys.contains(&entry.key));
    }
}

impl Kept {
    fn drop_older_than(&mut self, age: Duration) {
        while let Some((name, since)) = self.order.front().copied()
            && since.elapsed() >= age
        {
            self.order.pop_front();
            if self.by_name.get(&name).is_some_and(|entry| entry.since == since) {
                self.by_name.remove(&name);
            }
        }
    }
}

fn copy(data_key: &DataKey) -> DataKey {
    DataKey::new(Zeroizing::new(*data_key.expose()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_kept_than_said_nor_longer_nor_after_they_are_forgotten() {
        let cache = DataKeyCache::new(2, Duration::from_secs(60));
        let (one, two) = (KeyId::new(), KeyId::new());
        let key = |byte| DataKey::new(Zeroizing::new([byte; 32]));
        let names = [[1; 32], [2; 32], [3; 32]];
        cache.keep(names[0], one, &key(1));
        cache.keep(names[1], two, &key(2));
        cache.keep(names[1], two, &key(2));
        cache.keep(names[2], two, &key(3));
        assert!(cache.find(&names[0]).is_none(), "the oldest goes first");
        assert_eq!(cache.find(&names[2]).map(|k| *k.expose()), Some([3; 32]));
        assert_eq!(cache.keys(), HashSet::from([two]));
        cache.forget(&HashSet::from([one]));
        assert!(cache.find(&names[2]).is_some());
        cache.forget(&HashSet::from([two]));
        assert!(cache.find(&names[2]).is_none());
        assert_eq!(cache.hits(), 2);

        let brief = DataKeyCache::new(10, Duration::ZERO);
        brief.keep(names[0], one, &key(1));
        assert!(brief.find(&names[0]).is_none() && brief.keys().is_empty(), "too old at once");
    }
}
