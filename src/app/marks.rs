//! Whether the marks that this node's writes have left are still in the database, and its audit log still tells of all that left one.
//!
//! Owns: the comparison with the logs, and the thread that compares, now and then. Must not know: how marks are kept (store), what is in a
//! line (audit). Called by: app::server; app::base, for `bulla verify`.
//!
//! A mark keeps a request that somebody has captured from being done again, on any node; no digest counts it, as every write would change
//! that. So the node that left it looks after it for as long as the request's own time would let it pass: with what it remembers, and at its
//! start with what its logs tell of the time before. The other way round, a mark of whose request no log tells says that lines were taken
//! away which nothing else had bound yet: those of the last second before a crash.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::app::freshness::LOGS;
use crate::audit::{LineKey, told};
use crate::auth::proof::TIME_WINDOW_MS;
use crate::base::clock::Timestamp;
use crate::base::clock_check::ClockCheck;
use crate::base::ids::{NodeId, RequestId};
use crate::base::periodic::{Periodic, Rounds};
use crate::effect::RETENTION_MS;
use crate::store::{MarkPlace, Store, StoreError};

/// Between two looks at least.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How long ago a request may have been that would still pass by its own time, ms: it passes while that is ahead, and while it is behind.
const WINDOW_MS: i64 = 2 * TIME_WINDOW_MS;

/// The longest that a request may have been under way before its effect, ms.
const MAX_REQUEST_MS: i64 = 5 * 60_000;

/// Marks that are read at once.
const PAGE: i64 = 500;

/// What is compared.
pub(super) struct Marks {
    pub(super) store: Arc<Store>,
    pub(super) clocks: Arc<ClockCheck>,
    pub(super) alarms: Arc<AtomicU64>,
    pub(super) node: NodeId,
    /// Where its logs are, and whose lines there are its own.
    pub(super) logs: (PathBuf, LineKey),
    /// The share of a core that it may take, per cent.
    pub(super) percent: u32,
}

/// Waits so long; whether all ends.
type Pause<'a> = &'a dyn Fn(Duration) -> bool;

/// Every mark of a node from a time on, with its own time; none where all ends.
fn present(
    store: &Store,
    node: &NodeId,
    expires_from: Timestamp,
    pause: Pause<'_>,
) -> Result<Option<HashMap<RequestId, Timestamp>>, StoreError> {
    let (mut present, mut place) = (HashMap::new(), MarkPlace::before(expires_from));
    loop {
        let begun = Instant::now();
        let (marks, next) = store.read_row("marks", |tx| tx.marks_page(node, &place, PAGE))?;
        present.extend(marks.into_iter().map(|(expires_at, request)| (request, expires_at)));
        let Some(next) = next else { return Ok(Some(present)) };
        if pause(begun.elapsed()) {
            return Ok(None);
        }
        place = next;
    }
}

/// What the logs of a node, in their folder, and the marks that it has left contradict each other in; none where all ends.
///
/// # Errors
/// When either cannot be read.
pub(super) fn beside_logs(
    store: &Store,
    node: &NodeId,
    (folder, key): (&Path, &LineKey),
    now: Timestamp,
    pause: Pause<'_>,
) -> Result<Option<Vec<String>>, StoreError> {
    // What was told before a restoration is of another state of the database.
    let restored_at = store.read_row("anchors", |tx| tx.anchors())?.restored_at;
    let since = now.plus_ms(-WINDOW_MS).max(restored_at);
    let expires_from = since.plus_ms(RETENTION_MS - MAX_REQUEST_MS);
    let Some(present) = present(store, node, expires_from, pause)? else { return Ok(None) };
    // Behind the marks: the beginning of each of them is in a log by now.
    let (mut whole_since, mut begun, mut done) = (since, HashSet::new(), Vec::new());
    for log in LOGS {
        let told = told(folder, log, node, key, since);
        let told = told.map_err(|e| StoreError::Fault(format!("the log \"{log}\" cannot be read: {e}")))?;
        whole_since = told.since.map_or(whole_since, |since| whole_since.max(since));
        begun.extend(told.begun);
        done.extend(told.done);
    }
    // What ended after the marks were read is none of their business.
    let gone = done.into_iter().filter(|(time, id)| *time < now && !present.contains_key(id)).map(|(_, id)| id);
    let was_left = |expires_at: Timestamp| {
        let received = expires_at.plus_ms(-RETENTION_MS);
        received > whole_since && received < now
    };
    let mut untold: Vec<_> = present.iter().filter(|(id, expires_at)| was_left(**expires_at) && !begun.contains(*id)).collect();
    untold.sort_by_key(|(_, expires_at)| **expires_at);
    let untold = untold.first().map(|(first, _)| {
        let count = untold.len();
        format!("audit: no log of this node tells of {count} changes that it has made, the first of them request {first}: lines were taken away")
    });
    Ok(Some(are_gone(&gone.collect::<Vec<_>>()).into_iter().chain(untold).collect()))
}

/// In words, that these marks are gone.
fn are_gone(gone: &[RequestId]) -> Option<String> {
    let (first, count) = (gone.first()?, gone.len());
    Some(format!(
        "database: the marks of {count} changes that this node has made are gone, the first of them request {first}: \
         who has captured one could have it done again"
    ))
}

impl Marks {
    /// Compares from now on, until what it answers is dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(self) -> std::io::Result<Periodic> {
        let mut logs_are_read = false;
        Periodic::start("bulla-marks", Rounds::FromNow, LOOK_EVERY, move |stopped| {
            let Ok(now) = self.clocks.proved() else { return };
            if !self.store.is_believed() {
                return;
            }
            let begun = Instant::now();
            let pause = |worked| stopped.within(rest(worked, self.percent));
            let (folder, key) = &self.logs;
            let compared = if logs_are_read {
                self.with_memory(now, &pause)
            } else {
                beside_logs(&self.store, &self.node, (folder, key), now, &pause)
            };
            match compared {
                Ok(found) => {
                    logs_are_read = true;
                    found.iter().flatten().for_each(|what| self.alarm(what));
                }
                Err(error) => log::warn!("database: the marks of this node's writes are not compared: {error}"),
            }
            pause(begun.elapsed());
        })
    }

    /// Looks for what this process has left itself.
    fn with_memory(&self, now: Timestamp, pause: Pause<'_>) -> Result<Option<Vec<String>>, StoreError> {
        let from = now.plus_ms(RETENTION_MS - WINDOW_MS);
        let left = self.store.marks_left(from);
        if left.is_empty() {
            return Ok(None);
        }
        let Some(present) = present(&self.store, &self.node, from, pause)? else { return Ok(None) };
        // A sweep may have been under way, by a clock that was believed then.
        let still: HashSet<_> = self.store.marks_left(from).into_iter().collect();
        let gone: Vec<_> = left.into_iter().filter(|id| still.contains(id) && !present.contains_key(id)).collect();
        self.store.marks_gone(&gone);
        Ok(are_gone(&gone).map(|what| vec![what]))
    }

    fn alarm(&self, what: &str) {
        self.alarms.fetch_add(1, Ordering::Relaxed);
        log::error!(target: "bulla::integrity", "ALARM {what}");
    }
}

/// The pause after work that took so long.
fn rest(worked: Duration, percent: u32) -> Duration {
    let percent = percent.clamp(1, 100);
    worked * (100 - percent) / percent
}
