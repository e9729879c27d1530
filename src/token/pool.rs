//! Sessions, opened once and lent out: a bounded pool.
//!
//! Owns: how many sessions there are, who has one, how long a caller waits. Must not know: what is done with a session.
//! Called by: `epoch`, `connection`.
//!
//! A session that comes back without [`Lease::keep`] is closed: whoever left early, by error or panic, may have left an operation
//! open on it. One that comes back goes to whoever has waited longest, before anybody who comes later. When all sessions are lent and none
//! comes back for a while, the token hangs: then nobody waits any more, so that callers' threads are free for other work, until one does
//! come back. Sessions are not closed at the end of an epoch; C_Finalize does that, and a close that came later could hit a session of the
//! next epoch that has the same number.
//!
//! A token that opens no more sessions is lived with: the limit is lowered to what there is, and tried again every
//! [`FORGET_AFTER`], since sessions may have been another process's. The one session that makes keys goes before readers: one of
//! theirs is closed for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bulla_pkcs11::Module;
use cryptoki::context::Pkcs11;
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::slot::Slot;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::errors::{Class, Failure, TokenError, describe};
use super::session::{Session, Turns};

/// For how long no reader's session must come back for the token to be taken to hang. What readers do takes milliseconds.
const STALL: Duration = Duration::from_millis(500);

/// How long a limit that the token taught is believed.
const FORGET_AFTER: Duration = Duration::from_secs(10);

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
    opener: Opener,
    access: Access,
    /// The limit of the configuration, or the token's own.
    most: usize,
    state: Mutex<State>,
}

struct State {
    idle: Vec<Session>,
    /// Sessions that exist, idle or lent.
    open: usize,
    limit: usize,
    /// When the token last had no session more.
    learnt: Option<Instant>,
    /// Sessions to be closed when they come back, for somebody who needs one more.
    owed: usize,
    /// Who waits, and first whoever has waited longest.
    waiting: VecDeque<Arc<Waiter>>,
    /// Counts sessions that came back.
    returns: u64,
    /// None has come back for a long time.
    stalled: bool,
    /// The epoch is over: nobody gets a session any more.
    closed: bool,
}

/// Somebody who waits for a session.
#[derive(Default)]
struct Waiter {
    turn: Mutex<Option<Turn>>,
    woken: Condvar,
}

/// What somebody who waits is woken for. Written under the lock of the pool.
enum Turn {
    /// This session.
    Session(Session),
    /// To look again: there is room for one more session, or there will be none.
    Look,
}

impl Waiter {
    /// Its turn, if that comes within the time.
    fn wait(&self, time: Duration) -> Option<Turn> {
        let mut turn = self.turn.lock();
        self.woken.wait_while_for(&mut turn, |turn| turn.is_none(), time);
        turn.take()
    }
}

/// Numbers of a pool at a moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Occupancy {
    pub(super) limit: usize,
    pub(super) open: usize,
    pub(super) lent: usize,
    pub(super) waiting: usize,
}

/// Opens sessions in one slot.
#[derive(Clone)]
pub(super) struct Opener {
    pkcs11: Pkcs11,
    module: Option<Arc<Module>>,
    slot: Slot,
    turns: Turns,
    /// Whether the token refuses sessions that only read.
    writes_only: Arc<AtomicBool>,
}

impl Opener {
    /// Of this slot.
    pub(super) fn new(pkcs11: Pkcs11, module: Option<Arc<Module>>, slot: Slot, turns: Turns) -> Self {
        Self { pkcs11, module, slot, turns, writes_only: Arc::default() }
    }

    /// Opens one. Where the token refuses those that only read, one that writes takes their place.
    pub(super) fn open(&self, access: Access) -> Result<Session, Pkcs11Error> {
        let opened = match access {
            Access::ReadOnly if !self.writes_only.load(Ordering::Relaxed) => {
                match self.pkcs11.open_ro_session_no_drop(self.slot) {
                    Err(error) if matches!(Class::of(&error), Class::Unsupported | Class::Fatal | Class::Ambiguous) => {
                        let opened = self.pkcs11.open_rw_session_no_drop(self.slot).map_err(|_| error)?;
                        self.writes_only.store(true, Ordering::Relaxed);
                        log::info!("token: it refuses sessions that only read; all of them may write");
                        opened
                    }
                    opened => opened?,
                }
            }
            Access::ReadOnly | Access::ReadWrite => self.pkcs11.open_rw_session_no_drop(self.slot)?,
        };
        Ok(Session::new(opened, self.module.clone(), self.turns.clone()))
    }

    /// Opens one without which there is no connection: nobody waits for it, so it is said that there are too few.
    pub(super) fn open_at_once(&self, access: Access) -> Result<Session, Failure> {
        self.open(access).map_err(|error| match error {
            Pkcs11Error::Pkcs11(RvError::SessionCount, _) => TokenError::TooFewSessions(describe(&error)).into(),
            error => error.into(),
        })
    }
}

impl Pool {
    /// An empty pool; sessions are opened when first needed.
    pub(super) fn new(opener: Opener, access: Access, limit: usize) -> Self {
        let state = State {
            idle: Vec::with_capacity(limit),
            open: 0,
            limit,
            learnt: None,
            owed: 0,
            waiting: VecDeque::new(),
            returns: 0,
            stalled: false,
            closed: false,
        };
        Self { opener, access, most: limit, state: Mutex::new(state) }
    }

