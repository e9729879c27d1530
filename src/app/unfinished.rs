//! Requests that were under way when the server died.
//!
//! Owns: completing the audit log from what the database says of them. Called by: app::server, before it serves; unresolved.

use crate::app::start_retry::StartRetry;
use crate::audit::{Audit, Completion, OpenIntent};
use crate::base::alarm;
use crate::base::clock::Timestamp;
use crate::base::failure::Failure;
use crate::base::ids::NodeId;
use crate::store::{NonceRow, Sealed, Store, StoreError};

/// Has the outcomes written that a crash kept from being written, from what the database says.
pub(super) fn complete(store: &Store, audit: &Audit, node: NodeId, intents: &[OpenIntent]) -> Result<(), Failure> {
    // Nonces of this node are kept until it sweeps them itself, and it sweeps none of an intent that is open.
    let from = Timestamp(0);
    for intent in intents {
        let request = intent.request_id;
        let mark = || told(intent, store.read_rows("intent", |tx| tx.nonce_of_request(&request, &node, from)));
        let completion = StartRetry::Server.until("database", mark)?;
        log::warn!("request {request} ({}) was under way when the server died: {completion}", intent.action);
        audit.complete(intent, completion);
    }
    Ok(())
}

/// What became of a write, by its mark. Of one that does not verify nobody knows whether it was there, or what else was.
pub(super) fn told(intent: &OpenIntent, mark: Result<bool, StoreError>) -> Result<Completion, StoreError> {
    match mark {
        Ok(true) => Ok(Completion::Committed),
        Ok(false) => Ok(Completion::NotCommitted),
        // Not that the database as a whole is not believed: that may pass.
        Err(StoreError::Corrupt { table: NonceRow::TABLE, detail }) => {
            let of = format!("request {} ({})", intent.request_id, intent.action);
            alarm::raise(format!("the mark of {of}, which has no outcome, does not verify: {detail}"));
            Ok(Completion::Unknown)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::RequestId;

    #[test]
    fn a_mark_that_does_not_verify_tells_nothing() {
        let intent = OpenIntent {
            request_id: RequestId::new(),
            account: None,
            principal: None,
            action: "PutSecretValue".to_owned(),
            resource: None,
            resources: Vec::new(),
            version: None,
        };
        let corrupt = |table| StoreError::Corrupt { table, detail: "its MAC is not that of its columns".to_owned() };
        assert_eq!(told(&intent, Ok(true)), Ok(Completion::Committed));
        assert_eq!(told(&intent, Ok(false)), Ok(Completion::NotCommitted));
        assert_eq!(told(&intent, Err(corrupt("nonces"))), Ok(Completion::Unknown));
        assert_eq!(told(&intent, Err(corrupt("all"))), Err(corrupt("all")), "it is asked again when the database is as it was");
    }
}
