//! `bulla probe`: whether a page answers 200.

use std::time::Duration;

use bulla_client::client::page;

use crate::app::Failure;
use crate::base::failure::Class;

/// How long the server may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Runs the command.
pub fn run(url: &str) -> Result<(), Failure> {
    let wrong = || Failure::new(format!("{url:?} is no page to ask for")).class(Class::Usage).hint("http://HOST:PORT/readyz");
    let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).ok_or_else(wrong)?;
    match page(&format!("http://{host}"), &format!("/{path}"), ANSWER_WITHIN) {
        Ok((200, _)) => Ok(()),
        Ok((status, body)) => Err(Failure::unavailable(format!("{url} answered {status}: {}", body.trim()))),
        Err(error) => {
            let failure = Failure::unavailable(format!("{url}: {error}"));
            Err(match error.hint() {
                Some(hint) => failure.hint(hint),
                None => failure,
            })
        }
    }
}
