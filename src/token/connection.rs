//! The connection to the token: runs work on sessions and judges its failures.
//!
//! Owns: the barrier, the retry rules, the counters. Must not know: what the work is, how a lost connection comes back (`reconnect`).
//! Called by: `operations`.
//!
//! The barrier is a lock over the current epoch. Every call into PKCS#11 is made under its read half; C_Finalize runs only under
//! its write half, when nobody is inside. Callers never wait for it: while the connection is down, or about to go down, they are told
//! `Gone` at once. A call that hangs in the module keeps the barrier; there is no way to cancel it, only to bound how many hang and
//! for how long others wait for their sessions, which the pool does.
//!
//! | class of a failure | first time | second time |
//! |---|---|---|
//! | handle | look the object up anew | fault |
//! | session | close it, once more on a new one | the connection is lost |
//! | ambiguous, canary alive | once more, on the same session | tampered (unwrap), fault (all else) |
//! | ambiguous, canary dead | close the session, once more on a new one | alive on yet another: as above; else the connection is lost |
//! | login, gone | the connection is lost | |
//! | session, login, of a creation or destruction, by somebody who is logged in | answered: this user may not | |
//! | all others | answered | |
//!
//! A session is replaced once and the work is done again once, each for its own reason, so work is done three times at most: some
//! tokens leave the operation open when a call fails, and then the second time fails for that.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock, RwLockReadGuard};

use super::config::TokenConfig;
use super::epoch::{Epoch, Lasting};
use super::errors::{Called, Class, Failure, TokenError};
use super::module::Claim;
use super::permission::Change;
use super::pin::Pins;
use super::pool::{Access, Lease, Occupancy};
use super::session::{Session, logged_in};
use super::status::{Counters, Operation, TokenStatus};
use crate::base::ids::KeyVersionId;
use crate::base::threads::waiting;

/// How long a call waits at least for the one session that makes and destroys objects: an RSA pair keeps it for seconds.
const WRITER_WAIT: Duration = Duration::from_secs(15);

/// How long a call waits for a re-initialisation that was begun to look for an object.
const RENEWAL_WAIT: Duration = Duration::from_secs(5);

/// Ids that were not found, remembered at most.
const MISSING: usize = 10_000;

/// The connection.
pub(super) struct Connection {
    pub(super) claim: Claim,
    pub(super) config: TokenConfig,
    pub(super) pins: Pins,
    pub(super) lasting: Arc<Lasting>,
    /// The barrier; none while the connection is down.
    pub(super) epoch: RwLock<Option<Epoch>>,
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
    pub(super) epochs: AtomicU64,
    counters: Counters,
    /// Objects on the token; negative until they were counted.
    objects: AtomicI64,
    unseen: Mutex<Unseen>,
    /// Whether any is missed.
    misses: AtomicBool,
}

/// Objects that the token did not show.
#[derive(Default)]
struct Unseen {
    /// In which epoch each was missed first, and when.
    since: HashMap<KeyVersionId, (u64, Instant)>,
    /// When the module was last initialised anew to look for one.
    renewed: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Up,
    /// Ended to look for an object that another process may have made; back in a moment.
    Renewing,
    /// Lost; the thread rebuilds it.
    Down,
    /// The login failed at a reconnect. Stays so until there is another PIN.
    Refused(TokenError),
    Stopped,
}

impl Connection {
    /// Of a first epoch.
    pub(super) fn new(claim: Claim, config: TokenConfig, pins: Pins, lasting: Arc<Lasting>, epoch: Epoch) -> Self {
        Self {
            claim,
            config,
            pins,
            lasting,
            epoch: RwLock::new(Some(epoch)),
            state: Mutex::new(State::Up),
            changed: Condvar::new(),
            epochs: AtomicU64::new(1),
            counters: Counters::default(),
            objects: AtomicI64::new(-1),
            unseen: Mutex::default(),
            misses: AtomicBool::new(false),
        }
    }

