//! Requests that were under way when the server died.
//!
//! Owns: completing the audit log from what the database says of them. Called by: app::server, before it serves.

use crate::app::start_retry::StartRetry;
use crate::audit::{Audit, AuditError, OpenIntent};
use crate::base::clock::Timestamp;
use crate::base::failure::{Failure, context};
use crate::base::ids::NodeId;
use crate::store::Store;

/// Writes the outcomes that a crash kept from being written, from what the database says.
pub(super) fn complete(store: &Store, audit: &Audit, node: NodeId, intents: &[OpenIntent]) -> Result<(), Failure> {
    // Nonces of this node are kept until it sweeps them itself, so every open intent's is still there.
    let from = Timestamp(0);
    for intent in intents {
        let request = intent.request_id;
        let committed = StartRetry::Server
            .until("database", || store.read_rows("intent", |tx| tx.nonce_of_request(&request, &node, from)))?;
        match audit.complete(intent, committed).wait() {
            // The log itself writes the outcome as soon as it can.
            Ok(()) | Err(AuditError::Write(_)) => {}
            Err(error) => return Err(context("audit")(error)),
        }
        let outcome = if committed { "committed" } else { "not committed" };
        log::warn!("request {request} ({}) was under way when the server died: {outcome}", intent.action);
    }
    Ok(())
}
