//! The token of the configuration: found, and given its PIN.
//!
//! Owns: where the PIN comes from, and how a failure to open reads. Must not know: PKCS#11. Called by: app.

use std::path::Path;
use std::time::Duration;

use crate::app::unlock;
use crate::base::failure::{Failure, context};
use crate::config::{self, Config};
use crate::process::notify;
use crate::token::{LeftOut, Pins, Selector, Token, TokenConfig, softhsm};

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

/// Opens the token of the configuration, with its PIN. `left_out`: what the deployment has recorded that it refuses to be told.
///
/// # Errors
/// When PIN, module or token are not as configured.
pub(super) fn open(config: &Config, opener: Opener, left_out: &str) -> Result<Token, Failure> {
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
        left_out: LeftOut::read(left_out),
    };
    Token::open(options, pins).map_err(context("token"))
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
            // Asked about once a second while it waits.
            let nobody = || {
                notify::waiting("token: waits for `bulla unlock`");
                Err("nobody has given it yet".to_owned())
            };
            Ok(Pins::from_source(nobody, true))
        }
        None => Ok(token.pin().map_err(local)?.into()),
    }
}