    /// Runs work on a session, at most three times. `key` is whose handles are forgotten when one of them is stale. The work may run
    /// again from its beginning, so what it does must bear that.
    ///
    /// An object that the token does not show is looked for once more, after a re-initialisation: some modules see what another
    /// process has made only then. So is a place for new objects that was away.
    ///
    /// # Errors
    /// As the table above says; `Busy` when no session came free in time; `Gone` also for an object that is missed and cannot be
    /// looked for yet.
    pub(super) fn run<T>(
        &self,
        operation: Operation,
        access: Access,
        key: Option<&KeyVersionId>,
        mut work: impl FnMut(&Epoch, &Session) -> Result<T, Failure>,
    ) -> Result<T, TokenError> {
        let begun = Instant::now();
        let mut work = || self.run_again(operation, access, key, &mut work);
        let done = if self.counters.take_long(operation) { waiting(work) } else { work() };
        if let (Ok(_), Some(id), true) = (&done, key, self.misses.load(Ordering::Relaxed)) {
            self.seen(id);
        }
        self.counters.took(operation, begun.elapsed());
        match &done {
            Ok(_) if operation == Operation::Create => self.lasting.concessions.permission.given(Change::Make),
            Err(error) if operation.changes_objects() => self.lasting.concessions.permission.failed(error),
            _ => {}
        }
        done
    }

    /// Runs work as [`Connection::run`] says.
    fn run_again<T>(
        &self,
        operation: Operation,
        access: Access,
        key: Option<&KeyVersionId>,
        work: &mut impl FnMut(&Epoch, &Session) -> Result<T, Failure>,
    ) -> Result<T, TokenError> {
        let mut done = self.attempt(operation, access, key, work);
        if matches!(done, Err(TokenError::Gone)) && self.wait_for_renewal() {
            done = self.attempt(operation, access, key, work);
        }
        match done {
            Err(TokenError::NoSuchKey(id)) if operation.uses_keys() => match self.look_again(&id) {
                Look::Now => match self.attempt(operation, access, key, work) {
                    Err(TokenError::NoSuchKey(id)) if !self.missed_for_long(&id) => Err(TokenError::Gone),
                    done => done,
                },
                Look::Later => Err(TokenError::Gone),
                Look::Never => Err(TokenError::NoSuchKey(id)),
            },
            // The place may be there again, and the module not know it.
            Err(TokenError::KeepsNothing(said)) => {
                let permission = &self.lasting.concessions.permission;
                if permission.worth_a_renewal(self.config.look_again) && self.show_anew(format_args!("nothing is kept")) {
                    permission.renewed();
                    self.attempt(operation, access, key, work)
                } else {
                    Err(TokenError::KeepsNothing(said))
                }
            }
            done => done,
        }
    }

    /// Whether an object was missed for so long that there is none.
    fn missed_for_long(&self, id: &KeyVersionId) -> bool {
        self.unseen.lock().since.get(id).is_some_and(|(_, at)| at.elapsed() >= self.config.missed_for)
    }

    /// An object that was missed is there again.
    fn seen(&self, id: &KeyVersionId) {
        let mut unseen = self.unseen.lock();
        unseen.since.remove(id);
        self.misses.store(!unseen.since.is_empty(), Ordering::Relaxed);
    }

    fn attempt<T>(
        &self,
        operation: Operation,
        access: Access,
        key: Option<&KeyVersionId>,
        work: &mut impl FnMut(&Epoch, &Session) -> Result<T, Failure>,
    ) -> Result<T, TokenError> {
        let guard = self.enter()?;
        let Some(epoch) = guard.as_ref() else { return Err(self.absence()) };
        let mut lease = self.lease(epoch, access)?;
        let (mut again, mut renewed) = (false, false);
        loop {
            let error = match work(epoch, lease.session()) {
                Ok(done) => {
                    lease.keep();
                    return Ok(done);
                }
                Err(Failure::Final(error)) => {
                    if error == TokenError::Full {
                        self.counters.failure(Class::Full);
                    }
                    lease.keep();
                    return Err(error);
                }
                Err(Failure::Call(call)) => call,
            };
            let class = match error.class() {
                Class::Session | Class::Login
                    if operation.changes_objects()
                        && error.says_nobody_may()
                        && logged_in(lease.session()).unwrap_or(false) =>
                {
                    Class::Forbidden
                }
                class => class,
            };
            self.counters.failure(class);
            match class {
                Class::Handle if !again => {
                    again = true;
                    if let Some(id) = key {
                        epoch.forget_used(id);
                    }
                }
                Class::Ambiguous if epoch.canary.lives(lease.session()) => {
                    if again {
                        lease.keep();
                        return Err(verdict_on_data(operation, &error));
                    }
                    again = true;
                }
                Class::Session | Class::Ambiguous if !renewed => {
                    renewed = true;
                    drop(lease);
                    lease = self.lease(epoch, access)?;
                }
                Class::Ambiguous => {
                    drop(lease);
                    lease = self.lease(epoch, access)?;
                    if !epoch.canary.lives(lease.session()) {
                        return Err(self.lose(epoch, &error));
                    }
                    lease.keep();
                    return Err(verdict_on_data(operation, &error));
                }
                Class::Session | Class::Login | Class::Gone => return Err(self.lose(epoch, &error)),
                Class::Tampered | Class::Data | Class::Forbidden => {
                    lease.keep();
                    return Err(class.verdict(&error));
                }
                Class::Handle | Class::Busy | Class::Full | Class::Unsupported | Class::Pin | Class::Fatal => {
                    log::error!("token: {operation:?}: {}", error.describe());
                    return Err(class.verdict(&error));
                }
            }
        }
    }

