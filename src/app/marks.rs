//! Whether the marks that this node's writes have left are still in the database, and its audit log still tells of all that left one.
//!
//! Owns: the comparison with the logs, and the thread that compares, now and then. Must not know: how marks are kept (store), what is in a
//! line (audit). Called by: app::server; app::base, for `bulla verify`.
//!
//! A mark keeps a request that somebody has captured from being done again, on any node; no digest counts it, as every write would change
//! that. So the node that left it looks after it for as long as the request's own time would let it pass: with what it remembers, and at its
//! start with what its logs tell of the time before. The other way round, a mark of whose request no log tells says that lines were taken
//! away which nothing else had bound yet: those of the last second before a crash.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::app::anchors::MAX_REQUEST_MS;
use crate::app::freshness::LOGS;
use crate::audit::{LineKey, Told, told};
use crate::auth::proof::TIME_WINDOW_MS;
use crate::base::alarm;
use crate::base::clock::Timestamp;
use crate::base::clock_check::ClockCheck;
use crate::base::ids::{NodeId, RequestId};
use crate::base::periodic::{Periodic, Rounds, rest};
use crate::effect::RETENTION_MS;
use crate::store::{MarkPlace, Store, StoreError};

/// Between two looks at least.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How long ago a request may have been that would still pass by its own time, ms: it passes while that is ahead, and while it is behind.
const WINDOW_MS: i64 = 2 * TIME_WINDOW_MS;

/// Marks that are read at once.
const PAGE: i64 = 500;

/// What is compared.
pub(super) struct Marks {
    pub(super) store: Arc<Store>,
    pub(super) clocks: Arc<ClockCheck>,
    pub(super) node: NodeId,
    /// Where its logs are, and whose lines there are its own.
    pub(super) logs: (PathBuf, LineKey),
    /// The share of a core that it may take, per cent.
    pub(super) percent: u32,
}

/// Waits so long; whether all ends.
type Pause<'a> = &'a dyn Fn(Duration) -> bool;

/// Goes through the marks of a node from a time on, each with its own time; false where all ends before.
fn each_mark(
    store: &Store,
    node: &NodeId,
    expires_from: Timestamp,
    pause: Pause<'_>,
    mut visit: impl FnMut(Timestamp, RequestId),
) -> Result<bool, StoreError> {
    let mut place = MarkPlace::before(expires_from);
    loop {
        let begun = Instant::now();
        let (marks, next) = store.read_row("marks", |tx| tx.marks_page(node, &place, PAGE))?;
        marks.into_iter().for_each(|(expires_at, request)| visit(expires_at, request));
        let Some(next) = next else { return Ok(true) };
        if pause(begun.elapsed()) {
            return Ok(false);
        }
        place = next;
    }
}

/// What the logs of a node tell, in one.
fn told_by_logs(node: &NodeId, (folder, key): (&Path, &LineKey), since: Timestamp) -> Result<Told, StoreError> {
    let mut all = Told::default();
    for log in LOGS {
        let told = told(folder, log, node, key, since);
        let told = told.map_err(|e| StoreError::Fault(format!("the log \"{log}\" cannot be read: {e}")))?;
        // Whole is what both are whole for.
        all.since = all.since.max(told.since);
        all.begun.extend(told.begun);
        all.done.extend(told.done);
    }
    Ok(all)
}

/// What the logs of a node, in their folder, and the marks that it has left contradict each other in; none where all ends.
///
/// # Errors
/// When either cannot be read.
pub(super) fn beside_logs(
    store: &Store,
    node: &NodeId,
    logs: (&Path, &LineKey),
    now: Timestamp,
    pause: Pause<'_>,
) -> Result<Option<Vec<String>>, StoreError> {
    // What was told before a restoration is of another state of the database.
    let restored_at = store.read_row("anchors", |tx| tx.anchors())?.restored_at;
    let since = now.plus_ms(-WINDOW_MS).max(restored_at);
    let Told { since: read_since, begun, done } = told_by_logs(node, logs, since)?;
    let whole_since = read_since.map_or(since, |read| read.max(since));
    let mut missing: HashSet<_> = done.iter().map(|(_, id)| *id).collect();
    let mut untold = Vec::new();
    let expires_from = since.plus_ms(RETENTION_MS - MAX_REQUEST_MS);
    let whole = each_mark(store, node, expires_from, pause, |expires_at, id| {
        missing.remove(&id);
        let received = expires_at.plus_ms(-RETENTION_MS);
        if received > whole_since && received < now && !begun.contains(&id) {
            untold.push(id);
        }
    })?;
    if !whole {
        return Ok(None);
    }
    if !untold.is_empty() {
        // What was about to be written when the logs were read.
        let begun = told_by_logs(node, logs, whole_since)?.begun;
        untold.retain(|id| !begun.contains(id));
    }
    let untold = untold.first().map(|first| {
        let count = untold.len();
        format!("audit: no log of this node tells of {count} changes that it has made, the first of them request {first}: lines were taken away")
    });
    let gone: Vec<_> = done.into_iter().map(|(_, id)| id).filter(|id| missing.contains(id)).collect();
    Ok(Some(are_gone(&gone).into_iter().chain(untold).collect()))
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
                    found.iter().flatten().for_each(alarm::raise);
                }
                Err(error) => log::warn!("database: the marks of this node's writes are not compared: {error}"),
            }
            pause(begun.elapsed());
        })
    }

    /// Looks for what this process has left itself.
    fn with_memory(&self, now: Timestamp, pause: Pause<'_>) -> Result<Option<Vec<String>>, StoreError> {
        let from = now.plus_ms(RETENTION_MS - WINDOW_MS);
        let mut left = self.store.marks_left(from);
        if left.is_empty() {
            return Ok(None);
        }
        left.sort_unstable();
        let mut is_there = vec![false; left.len()];
        let whole = each_mark(&self.store, &self.node, from, pause, |_, id| {
            if let Ok(at) = left.binary_search(&id) {
                is_there[at] = true;
            }
        })?;
        if !whole || is_there.iter().all(|there| *there) {
            return Ok(None);
        }
        let is_missing = |id: &RequestId| left.binary_search(id).is_ok_and(|at| !is_there[at]);
        // A sweep may have been under way, by a clock that was believed then.
        let gone: Vec<_> = self.store.marks_left(from).into_iter().filter(is_missing).collect();
        self.store.marks_gone(&gone);
        Ok(are_gone(&gone).map(|what| vec![what]))
    }
}
