//! The link to the token: runs work on sessions, judges failures, and rebuilds the link when it is lost.
//!
//! Owns: the barrier, the retry rules, the reconnecting thread, the counters. Must not know: what the work is.
//! Called by: `mod`, `create`.
//!
//! The barrier is a lock over the current epoch. Every call into PKCS#11 is made under its read half; C_Finalize runs only under
//! its write half, when nobody is inside. Callers never wait for it: while the link is down, or about to go down, they are told
//! `Gone` at once. A call that hangs in the module keeps the barrier; there is no way to cancel it, only to bound how many hang and
//! for how long others wait for their sessions, which the pool does.
//!
//! | class of a failure | first time | second time |
//! |---|---|---|
//! | handle | look the object up anew | fault |
//! | session | close it, once more on a new one | the link is lost |
//! | ambiguous, canary alive | once more, on the same session | tampered (unwrap), fault (all else) |
//! | ambiguous, canary dead | close the session, once more on a new one | alive on yet another: as above; else the link is lost |
//! | login, gone | the link is lost | |
//! | all others | answered | |
//!
//! A session is replaced once and the work is done again once, each for its own reason, so work is done three times at most: some
//! tokens leave the operation open when a call fails, and then the second time fails for that.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use cryptoki::error::Error as Pkcs11Error;
use cryptoki::session::Session;

use super::TokenConfig;
use super::context::Claim;
use super::epoch::Epoch;
use super::errors::{Class, Failure, TokenError, describe};
use super::pool::{Access, Lease, Occupancy};
use super::status::{Counters, Operation, TokenStatus};
use crate::base::ids::KeyVersionId;
use crate::base::secret::Pin;

/// Waits between attempts to connect: the first, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How long a call waits at least for the one session that makes and destroys objects: an RSA pair keeps it for seconds.
const WRITER_WAIT: Duration = Duration::from_secs(15);

/// The link.
pub(super) struct Link {
    claim: Claim,
    config: TokenConfig,
    pin: Pin,
    /// CKA_ID of the HMAC key of suite S3, once it is known.
    pub(super) integrity: Arc<OnceLock<KeyVersionId>>,
    /// The barrier; none while the link is down.
    epoch: RwLock<Option<Epoch>>,
    state: Mutex<State>,
    changed: Condvar,
    epochs: AtomicU64,
    counters: Counters,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    /// Lost; the thread rebuilds it.
    Down,
    /// The PIN was refused at a reconnect. Stays so until a person starts the service with another.
    Refused,
    Stopped,
}

impl Link {
    /// Loads the module and makes the first epoch.
    pub(super) fn open(config: TokenConfig, pin: Pin) -> Result<Self, TokenError> {
        let claim = Claim::take(&config.module)?;
        let integrity = Arc::default();
        let begun = Instant::now();
        // SoftHSM 2.6.1 rewrites the token's file in place when a process logs in, and one that starts at that moment sees no token,
        // or fails to log in with another code each time.
        let epoch = persist(
            || Epoch::connect(&claim, &config, &pin, &integrity, 1),
            |error, pause| {
                let again = begun.elapsed() < config.open_wait;
                if again {
                    log::info!("token: {error}; trying again");
                    thread::sleep(pause);
                }
                again
            },
        )?;
        Ok(Self {
            claim,
            config,
            pin,
            integrity,
            epoch: RwLock::new(Some(epoch)),
            state: Mutex::new(State::Up),
            changed: Condvar::new(),
            epochs: AtomicU64::new(1),
            counters: Counters::default(),
        })
    }

