//! Writes whose commit was cut: nobody knows whether they happened, until the database is back and says so.
//!
//! Owns: when it is asked, and the outcome that follows the record `unknown`. Must not know: what the writes were. Called by: app.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::app::unfinished::told;
use crate::audit::{Audit, OpenIntent};
use crate::base::ids::NodeId;
use crate::base::periodic::{Periodic, Rounds};
use crate::store::Store;

/// Between two questions.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Asks from now on, and once more at the end. What is left then is resolved by the next start.
pub(super) fn start(store: Arc<Store>, audit: Arc<Audit>, node: NodeId) -> std::io::Result<Periodic> {
    let mut open: Vec<(Instant, OpenIntent)> = Vec::new();
    Periodic::start("bulla-unresolved", Rounds::AndAtTheEnd, LOOK_EVERY, move |_| {
        open.extend(audit.take_unresolved());
        open.retain(|(since, intent)| !resolve(&store, &audit, &node, *since, intent));
    })
}

/// Whether it is known now, as far as it ever will be, and handed to the log.
fn resolve(store: &Store, audit: &Audit, node: &NodeId, since: Instant, intent: &OpenIntent) -> bool {
    let settled = match store.request_settled(&intent.request_id, node, since.elapsed()) {
        Ok(None) => return false,
        Ok(Some(committed)) => Ok(committed),
        Err(error) => Err(error),
    };
    let Ok(completion) = told(intent, settled) else { return false };
    log::warn!("request {} ({}), whose commit was cut: {completion}", intent.request_id, intent.action);
    audit.complete(intent, completion);
    true
}
