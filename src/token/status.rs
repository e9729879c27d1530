//! What the token layer counts, for metrics.
//!
//! Owns: the counters and their names. Must not know: how metrics are published. Called by: `connection`; read by metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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

/// Upper bounds of the classes of latency, seconds; what took longer is in none but the sum.
pub const LATENCY_BOUNDS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// How long the operations of one kind took, with the wait for a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Latency {
    /// The operation, as in [`TokenStatus::operations`].
    pub operation: &'static str,
    /// Operations that took no longer than each of [`LATENCY_BOUNDS`].
    pub no_longer: Vec<(f64, u64)>,
    /// Operations in all.
    pub count: u64,
    /// Seconds in all.
    pub sum_s: f64,
}

impl Operation {
    /// Whether it uses a key that must be there.
    pub(super) fn uses_keys(self) -> bool {
        matches!(self, Operation::Wrap | Operation::Unwrap | Operation::Mac | Operation::Sign | Operation::Inspect)
    }

    /// Whether it makes or destroys objects.
    pub(super) fn changes_objects(self) -> bool {
        matches!(self, Operation::Create | Operation::Destroy)
    }

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
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenStatus {
    /// Whether the connection is up, as far as the last call knew.
    pub up: bool,
    /// Whether the last login failed and the PIN is not presented again by itself.
    pub refused: bool,
    /// How many epochs there were: 1 after start, one more for each reconnect.
    pub epoch: u64,
    /// The most sessions that will be open at once.
    pub sessions_limit: usize,
    /// Sessions open.
    pub sessions_open: usize,
    /// Sessions in use.
    pub sessions_in_use: usize,
    /// Callers that wait for one.
    pub sessions_waited_for: usize,
    /// Objects on the token, if they were counted.
    pub objects: Option<u64>,
    /// Whether a wrong PIN had been presented before the last login, by whomever; none while there is no login.
    pub pin_tried: Option<bool>,
    /// Bytes for private objects that are free, where the token tells; asked once a minute.
    pub free_private: Option<u64>,
    /// Bytes for public objects that are free.
    pub free_public: Option<u64>,
    /// Whether the last attempt to make a key was not refused to the token's user.
    pub makes_keys: bool,
    /// Operations done, by name.
    pub operations: Counts,
    /// Failed PKCS#11 calls, by class.
    pub failures: Counts,
    /// How long operations took.
    pub latencies: Vec<Latency>,
}

/// The counters behind [`TokenStatus`].
#[derive(Default)]
pub(super) struct Counters {
    took: [Took; Operation::ALL.len()],
    failures: [AtomicU64; Class::ALL.len()],
}

/// Operations of one kind.
#[derive(Default)]
struct Took {
    classes: [AtomicU64; LATENCY_BOUNDS.len()],
    count: AtomicU64,
    sum_us: AtomicU64,
    last_us: AtomicU64,
}

/// What takes longer than this is waited for: another thread may well run meanwhile, though it has to be woken for that. µs.
const WORTH_A_WAKE_UP_US: u64 = 300;

impl Counters {
    /// Whether operations of one kind take long, by the last one.
    pub(super) fn take_long(&self, operation: Operation) -> bool {
        self.took[operation as usize].last_us.load(Ordering::Relaxed) >= WORTH_A_WAKE_UP_US
    }

    /// An operation is done.
    pub(super) fn took(&self, operation: Operation, time: Duration) {
        let took = &self.took[operation as usize];
        if let Some(class) = LATENCY_BOUNDS.iter().position(|bound| time.as_secs_f64() <= *bound) {
            took.classes[class].fetch_add(1, Ordering::Relaxed);
        }
        took.count.fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        took.sum_us.fetch_add(us, Ordering::Relaxed);
        took.last_us.store(us, Ordering::Relaxed);
    }

    /// A call failed.
    pub(super) fn failure(&self, class: Class) {
        self.failures[class as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Operations, failures and latencies by name.
    pub(super) fn read(&self) -> (Counts, Counts, Vec<Latency>) {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let operations = Operation::ALL.iter().zip(&self.took).map(|((_, name), took)| (*name, value(&took.count))).collect();
        let failures = Class::ALL.iter().zip(&self.failures).map(|((_, name), c)| (*name, value(c))).collect();
        let latency = |((_, operation), took): (&(Operation, &'static str), &Took)| {
            let mut below = 0;
            let no_longer = LATENCY_BOUNDS.iter().zip(&took.classes).map(|(bound, class)| {
                below += value(class);
                (*bound, below)
            });
            Latency {
                operation,
                no_longer: no_longer.collect(),
                count: value(&took.count),
                sum_s: value(&took.sum_us) as f64 / 1e6,
            }
        };
        (operations, failures, Operation::ALL.iter().zip(&self.took).map(latency).collect())
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
