//! Whether the service can serve now: what a read needs of each part, tried again and again beside the requests.
//!
//! Owns: the attempts and their last results. Must not know: how readiness is asked for. Called by: app.
//!
//! A part is well when its last attempt succeeded and none has been under way for a second; both are at most a second old. To ask
//! costs nothing, whoever asks. What an attempt meets first is repaired before a request meets it: a token that lost its objects, a
//! database that was away.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::app::base::Base;
use crate::base::canonical::{Canonical, Purpose};
use crate::base::clock_check::ClockCheck;
use crate::base::periodic::{Periodic, Rounds};
use crate::store::Store;
use crate::token::TokenError;

/// Between two attempts.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// An attempt that takes longer says that the part does not answer.
const SLOW: Duration = Duration::from_secs(1);

/// One part of the service, watched until this is dropped.
pub(super) struct Vital {
    state: Arc<Mutex<State>>,
    _thread: Periodic,
}

struct State {
    /// When the attempt under way began.
    begun: Option<Instant>,
    last: Result<(), String>,
}

impl Vital {
    /// Watches a part from now on, on a thread of its own.
    pub(super) fn watch(name: &str, attempt: impl Fn() -> Result<(), String> + Send + 'static) -> std::io::Result<Self> {
        let state = Arc::new(Mutex::new(State { begun: Some(Instant::now()), last: Ok(()) }));
        let watched = Arc::clone(&state);
        let thread = Periodic::start(&format!("bulla-vital-{name}"), Rounds::FromNow, PROBE_EVERY, move |_| {
            watched.lock().begun = Some(Instant::now());
            // Caught here, since it says something of the part.
            let last = catch_unwind(AssertUnwindSafe(&attempt)).unwrap_or_else(|_| Err("the check panicked".to_owned()));
            *watched.lock() = State { begun: None, last };
        })?;
        Ok(Self { state, _thread: thread })
    }

    /// Whether it is well; why not.
    pub(super) fn now(&self) -> Result<(), String> {
        let state = self.state.lock();
        match state.begun.map(|begun| begun.elapsed()) {
            Some(since) if since >= SLOW => Err(format!("no answer for {} s", since.as_secs())),
            _ => state.last.clone(),
        }
    }
}

/// Watches the token: the four system keys, as a read, a tag, an audit line and the next start need them.
pub(super) fn watch_token(base: &Base) -> std::io::Result<Vital> {
    let (token, row) = (Arc::clone(&base.token), base.deployment.clone());
    let context = Canonical::new(Purpose::SelfTest).text("readiness").text(&row.id.to_string());
    let sealed = OnceLock::new();
    Vital::watch("token", move || {
        let attempt = || -> Result<bool, TokenError> {
            let sealed = match sealed.get() {
                Some(sealed) => sealed,
                None => {
                    let made = token.wrap(row.suite, &row.sys_key, CANARY, &context)?;
                    sealed.get_or_init(|| made)
                }
            };
            let opened = token.unwrap(row.suite, &row.sys_key, sealed, &context)?;
            token.mac(&row.int_key, CANARY)?;
            token.mac(&row.row_key, CANARY)?;
            token.sign(&row.aud_key, CANARY)?;
            Ok(opened.as_slice() == CANARY)
        };
        match attempt() {
            Ok(true) => {
                // What it tells of that keeps nobody from being served.
                if let Err(error) = token.look_at_room() {
                    log::debug!("token: what is free on it: {error}");
                }
                Ok(())
            }
            Ok(false) => Err("the token decrypts wrongly".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    })
}

/// What is encrypted, authenticated and signed to see whether the token does it.
const CANARY: &[u8] = b"bulla readiness";

/// Watches the database, whose time the clock is compared with.
pub(super) fn watch_database(store: &Arc<Store>, clocks: &Arc<ClockCheck>) -> std::io::Result<Vital> {
    let (store, clocks) = (Arc::clone(store), Arc::clone(clocks));
    Vital::watch("database", move || {
        let asked = Instant::now();
        if let Some(time) = store.health().map_err(|e| e.to_string())? {
            clocks.database_said(time, asked.elapsed());
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    #[test]
    fn a_part_that_fails_panics_or_hangs_is_not_well_until_it_is() {
        let (say, said) = channel::<u8>();
        let vital = Vital::watch("test", move || match said.recv() {
            Ok(0) => Ok(()),
            Ok(1) => Err("ill".to_owned()),
            _ => panic!("as it is told"),
        })
        .expect("a thread");
        let becomes = |wanted: Result<(), &str>| {
            let begun = Instant::now();
            let wanted = wanted.map_err(str::to_owned);
            while vital.now() != wanted {
                assert!(begun.elapsed() < Duration::from_secs(20), "{:?} instead of {wanted:?}", vital.now());
                thread::sleep(Duration::from_millis(5));
            }
        };
        becomes(Err("no answer for 1 s"));
        for (word, wanted) in [(1, Err("ill")), (2, Err("the check panicked")), (0, Ok(()))] {
            say.send(word).expect("it listens");
            becomes(wanted);
        }
    }
}