    /// Runs work on a session, at most three times. `key` is whose handles are forgotten when one of them is stale. The work may run
    /// again from its beginning, so what it does must bear that.
    ///
    /// # Errors
    /// As the table above says; `Busy` when no session came free in time.
    pub(super) fn run<T>(
        &self,
        operation: Operation,
        access: Access,
        key: Option<&KeyVersionId>,
        mut work: impl FnMut(&Epoch, &Session) -> Result<T, Failure>,
    ) -> Result<T, TokenError> {
        self.counters.operation(operation);
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
                    lease.keep();
                    return Err(error);
                }
                Err(Failure::Call(error)) => error,
            };
            let class = Class::of(&error);
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
                Class::Tampered | Class::Data => {
                    lease.keep();
                    return Err(class.verdict(&error));
                }
                Class::Handle | Class::Busy | Class::Unsupported | Class::Pin | Class::Fatal => {
                    log::error!("token: {operation:?}: {}", describe(&error));
                    return Err(class.verdict(&error));
                }
            }
        }
    }

    /// Rebuilds the link whenever it is lost, until it is stopped. Runs on a thread of its own.
    pub(super) fn tend(&self) {
        loop {
            let state = self.lock_state();
            let state = self
                .changed
                .wait_while(state, |s| matches!(s, State::Up | State::Refused))
                .unwrap_or_else(PoisonError::into_inner);
            if *state == State::Stopped {
                return;
            }
            drop(state);
            let mut current = self.epoch.write().unwrap_or_else(PoisonError::into_inner);
            if current.take().is_some() {
                self.claim.finalize();
            }
            let (epoch, reached) = self.reconnect();
            *current = epoch;
            // Under the write half: whoever finds the new epoch lost must find the state Up.
            let mut state = self.lock_state();
            if *state == State::Down {
                *state = reached;
            }
        }
    }

    /// Stops [`Link::tend`].
    pub(super) fn stop(&self) {
        *self.lock_state() = State::Stopped;
        self.changed.notify_all();
    }

    /// What metrics want to know.
    pub(super) fn status(&self) -> TokenStatus {
        let up = *self.lock_state() == State::Up;
        let readers = match self.enter() {
            Ok(guard) => guard.as_ref().map(|epoch| epoch.pool(Access::ReadOnly).occupancy()).unwrap_or_default(),
            Err(_) => Occupancy::default(),
        };
        let (operations, failures) = self.counters.read();
        TokenStatus {
            up,
            epoch: self.epochs.load(Ordering::Relaxed),
            sessions_limit: readers.limit,
            sessions_open: readers.open,
            sessions_in_use: readers.lent,
            operations,
            failures,
        }
    }

    /// The read half of the barrier, without waiting.
    fn enter(&self) -> Result<RwLockReadGuard<'_, Option<Epoch>>, TokenError> {
        match self.epoch.try_read() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(self.absence()),
        }
    }

    /// Why there is no epoch.
    fn absence(&self) -> TokenError {
        if *self.lock_state() == State::Refused { TokenError::Pin } else { TokenError::Gone }
    }

    fn lease<'a>(&self, epoch: &'a Epoch, access: Access) -> Result<Lease<'a>, TokenError> {
        let wait = match access {
            Access::ReadOnly => self.config.session_wait,
            Access::ReadWrite => self.config.session_wait.max(WRITER_WAIT),
        };
        epoch.pool(access).lease(wait).map_err(|failure| match failure {
            Failure::Final(error) => error,
            Failure::Call(error) => {
                let class = Class::of(&error);
                self.counters.failure(class);
                match class {
                    // A token that opens no session, and not for want of room or by a mistake of ours, is gone.
                    Class::Busy | Class::Unsupported | Class::Fatal => class.verdict(&error),
                    _ => self.lose(epoch, &error),
                }
            }
        })
    }

    /// Ends the epoch: closes its pools at once and wakes the thread. The caller still holds the barrier, so the epoch is the
    /// current one, and of many that lose it together one is the first.
    fn lose(&self, epoch: &Epoch, error: &Pkcs11Error) -> TokenError {
        epoch.close();
        let mut state = self.lock_state();
        if *state == State::Up {
            *state = State::Down;
            log::error!("token: epoch {} ends: {}", epoch.number, describe(error));
            self.changed.notify_all();
        }
        TokenError::Gone
    }

    /// Tries until there is an epoch, the PIN is refused, or the link is stopped.
    fn reconnect(&self) -> (Option<Epoch>, State) {
        let number = self.epochs.load(Ordering::Relaxed) + 1;
        let connect = || Epoch::connect(&self.claim, &self.config, &self.pin, &self.integrity, number);
        let connected = persist(connect, |error, pause| {
            log::warn!("token: not back yet: {error}");
            let state = self.lock_state();
            let waited = self.changed.wait_timeout_while(state, pause, |s| *s == State::Down);
            *waited.unwrap_or_else(PoisonError::into_inner).0 != State::Stopped
        });
        match connected {
            Ok(epoch) => {
                self.epochs.store(number, Ordering::Relaxed);
                (Some(epoch), State::Up)
            }
            Err(TokenError::Pin) => (None, State::Refused),
            Err(_) => (None, State::Stopped),
        }
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects, again and again with longer pauses, until that succeeds, the PIN is refused, or `wait` does not want to wait for the
/// pause that it is given. A refused PIN is never presented again.
fn persist(
    mut connect: impl FnMut() -> Result<Epoch, TokenError>,
    mut wait: impl FnMut(&TokenError, Duration) -> bool,
) -> Result<Epoch, TokenError> {
    let (mut pause, longest) = BACK_OFF;
    loop {
        match connect() {
            Err(error) if error != TokenError::Pin && wait(&error, jittered(pause)) => pause = (pause * 2).min(longest),
            done => return done,
        }
    }
}

/// Ends the login and finalises the library. The last owner is gone, so no call is inside it.
impl Drop for Link {
    fn drop(&mut self) {
        let current = self.epoch.get_mut().unwrap_or_else(PoisonError::into_inner);
        if current.take().is_some() {
            self.claim.finalize();
        }
    }
}

/// An ambiguous code, twice, while the canary lives: the session is fine, so the data is not.
fn verdict_on_data(operation: Operation, error: &Pkcs11Error) -> TokenError {
    match operation {
        Operation::Unwrap => TokenError::Tampered,
        _ => {
            log::error!("token: {operation:?}: {}", describe(error));
            Class::Ambiguous.verdict(error)
        }
    }
}

/// Between half of it and all of it, so that many nodes do not come back in step.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0];
    // Without a random byte the pause is just the whole one.
    let part = if rand::fill(&mut byte).is_ok() { u32::from(byte[0]) } else { 255 };
    pause / 2 + pause / 2 * part / 255
}
