//! On whose behalf a rotation runs: a caller's, or the schedule's.
//!
//! Owns: that the first transaction of a rotation uses its request up. After a crash the request's row tells whether it had an
//! effect. Called by: secrets::rotation.

use std::cell::Cell;

use crate::auth::Caller;
use crate::auth::nonce::RETENTION_MS;
use crate::clock::{Clock, Timestamp};
use crate::error::Error;
use crate::ids::NodeId;
use crate::secrets::rotation::Run;
use crate::store::{Abort, NonceRow, Store, Tx};

enum Who<'a> {
    Caller(&'a Caller),
    Run(Run),
}

/// A request, or a run of the job.
pub(super) struct Behalf<'a> {
    who: Who<'a>,
    used: Cell<bool>,
}

impl<'a> Behalf<'a> {
    pub fn of_caller(caller: &'a Caller) -> Self {
        Self { who: Who::Caller(caller), used: Cell::new(false) }
    }

    pub fn of_run(run: Run) -> Self {
        Self { who: Who::Run(run), used: Cell::new(false) }
    }

    /// The node that it runs on.
    pub fn node(&self) -> NodeId {
        match &self.who {
            Who::Caller(caller) => caller.node,
            Who::Run(run) => run.node,
        }
    }

    /// Whether it is the schedule's.
    pub fn is_run(&self) -> bool {
        matches!(self.who, Who::Run(_))
    }

    /// Runs a write transaction; the first that succeeds uses the request up.
    ///
    /// # Errors
    /// Those of `f`; [`Error::NonceUsed`] for a replay; [`Error::Unavailable`].
    pub fn commit<T>(
        &self,
        store: &Store,
        name: &'static str,
        f: impl Fn(&mut Tx<'_>) -> Result<T, Abort<Error>>,
    ) -> Result<T, Error> {
        let done = match &self.who {
            _ if self.used.get() => store.write(name, f),
            Who::Caller(caller) => caller.commit(store, name, f),
            Who::Run(run) => store.write(name, |tx| {
                let expires_at: Timestamp = Clock::System.now().plus_ms(RETENTION_MS);
                let used = NonceRow { digest: *run.request.as_bytes(), request_id: run.request, node: run.node, expires_at };
                tx.nonce_insert(&used)?;
                f(tx)
            }),
        }?;
        self.used.set(true);
        Ok(done)
    }
}
