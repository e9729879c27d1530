//! The PIN: where it comes from, and how often it is presented.
//!
//! Owns: the count of refused presentations, of each PIN. Must not know: files, prompts, sockets: a source gives a PIN, an operator offers
//! one. Called by: `reconnect`, `epoch` (a login); app (the source), `bulla unlock` through its socket.
//!
//! A token locks after a few wrong PINs, some after three, and not every one says that it was the PIN: C_Login fails with
//! CKR_GENERAL_ERROR or CKR_ARGUMENTS_BAD for it too. So one PIN is presented at most twice in vain, the second time after a full
//! re-initialisation, and once where the token says that the PIN was wrong or that few tries are left. After that only an operator who
//! gives that same PIN anew brings it there again. What was refused stays so while other PINs come and go, and while the token does: a
//! wrong PIN would be presented at each hiccup of a reader. A login that succeeds ends the count: the PIN that was good when the token
//! went is presented as often as any other when it is back. A token that says of itself that the PIN is locked or has one
//! try left is presented none; what it says is looked at again after a pause.

use std::collections::HashMap;
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

/// Between two looks at what a token says of its own tries.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// How long a process that ends waits for operators to be told of it.
const LAST_WORD: Duration = Duration::from_secs(2);

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
    /// Which PIN was presented last.
    presented: Option<Digest>,
    /// Every PIN that was presented in vain.
    tried: HashMap<Digest, Tried>,
    /// When the token last said that few tries are left.
    held: Option<Instant>,
    /// Whether the token is there, logged in.
    up: bool,
    /// Counts logins that succeeded or failed.
    outcomes: u64,
    /// Whose the last was; none where it goes for every PIN.
    of: Option<Digest>,
    last: Option<TokenError>,
    /// Operators who have not been answered.
    attended: usize,
}

/// A PIN, told from others without being kept.
type Digest = [u8; 32];

/// What is remembered of a PIN.
#[derive(Default)]
struct Tried {
    in_vain: u8,
    /// Why it is not presented again.
    verdict: Option<TokenError>,
}

