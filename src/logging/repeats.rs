//! Lines that say the same over and over: an outage, told once for each request that it refuses.
//!
//! Owns: how many lines of one place in the code pass in a while, and how many did not. Must not know: forms, where lines go. Called by:
//! the logger.
//!
//! Only warnings and errors are counted, since access lines are asked for one by one, and no alarms: each names an object of its own. Nor
//! are answers to a signal: whoever sends one waits for its line.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use log::{Level, Record};
use parking_lot::Mutex;

use crate::base::alarm;

/// Lines of one place that pass in one [`PERIOD`].
const PASS: u64 = 20;
const PERIOD: Duration = Duration::from_secs(10);

/// Targets whose lines all pass.
const UNLIMITED: [&str; 2] = [alarm::TARGET, "bulla::reload"];

/// A place in the code.
type Place = (&'static str, u32);

struct Count {
    since: Instant,
    lines: u64,
    level: Level,
    target: String,
}

/// The counts of all places that have logged of late.
#[derive(Default)]
pub(super) struct Repeats {
    counts: Mutex<HashMap<Place, Count>>,
}

/// What did not pass from one place, in a period that is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Untold {
    pub(super) level: Level,
    pub(super) target: String,
    pub(super) place: Place,
    pub(super) lines: u64,
}

impl Repeats {
    /// Whether a line passes, and what has to be told before it.
    pub(super) fn look_at(&self, record: &Record<'_>, now: Instant) -> (bool, Vec<Untold>) {
        let (Some(file), Some(line)) = (record.file_static(), record.line()) else { return (true, Vec::new()) };
        if record.level() > Level::Warn || UNLIMITED.contains(&record.target()) {
            return (true, Vec::new());
        }
        let mut counts = self.counts.lock();
        let over: Vec<Place> = counts
            .iter()
            .filter(|(_, count)| now.saturating_duration_since(count.since) >= PERIOD)
            .map(|(place, _)| *place)
            .collect();
        let over = over.into_iter().filter_map(|place| Some((place, counts.remove(&place)?)));
        let untold = over.filter(|(_, count)| count.lines > PASS);
        let untold =
            untold.map(|(place, Count { lines, level, target, .. })| Untold { level, target, place, lines: lines - PASS });
        let untold = untold.collect();
        let new = || Count { since: now, lines: 0, level: record.level(), target: record.target().to_owned() };
        let count = counts.entry((file, line)).or_insert_with(new);
        count.lines += 1;
        (count.lines <= PASS, untold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_some_times_and_then_counted() {
        let repeats = Repeats::default();
        let begun = Instant::now();
        let look = |level, target, line, after: Duration| {
            let record = Record::builder()
                .args(format_args!("m"))
                .level(level)
                .target(target)
                .file_static(Some("a.rs"))
                .line(Some(line))
                .build();
            repeats.look_at(&record, begun + after)
        };
        let passed = |level, target, line, after| (0..1000).filter(|_| look(level, target, line, after).0).count() as u64;
        assert_eq!(passed(Level::Error, "bulla::http", 1, Duration::ZERO), PASS);
        assert_eq!(passed(Level::Warn, "bulla::http", 2, Duration::ZERO), PASS, "each place by itself");
        assert_eq!(passed(Level::Info, "bulla::access", 3, Duration::ZERO), 1000);
        assert_eq!(passed(Level::Error, "bulla::integrity", 4, Duration::ZERO), 1000);
        assert_eq!(passed(Level::Error, "bulla::reload", 6, Duration::ZERO), 1000);
        let (passes, mut untold) = look(Level::Warn, "bulla::store", 5, PERIOD);
        untold.sort_by_key(|untold| untold.place);
        let told = |level, line| Untold { level, target: "bulla::http".into(), place: ("a.rs", line), lines: 1000 - PASS };
        assert_eq!((passes, untold), (true, vec![told(Level::Error, 1), told(Level::Warn, 2)]), "whoever logs next");
        assert_eq!(look(Level::Error, "bulla::http", 1, PERIOD), (true, vec![]));
    }
}
