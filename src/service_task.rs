//! What the service does of its own accord: nobody's request is behind it, and still it is recorded before and after.
//!
//! Owns: the audit records of such work. Must not know: what is done, or when. Called by: keys and secrets, whose sweeps are service
//! tasks; app, which makes one [`ServiceTasks`] for all.
//!
//! A service task is recorded like a write: the intent is durable before the work begins, the outcome follows. Its first
//! transaction leaves a mark, as a request's does, so that an intent that a crash left open is completed from the database in the
//! same way.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::audit::{Audit, Kind, Record, Verdict};
use crate::base::alarm;
use crate::base::clock::Moment;
use crate::base::ids::{AccountId, NodeId, Region};
use crate::code::Code;
use crate::effect::Effect;
use crate::error::Error;

/// Who the records name.
const PRINCIPAL: &str = "service";

/// What is to be done, as the audit log tells it.
#[derive(Debug, Clone, Copy)]
pub struct TaskRecord<'a> {
    /// Whose thing it is done to.
    pub account: &'a AccountId,
    /// What: an operation of the API where there is one that does the same.
    pub action: &'static str,
    /// To what: the part of an ARN after the account (`key/…`).
    pub resource: &'a str,
    /// The version concerned.
    pub version: Option<&'a str>,
    /// Why: the rule.
    pub reason: &'static str,
    /// When it was found to be due, by a clock that is believed.
    pub at: Moment,
}

/// Runs service tasks of one node, each recorded before and after.
pub struct ServiceTasks {
    audit: Arc<Audit>,
    region: Region,
    node: NodeId,
}

impl ServiceTasks {
    /// The service tasks of one node, recorded in this log.
    pub fn new(audit: Arc<Audit>, region: Region, node: NodeId) -> Self {
        Self { audit, region, node }
    }

    /// Does the work of a task.
    ///
    /// # Errors
    /// Those of the work; [`Error::Unavailable`] when it cannot be recorded, and then it is not done.
    pub fn run<T>(&self, task: TaskRecord<'_>, work: impl FnOnce(&Effect) -> Result<T, Error>) -> Result<T, Error> {
        self.record(task, |error| Code::of(error).as_str(), work)
    }

    /// The same with a word of its own for a failure, where no code of the API says what failed.
    ///
    /// # Errors
    /// As [`ServiceTasks::run`].
    pub fn run_or<T>(
        &self,
        failed: &'static str,
        task: TaskRecord<'_>,
        work: impl FnOnce(&Effect) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.record(task, |_| failed, work)
    }

    fn record<T>(
        &self,
        task: TaskRecord<'_>,
        code_of: impl FnOnce(&Error) -> &'static str,
        work: impl FnOnce(&Effect) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let effect = Effect::of_service(self.node, task.at);
        let resource = format!("acs:kms:{}:{}:{}", self.region, task.account, task.resource);
        let intent = Record {
            account: Some(task.account.as_str()),
            principal: Some(PRINCIPAL),
            resource: Some(&resource),
            version: task.version,
            decision: Some(Verdict::Allowed),
            by: Some(task.reason),
            ..Record::new(Kind::Intent, effect.request_id(), task.action)
        };
        let _reserved = self.audit.intend(&intent, task.at)?;
        let result = catch_unwind(AssertUnwindSafe(|| work(&effect)));
        // How far it came is told by its mark, as where the commit was cut.
        let unknown = result.is_err() || matches!(result, Ok(Err(Error::Undecided)));
        let result = result.unwrap_or_else(|_| Err(Error::Internal(format!("{} panicked", task.action))));
        let code = result.as_ref().map_or_else(code_of, |_| "OK");
        let kind = if unknown { Kind::Unknown } else { Kind::Outcome };
        self.audit.submit(&Record { kind, code: Some(code), ..intent }).wait()?;
        match &result {
            Ok(_) => log::info!("{} on {resource}: {}", task.action, task.reason),
            Err(Error::Integrity(what)) => {
                alarm::raise(format!("{} on {resource} ({}): {what}", task.action, task.reason));
            }
            Err(error) => log::warn!("{} on {resource} ({}) failed: {error:?}", task.action, task.reason),
        }
        result
    }
}

/// Does something with every item of a sweep. One that fails, or does not verify, keeps no other from its turn, unless token or database
/// are away: then none would do better.
///
/// # Errors
/// The first failure.
pub fn each<T, E: Into<Error>>(items: Vec<Result<T, E>>, mut f: impl FnMut(T) -> Result<(), Error>) -> Result<(), Error> {
    let mut first = Ok(());
    for item in items {
        match item.map_err(E::into).and_then(&mut f) {
            Ok(()) => {}
            Err(unavailable @ (Error::Unavailable(_) | Error::Undecided)) => return Err(unavailable),
            Err(error) => first = first.and(Err(error)),
        }
    }
    first
}