/// What became of a PIN that an operator offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// The token took it.
    LoggedIn,
    /// The token is logged in without it: it was not presented, and is not kept.
    NotNeeded,
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

    /// Gives a PIN, as an operator does, and tells what becomes of it. A process that ends waits until it is told.
    ///
    /// `Pin`, `PinInDoubt`, `NoPin` when the login failed or was not tried; `Gone` when nobody logged in with it in that time.
    pub fn offer<T>(&self, pin: Pin, wait: Duration, tell: impl FnOnce(Result<Offer, TokenError>) -> T) -> T {
        self.0.state.lock().attended += 1;
        let told = tell(self.offered(pin, wait));
        self.0.state.lock().attended -= 1;
        self.0.changed.notify_all();
        told
    }

    fn offered(&self, pin: Pin, wait: Duration) -> Result<Offer, TokenError> {
        let mut state = self.0.state.lock();
        if state.up {
            return Ok(Offer::NotNeeded);
        }
        // Who offers a PIN that was refused wants that one presented, and no other.
        let found = self.digest(&pin);
        state.tried.remove(&found);
        state.offered = Some(pin);
        state.held = None;
        let before = state.outcomes;
        self.0.changed.notify_all();
        let until = Instant::now() + wait;
        // What becomes of another PIN, which was being presented, is not what becomes of this one.
        let open = |state: &State| state.outcomes == before || state.of.is_some_and(|of| of != found);
        while open(&state) {
            if self.0.changed.wait_until(&mut state, until).timed_out() && open(&state) {
                return Err(TokenError::Gone);
            }
        }
        state.last.clone().map_or(Ok(Offer::LoggedIn), Err)
    }

    /// The token is there, logged in; or no more.
    pub(super) fn token_is_up(&self, up: bool) {
        self.0.state.lock().up = up;
    }

    /// Nobody will log in any more: operators who wait are told why.
    pub(super) fn give_up(&self, error: &TokenError) {
        let until = Instant::now() + LAST_WORD;
        self.note(None, error.clone());
        let mut state = self.0.state.lock();
        while state.attended > 0 && !self.0.changed.wait_until(&mut state, until).timed_out() {}
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
        self.choose().is_ok()
    }

    /// Whether the PIN that was presented last was so in vain.
    pub(super) fn in_vain(&self) -> bool {
        let state = self.0.state.lock();
        state.presented.is_some_and(|presented| state.tried.contains_key(&presented))
    }

    /// The PIN to be presented now.
    ///
    /// # Errors
    /// `NoPin`, also for one that the token says cannot be a PIN of its; `Pin` or `PinInDoubt` when it was presented as often as it may
    /// be, or the token says that few tries are left.
    pub(super) fn to_present(&self, token: &TokenText) -> Result<Pin, TokenError> {
        if token.pin_at_its_end() {
            log::error!("token: the PIN is locked or has one try left; it is not presented");
            return Err(self.hold());
        }
        self.0.state.lock().held = None;
        let pin = self.choose()?;
        if let Some(why) = misfit(&pin, token) {
            return Err(self.settle(TokenError::NoPin(why)));
        }
        if self.in_vain() && token.pin_count_low() {
            log::error!("token: the login failed before, and few tries are left; the PIN is not presented again");
            return Err(self.hold());
        }
        Ok(pin)
    }

    /// The token says that few tries are left.
    fn hold(&self) -> TokenError {
        let mut state = self.0.state.lock();
        state.held = Some(Instant::now());
        // Told that it was not presented; it comes again when they know that it may be.
        state.offered = None;
        drop(state);
        self.note(None, TokenError::PinHeld)
    }

    fn choose(&self) -> Result<Pin, TokenError> {
        let offered = {
            let state = self.0.state.lock();
            if state.held.is_some_and(|since| since.elapsed() < LOOK_AGAIN) {
                return Err(TokenError::PinHeld);
            }
            state.offered.as_ref().map(copy)
        };
        // Not under the lock: a source may hang, and who offers a PIN helps against that.
        let pin = offered.map_or_else(|| (self.0.source)().map_err(TokenError::NoPin), Ok)?;
        let found = self.digest(&pin);
        let mut state = self.0.state.lock();
        state.presented = Some(found);
        match state.tried.get(&found).and_then(|tried| tried.verdict.clone()) {
            Some(verdict) => Err(verdict),
            None => Ok(pin),
        }
    }

    /// The login succeeded.
    pub(super) fn accepted(&self) {
        let mut state = self.0.state.lock();
        if let Some(presented) = state.presented {
            state.tried.remove(&presented);
            // One that was not needed is not kept.
            if state.offered.as_ref().is_some_and(|pin| self.digest(pin) != presented) {
                state.offered = None;
            }
        }
        state.outcomes += 1;
        (state.of, state.last) = (None, None);
        self.0.changed.notify_all();
    }

    /// The login failed; what that means, on a token that describes itself so behind it.
    pub(super) fn refused(&self, call: &Called, token: Option<&TokenText>) -> TokenError {
        let in_vain = {
            let mut state = self.0.state.lock();
            let presented = state.presented.unwrap_or_default();
            let tried = state.tried.entry(presented).or_default();
            tried.in_vain += 1;
            tried.in_vain
        };
        match call.class() {
            Class::Pin => self.settle(TokenError::Pin(call.describe() + tries_left(token))),
            _ if in_vain >= TRIES => self.settle(TokenError::PinInDoubt(call.describe())),
            _ => TokenError::LoginFailed(call.describe()),
        }
    }

    /// The PIN of now is not presented again.
    fn settle(&self, error: TokenError) -> TokenError {
        let mut state = self.0.state.lock();
        let presented = state.presented.unwrap_or_default();
        // An operator's PIN that was refused does not stand before the file's.
        if state.offered.as_ref().is_some_and(|pin| self.digest(pin) == presented) {
            state.offered = None;
        }
        state.tried.entry(presented).or_default().verdict = Some(error.clone());
        drop(state);
        self.note(Some(presented), error)
    }

    fn note(&self, of: Option<Digest>, error: TokenError) -> TokenError {
        let mut state = self.0.state.lock();
        state.outcomes += 1;
        state.of = of;
        state.last = Some(error.clone());
        self.0.changed.notify_all();
        error
    }

    fn digest(&self, pin: &Pin) -> Digest {
        let text = Zeroizing::new([&self.0.salt[..], pin.expose().as_bytes()].concat());
        digest(&SHA256, &text).as_ref().try_into().expect("SHA-256 gives 32 bytes")
    }
}

