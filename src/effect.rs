//! Whose effect a transaction is: a request's, or one of the service's own.
//!
//! Owns: the mark that a transaction leaves of it, once, whatever number of transactions an effect has. Must not know: signatures,
//! what is done. Called by: auth, which makes a request's effect; service_task, which makes the service's; whoever writes for
//! either, through [`Store::commit`].
//!
//! The mark is a row with the digest of the request's nonce. A replay, here or on another node, now or after a restart, finds the
//! row and changes nothing; and after a crash the row tells whether an intent of the audit log became an effect.

use std::cell::{Cell, RefCell};

use crate::audit::{AuditError, Intent};
use crate::base::clock::{Moment, Timestamp};
use crate::base::failpoint::{Step, reach};
use crate::base::ids::{NodeId, RequestId};
use crate::error::Error;
use crate::store::{Abort, NonceRow, Store, StoreError, Tx};

/// How long a mark stays, ms: 45 minutes. A request's timestamp is accepted within ±15 minutes of the clock of the node that it reaches,
/// and the clocks of two nodes may be minutes apart.
pub const RETENTION_MS: i64 = 45 * 60 * 1000;

/// An effect, and whether a transaction has left its mark already.
pub struct Effect {
    digest: [u8; 16],
    mark: NonceRow,
    of_request: bool,
    began: Moment,
    intent: RefCell<Line>,
    marked: Cell<bool>,
}

/// The line of the audit log that comes before an effect.
enum Line {
    /// It is durable, or whoever records the effect has seen to it.
    Durable,
    OnItsWay(Intent),
    /// There is none, so there is to be no effect either.
    Refused(AuditError),
}

impl Effect {
    /// The effect of a request with a nonce of this digest, received on this node at this moment.
    pub fn of_request(digest: [u8; 16], request_id: RequestId, node: NodeId, received: Moment) -> Self {
        let mark = NonceRow { digest: digest.to_vec(), request_id, node, expires_at: received.now().plus_ms(RETENTION_MS) };
        Self { digest, mark, of_request: true, began: received, intent: RefCell::new(Line::Durable), marked: Cell::new(false) }
    }

    /// The effect of something that the service does of its own accord.
    pub fn of_service(node: NodeId, began: Moment) -> Self {
        let (request_id, expires_at) = (RequestId::new(), began.now().plus_ms(RETENTION_MS));
        let digest = *request_id.as_bytes();
        let mark = NonceRow { digest: digest.to_vec(), request_id, node, expires_at };
        Self { digest, mark, of_request: false, began, intent: RefCell::new(Line::Durable), marked: Cell::new(false) }
    }

    /// The moment at which it began.
    pub fn began(&self) -> Moment {
        self.began
    }

    /// The time now, by the clock as it was when this began.
    pub fn now(&self) -> Timestamp {
        self.began.now()
    }

    /// The digest of the request's nonce.
    pub fn digest(&self) -> &[u8; 16] {
        &self.digest
    }

    /// What audit records call it by.
    pub fn request_id(&self) -> RequestId {
        self.mark.request_id
    }

    /// The node that it happens on.
    pub fn node(&self) -> NodeId {
        self.mark.node
    }

    /// Whether nobody's request is behind it.
    pub fn is_service(&self) -> bool {
        !self.of_request
    }

    /// Has all transactions wait for a line that is on its way.
    pub fn follows(&self, intent: Intent) {
        *self.intent.borrow_mut() = Line::OnItsWay(intent);
    }

    /// Waits for that line; at once where there is none to wait for.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where there will be none: nothing may happen then.
    pub fn may_begin(&self) -> Result<(), Error> {
        let mut line = self.intent.borrow_mut();
        *line = match std::mem::replace(&mut *line, Line::Durable) {
            Line::OnItsWay(intent) => match intent.wait() {
                Ok(()) => {
                    self.reach(Step::IntentRecorded);
                    Line::Durable
                }
                Err(refused) => Line::Refused(refused),
            },
            known => known,
        };
        if let Line::Refused(refused) = &*line { Err(refused.clone().into()) } else { Ok(()) }
    }

    /// Whether a transaction has left the mark.
    pub fn is_marked(&self) -> bool {
        self.marked.get()
    }

    /// Leaves the mark in a transaction that is not run by [`Store::commit`].
    ///
    /// # Errors
    /// `Conflict` for a replay.
    pub fn mark(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        tx.nonce_insert(&self.mark)
    }

    fn reach(&self, step: Step) {
        if self.of_request {
            reach(step);
        }
    }

    /// A transaction has ended well: from the first on the mark is there.
    fn committed(&self) {
        if !self.marked.replace(true) {
            self.reach(Step::Committed);
        }
    }
}

impl Store {
    /// Runs a write transaction of an effect once the line before it is durable; the first that succeeds leaves the mark.
    ///
    /// # Errors
    /// [`Error::NonceUsed`] for a replay; whatever `f` answers; [`Error::Unavailable`] where there is no such line, or when the database is
    /// away.
    pub fn commit<T>(
        &self,
        effect: &Effect,
        name: &'static str,
        f: impl Fn(&mut Tx<'_>) -> Result<T, Abort<Error>>,
    ) -> Result<T, Error> {
        effect.may_begin()?;
        self.write(name, marking(effect, f)).inspect(|_| effect.committed())
    }

    /// The same of a closure that is guarded, as [`Store::write_guarded`] says.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn commit_guarded<T>(
        &self,
        effect: &Effect,
        name: &'static str,
        f: impl Fn(&mut Tx<'_>) -> Result<T, Abort<Error>>,
    ) -> Result<T, Error> {
        effect.may_begin()?;
        self.write_guarded(name, marking(effect, f)).inspect(|_| effect.committed())
    }
}

/// A closure that leaves the mark before its own work, unless it is there.
fn marking<T>(
    effect: &Effect,
    f: impl Fn(&mut Tx<'_>) -> Result<T, Abort<Error>>,
) -> impl Fn(&mut Tx<'_>) -> Result<T, Abort<Error>> {
    move |tx| {
        if effect.marked.get() {
            return f(tx);
        }
        match effect.mark(tx) {
            Err(StoreError::Conflict) => return Err(Abort::App(Error::NonceUsed)),
            other => other?,
        }
        effect.reach(Step::NonceWritten);
        let done = f(tx)?;
        effect.reach(Step::EffectWritten);
        Ok(done)
    }
}
