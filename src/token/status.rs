//! What the token layer counts, for metrics.
//!
//! Owns: the counters and their names. Must not know: how metrics are published. Called by: `link`, `mod`; read by metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use super::errors::Class;

/// What is done on the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Wrap,
    Unwrap,
    Mac,
    Sign,
    Random,
    Create,
    Destroy,
    Inspect,
    Health,
    Probe,
}

impl Operation {
    /// Every operation; the index of a counter is the position here.
    const ALL: [(Operation, &'static str); 10] = [
        (Operation::Wrap, "wrap"),
        (Operation::Unwrap, "unwrap"),
        (Operation::Mac, "mac"),
        (Operation::Sign, "sign"),
        (Operation::Random, "random"),
        (Operation::Create, "create"),
        (Operation::Destroy, "destroy"),
        (Operation::Inspect, "inspect"),
        (Operation::Health, "health"),
        (Operation::Probe, "probe"),
    ];
}

/// Counters by name.
pub type Counts = Vec<(&'static str, u64)>;

/// The state of the token layer at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenStatus {
    /// Whether the link is up, as far as the last call knew.
    pub up: bool,
    /// How many epochs there were: 1 after start, one more for each reconnect.
    pub epoch: u64,
    /// The most sessions that will be open at once.
    pub sessions_limit: usize,
    /// Sessions open.
    pub sessions_open: usize,
    /// Sessions in use.
    pub sessions_in_use: usize,
    /// Operations begun, by name.
    pub operations: Counts,
    /// Failed PKCS#11 calls, by class.
    pub failures: Counts,
}

/// The counters behind [`TokenStatus`].
#[derive(Default)]
pub(super) struct Counters {
    operations: [AtomicU64; Operation::ALL.len()],
    failures: [AtomicU64; Class::ALL.len()],
}

impl Counters {
    /// An operation begins.
    pub(super) fn operation(&self, operation: Operation) {
        self.operations[operation as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A call failed.
    pub(super) fn failure(&self, class: Class) {
        self.failures[class as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Operations and failures by name.
    pub(super) fn read(&self) -> (Counts, Counts) {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let operations = Operation::ALL.iter().zip(&self.operations).map(|((_, name), c)| (*name, value(c))).collect();
        let failures = Class::ALL.iter().zip(&self.failures).map(|((_, name), c)| (*name, value(c))).collect();
        (operations, failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_their_counters() {
        for (position, (operation, _)) in Operation::ALL.iter().enumerate() {
            assert_eq!(*operation as usize, position);
        }
    }
}
