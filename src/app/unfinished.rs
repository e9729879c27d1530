//! Requests that were under way when the server died.
//!
//! Owns: completing the audit log from what the database says of them. Called by: app::server, before it serves.

use crate::app::start_retry::StartRetry;
use crate::audit::{Audit, AuditError, OpenIntent};
use crate::base::clock::Timestamp;
use crate::base::failure::{Failure, context};
use crate::base::ids::NodeId;
use crate::store::{Store, StoreError};

/// Writes the outcomes that a crash kept from being written, from what the database says.
pub(super) fn complete(store: &Store, audit: &Audit, node: NodeId, intents: &[OpenIntent]) -> Result<(), Failure> {
    // Nonces of this node are kept until it sweeps them itself, so every open intent's is still there.
    let from = Timestamp(0);
    for intent in intents {
        let request = intent.request_id;
        let mark = || match store.read_rows("intent", |tx| tx.nonce_of_request(&request, &node, from)) {
            Err(StoreError::Corrupt { detail, .. }) => Ok(Err(detail)),
            found => found.map(Ok),
        };
        let committed = match StartRetry::Server.until("database", mark)? {
            Ok(committed) => committed,
            // It stays open: nobody knows what came of it.
            Err(detail) => {
                let of = format!("request {request} ({}), which was under way when the server died", intent.action);
                log::error!(target: "bulla::integrity", "ALARM the mark of {of}, does not verify: {detail}");
                continue;
            }
        };
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
