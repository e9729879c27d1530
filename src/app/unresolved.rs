//! Writes whose commit was cut: nobody knows whether they happened, until the database is back and says so.
//!
//! Owns: when it is asked, and the outcome that follows the record `unknown`. Must not know: what the writes were. Called by: app.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::audit::{Audit, OpenIntent};
use crate::base::ids::NodeId;
use crate::store::Store;

/// Between two questions.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The thread that asks.
pub(super) struct Resolver {
    /// Dropped to stop.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Resolver {
    pub(super) fn start(store: Arc<Store>, audit: Arc<Audit>, node: NodeId) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let run = move || {
            let mut open: Vec<(Instant, OpenIntent)> = Vec::new();
            loop {
                let over = stopped.recv_timeout(LOOK_EVERY) != Err(RecvTimeoutError::Timeout);
                open.extend(audit.take_unresolved());
                open.retain(|(since, intent)| !resolve(&store, &audit, &node, *since, intent));
                if over {
                    // What is left is resolved by the next start.
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("bulla-unresolved".into()).spawn(run)?;
        Ok(Self { stop, thread })
    }

    /// Asks once more, where the database answers in time.
    pub(super) fn stop(self, within: Duration) {
        let until = Instant::now() + within;
        drop(self.stop);
        while !self.thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Whether it is known now, and written down.
fn resolve(store: &Store, audit: &Audit, node: &NodeId, since: Instant, intent: &OpenIntent) -> bool {
    let Ok(Some(committed)) = store.request_settled(&intent.request_id, node, since.elapsed()) else { return false };
    let outcome = if committed { "committed" } else { "not committed" };
    log::warn!("request {} ({}), whose commit was cut: {outcome}", intent.request_id, intent.action);
    audit.complete(intent, committed).wait().is_ok()
}
