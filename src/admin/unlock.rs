//! `bulla unlock`: gives a waiting server the PIN of its token.

use std::io::{BufRead, IsTerminal, stdin};

use zeroize::Zeroizing;

use crate::app::{Failure, unlock};
use crate::base::hidden;
use crate::base::secret::Pin;
use crate::config::Config;
use crate::output::Output;
use crate::token::Offer;

/// Runs the command: asks at the terminal, or takes the first line of standard input.
pub fn run(config: &Config) -> Result<Output, Failure> {
    let Some(socket) = &config.token.unlock_socket else {
        let failure = Failure::local("token.unlock_socket is not set: no server waits for a PIN");
        return Err(failure.hint(
            "a server with a PIN in a file or a credential asks nobody; set it, and start the server anew, where none is kept",
        ));
    };
    let mut pin = if stdin().is_terminal() {
        hidden::ask("PIN of the token: ").map_err(|e| Failure::local(format!("the terminal: {e}")))?
    } else {
        let mut line = Zeroizing::new(String::new());
        stdin().lock().read_line(&mut line).map_err(|e| Failure::local(format!("standard input: {e}")))?;
        line
    };
    let pin = Pin::of_text(std::mem::take(&mut *pin))
        .map_err(|why| Failure::local(format!("the PIN {why}; the token was not asked")))?;
    let said = match unlock::give(socket, &pin)? {
        Offer::LoggedIn => "unlocked",
        Offer::NotNeeded => "already logged in; nothing kept",
    };
    Ok(Output::one([("Token", said.into())]))
}
