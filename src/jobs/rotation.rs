//! The rotation of managed secrets on time.
//!
//! Owns: when the job looks. Must not know: the steps, how they are recorded. Called by: jobs.
//!
//! Every node looks; the rotation's row decides which of them does it. A node that comes back from a crash finds what it left at
//! once, as its first look is at its start.

use crate::base::clock::Moment;
use crate::base::periodic::Stopped;
use crate::error::Error;
use crate::jobs::Jobs;

/// Rotations of one look.
const MAX_BATCH: i64 = 100;

impl Jobs {
    /// Carries out the rotations that are due, until it is to stop. One that fails keeps no other from its turn.
    pub(super) fn rotate(&self, stopped: &Stopped) -> Result<(), Error> {
        let mut first = Ok(());
        // Whose turn it is, and when, is told by the clock.
        let Ok(now) = self.parts.clocks.proved() else { return Ok(()) };
        for due in self.parts.secrets.rotations_due(&self.parts.node, now, MAX_BATCH)? {
            let Ok(now) = self.parts.clocks.proved() else { break };
            if stopped.is_asked() {
                break;
            }
            let done = due.map_err(Error::from).and_then(|due| self.parts.secrets.rotate_due(&due, Moment::of(now)));
            first = first.and(done);
        }
        first
    }
}
