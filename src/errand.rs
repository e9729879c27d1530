//! What the service does of its own accord: nobody's request is behind it, and still it is recorded before and after.
//!
//! Owns: the audit records of such work, and the row that tells, after a crash, whether it happened; and that what has several
//! transactions, a caller's or the service's own, is marked by the first. Must not know: what is done, or when. Called by: keys,
//! secrets (whose sweeps run errands), app, which makes one [`Errands`] for all.
//!
//! An errand is recorded like a write: the intent is durable before [`Errand::commit`] can be called, the outcome follows. Its
//! transaction inserts a nonce of its own, as a request's does, so that an intent that a crash left open is completed from the
//! database in the same way.

use std::cell::Cell;
use std::sync::Arc;

use crate::audit::{Audit, Kind, Record, Verdict};
use crate::auth::Caller;
use crate::auth::nonce::RETENTION_MS;
use crate::base::clock::{Clock, Timestamp};
use crate::base::ids::{AccountId, NodeId, Region, RequestId};
use crate::code::Code;
use crate::error::Error;
use crate::store::{Abort, NonceRow, Store, Tx};

/// Who the records name.
const PRINCIPAL: &str = "service";

/// What is to be done, for the record.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
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
}

/// Runs errands.
pub struct Errands {
    audit: Arc<Audit>,
    store: Arc<Store>,
    region: Region,
    node: NodeId,
    clock: Clock,
}

/// One errand under way: its intent is in the log.
pub struct Errand<'a> {
    store: &'a Store,
    request_id: RequestId,
    node: NodeId,
    begun_at: Timestamp,
}

impl Errands {
    /// Errands of one node.
    pub fn new(audit: Arc<Audit>, store: Arc<Store>, region: Region, node: NodeId, clock: Clock) -> Self {
        Self { audit, store, region, node, clock }
    }

    /// Does what is ordered, recorded before and after.
    ///
    /// # Errors
    /// Those of the work; [`Error::Unavailable`] when it cannot be recorded, and then it is not done.
    pub fn run<T>(&self, order: Order<'_>, work: impl FnOnce(&Errand<'_>) -> Result<T, Error>) -> Result<T, Error> {
        self.record(order, |error| Code::of(error).as_str(), work)
    }

    /// The same with a word of its own for a failure, where no code of the API says what failed.
    ///
    /// # Errors
    /// As [`Errands::run`].
    pub fn run_or<T>(
        &self,
        failed: &'static str,
        order: Order<'_>,
        work: impl FnOnce(&Errand<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.record(order, |_| failed, work)
    }

    fn record<T>(
        &self,
        order: Order<'_>,
        code_of: impl FnOnce(&Error) -> &'static str,
        work: impl FnOnce(&Errand<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let errand = Errand { store: &self.store, request_id: RequestId::new(), node: self.node, begun_at: self.clock.now() };
        let resource = format!("acs:kms:{}:{}:{}", self.region, order.account, order.resource);
        let intent = Record {
            account: Some(order.account.as_str()),
            principal: Some(PRINCIPAL),
            resource: Some(&resource),
            version: order.version,
            decision: Some(Verdict::Allowed),
            by: Some(order.reason),
            ..Record::new(Kind::Intent, errand.request_id, order.action)
        };
        self.audit.submit(&intent).wait()?;
        let result = work(&errand);
        let code = result.as_ref().map_or_else(code_of, |_| "OK");
        self.audit.submit(&Record { kind: Kind::Outcome, code: Some(code), ..intent }).wait()?;
        match &result {
            Ok(_) => log::info!("{} on {resource}: {}", order.action, order.reason),
            Err(Error::Integrity(what)) => {
                log::error!(target: "bulla::integrity", "ALARM {} on {resource} ({}): {what}", order.action, order.reason);
            }
            Err(error) => log::warn!("{} on {resource} ({}) failed: {error:?}", order.action, order.reason),
        }
        result
    }
}

impl Errand<'_> {
    /// Runs the write transaction that is the effect of the errand; once in an errand.
    ///
    /// # Errors
    /// Whatever `f` answers; [`Error::Unavailable`] when the database is away.
    pub fn commit<T>(&self, name: &'static str, f: impl Fn(&mut Tx<'_>) -> Result<T, Abort<Error>>) -> Result<T, Error> {
        self.store.write(name, |tx| {
            tx.nonce_insert(&NonceRow {
                digest: *self.request_id.as_bytes(),
                request_id: self.request_id,
                node: self.node,
                expires_at: self.begun_at.plus_ms(RETENTION_MS),
            })?;
            f(tx)
        })
    }
}

/// Does something with every item. One that fails keeps no other from its turn, unless token or database are away.
///
/// # Errors
/// The first failure.
pub fn each<T>(items: Vec<T>, mut f: impl FnMut(T) -> Result<(), Error>) -> Result<(), Error> {
    let mut first = Ok(());
    for item in items {
        match f(item) {
            Ok(()) => {}
            Err(away @ Error::Unavailable(_)) => return Err(away),
            Err(error) => first = first.and(Err(error)),
        }
    }
    first
}

/// Whose effect a transaction is.
#[derive(Clone, Copy)]
pub enum Author<'a> {
    /// A request's.
    Caller(&'a Caller),
    /// The service's own.
    Service(&'a Errand<'a>),
}

impl Author<'_> {
    /// Runs the transaction that is the effect, and marks in it that it happened.
    ///
    /// # Errors
    /// Those of [`Caller::commit`] and [`Errand::commit`].
    pub fn commit<T>(
        self,
        store: &Store,
        name: &'static str,
        f: impl Fn(&mut Tx<'_>) -> Result<T, Abort<Error>>,
    ) -> Result<T, Error> {
        match self {
            Author::Caller(caller) => caller.commit(store, name, f),
            Author::Service(errand) => errand.commit(name, f),
        }
    }
}

/// An effect in several transactions: the first that succeeds marks that it happened.
pub struct Steps<'a> {
    author: Author<'a>,
    begun: Cell<bool>,
}

impl<'a> Steps<'a> {
    /// None is done yet.
    pub fn of(author: Author<'a>) -> Self {
        Self { author, begun: Cell::new(false) }
    }

    /// The node that they run on.
    pub fn node(&self) -> NodeId {
        match self.author {
            Author::Caller(caller) => caller.node,
            Author::Service(errand) => errand.node,
        }
    }

    /// Whether nobody's request is behind them.
    pub fn is_service(&self) -> bool {
        matches!(self.author, Author::Service(_))
    }

    /// Runs the next transaction.
    ///
    /// # Errors
    /// As [`Author::commit`].
    pub fn commit<T>(
        &self,
        store: &Store,
        name: &'static str,
        f: impl Fn(&mut Tx<'_>) -> Result<T, Abort<Error>>,
    ) -> Result<T, Error> {
        let done = if self.begun.get() { store.write(name, f) } else { self.author.commit(store, name, f) }?;
        self.begun.set(true);
        Ok(done)
    }
}