    /// Puts a session that is open already into an empty pool.
    pub(super) fn adopt(&self, session: Session) {
        let mut state = self.state.lock();
        state.open += 1;
        state.idle.push(session);
    }

    /// Closes one session for somebody who needs it more: an idle one, or the next that comes back.
    pub(super) fn shed(&self) {
        let mut state = self.state.lock();
        let Some(session) = state.idle.pop() else {
            state.owed = 1;
            return;
        };
        state.open -= 1;
        state.limit = state.open.max(1);
        state.learnt = Some(Instant::now());
        drop(state);
        close(session);
    }

    /// Lends a session, waiting for one at most so long.
    ///
    /// # Errors
    /// `Busy` when the wait is over or the token hangs, `Gone` when the pool is closed; or why a session could not be opened.
    pub(super) fn lease(&self, wait: Duration) -> Result<Lease<'_>, Failure> {
        let mut state = self.state.lock();
        let mut until = None;
        loop {
            if state.closed {
                return Err(TokenError::Gone.into());
            }
            if let Some(session) = state.idle.pop() {
                return Ok(self.lend(session));
            }
            let forgotten = || state.learnt.is_none_or(|at| at.elapsed() >= FORGET_AFTER);
            if state.open >= state.limit && state.limit < self.most && forgotten() {
                state.limit = state.open + 1;
            }
            if state.open < state.limit {
                state.open += 1;
                drop(state);
                match self.opener.open(self.access) {
                    Ok(session) => return Ok(self.lend(session)),
                    Err(error) => self.not_opened(error)?,
                }
                state = self.state.lock();
                continue;
            }
            let until = *until.get_or_insert_with(|| Instant::now() + wait);
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || state.stalled {
                return Err(TokenError::Busy.into());
            }
            let (patience, before) = (self.patience(wait), state.returns);
            let waiter = Arc::<Waiter>::default();
            state.waiting.push_back(Arc::clone(&waiter));
            drop(state);
            let turn = waiter.wait(left.min(patience)).or_else(|| {
                let mut state = self.state.lock();
                state.waiting.retain(|other| !Arc::ptr_eq(other, &waiter));
                // It may have come in between.
                let turn = waiter.turn.lock().take();
                if turn.is_none() && left >= patience && state.returns == before && !state.stalled {
                    log::error!("token: no session has come back for {patience:?}: it hangs");
                    state.stalled = true;
                    wake_all(state);
                }
                turn
            });
            if let Some(Turn::Session(session)) = turn {
                return Ok(self.lend(session));
            }
            state = self.state.lock();
        }
    }

    fn lend(&self, session: Session) -> Lease<'_> {
        Lease { pool: self, session: Some(session), keep: false }
    }

    /// Ends the pool: waiting callers and later ones get `Gone`.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        wake_all(state);
    }

    /// Its numbers now.
    pub(super) fn occupancy(&self) -> Occupancy {
        let state = self.state.lock();
        Occupancy { limit: state.limit, open: state.open, lent: state.open - state.idle.len(), waiting: state.waiting.len() }
    }

    /// For how long no session must come back. Making a key takes seconds on some tokens.
    fn patience(&self, wait: Duration) -> Duration {
        match self.access {
            Access::ReadOnly => wait.min(STALL),
            Access::ReadWrite => wait,
        }
    }

    /// Takes back the place of a session that did not open. When the token has no more sessions but some of ours exist, we live
    /// with those.
    fn not_opened(&self, error: Pkcs11Error) -> Result<(), Failure> {
        let mut state = self.state.lock();
        state.open -= 1;
        let some_exist = matches!(error, Pkcs11Error::Pkcs11(RvError::SessionCount, _)) && state.open > 0;
        if some_exist {
            if state.learnt.is_none() {
                log::warn!("token: {}; going on with {} sessions", describe(&error), state.open);
            }
            state.limit = state.open;
            state.learnt = Some(Instant::now());
        }
        returned(state, Turn::Look);
        if some_exist { Ok(()) } else { Err(error.into()) }
    }

    fn give_back(&self, session: Session, keep: bool) {
        let mut state = self.state.lock();
        if keep && state.owed == 0 {
            returned(state, Turn::Session(session));
            return;
        }
        if state.owed > 0 {
            state.owed -= 1;
            state.limit = state.open.saturating_sub(1).max(1);
            state.learnt = Some(Instant::now());
        }
        drop(state);
        close(session);
        let mut state = self.state.lock();
        state.open -= 1;
        returned(state, Turn::Look);
    }
}

/// A session has come back, or there is room for another: the first of those who wait has it.
fn returned(mut state: MutexGuard<'_, State>, turn: Turn) {
    state.returns += 1;
    if std::mem::take(&mut state.stalled) {
        log::info!("token: a session has come back");
    }
    if let Some(waiter) = state.waiting.pop_front() {
        *waiter.turn.lock() = Some(turn);
        // Whoever is woken may run at once, in place of this thread, which must hold nobody up then.
        drop(state);
        waiter.woken.notify_one();
    } else if let Turn::Session(session) = turn {
        state.idle.push(session);
    }
}

/// All who wait look again.
fn wake_all(mut state: MutexGuard<'_, State>) {
    let waiting = std::mem::take(&mut state.waiting);
    waiting.iter().for_each(|waiter| *waiter.turn.lock() = Some(Turn::Look));
    drop(state);
    waiting.iter().for_each(|waiter| _ = waiter.woken.notify_one());
}

fn close(session: Session) {
    if let Err(failure) = session.close() {
        log::debug!("token: {failure:?}");
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
