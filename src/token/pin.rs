//! The PIN: where it comes from, and how often it is presented.
//!
//! Owns: the count of refused presentations. Must not know: files, prompts, sockets: a source gives a PIN, an operator offers one.
//! Called by: `reconnect`, `epoch` (a login); app (the source), `bulla unlock` through its socket.
//!
//! A token locks after a few wrong PINs, some after three, and not every one says that it was the PIN: C_Login fails with
//! CKR_GENERAL_ERROR or CKR_ARGUMENTS_BAD for it too. So one PIN is presented at most twice in vain, the second time after a full
//! re-initialisation, and once where the token says that the PIN was wrong or that few tries are left. After that only something else
//! brings it there again: another PIN, an operator who gives it anew, or, where the code did not speak of the PIN, a token that was
//! away in between.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use bulla_pkcs11::TokenText;
use parking_lot::{Condvar, Mutex};
use zeroize::Zeroizing;

use super::errors::{Called, Class, TokenError};
use crate::base::secret::Pin;

/// Presentations of one PIN in vain, at most.
const TRIES: u8 = 2;

/// Gives the PIN, each time anew; or says why there is none.
type Source = dyn Fn() -> Result<Pin, String> + Send + Sync;

/// The PIN of a token. Shared: who holds it may offer another.
#[derive(Clone)]
pub struct Pins(Arc<Shared>);

struct Shared {
    source: Box<Source>,
    /// Whether somebody may come with a PIN while there is none.
    awaited: bool,
    /// Makes digests of this process unlike any other's.
    salt: [u8; 16],
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Given by an operator; it goes before the source's.
    offered: Option<Pin>,
    /// Which PIN was presented last, and how often in vain.
    presented: Option<[u8; 32]>,
    in_vain: u8,
    /// Why it is not presented again.
    verdict: Option<TokenError>,
    /// Counts logins that succeeded or failed.
    outcomes: u64,
    last: Option<TokenError>,
}

impl fmt::Debug for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pins(..)")
    }
}

/// One PIN, always the same.
impl From<Pin> for Pins {
    fn from(pin: Pin) -> Self {
        Self::from_source(move || Ok(copy(&pin)), false)
    }
}

impl Pins {
    /// PINs of a source that is asked before each login, so that a PIN that was changed needs no restart. `awaited`: a token that has
    /// none waits for one that is offered.
    pub fn from_source(source: impl Fn() -> Result<Pin, String> + Send + Sync + 'static, awaited: bool) -> Self {
        let mut salt = [0; 16];
        // Without it digests, which never leave the process, are just the same in each.
        let _ = rand::fill(&mut salt);
        Self(Arc::new(Shared { source: Box::new(source), awaited, salt, state: Mutex::default(), changed: Condvar::new() }))
    }

    /// Gives a PIN, as an operator does, and waits for what becomes of it.
    ///
    /// # Errors
    /// `Pin` or `PinInDoubt` when the login failed; `Gone` when nobody logged in with it in that time.
    pub fn offer(&self, pin: Pin, wait: Duration) -> Result<(), TokenError> {
        let mut state = self.0.state.lock();
        state.offered = Some(pin);
        state.in_vain = 0;
        state.verdict = None;
        let before = state.outcomes;
        self.0.changed.notify_all();
        let until = Instant::now() + wait;
        while state.outcomes == before {
            if self.0.changed.wait_until(&mut state, until).timed_out() && state.outcomes == before {
                return Err(TokenError::Gone);
            }
        }
        state.last.clone().map_or(Ok(()), Err)
    }

    /// Waits until a PIN is offered, at most so long.
    pub(super) fn wait(&self, wait: Duration) {
        let mut state = self.0.state.lock();
        if state.offered.is_none() {
            self.0.changed.wait_for(&mut state, wait);
        }
    }

    /// Whether a token without a PIN waits for one.
    pub(super) fn awaited(&self) -> bool {
        self.0.awaited
    }

    /// Whether a login may be tried again: there is a PIN that was not refused.
    pub(super) fn worth_a_try(&self) -> bool {
        self.choose(false).is_ok()
    }

    /// The token was seen to be away: what it said of the login before may have been about that.
    pub(super) fn token_was_away(&self) {
        let mut state = self.0.state.lock();
        if !matches!(state.verdict, Some(TokenError::Pin)) {
            state.in_vain = 0;
            state.verdict = None;
        }
    }

