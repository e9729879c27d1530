//! Feeds the comparison of clocks, and hears what an operator says of them.
//!
//! Owns: when the clocks are looked at, and the file `clock-accepted` beside the audit log, which holds the time, ms, at which an
//! operator said that the clock is right. Must not know: what waits for the clock. Called by: app, admin.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::base::clock::Clock;
use crate::base::clock_check::ClockCheck;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// An operator's word counts only while the clock shows the time that it was said of, ms.
const FRESH_MS: i64 = 60_000;

fn file(audit_folder: &Path) -> PathBuf {
    audit_folder.join("clock-accepted")
}

/// Says to the node with this audit folder that the clock of this machine is right.
///
/// # Errors
/// When the folder cannot be written.
pub fn accept(audit_folder: &Path, clock: &Clock) -> io::Result<()> {
    let file = file(audit_folder);
    let draft = file.with_extension("new");
    fs::write(&draft, format!("{}\n", clock.now().0))?;
    fs::rename(draft, file)
}

/// Looks at the clocks now and then, on a thread that ends with the last owner of the comparison.
pub(super) fn start(check: &Arc<ClockCheck>, audit_folder: &Path, clock: Clock) -> io::Result<()> {
    let file = file(audit_folder);
    let said = move || fs::read_to_string(&file).ok()?.trim().parse::<i64>().ok();
    let mut heard = said();
    let fresh = move |word: Option<i64>, clock: &Clock| word.is_some_and(|at| (clock.now().0 - at).abs() <= FRESH_MS);
    // Said while nobody was there to hear it.
    if fresh(heard, &clock) {
        check.accept();
    }
    let check: Weak<ClockCheck> = Arc::downgrade(check);
    let watch = move || {
        while let Some(check) = check.upgrade() {
            let word = said();
            if word != heard {
                heard = word;
                if fresh(word, &clock) {
                    check.accept();
                }
            }
            // A doubt that arises is logged there.
            let _ = check.proved();
            drop(check);
            std::thread::sleep(LOOK_EVERY);
        }
    };
    std::thread::Builder::new().name("bulla-clock".into()).spawn(watch).map(drop)
}
