//! `bulla probe`: whether a page answers 200.

use crate::admin::client::{Client, Target};
use crate::app::Failure;
use crate::base::failure::Class;

/// Runs the command.
pub fn run(url: &str) -> Result<(), Failure> {
    let wrong = || Failure::new(format!("{url:?} is no page to ask for")).class(Class::Usage).hint("http://HOST:PORT/readyz");
    let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).ok_or_else(wrong)?;
    let target = Target { endpoint: host.to_owned(), authority: None };
    match Client::page(&target, &format!("/{path}")) {
        Ok((200, _)) => Ok(()),
        Ok((status, body)) => Err(Failure::unavailable(format!("{url} answered {status}: {}", body.trim()))),
        Err(error) => Err(Failure::unavailable(format!("{url}: {error}"))),
    }
}
