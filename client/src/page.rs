//! A page of whatever server: no credentials, no retries, no redirects.

use std::time::Duration;

use crate::error::Error;
use crate::transport::{Settings, Transport};

/// Gets the page behind a URL (`https://…`, `http://…`), of at most `longest` bytes and within `limit`: status and bytes. `authorities` are PEM
/// of those that are trusted; those of the system where none are given.
///
/// # Errors
/// [`Error::Settings`] when the URL or the authorities are not as they should be; those of the connection.
pub fn page(url: &str, authorities: Option<Vec<u8>>, limit: Duration, longest: u64) -> Result<(u16, Vec<u8>), Error> {
    let rest = url.split_once("://").map(|(_, rest)| rest).ok_or_else(|| Error::Settings(format!("{url:?} is no URL")))?;
    let (endpoint, path) = url.split_at(url.len() - rest.len() + rest.find(['/', '?']).unwrap_or(rest.len()));
    let settings = Settings { authorities, connect_timeout: limit, timeout: limit, longest, ..Settings::default() };
    let answer = Transport::new(endpoint, &settings)?.exchange("GET", path, &[], None)?;
    Ok((answer.status, answer.body.to_vec()))
}