    /// Whether what is free on the token was asked long ago.
    pub(super) fn room_is_old(&self) -> bool {
        self.epoch.try_read().is_some_and(|guard| guard.as_ref().is_some_and(Epoch::room_is_old))
    }

    /// The objects on the token were counted.
    pub(super) fn counted(&self, objects: u64) {
        self.objects.store(i64::try_from(objects).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// So many were made, or destroyed.
    pub(super) fn more_objects(&self, objects: i64) {
        if self.objects.load(Ordering::Relaxed) >= 0 {
            self.objects.fetch_add(objects, Ordering::Relaxed);
        }
    }

    /// Stops the thread that reconnects.
    pub(super) fn stop(&self) {
        *self.state.lock() = State::Stopped;
        self.changed.notify_all();
    }

    /// Who made the module.
    pub(super) fn module_text(&self) -> Result<String, TokenError> {
        let guard = self.enter()?;
        if guard.is_none() {
            return Err(self.absence());
        }
        self.claim.about()
    }

    /// What metrics want to know.
    pub(super) fn status(&self) -> TokenStatus {
        let state = self.state.lock().clone();
        let guard = self.epoch.try_read();
        let epoch = guard.as_ref().and_then(|guard| guard.as_ref());
        let readers = epoch.map_or_else(Occupancy::default, |e| e.pool(Access::ReadOnly).occupancy());
        let room = epoch.map(|e| *e.room.lock());
        let (operations, failures, latencies) = self.counters.read();
        TokenStatus {
            up: state == State::Up,
            refused: matches!(state, State::Refused(_)),
            epoch: self.epochs.load(Ordering::Relaxed),
            sessions_limit: readers.limit,
            sessions_open: readers.open,
            sessions_in_use: readers.lent,
            sessions_waited_for: readers.waiting,
            objects: u64::try_from(self.objects.load(Ordering::Relaxed)).ok(),
            pin_tried: epoch.map(|e| e.token.pin_count_low()),
            free_private: room.and_then(|room| room.private),
            free_public: room.and_then(|room| room.public),
            makes_keys: self.lasting.concessions.permission.is_given(Change::Make),
            operations,
            failures,
            latencies,
        }
    }

    /// The read half of the barrier, without waiting.
    fn enter(&self) -> Result<RwLockReadGuard<'_, Option<Epoch>>, TokenError> {
        self.epoch.try_read().ok_or_else(|| self.absence())
    }

    /// Waits for a renewal, which takes a moment; whether there was one, and it is done.
    fn wait_for_renewal(&self) -> bool {
        let until = Instant::now() + RENEWAL_WAIT;
        let mut state = self.state.lock();
        let renewing = *state == State::Renewing;
        while *state == State::Renewing {
            if self.changed.wait_until(&mut state, until).timed_out() {
                return false;
            }
        }
        drop(state);
        if renewing {
            // The thread that says that it is done still holds the barrier.
            drop(self.epoch.try_read_for(Duration::from_secs(1)));
        }
        renewing
    }

    /// Initialises the module anew, for it to show what others have made; false where that was done too short a while ago.
    pub(super) fn show_anew(&self, why: fmt::Arguments<'_>) -> bool {
        self.epoch_number().is_some_and(|number| self.renew(number, why))
    }

    fn epoch_number(&self) -> Option<u64> {
        self.epoch.try_read().and_then(|guard| guard.as_ref().map(|epoch| epoch.number))
    }

    /// Why there is no epoch.
    fn absence(&self) -> TokenError {
        match &*self.state.lock() {
            State::Refused(error) => error.clone(),
            _ => TokenError::Gone,
        }
    }

    /// Ends the epoch so that an object may be found in the next, unless that was done for it and long ago, or was done just now.
    fn look_again(&self, id: &KeyVersionId) -> Look {
        let Some(number) = self.epoch_number() else { return Look::Later };
        let mut unseen = self.unseen.lock();
        if unseen.since.len() >= MISSING {
            unseen.since.clear();
        }
        let (first, at) = *unseen.since.entry(*id).or_insert((number, Instant::now()));
        self.misses.store(true, Ordering::Relaxed);
        if first < number && at.elapsed() >= self.config.missed_for {
            return Look::Never;
        }
        drop(unseen);
        if self.renew(number, format_args!("no object {id}")) { Look::Now } else { Look::Later }
    }

    /// Ends the epoch of this number, for the next to see what this one does not, unless one was ended so just now.
    fn renew(&self, number: u64, why: fmt::Arguments<'_>) -> bool {
        {
            let renewed = &mut self.unseen.lock().renewed;
            if renewed.is_some_and(|at| at.elapsed() < self.config.look_again) {
                return false;
            }
            *renewed = Some(Instant::now());
        }
        log::warn!("token: {why}; initialising the module anew to look once more");
        let begun = {
            let guard = self.epoch.try_read();
            let mut state = self.state.lock();
            match guard.as_ref().and_then(|guard| guard.as_ref()) {
                Some(epoch) if epoch.number == number && *state == State::Up => {
                    epoch.close();
                    *state = State::Renewing;
                    self.changed.notify_all();
                    true
                }
                _ => false,
            }
        };
        if begun {
            self.wait_for_renewal();
        }
        true
    }

    fn lease<'a>(&self, epoch: &'a Epoch, access: Access) -> Result<Lease<'a>, TokenError> {
        let wait = match access {
            Access::ReadOnly => self.config.session_wait,
            Access::ReadWrite => self.config.session_wait.max(WRITER_WAIT),
        };
        let until = Instant::now() + wait;
        loop {
            let call = match epoch.pool(access).lease(until.saturating_duration_since(Instant::now())) {
                Ok(lease) => return Ok(lease),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Call(call)) => call,
            };
            let class = call.class();
            self.counters.failure(class);
            match class {
                // Readers have taken the device's last session: one of theirs makes room.
                Class::Busy if access == Access::ReadWrite && Instant::now() < until => {
                    epoch.pool(Access::ReadOnly).shed();
                    std::thread::sleep(Duration::from_millis(5));
                }
                // A token that opens no session, and not for want of room or by a mistake of ours, is gone.
                Class::Busy | Class::Unsupported | Class::Fatal => return Err(class.verdict(&call)),
                _ => return Err(self.lose(epoch, &call)),
            }
        }
    }

    /// Ends the epoch: closes its pools at once and wakes the thread. The caller still holds the barrier, so the epoch is the
    /// current one, and of many that lose it together one is the first.
    fn lose(&self, epoch: &Epoch, call: &Called) -> TokenError {
        epoch.close();
        let mut state = self.state.lock();
        if *state == State::Up {
            *state = State::Down;
            log::error!("token: epoch {} ends: {}", epoch.number, call.describe());
            self.changed.notify_all();
        }
        TokenError::Gone
    }
}

/// Whether an object that was not found is looked for once more.
enum Look {
    /// The module has been initialised anew.
    Now,
    /// It was, too short a while ago.
    Later,
    /// It was, for this object.
    Never,
}

/// Ends the login and finalises the library. The last owner is gone, so no call is inside it.
impl Drop for Connection {
    fn drop(&mut self) {
        if self.epoch.get_mut().take().is_some() {
            self.claim.finalize();
        }
    }
}

/// An ambiguous code, twice, while the canary lives: the session is fine, so the data is not.
fn verdict_on_data(operation: Operation, call: &Called) -> TokenError {
    match operation {
        Operation::Unwrap => TokenError::Tampered,
        _ => {
            log::error!("token: {operation:?}: {}", call.describe());
            Class::Ambiguous.verdict(call)
        }
    }
}
