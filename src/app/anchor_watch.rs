//! That the database is not put back while a node serves.
//!
//! Owns: the thread that looks, and what a node remembers: every node's row, of which only it writes its own, so that one which is not as
//! it left it was put back, whatever it says. Must not know: what the rows are compared with (see `anchors`). Called by:
//! app::server.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::app::anchors::{LogAnchor, digests_older_than, read, strange_heads};
use crate::app::start_retry::Passing;
use crate::base::alarm;
use crate::base::ids::NodeId;
use crate::base::periodic::{Periodic, Rounds};
use crate::store::{AnchorsRow, Distrust, LogHeadRow, StoreError};

/// Between two looks at the database.
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// Between two writes of this node's row.
const WRITE_EVERY: Duration = Duration::from_millis(900);

/// What a node remembers of the database while it runs.
struct Memory {
    own: Arc<LogAnchor>,
    anchors: AnchorsRow,
    heads: HashMap<(NodeId, String), (i64, Vec<u8>)>,
    /// How many rows did not verify.
    strange: usize,
    /// Whether the last look failed in a way that does not pass by itself.
    failed: bool,
}

impl Memory {
    /// What is wrong where what is found contradicts what is remembered; takes up what does not.
    fn compare(&mut self, heads: &[LogHeadRow], anchors: &AnchorsRow) -> Option<String> {
        if anchors.restored_at < self.anchors.restored_at {
            return Some(put_back("it knows nothing of a restoration that this node knows"));
        }
        // A key that is made anew is a later one.
        let (known, now) = ((self.anchors.key_since, self.anchors.key_id), (anchors.key_since, anchors.key_id));
        if now.0 < known.0 || (now.0 == known.0 && now.1 != known.1) {
            return Some(put_back("it names a key of the token that was made before the one which it named"));
        }
        let own = heads.iter().find(|head| head.node == self.own.node && head.log == self.own.log);
        if !self.own.is_as_left(own) {
            return Some(match own.map(|row| &row.place).filter(|place| **place != self.own.place) {
                Some(place) => format!(
                    "the node at {place} writes as this one: the audit folder of one of them is a copy of the other's. Give that node an \
                     empty folder, and start this one anew"
                ),
                None => put_back("this node's row is not as this node left it"),
            });
        }
        let mut found: HashMap<_, _> =
            heads.iter().map(|head| ((head.node, head.log.clone()), (head.generation, head.token.clone()))).collect();
        for ((node, log), known) in &self.heads {
            match found.get(&(*node, log.clone())) {
                Some(now) if now.0 > known.0 || now == known => {}
                _ => return Some(put_back(&format!("the row of node {node} is older than it was before"))),
            }
        }
        std::mem::swap(&mut self.heads, &mut found);
        self.anchors = anchors.clone();
        None
    }
}

/// The thread that looks and writes.
pub(super) struct Watch {
    thread: Periodic,
    restored: Arc<AtomicBool>,
}

impl Watch {
    /// Watches from now on. `begin_anew` is called when somebody accepted another state of the database.
    pub(super) fn start(own: Arc<LogAnchor>, begin_anew: impl Fn() + Send + 'static) -> Result<Self, StoreError> {
        let (_, anchors) = read(&own.store)?;
        let mut memory = Memory { own, anchors, heads: HashMap::new(), strange: 0, failed: false };
        let restored = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&restored);
        let mut written = Instant::now();
        let thread = Periodic::start("bulla-anchors", Rounds::AfterAPause, LOOK_EVERY, move |_| {
            if !told.load(Ordering::Relaxed) && look(&mut memory) {
                told.store(true, Ordering::Relaxed);
                begin_anew();
            }
            let own = &memory.own;
            let moved = own.audit.end().map(|end| end.seq) != own.known();
            if moved && written.elapsed() >= WRITE_EVERY && own.store.is_believed() {
                written = Instant::now();
                if let Err(error) = own.write() {
                    log::warn!("database: how far the audit log is could not be written: {error}");
                }
            }
        });
        let thread = thread.map_err(|e| StoreError::Fault(format!("no thread: {e}")))?;
        Ok(Self { thread, restored })
    }

    /// Whether somebody accepted another state of the database.
    pub(super) fn was_restored(&self) -> bool {
        self.restored.load(Ordering::Relaxed)
    }

    /// Ends the thread, where the database answers in time.
    pub(super) fn stop(self, within: Duration) {
        self.thread.stop(within);
    }
}

fn put_back(why: &str) -> String {
    format!("the database was put back to an earlier state, or exchanged: {why}")
}

/// Looks once; whether the database was accepted in another state.
fn look(memory: &mut Memory) -> bool {
    let store = Arc::clone(&memory.own.store);
    let reason = match store.distrusted() {
        Some(Distrust::Lie(why)) => Some(Distrust::Lie(put_back(&why))),
        Some(away) => Some(away),
        None => match read(&store) {
            Ok((_, anchors)) if anchors.restored_at > memory.anchors.restored_at => {
                log::error!("database: `bulla restore` has accepted another state of it; this node ends, to begin anew");
                store.disbelieve(Some(Distrust::Lie("it was restored; this node has to begin anew".to_owned())));
                return true;
            }
            Ok((heads, anchors)) => {
                memory.failed = false;
                if heads.strange > memory.strange {
                    alarm::raise(format!("database: {}", strange_heads(heads.strange)));
                }
                memory.strange = heads.strange;
                match memory.compare(&heads.rows, &anchors) {
                    Some(why) => Some(Distrust::Lie(why)),
                    None => match digests_older_than(&store, &heads.since_restoration(&anchors)) {
                        Ok(why) => why.map(|why| Distrust::Lie(put_back(&why))),
                        // Nobody may do anything then, and the pass says so.
                        Err(StoreError::Corrupt { .. }) => None,
                        Err(_) => return false,
                    },
                }
            }
            Err(error @ StoreError::Corrupt { .. }) => Some(Distrust::Lie(format!("database: {error}"))),
            // Away: what it is then is looked at when it is back.
            Err(error) if error.passes() => {
                memory.failed = false;
                return false;
            }
            // A connection that broke in the middle is another one at the next look; what else fails says nothing good of the database.
            Err(error) if std::mem::replace(&mut memory.failed, true) => {
                Some(Distrust::Lie(format!("the database cannot be compared with what this node knows of it: {error}")))
            }
            Err(_) => return false,
        },
    };
    if store.disbelieve(reason.clone()) {
        match reason {
            Some(Distrust::Away(why)) => log::error!("database: it is away: {why}"),
            Some(Distrust::Lie(reason)) => {
                alarm::raise(format!("{reason}; nothing is served until it is as it was, or `bulla restore` accepts it"));
            }
            None => log::warn!("database: it is as it was again"),
        }
    }
    false
}
