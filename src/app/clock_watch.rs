//! Feeds the comparison of clocks, and hears what an operator says of them.
//!
//! Owns: when the clocks are looked at, and two files beside the audit log that hold a time, ms: `clock-accepted`, at which an operator
//! said that the clock is right, and `clock-proved`, at which it was last believed. Must not know: what waits for the clock. Called by:
//! app, admin.
//!
//! A start compares the clock with the second of these: an audit line may bear the time of a clock that nobody believed, and whoever
//! starts again would believe it by its own word.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::clock::{Clock, Timestamp};
use crate::base::clock_check::ClockCheck;
use crate::base::periodic::{Periodic, Rounds};
use crate::base::regular;
use crate::base::whole_file::{self, Access};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Between two times that are kept.
const KEEP_EVERY: Duration = Duration::from_secs(10);

/// An operator's word counts only while the clock shows the time that it was said of, ms.
const FRESH_MS: i64 = 60_000;

fn file(audit_folder: &Path) -> PathBuf {
    audit_folder.join("clock-accepted")
}

fn proved_file(audit_folder: &Path) -> PathBuf {
    audit_folder.join("clock-proved")
}

/// When the clock of the node with this audit folder was last believed, if anybody kept that.
pub(super) fn last_proved(audit_folder: &Path) -> Option<Timestamp> {
    time_in(&proved_file(audit_folder)).map(Timestamp)
}

/// The time that a file holds, ms.
fn time_in(file: &Path) -> Option<i64> {
    regular::read_text(file).ok()?.trim().parse().ok()
}

/// Puts a time into a file, which the service may read whoever writes it.
fn put(file: &Path, at: Timestamp) -> io::Result<()> {
    whole_file::write(file, format!("{}\n", at.0).as_bytes(), &Access::of_mode(0o644)).map(drop)
}

/// Says to the node with this audit folder that the clock of this machine is right.
///
/// # Errors
/// When the folder cannot be written.
pub fn accept(audit_folder: &Path, clock: &Clock) -> io::Result<()> {
    put(&file(audit_folder), clock.now())
}

/// Looks at the clocks now and then, until what it answers is dropped.
pub(super) fn start(check: &Arc<ClockCheck>, audit_folder: &Path, clock: Clock) -> io::Result<Periodic> {
    let file = file(audit_folder);
    let said = move || time_in(&file);
    let mut heard = said();
    let fresh = move |word: Option<i64>, clock: &Clock| word.is_some_and(|at| (clock.now().0 - at).abs() <= FRESH_MS);
    // Said while nobody was there to hear it.
    if fresh(heard, &clock) {
        check.accept();
    }
    let check = Arc::clone(check);
    let proved = proved_file(audit_folder);
    let mut kept: Option<Instant> = None;
    Periodic::start("bulla-clock", Rounds::FromNow, LOOK_EVERY, move |_| {
        let word = said();
        if word != heard {
            heard = word;
            if fresh(word, &clock) {
                check.accept();
            }
        }
        // A doubt that arises is logged there.
        if let Ok(at) = check.proved()
            && kept.is_none_or(|kept| kept.elapsed() >= KEEP_EVERY)
        {
            // Where it cannot be kept, a start compares with an earlier one.
            let _ = put(&proved, at);
            kept = Some(Instant::now());
        }
    })
}