/// What a token says of the tries that are left behind a wrong PIN (PKCS #11, the flags of CK_TOKEN_INFO); many say nothing.
fn tries_left(token: Option<&TokenText>) -> &'static str {
    match token {
        Some(token) if token.pin_locked() => "; the PIN is locked",
        Some(token) if token.pin_at_its_end() => "; one try is left before it locks",
        _ => "",
    }
}

/// Why this cannot be a PIN of this token, by the lengths that it names; some name none, or nonsense.
fn misfit(pin: &Pin, token: &TokenText) -> Option<String> {
    let (length, (shortest, longest)) = (pin.expose().len() as u64, token.pin_lengths?);
    let outside = shortest <= longest && longest > 0 && !(shortest..=longest).contains(&length);
    outside
        .then(|| format!("it has {length} bytes, and those of this token have {shortest} to {longest}; it was not presented"))
}

fn copy(pin: &Pin) -> Pin {
    Pin::new(pin.expose().to_owned())
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;
    use cryptoki::error::{Error as Pkcs11Error, RvError};

    use super::*;

    const CKF_USER_PIN_COUNT_LOW: u64 = 1 << 16;
    const CKF_USER_PIN_FINAL_TRY: u64 = 1 << 17;
    const CKF_USER_PIN_LOCKED: u64 = 1 << 18;

    fn failed(code: RvError) -> Called {
        Called { error: Pkcs11Error::Pkcs11(code, Function::Login), mechanism: None }
    }

    fn offer(pins: &Pins, text: &str, wait: Duration) -> Result<Offer, TokenError> {
        pins.offer(Pin::new(text.into()), wait, |told| told)
    }

    fn refused(pins: &Pins, code: RvError) -> TokenError {
        pins.refused(&failed(code), None)
    }

    fn is_refused(chosen: Result<Pin, TokenError>) -> bool {
        matches!(chosen, Err(TokenError::Pin(_)))
    }

    fn token(flags: u64) -> TokenText {
        TokenText { flags, ..TokenText::default() }
    }

    #[test]
    fn no_pin_is_presented_more_than_twice_in_vain_whatever_the_token_says() {
        for code in [RvError::GeneralError, RvError::ArgumentsBad, RvError::PinIncorrect, RvError::DeviceRemoved] {
            let pins = Pins::from(Pin::new("1234".into()));
            let mut presented = 0;
            for _ in 0..10 {
                if pins.choose().is_ok() {
                    presented += 1;
                    refused(&pins, code);
                }
            }
            assert_eq!(presented, if code == RvError::PinIncorrect { 1 } else { 2 }, "{code:?}");
        }
    }

    /// A reader that is unplugged now and then, with a login that goes wrong while it comes back.
    #[test]
    fn a_login_that_succeeds_ends_the_count_and_nothing_else_does() {
        let pins = Pins::from(Pin::new("1234".into()));
        for _ in 0..5 {
            pins.choose().expect("presented");
            assert!(matches!(refused(&pins, RvError::GeneralError), TokenError::LoginFailed(_)));
            pins.token_is_up(false);
            pins.choose().expect("presented once more");
            pins.accepted();
            pins.token_is_up(true);
        }
        for _ in 0..2 {
            pins.choose().expect("presented");
            refused(&pins, RvError::GeneralError);
            pins.token_is_up(false);
        }
        assert!(matches!(pins.choose(), Err(TokenError::PinInDoubt(_))));
        assert_eq!(offer(&pins, "1234", Duration::ZERO), Err(TokenError::Gone));
        assert!(pins.worth_a_try(), "an operator gives it anew");
    }

    #[test]
    fn another_pin_is_presented_and_an_offered_one_goes_first() {
        let text = Arc::new(Mutex::new("one".to_owned()));
        let source = Arc::clone(&text);
        let pins = Pins::from_source(move || Ok(Pin::new(source.lock().clone())), false);
        assert_eq!(pins.choose().expect("a PIN").expose(), "one");
        assert_eq!(refused(&pins, RvError::PinIncorrect), TokenError::Pin("C_Login: CKR_PIN_INCORRECT".to_owned()));
        assert!(is_refused(pins.choose()));
        "two".clone_into(&mut text.lock());
        assert_eq!(pins.choose().expect("another").expose(), "two");
        refused(&pins, RvError::GeneralError);
        "one".clone_into(&mut text.lock());
        assert!(is_refused(pins.choose()), "it was refused, and is remembered");
        "two".clone_into(&mut text.lock());
        assert_eq!(offer(&pins, "three", Duration::ZERO), Err(TokenError::Gone), "nobody logs in");
        assert_eq!(pins.choose().expect("the operator's").expose(), "three");
        refused(&pins, RvError::PinIncorrect);
        assert_eq!(pins.choose().expect("the file's again").expose(), "two");
        refused(&pins, RvError::PinIncorrect);
        assert_eq!(offer(&pins, "four", Duration::ZERO), Err(TokenError::Gone));
        pins.choose().expect("the operator's");
        refused(&pins, RvError::PinIncorrect);
        assert!(is_refused(pins.choose()), "a wrong one of theirs does not bring the file's there again");
        assert_eq!(offer(&pins, "two", Duration::ZERO), Err(TokenError::Gone));
        assert_eq!(pins.choose().expect("given by hand").expose(), "two");
    }

    #[test]
    fn what_the_token_says_of_its_tries_is_told() {
        for (flags, told) in [
            (0, ""),
            (CKF_USER_PIN_COUNT_LOW, ""),
            (CKF_USER_PIN_FINAL_TRY, "; one try is left before it locks"),
            (CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED, "; the PIN is locked"),
        ] {
            let pins = Pins::from(Pin::new("1234".into()));
            pins.choose().expect("the first time");
            let refused = pins.refused(&failed(RvError::PinIncorrect), Some(&token(flags)));
            assert_eq!(refused, TokenError::Pin(format!("C_Login: CKR_PIN_INCORRECT{told}")));
        }
    }

    #[test]
    fn what_the_token_says_of_its_tries_is_looked_at_again_after_a_pause() {
        for flags in [CKF_USER_PIN_LOCKED, CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_COUNT_LOW] {
            let pins = Pins::from(Pin::new("1234".into()));
            if flags == CKF_USER_PIN_COUNT_LOW {
                pins.to_present(&token(flags)).expect("nothing was in vain yet");
                refused(&pins, RvError::GeneralError);
            }
            assert_eq!(pins.to_present(&token(flags)).err(), Some(TokenError::PinHeld));
            assert!(!pins.worth_a_try(), "nobody initialises the module for it");
            pins.0.state.lock().held = Instant::now().checked_sub(LOOK_AGAIN);
            assert!(pins.worth_a_try());
            assert_eq!(pins.to_present(&token(0)).expect("the token says no more").expose(), "1234");
        }
    }

    #[test]
    fn what_cannot_be_a_pin_of_the_token_is_not_presented() {
        let pins = Pins::from(Pin::new("1234".into()));
        for (lengths, fits) in [((4, 8), true), ((0, 0), true), ((9, 2), true), ((5, 8), false), ((1, 3), false)] {
            let told = TokenText { pin_lengths: Some(lengths), ..TokenText::default() };
            let presented = pins.to_present(&told);
            assert_eq!(presented.is_ok(), fits, "{lengths:?}");
            assert_eq!(pins.worth_a_try(), fits, "{lengths:?}");
        }
    }

    #[test]
    fn a_token_that_is_logged_in_takes_no_pin_from_an_operator() {
        let pins = Pins::from(Pin::new("1234".into()));
        pins.token_is_up(true);
        assert_eq!(offer(&pins, "4321", Duration::from_secs(60)), Ok(Offer::NotNeeded));
        pins.token_is_up(false);
        assert_eq!(pins.choose().expect("the first").expose(), "1234");
    }
}
