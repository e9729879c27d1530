//! `bulla unlock`: gives a waiting server the PIN of its token.

use std::io::{BufRead, IsTerminal, stdin};

use zeroize::Zeroizing;

use crate::app::{Failure, unlock};
use crate::base::secret::Pin;
use crate::config::Config;
use crate::output::Output;

/// Runs the command: asks at the terminal, or takes the first line of standard input.
pub fn run(config: &Config) -> Result<Output, Failure> {
    let Some(socket) = &config.token.unlock_socket else {
        return Err(Failure::local("token.unlock_socket is not set: no server waits for a PIN"));
    };
    let pin = if stdin().is_terminal() {
        rpassword::prompt_password("PIN of the token: ").map_err(|e| Failure::local(format!("the terminal: {e}")))?
    } else {
        let mut line = Zeroizing::new(String::new());
        stdin().lock().read_line(&mut line).map_err(|e| Failure::local(format!("standard input: {e}")))?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if pin.is_empty() {
        return Err(Failure::local("no PIN was given; the token was not asked"));
    }
    unlock::give(socket, &Pin::new(pin))?;
    Ok(Output::one([("Token", "unlocked".into())]))
}