    /// The PIN to be presented now.
    ///
    /// # Errors
    /// `NoPin`; `Pin` or `PinInDoubt` when it was presented as often as it may be.
    pub(super) fn to_present(&self, token: &TokenText) -> Result<Pin, TokenError> {
        if token.pin_at_its_end() {
            log::error!("token: the PIN is locked or has one try left; it is not presented");
            return Err(self.note(TokenError::Pin));
        }
        self.choose(token.pin_count_low())
    }

    fn choose(&self, low: bool) -> Result<Pin, TokenError> {
        let mut state = self.0.state.lock();
        let pin = match &state.offered {
            Some(pin) => copy(pin),
            None => (self.0.source)().map_err(TokenError::NoPin)?,
        };
        let found = self.digest(&pin);
        if state.presented != Some(found) {
            state.presented = Some(found);
            state.in_vain = 0;
            state.verdict = None;
        }
        match &state.verdict {
            Some(verdict) => Err(verdict.clone()),
            None if low && state.in_vain > 0 => Err(TokenError::Pin),
            None => Ok(pin),
        }
    }

    /// The login succeeded.
    pub(super) fn accepted(&self) {
        let mut state = self.0.state.lock();
        state.in_vain = 0;
        state.verdict = None;
        state.outcomes += 1;
        state.last = None;
        self.0.changed.notify_all();
    }

    /// The login failed; what that means.
    pub(super) fn refused(&self, call: &Called) -> TokenError {
        let mut state = self.0.state.lock();
        state.in_vain += 1;
        let error = match call.class() {
            Class::Pin => TokenError::Pin,
            _ if state.in_vain >= TRIES => TokenError::PinInDoubt(call.describe()),
            class => class.verdict(call),
        };
        let settled = matches!(error, TokenError::Pin | TokenError::PinInDoubt(_));
        if settled {
            // An operator's PIN that was refused does not stand before the file's.
            state.offered = None;
            state.verdict = Some(error.clone());
            drop(state);
            self.note(error.clone());
        }
        error
    }

    fn note(&self, error: TokenError) -> TokenError {
        let mut state = self.0.state.lock();
        state.outcomes += 1;
        state.last = Some(error.clone());
        self.0.changed.notify_all();
        error
    }

    fn digest(&self, pin: &Pin) -> [u8; 32] {
        let text = Zeroizing::new([&self.0.salt[..], pin.expose().as_bytes()].concat());
        digest(&SHA256, &text).as_ref().try_into().expect("SHA-256 gives 32 bytes")
    }
}

fn copy(pin: &Pin) -> Pin {
    Pin::new(pin.expose().to_owned())
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;
    use cryptoki::error::{Error as Pkcs11Error, RvError};

    use super::*;

    fn failed(code: RvError) -> Called {
        Called { error: Pkcs11Error::Pkcs11(code, Function::Login), mechanism: None }
    }

    #[test]
    fn no_pin_is_presented_more_than_twice_in_vain_whatever_the_token_says() {
        for code in [RvError::GeneralError, RvError::ArgumentsBad, RvError::PinIncorrect, RvError::DeviceRemoved] {
            let pins = Pins::from(Pin::new("1234".into()));
            let mut presented = 0;
            for _ in 0..10 {
                if pins.choose(false).is_ok() {
                    presented += 1;
                    pins.refused(&failed(code));
                }
            }
            assert_eq!(presented, if code == RvError::PinIncorrect { 1 } else { 2 }, "{code:?}");
            pins.token_was_away();
            assert_eq!(pins.worth_a_try(), code != RvError::PinIncorrect, "{code:?}");
        }
    }

    #[test]
    fn another_pin_is_presented_and_an_offered_one_goes_first() {
        let text = Arc::new(Mutex::new("one".to_owned()));
        let source = Arc::clone(&text);
        let pins = Pins::from_source(move || Ok(Pin::new(source.lock().clone())), false);
        assert_eq!(pins.choose(false).expect("a PIN").expose(), "one");
        assert_eq!(pins.refused(&failed(RvError::PinIncorrect)), TokenError::Pin);
        assert_eq!(pins.choose(false).err(), Some(TokenError::Pin));
        "two".clone_into(&mut text.lock());
        assert_eq!(pins.choose(false).expect("another").expose(), "two");
        pins.refused(&failed(RvError::GeneralError));
        assert_eq!(pins.choose(true).err(), Some(TokenError::Pin), "not a second time when few tries are left");
        assert_eq!(pins.offer(Pin::new("three".into()), Duration::ZERO), Err(TokenError::Gone), "nobody logs in");
        assert_eq!(pins.choose(false).expect("the operator's").expose(), "three");
        pins.refused(&failed(RvError::PinIncorrect));
        assert_eq!(pins.choose(false).expect("the file's again").expose(), "two");
    }
}
