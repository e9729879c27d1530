//! Marks of this process's writes, which the database must still have.
//!
//! Owns: a bounded memory of them. Must not know: SQL, what is done about one that is gone. Called by: the runner, once a write is
//! committed; shared::nonces, which looks after them.

use std::collections::{HashSet, VecDeque};

use parking_lot::Mutex;

use crate::base::clock::Timestamp;
use crate::base::ids::RequestId;

/// The most that are remembered, the last ones; 24 bytes each, taken as they come.
const MOST: usize = 200_000;

/// Marks by when they expire and whose they are, in the order of their writes.
#[derive(Default)]
pub(in crate::store) struct Marks(Mutex<VecDeque<(Timestamp, RequestId)>>);

impl Marks {
    /// A mark is in the database.
    pub(in crate::store) fn left(&self, expires_at: Timestamp, request: RequestId) {
        let mut marks = self.0.lock();
        if marks.len() == MOST {
            marks.pop_front();
        }
        marks.push_back((expires_at, request));
    }

    /// Forgets those that expire before a time: they are not needed any more, and may have been taken away.
    pub(in crate::store) fn forget(&self, expires_before: Timestamp) {
        self.0.lock().retain(|(expires_at, _)| *expires_at >= expires_before);
    }

    /// Forgets some that are known to be gone.
    pub(in crate::store) fn forget_these(&self, gone: &[RequestId]) {
        // As many as there are, where somebody has taken all away: writes wait for the lock.
        let gone: HashSet<_> = gone.iter().collect();
        self.0.lock().retain(|(_, request)| !gone.contains(request));
    }

    /// All of them.
    pub(in crate::store) fn all(&self) -> Vec<RequestId> {
        self.0.lock().iter().map(|(_, request)| *request).collect()
    }
}
