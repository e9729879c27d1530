//! The token of the configuration: found, and given its PIN.
//!
//! Owns: where the PIN comes from, and how a failure to open reads. Must not know: PKCS#11. Called by: app.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use crate::app::unlock;
use crate::base::failure::{Class, Failure};
use crate::config::{self, Config};
use crate::token::{Pins, Selector, Token, TokenConfig, TokenError, softhsm};

/// How long a start tries to open its token.
const OPEN_WAIT: Duration = Duration::from_secs(2);

/// Between two re-initialisations of the module that look for a key which the token does not show.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// How long such a key is missed before that is an alarm: a disk that was unmounted, a member of a cluster that is behind.
const MISSED_FOR: Duration = Duration::from_secs(10);

/// Who opens the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opener {
    /// A server, which has a socket for `bulla unlock` and may wait for a PIN there.
    Server,
    /// A command, which asks at the terminal.
    Command,
}

/// Opens the token of the configuration, with its PIN.
///
/// # Errors
/// When PIN, module or token are not as configured.
pub(super) fn open(config: &Config, opener: Opener) -> Result<Token, Failure> {
    let token = &config.token;
    let selector = match (&token.label, &token.serial) {
        (Some(label), Some(serial)) => Selector::Both { label: label.clone(), serial: serial.clone() },
        (Some(label), None) => Selector::Label(label.clone()),
        (None, Some(serial)) => Selector::Serial(serial.clone()),
        (None, None) => return Err(Failure::new("token: name label or serial")),
    };
    module_is_there(&token.module)?;
    let pins = pins(token, opener)?;
    if let (Opener::Server, Some(socket)) = (opener, &token.unlock_socket) {
        unlock::listen(socket, pins.clone())?;
    }
    let options = TokenConfig {
        module: token.module.clone(),
        selector,
        sessions: token.sessions,
        session_wait: Duration::from_millis(token.session_wait_ms),
        open_wait: OPEN_WAIT,
        look_again: LOOK_AGAIN,
        missed_for: MISSED_FOR,
    };
    Token::open(options, pins).map_err(token_failure("token"))
}

/// That the module's file exists, or which ones do. A name without a folder is for the loader to find.
///
/// # Errors
/// When it does not.
pub(super) fn module_is_there(module: &Path) -> Result<(), Failure> {
    if !module.is_absolute() || module.is_file() {
        return Ok(());
    }
    let here: Vec<String> = softhsm::modules().iter().map(|path| path.display().to_string()).collect();
    let hint = match here.as_slice() {
        [] => "none was found in the usual places; SoftHSM's is in Debian's package softhsm2".to_owned(),
        _ => format!("found here: {}", here.join(", ")),
    };
    Err(Failure::local(format!("token.module: no file {}", module.display())).hint(hint))
}

fn pins(token: &config::Token, opener: Opener) -> Result<Pins, Failure> {
    let local = |e: config::ConfigError| Failure::local(e.to_string());
    match token.pin_path().map_err(local)? {
        Some(path) => Ok(Pins::from_source(move || config::Token::pin_in(&path).map_err(|e| e.to_string()), false)),
        None if opener == Opener::Server && token.unlock_socket.is_some() => {
            Ok(Pins::from_source(|| Err("nobody has given it yet".to_owned()), true))
        }
        None => Ok(token.pin().map_err(local)?.into()),
    }
}

/// Puts a subject before a failure of the token, and behind it what to do about it.
pub fn token_failure(subject: impl Display) -> impl FnOnce(TokenError) -> Failure {
    move |error| explained(Failure::new(format!("{subject}: {error}")), &error)
}

fn explained(failure: Failure, error: &TokenError) -> Failure {
    match error {
        TokenError::Pin => failure.class(Class::Pin).hint(
            "put the right PIN where the configuration names it before you start again: a token locks after a few wrong ones, and \
             one that is locked is unlocked with its vendor's tools",
        ),
        TokenError::PinHeld => failure.class(Class::Pin).hint(
            "unlock the PIN or reset its tries with the vendor's tools; where one try is left, a login with the right PIN there does it",
        ),
        TokenError::PinInDoubt(_) | TokenError::LoginFailed(_) => failure.class(Class::Pin).hint(
            "the token does not say whether it was the PIN; look whether it is well and the PIN right before you start again, since \
             each start presents it anew",
        ),
        TokenError::NoPin(_) | TokenError::Setting(_) => failure.class(Class::Local),
        TokenError::TooFewSessions(_) => failure
            .class(Class::Unavailable)
            .hint("end others that have sessions on the token, or raise its limit; docs/tokens.md says what each session is for"),
        TokenError::Busy | TokenError::Gone => failure.class(Class::Unavailable),
        TokenError::Absent(_) => failure.class(Class::Unavailable),
        TokenError::KeepsNothing(_) => {
            failure.class(Class::Unavailable).hint("look at the place where the token keeps its objects: folder, disk, file rights, daemon")
        }
        TokenError::Full => failure.hint("destroy objects that nobody needs with the vendor's tools; `bulla check` lists those without a row"),
        TokenError::Unsupported(_) => failure.hint("docs/tokens.md says what a token needs, and which were tried"),
        TokenError::NoSuchKey(_) | TokenError::Tampered | TokenError::Duplicate(_) | TokenError::Fault(_) => failure,
    }
}
