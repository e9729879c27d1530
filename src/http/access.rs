//! One line per request, whatever became of it.
//!
//! Owns: the fields of the access line. Never in it: the query, headers, bodies. Called by: handler, for every answer.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::base::ids::RequestId;

/// The log target of access lines.
pub const TARGET: &str = "bulla::access";

/// The operation that a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// An operation of the API.
    Served(&'static str),
    /// Anything else, as the caller wrote it; empty when nothing was written.
    Unknown(String),
}

impl Action {
    /// The operation; none if there is none of that name.
    pub fn served(&self) -> Option<&'static str> {
        match self {
            Action::Served(name) => Some(name),
            Action::Unknown(_) => None,
        }
    }
}

/// What one request was and how it ended.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub request_id: RequestId,
    pub peer: Option<IpAddr>,
    pub method: &'a str,
    pub action: &'a Action,
    pub code: &'a str,
    pub status: u16,
    pub bytes: usize,
    pub duration: Duration,
}

impl Line<'_> {
    pub fn write(&self) {
        let Line { request_id, peer, method, action, code, status, bytes, duration } = self;
        log::info!(
            target: TARGET,
            request_id:% = request_id,
            peer:% = Peer(*peer),
            method:% = Foreign(method),
            action:% = Foreign(text_of(action)),
            code = *code,
            status = *status,
            bytes = *bytes,
            duration_ms = milliseconds(*duration);
            "{self}"
        );
    }
}

/// To the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn text_of(action: &Action) -> &str {
    match action {
        Action::Served(name) => name,
        Action::Unknown(text) => text,
    }
}

/// The address of a client, if it is known.
struct Peer(Option<IpAddr>);

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("-"),
        }
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line { request_id, peer, method, action, code, status, bytes, duration } = self;
        let (peer, method, action) = (Peer(*peer), Foreign(method), Foreign(text_of(action)));
        write!(
            f,
            "request_id={request_id} peer={peer} method={method} action={action} code={code} status={status} bytes={bytes}"
        )?;
        write!(f, " duration_ms={:.3}", milliseconds(*duration))
    }
}

/// Text of the caller's choice, at most 64 characters of it, in which nothing can look like a field or a line of its own.
struct Foreign<'a>(&'a str);

impl fmt::Display for Foreign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAX_CHARACTERS: usize = 64;
        if self.0.is_empty() {
            return f.write_str("-");
        }
        for c in self.0.chars().take(MAX_CHARACTERS) {
            match c {
                'A'..='Z' | 'a'..='z' | '0'..='9' | '-' | '_' | '.' => write!(f, "{c}")?,
                _ => f.write_str("?")?,
            }
        }
        if self.0.chars().nth(MAX_CHARACTERS).is_some() { f.write_str("...") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_forge_a_field() {
        let shown = |text: &str| Foreign(text).to_string();
        assert_eq!(shown("GetSecretValue"), "GetSecretValue");
        assert_eq!(shown(""), "-");
        assert_eq!(shown("x code=OK\r\nrequest_id=1"), "x?code?OK??request_id?1");
        assert_eq!(shown(&"a".repeat(100_000)), format!("{}...", "a".repeat(64)));
    }

    #[test]
    fn the_line_has_every_field() {
        let request_id = RequestId::new();
        let line = Line {
            request_id,
            peer: Some(IpAddr::from([192, 0, 2, 1])),
            method: "POST",
            action: &Action::Served("CreateSecret"),
            code: "OK",
            status: 200,
            bytes: 12,
            duration: Duration::from_micros(1500),
        };
        let expected = "peer=192.0.2.1 method=POST action=CreateSecret code=OK status=200 bytes=12 duration_ms=1.500";
        assert_eq!(line.to_string(), format!("request_id={request_id} {expected}"));
    }
}
