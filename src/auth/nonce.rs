//! Nonces of requests seen by this node, so that a replay is refused before anything is looked up.
//!
//! Owns: a bounded memory of used nonces. Must not know: HTTP, SQL. Called by: auth. A write's nonce also goes into the
//! database, in the transaction of its effect (see `effect`), so that it stays used over restarts and on every node.

use std::collections::HashSet;
use std::sync::Mutex;

use aws_lc_rs::digest;

use crate::base::clock::Timestamp;
use crate::base::ids::AccessKeyId;
use crate::effect::RETENTION_MS;

/// An access key and one of its nonces, in 16 bytes.
pub type NonceDigest = [u8; 16];

/// The digest of a nonce under an access key: SHA-256 of both, with a separator that neither can hold, truncated.
pub fn digest_of(access_key: &AccessKeyId, nonce: &str) -> NonceDigest {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(access_key.as_str().as_bytes());
    context.update(&[0]);
    context.update(nonce.as_bytes());
    let mut short = NonceDigest::default();
    short.copy_from_slice(&context.finish().as_ref()[..16]);
    short
}

/// The nonces this node has seen.
///
/// Two generations, each for half the retention at least: the older is dropped whole, so forgetting costs nothing. Past the
/// bound the older generation goes early: then a *read* could be replayed within its 15 minutes; writes never depend on this.
pub struct SeenNonces {
    generations: Mutex<Generations>,
    capacity: usize,
}

struct Generations {
    young: HashSet<NonceDigest>,
    old: HashSet<NonceDigest>,
    since: Timestamp,
}

impl SeenNonces {
    /// A memory of at most this many nonces (about 20 bytes each, taken as they come).
    pub fn new(capacity: usize) -> Self {
        let generations = Generations { young: HashSet::new(), old: HashSet::new(), since: Timestamp(0) };
        Self { generations: Mutex::new(generations), capacity }
    }

    /// Marks a nonce as used; false if it was already.
    pub fn reserve(&self, nonce: NonceDigest, now: Timestamp) -> bool {
        let mut g = self.lock();
        if now >= g.since.plus_ms(RETENTION_MS) || g.young.len() >= self.capacity / 2 {
            g.old = std::mem::take(&mut g.young);
            g.since = now;
        }
        !g.old.contains(&nonce) && g.young.insert(nonce)
    }

    /// Gives a nonce back: its request was refused before it ran.
    pub fn release(&self, nonce: &NonceDigest) {
        let mut g = self.lock();
        g.young.remove(nonce);
        g.old.remove(nonce);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.generations.lock().expect("no code panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonce(n: u32) -> NonceDigest {
        digest_of(&"k".parse().expect("id"), &n.to_string())
    }

    #[test]
    fn a_nonce_works_once_until_it_is_given_back() {
        let seen = SeenNonces::new(100);
        assert!(seen.reserve(nonce(1), Timestamp(0)));
        assert!(!seen.reserve(nonce(1), Timestamp(5)));
        seen.release(&nonce(1));
        assert!(seen.reserve(nonce(1), Timestamp(9)));
    }

    #[test]
    fn a_nonce_is_remembered_for_its_retention_and_memory_is_bounded() {
        let seen = SeenNonces::new(100);
        assert!(seen.reserve(nonce(1), Timestamp(1)));
        assert!(!seen.reserve(nonce(1), Timestamp(RETENTION_MS)));
        assert!(!seen.reserve(nonce(1), Timestamp(RETENTION_MS + 1)));
        assert!(seen.reserve(nonce(1), Timestamp(3 * RETENTION_MS)));
        for n in 0..1000 {
            seen.reserve(nonce(n), Timestamp(3 * RETENTION_MS));
        }
        let g = seen.lock();
        assert!(g.young.len() + g.old.len() <= 100);
    }

    #[test]
    fn nonces_belong_to_their_access_key() {
        let [a, b] = ["k1", "k"].map(|k| k.parse().expect("id"));
        assert_ne!(digest_of(&a, "23"), digest_of(&b, "123"));
    }
}
