//! Nonces of requests seen by this node, so that a replay is refused before anything is looked up.
//!
//! Owns: a bounded memory of used nonces. Must not know: HTTP, SQL. Called by: auth. A write's nonce also goes into the
//! database, in the transaction of its effect (see `effect`), so that it stays used over restarts and on every node.

use std::collections::{HashMap, HashSet};

use aws_lc_rs::digest;
use parking_lot::Mutex;

use crate::base::clock::Timestamp;
use crate::base::ids::{AccessKeyId, AccountId};
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

/// The nonces this node has seen, by account: who sends many forgets its own, and nobody else's.
///
/// Two generations of an account, each for half the retention at least: the older is dropped whole, so forgetting costs nothing.
/// Past the bound of all, the account that has the most loses its older generation early: then a *read* of that account could be
/// replayed within its 15 minutes; writes never depend on this.
pub struct SeenNonces {
    seen: Mutex<Seen>,
    capacity: usize,
}

#[derive(Default)]
struct Seen {
    accounts: HashMap<AccountId, Generations>,
    /// Nonces of all accounts.
    total: usize,
}

struct Generations {
    young: HashSet<NonceDigest>,
    old: HashSet<NonceDigest>,
    since: Timestamp,
}

impl Generations {
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Begins a generation; how many nonces are forgotten.
    fn turn(&mut self, now: Timestamp) -> usize {
        self.since = now;
        std::mem::replace(&mut self.old, std::mem::take(&mut self.young)).len()
    }
}

impl Seen {
    /// Makes room: what has outlived its retention goes, and if that is not enough, what the account with the most has.
    fn shrink(&mut self, capacity: usize, now: Timestamp) {
        self.accounts.retain(|_, g| now < g.since.plus_ms(2 * RETENTION_MS));
        self.total = self.accounts.values().map(Generations::len).sum();
        while self.total >= capacity {
            let Some(most) = self.accounts.values_mut().max_by_key(|g| g.len()) else { return };
            self.total -= most.turn(now);
        }
    }
}

impl SeenNonces {
    /// A memory of at most this many nonces (about 20 bytes each, taken as they come).
    pub fn new(capacity: usize) -> Self {
        Self { seen: Mutex::default(), capacity }
    }

    /// Marks an account's nonce as used; false if it was already.
    pub fn reserve(&self, account: &AccountId, nonce: NonceDigest, now: Timestamp) -> bool {
        let mut seen = self.seen.lock();
        if seen.total >= self.capacity {
            seen.shrink(self.capacity, now);
        }
        let Seen { accounts, total } = &mut *seen;
        if !accounts.contains_key(account) {
            accounts.insert(account.clone(), Generations { young: HashSet::new(), old: HashSet::new(), since: now });
        }
        let Some(g) = accounts.get_mut(account) else { return false };
        if now >= g.since.plus_ms(RETENTION_MS) {
            *total -= g.turn(now);
        }
        let new = !g.old.contains(&nonce) && g.young.insert(nonce);
        *total += usize::from(new);
        new
    }

    /// Gives a nonce back: its request was refused before it ran.
    pub fn release(&self, account: &AccountId, nonce: &NonceDigest) {
        let mut seen = self.seen.lock();
        if let Some(g) = seen.accounts.get_mut(account) {
            let gone = usize::from(g.young.remove(nonce)) + usize::from(g.old.remove(nonce));
            seen.total -= gone;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonce(n: u32) -> NonceDigest {
        digest_of(&"k".parse().expect("id"), &n.to_string())
    }

    fn account(n: u32) -> AccountId {
        format!("{n:016}").parse().expect("an account")
    }

    #[test]
    fn a_nonce_works_once_until_it_is_given_back() {
        let (seen, a) = (SeenNonces::new(100), account(1));
        assert!(seen.reserve(&a, nonce(1), Timestamp(0)));
        assert!(!seen.reserve(&a, nonce(1), Timestamp(5)));
        seen.release(&a, &nonce(1));
        assert!(seen.reserve(&a, nonce(1), Timestamp(9)));
    }

    #[test]
    fn a_nonce_is_remembered_for_its_retention_and_memory_is_bounded() {
        let (seen, a) = (SeenNonces::new(100), account(1));
        assert!(seen.reserve(&a, nonce(1), Timestamp(1)));
        assert!(!seen.reserve(&a, nonce(1), Timestamp(RETENTION_MS)));
        assert!(!seen.reserve(&a, nonce(1), Timestamp(RETENTION_MS + 1)));
        assert!(seen.reserve(&a, nonce(1), Timestamp(3 * RETENTION_MS)));
        for n in 0..1000 {
            seen.reserve(&account(n % 7), nonce(n), Timestamp(3 * RETENTION_MS));
            let kept = seen.seen.lock();
            assert!(kept.total <= 100);
            assert_eq!(kept.total, kept.accounts.values().map(Generations::len).sum::<usize>());
        }
    }

    #[test]
    fn an_account_that_sends_many_drives_out_its_own() {
        let (seen, quiet, busy) = (SeenNonces::new(100), account(1), account(2));
        for n in 0..10 {
            assert!(seen.reserve(&quiet, nonce(n), Timestamp(1)));
        }
        for n in 0..10_000 {
            seen.reserve(&busy, nonce(n), Timestamp(2));
        }
        for n in 0..10 {
            assert!(!seen.reserve(&quiet, nonce(n), Timestamp(3)), "{n}");
        }
        assert!(!seen.reserve(&busy, nonce(9_999), Timestamp(3)), "its last ones are still known");
    }

    #[test]
    fn nonces_belong_to_their_access_key() {
        let [a, b] = ["k1", "k"].map(|k| k.parse().expect("id"));
        assert_ne!(digest_of(&a, "23"), digest_of(&b, "123"));
    }
}
