//! The rotation of managed secrets on time.
//!
//! Owns: when the job looks. Must not know: the steps, how they are recorded. Called by: jobs.
//!
//! Every node looks; the rotation's row decides which of them does it. A node that comes back from a crash finds what it left at
//! once, as its first look is at its start.

use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use crate::error::Error;
use crate::jobs::Jobs;

/// Between two looks.
pub(super) const EVERY: Duration = Duration::from_secs(5);

/// Rotations of one look.
const BATCH: i64 = 100;

impl Jobs {
    /// Carries out the rotations that are due, until it is to stop. One that fails keeps no other from its turn.
    pub(super) fn rotate(&self, stopped: &Receiver<()>) -> Result<(), Error> {
        let mut first = Ok(());
        for due in self.secrets.rotations_due(&self.node, BATCH)? {
            if stopped.try_recv() != Err(TryRecvError::Empty) {
                break;
            }
            first = first.and(self.secrets.rotate_due(&due));
        }
        first
    }
}
