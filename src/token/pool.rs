//! Sessions, opened once and lent out: a bounded pool.
//!
//! Owns: how many sessions there are, who has one, how long a caller waits. Must not know: what is done with a session.
//! Called by: `epoch`, `link`.
//!
//! A session that comes back without [`Lease::keep`] is closed: whoever left early, by error or panic, may have left an operation
//! open on it. When all sessions are lent and none comes back for a while, the token hangs: then nobody waits any more, so that callers'
//! threads are free for other work, until one does come back. Sessions are not closed at the end of an epoch; C_Finalize does that, and a close that came later could hit a
//! session of the next epoch that has the same number.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::session::Session;
use cryptoki::slot::Slot;

use super::errors::{Failure, TokenError, describe};

/// For how long no reader's session must come back for the token to be taken to hang. What readers do takes milliseconds.
const STALL: Duration = Duration::from_millis(500);

/// Which sessions a pool opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// For use of keys.
    ReadOnly,
    /// For making and destroying token objects.
    ReadWrite,
}

/// A bounded number of sessions on one slot.
pub(super) struct Pool {
    pkcs11: Pkcs11,
    slot: Slot,
    access: Access,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    idle: Vec<Session>,
    /// Sessions that exist, idle or lent.
    open: usize,
    limit: usize,
    waiting: usize,
    /// Counts sessions that came back.
    returns: u64,
    /// None has come back for a long time.
    stalled: bool,
    /// The epoch is over: nobody gets a session any more.
    closed: bool,
}

/// Numbers of a pool at a moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Occupancy {
    pub(super) limit: usize,
    pub(super) open: usize,
    pub(super) lent: usize,
}

impl Pool {
    /// An empty pool; sessions are opened when first needed.
    pub(super) fn new(pkcs11: Pkcs11, slot: Slot, access: Access, limit: usize) -> Self {
        let state =
            State { idle: Vec::with_capacity(limit), open: 0, limit, waiting: 0, returns: 0, stalled: false, closed: false };
        Self { pkcs11, slot, access, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Lends a session, waiting for one at most so long.
    ///
    /// # Errors
    /// `Busy` when the wait is over or the token hangs, `Gone` when the pool is closed; or why a session could not be opened.
    pub(super) fn lease(&self, wait: Duration) -> Result<Lease<'_>, Failure> {
        let mut state = self.lock();
        let mut until = None;
        loop {
            if state.closed {
                return Err(TokenError::Gone.into());
            }
            if let Some(session) = state.idle.pop() {
                return Ok(Lease { pool: self, session: Some(session), keep: false });
            }
            if state.open < state.limit {
                state.open += 1;
                drop(state);
                match self.open() {
                    Ok(session) => return Ok(Lease { pool: self, session: Some(session), keep: false }),
                    Err(error) => state = self.not_opened(error)?,
                }
                continue;
            }
            let until = *until.get_or_insert_with(|| Instant::now() + wait);
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || state.stalled {
                return Err(TokenError::Busy.into());
            }
            let (patience, before) = (self.patience(wait), state.returns);
            state.waiting += 1;
            let (woken, timeout) = self.changed.wait_timeout(state, left.min(patience)).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.waiting -= 1;
            if timeout.timed_out() && left >= patience && state.returns == before && !state.stalled {
                log::error!("token: no session has come back for {patience:?}: it hangs");
                state.stalled = true;
                self.changed.notify_all();
            }
        }
    }

    /// Ends the pool: waiting callers and later ones get `Gone`.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Its numbers now.
    pub(super) fn occupancy(&self) -> Occupancy {
        let state = self.lock();
        Occupancy { limit: state.limit, open: state.open, lent: state.open - state.idle.len() }
    }

    /// For how long no session must come back. Making a key takes seconds on some tokens.
    fn patience(&self, wait: Duration) -> Duration {
        match self.access {
            Access::ReadOnly => wait.min(STALL),
            Access::ReadWrite => wait,
        }
    }

    fn open(&self) -> Result<Session, Pkcs11Error> {
        match self.access {
            Access::ReadOnly => self.pkcs11.open_ro_session_no_drop(self.slot),
            Access::ReadWrite => self.pkcs11.open_rw_session_no_drop(self.slot),
        }
    }

    /// Takes back the place of a session that did not open. When the token has no more sessions but some of ours exist, we live
    /// with those.
    fn not_opened(&self, error: Pkcs11Error) -> Result<MutexGuard<'_, State>, Failure> {
        let mut state = self.lock();
        state.open -= 1;
        self.returned(&mut state);
        if matches!(error, Pkcs11Error::Pkcs11(RvError::SessionCount, _)) && state.open > 0 {
            state.limit = state.open;
            log::warn!("token: {}; going on with {} sessions", describe(&error), state.limit);
            return Ok(state);
        }
        Err(error.into())
    }

    fn give_back(&self, session: Session, keep: bool) {
        if keep {
            let mut state = self.lock();
            state.idle.push(session);
            self.returned(&mut state);
        } else {
            if let Err(e) = session.close() {
                log::debug!("token: {}", describe(&e));
            }
            let mut state = self.lock();
            state.open -= 1;
            self.returned(&mut state);
        }
    }

    /// There is a session, or room for one, again. A wake-up is a system call, so only when somebody waits.
    fn returned(&self, state: &mut State) {
        state.returns += 1;
        if std::mem::take(&mut state.stalled) {
            log::info!("token: a session has come back");
        }
        if state.waiting > 0 {
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session, lent. Closed when it comes back, unless [`Lease::keep`] was called.
pub(super) struct Lease<'a> {
    pool: &'a Pool,
    /// Taken only by drop.
    session: Option<Session>,
    keep: bool,
}

impl Lease<'_> {
    /// The session.
    pub(super) fn session(&self) -> &Session {
        self.session.as_ref().expect("only drop takes the session")
    }

    /// Gives the session back in good order.
    pub(super) fn keep(mut self) {
        self.keep = true;
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.pool.give_back(session, self.keep);
        }
    }
}
