//! The pass over secrets, keys and who may do what: part by part, for ever, with no more of a core than it is given.
//!
//! Owns: its pace, and what it says of what it finds. Must not know: how a part is compared (`store`). Called by: jobs.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::alarm;
use crate::base::periodic::{Stopped, rest};
use crate::store::{PARTS, Store, StoreError};

/// How long a pass takes at least at 5 % of a core: a small database needs no more.
const SHORTEST: Duration = Duration::from_secs(60);

/// Between two looks at where the database stands.
const HEAD_EVERY: Duration = Duration::from_secs(1);

/// A pass that never ends.
pub(super) struct Pass {
    store: Arc<Store>,
    /// The share of a core, per cent.
    percent: u32,
    /// What was said since the last pass began.
    said: HashSet<String>,
    looked: Instant,
    /// Whether the database as a whole was not believed at the last look.
    doubted: bool,
}

impl Pass {
    pub(super) fn new(store: Arc<Store>, percent: u32) -> Self {
        Self { store, percent: percent.clamp(1, 100), said: HashSet::new(), looked: Instant::now(), doubted: false }
    }

    /// One pass, until it is over or all ends.
    pub(super) fn run(&mut self, stopped: &Stopped) {
        self.said.clear();
        let mut whole = self.look_at_values(stopped);
        for part in 0..=u8::MAX {
            let begun = Instant::now();
            if self.store.is_believed() {
                if std::mem::take(&mut self.doubted) {
                    // What was found of another database says nothing of this one.
                    for found in self.store.quarantined_parts() {
                        whole &= self.compare(found);
                    }
                    self.look();
                }
                whole &= self.compare(part);
                if self.looked.elapsed() >= HEAD_EVERY {
                    self.look();
                }
            } else {
                self.doubted = true;
                whole = false;
            }
            if stopped.within(pause(begun.elapsed(), self.percent)) {
                return;
            }
        }
        if whole {
            self.store.pass_done();
        }
    }

    /// Looks at the kinds of all values; whether that could be done.
    fn look_at_values(&mut self, stopped: &Stopped) -> bool {
        let begun = Instant::now();
        let looked = self.store.values_check();
        match &looked {
            Ok(()) => {}
            Err(error @ StoreError::Corrupt { .. }) => self.alarm(&error.to_string()),
            Err(error) => log::warn!("pass: the kinds of values: {error}"),
        }
        stopped.within(pause(begun.elapsed(), self.percent));
        looked.is_ok()
    }

    /// Compares a part of the secrets, and as much of keys and of who may do what; whether that could be done.
    fn compare(&mut self, part: u8) -> bool {
        // Each by itself: what one look finds is told, whatever becomes of the other.
        let looks = [self.store.part_check(part).map(|found| found.strange), self.store.scopes_check(part)];
        let mut whole = true;
        for look in looks {
            match look {
                Ok(strange) => strange.iter().for_each(|what| self.alarm(what)),
                Err(error) => {
                    whole = false;
                    match error {
                        StoreError::Corrupt { .. } => self.alarm(&error.to_string()),
                        _ if self.said.insert(error.to_string()) => log::warn!("pass: part {part:02x}: {error}"),
                        _ => {}
                    }
                }
            }
        }
        whole
    }

    /// Looks whether a part stands earlier than it did.
    fn look(&mut self) {
        self.looked = Instant::now();
        if let Err(error @ StoreError::Corrupt { .. }) = self.store.head() {
            self.alarm(&error.to_string());
        }
    }

    fn alarm(&mut self, what: &str) {
        if self.said.insert(what.to_owned()) {
            alarm::raise(format!("pass: {what}"));
        }
    }
}

/// The pause after work that took so long.
fn pause(worked: Duration, percent: u32) -> Duration {
    rest(worked, percent).max(SHORTEST * 5 / percent / u32::from(PARTS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_no_more_than_its_share() {
        let second = Duration::from_secs(1);
        assert_eq!(pause(second, 5), Duration::from_secs(19));
        assert_eq!(pause(second, 50), second);
        assert_eq!(pause(Duration::ZERO, 5) * 256, Duration::from_secs(60));
        assert!(pause(second, 100) < Duration::from_millis(20));
    }
}
