//! How many connections may write at once, so that reads are never kept out by writes that wait: for a lock, for a standby.
//!
//! Owns: the count. Must not know: connections. Called by: runner, for PostgreSQL, where reads and writes share connections.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// The count of those that may still begin.
pub(in crate::store) struct Gate {
    free: Mutex<u32>,
    news: Condvar,
}

/// One write; over when dropped.
pub(in crate::store) struct Permit<'a>(&'a Gate);

impl Gate {
    /// For this many connections: a quarter is left to reads, and one where there are two or more.
    pub(in crate::store) fn beside_reads(connections: u32) -> Self {
        let reads = (connections / 4).max(1);
        Self { free: Mutex::new(connections.saturating_sub(reads).max(1)), news: Condvar::new() }
    }

    /// Waits for its turn to write; none when it does not come in time.
    pub(in crate::store) fn enter(&self, wait: Duration) -> Option<Permit<'_>> {
        let until = Instant::now() + wait;
        let mut free = self.free.lock();
        while *free == 0 {
            if self.news.wait_until(&mut free, until).timed_out() && *free == 0 {
                return None;
            }
        }
        *free -= 1;
        Some(Permit(self))
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.free.lock() += 1;
        self.0.news.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_leave_connections_to_reads() {
        for (connections, writes) in [(1, 1), (2, 1), (4, 3), (8, 6)] {
            let gate = Gate::beside_reads(connections);
            let permits: Vec<_> = (0..writes).filter_map(|_| gate.enter(Duration::ZERO)).collect();
            assert_eq!(permits.len(), writes as usize);
            assert!(gate.enter(Duration::from_millis(5)).is_none(), "{connections}");
            drop(permits);
            assert!(gate.enter(Duration::ZERO).is_some());
        }
    }
}
