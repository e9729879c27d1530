//! Alarms: what is stored is not what was stored, so that somebody else writes there, or a disk lies. Each needs a person.
//!
//! Owns: their line in the log, and how many there were. Must not know: what they are about. Called by: whoever reads what is stored.
//!
//! Of the process, as the log is: whoever finds something raises it there, and none is left out of the figure.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};

/// The target of their lines.
pub const TARGET: &str = "bulla::integrity";

static RAISED: AtomicU64 = AtomicU64::new(0);

/// Says what was found, and counts it.
pub fn raise(what: impl Display) {
    RAISED.fetch_add(1, Ordering::Relaxed);
    log::error!(target: TARGET, "ALARM {what}");
}

/// How many there were since the process began.
pub fn raised() -> u64 {
    RAISED.load(Ordering::Relaxed)
}
