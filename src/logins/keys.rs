//! The keys of an issuer, kept, and read again in time.
//!
//! Owns: how old they may be, how often they are asked for, and how many requests wait for that. Must not know: forms of keys, JWTs.
//! Called by: jwt.
//!
//! A key that is unknown has perhaps been made just now, so it is asked for; but anybody can name a key, so not often, and few requests
//! wait. A key that an issuer has withdrawn is believed for [`Pace::renew`] at most while it answers, and for [`Pace::keep`] while it
//! does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard, RwLock};

use crate::logins::options::KeysFrom;
use crate::logins::source::{FETCH, Key};

/// Requests that wait for keys at one time.
const MAX_WAITING: usize = 8;

/// How often keys are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Between two tries at least.
    pub between: Duration,
    /// Keys that are older are read again at the next login.
    pub renew: Duration,
    /// Keys that are older are not believed, should there be no newer ones.
    pub keep: Duration,
}

impl Pace {
    /// For keys that somebody else has to be asked for, or that are in a file.
    pub fn of(source: &KeysFrom) -> Self {
        let (between, renew) = if source.is_remote() { (5, 300) } else { (1, 5) };
        Self { between: Duration::from_secs(between), renew: Duration::from_secs(renew), keep: Duration::from_secs(3600) }
    }
}

/// The keys of one issuer.
pub(super) struct Keys {
    source: KeysFrom,
    pace: Pace,
    known: RwLock<Known>,
    reading: Mutex<()>,
    waiting: AtomicUsize,
}

#[derive(Default, Clone)]
struct Known {
    set: Option<Arc<KeySet>>,
    tried_at: Option<Instant>,
    /// Of the last try.
    failure: Option<String>,
}

/// Keys as they were read at one time.
pub(super) struct KeySet {
    /// The keys.
    pub keys: Vec<Key>,
    read_at: Instant,
}

impl Keys {
    /// Keys of which nothing is known yet.
    pub fn new(source: KeysFrom, pace: Pace) -> Self {
        Self { source, pace, known: RwLock::default(), reading: Mutex::new(()), waiting: AtomicUsize::new(0) }
    }

    /// The keys, not older than they may be.
    ///
    /// # Errors
    /// Why there are none.
    pub fn current(&self) -> Result<Arc<KeySet>, String> {
        let known = self.known.read().clone();
        match known.set {
            Some(set) if set.read_at.elapsed() < self.pace.renew => return Ok(set),
            Some(_) => self.read_again(None, false),
            None => self.read_again(None, true),
        }
        let Known { set, failure, .. } = self.known.read().clone();
        let young = set.filter(|set| set.read_at.elapsed() < self.pace.keep);
        young.ok_or_else(|| failure.unwrap_or_else(|| "its keys are being read".to_owned()))
    }

    /// Keys that are newer than these, where there are some by now.
    pub fn newer_than(&self, old: &Arc<KeySet>) -> Option<Arc<KeySet>> {
        self.read_again(Some(old), true);
        self.known.read().set.clone().filter(|set| !Arc::ptr_eq(set, old))
    }

    /// Reads them now, whatever is known.
    ///
    /// # Errors
    /// What is wrong.
    pub fn read(&self) -> Result<usize, String> {
        let loaded = self.source.load();
        let told = loaded.as_ref().map(Vec::len).map_err(Clone::clone);
        self.learn(loaded);
        told
    }

    /// Reads them, unless that was tried just now or somebody has newer ones than `old` meanwhile; `patient` waits for somebody who is at
    /// it.
    fn read_again(&self, old: Option<&Arc<KeySet>>, patient: bool) {
        let at_once = self.reading.try_lock();
        let Some(_reading) = at_once.or_else(|| if patient { self.wait() } else { None }) else { return };
        let Known { set, tried_at, .. } = self.known.read().clone();
        let changed = match (old, &set) {
            (Some(old), Some(set)) => !Arc::ptr_eq(old, set),
            _ => false,
        };
        if !changed && tried_at.is_none_or(|at| at.elapsed() >= self.pace.between) {
            self.learn(self.source.load());
        }
    }

    /// Waits for somebody who reads them, unless many do.
    fn wait(&self) -> Option<MutexGuard<'_, ()>> {
        let others = self.waiting.fetch_add(1, Ordering::Relaxed);
        let guard = if others < MAX_WAITING { self.reading.try_lock_for(FETCH) } else { None };
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        guard
    }

    fn learn(&self, loaded: Result<Vec<Key>, String>) {
        let now = Instant::now();
        let mut known = self.known.write();
        known.tried_at = Some(now);
        match loaded {
            Ok(keys) => (known.set, known.failure) = (Some(Arc::new(KeySet { keys, read_at: now })), None),
            Err(reason) => {
                log::warn!("keys of an issuer cannot be read: {reason}");
                known.failure = Some(reason);
            }
        }
    }
}
