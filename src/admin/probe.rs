//! `bulla probe`: whether a page answers 200.

use std::time::Duration;

use bulla_client::page;

use crate::app::Failure;
use crate::base::failure::Class;

/// How long the server may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A page of this kind is never longer.
const MAX_PAGE_BYTES: u64 = 1 << 20;

/// Runs the command.
pub fn run(url: &str) -> Result<(), Failure> {
    let wrong = || Failure::new(format!("{url:?} is no page to ask for")).class(Class::Usage).hint("http://HOST:PORT/readyz");
    url.strip_prefix("http://").filter(|rest| rest.contains('/')).ok_or_else(wrong)?;
    match page(url, None, ANSWER_WITHIN, MAX_PAGE_BYTES) {
        Ok((200, _)) => Ok(()),
        Ok((status, body)) => {
            Err(Failure::unavailable(format!("{url} answered {status}: {}", String::from_utf8_lossy(&body).trim())))
        }
        Err(error) => {
            let failure = Failure::unavailable(format!("{url}: {error}"));
            Err(match error.hint() {
                Some(hint) => failure.hint(hint),
                None => failure,
            })
        }
    }
}
