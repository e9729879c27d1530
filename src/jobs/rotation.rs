//! The rotation of managed secrets on time.
//!
//! Owns: when the job looks, and its records. Must not know: the steps. Called by: jobs.
//!
//! Every node looks; the rotation's row decides which of them does it. A node that comes back from a crash finds what it left at
//! once, as its first look is at its start.

use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use crate::audit::{Kind, Record, Verdict};
use crate::error::Error;
use crate::ids::RequestId;
use crate::jobs::Jobs;
use crate::secrets::{Due, Run};

/// Between two looks.
pub(super) const EVERY: Duration = Duration::from_secs(5);

/// Rotations of one look.
const BATCH: i64 = 100;

/// The operation that the records name.
const ACTION: &str = "RotateSecret";

impl Jobs {
    /// Carries out the rotations that are due, until it is to stop.
    pub(super) fn rotate(&self, stopped: &Receiver<()>) -> Result<(), Error> {
        for due in self.secrets.rotations_due(&self.node, BATCH)? {
            if stopped.try_recv() != Err(TryRecvError::Empty) {
                return Ok(());
            }
            let run = Run { node: self.node, request: RequestId::new() };
            let resource = self.secrets.arn(&due.secret);
            // No record, no effect.
            self.audit.submit(&record(Kind::Intent, &run, &due, &resource, None)).wait()?;
            let result = self.secrets.rotate_due(&due, run);
            let code = if result.is_ok() { "OK" } else { "RotationFailed" };
            self.audit.submit(&record(Kind::Outcome, &run, &due, &resource, Some(code))).wait()?;
            match result {
                Ok(()) => log::info!("secret {} of account {} rotated", due.secret.name, due.secret.account_id),
                Err(error @ Error::Integrity(_)) => {
                    log::error!(target: "bulla::integrity", "ALARM rotation of {resource}: {error:?}");
                }
                Err(error) => log::warn!("rotation of {resource}: {error:?}"),
            }
        }
        Ok(())
    }
}

fn record<'a>(kind: Kind, run: &Run, due: &'a Due, resource: &'a str, code: Option<&'a str>) -> Record<'a> {
    Record {
        account: Some(due.secret.account_id.as_str()),
        principal: Some("service"),
        resource: Some(resource),
        version: Some(due.version.as_str()),
        decision: Some(Verdict::Allowed),
        by: Some("rotation"),
        code,
        ..Record::new(kind, run.request, ACTION)
    }
}
