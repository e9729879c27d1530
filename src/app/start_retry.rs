//! Waiting, at a start, for what comes back by itself: space on a disk, a database.
//!
//! Owns: which failures pass, and how often they are tried again. Must not know: what is tried. Called by: app.

use std::time::{Duration, Instant};

use crate::audit::AuditError;
use crate::base::failure::{Class, Failure, Reason, context};
use crate::process::notify;
use crate::store::StoreError;

/// Between two attempts, from the first to the longest.
const PAUSE: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// How often the log says that something is waited for.
const REMIND: Duration = Duration::from_secs(10);

/// Whether a start waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StartRetry {
    /// A command says at once what is wrong.
    Command,
    /// A server waits for what passes, however long.
    Server,
}

/// A failure that may pass by itself.
pub(super) trait Passing: Reason {
    /// Whether it may.
    fn passes(&self) -> bool;
}

impl Passing for StoreError {
    fn passes(&self) -> bool {
        match self {
            StoreError::Busy | StoreError::Contended(_) | StoreError::Unavailable(_) => true,
            StoreError::Conflict | StoreError::Unknown(_) | StoreError::Corrupt { .. } | StoreError::Fault(_) => false,
        }
    }
}

impl Passing for AuditError {
    fn passes(&self) -> bool {
        match self {
            AuditError::Full | AuditError::Late | AuditError::Write(_) => true,
            AuditError::Closed | AuditError::InUse(_) | AuditError::Open(..) | AuditError::Contradicts(_) => false,
        }
    }
}

impl StartRetry {
    /// What the attempt gives once it succeeds, or fails in a way that does not pass.
    ///
    /// # Errors
    /// The reason, behind the subject.
    pub(super) fn until<T, E: Passing>(self, subject: &str, mut attempt: impl FnMut() -> Result<T, E>) -> Result<T, Failure> {
        let (mut pause, longest) = (PAUSE[0], PAUSE[1]);
        let mut told: Option<Instant> = None;
        loop {
            match attempt() {
                Err(error) if self == StartRetry::Server && error.passes() => {
                    if told.is_none_or(|at| at.elapsed() >= REMIND) {
                        log::warn!("{subject}: {error}; waiting for that to pass");
                        notify::waiting(&format!("{subject}: {error}"));
                        told = Some(Instant::now());
                    }
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(longest);
                }
                Ok(given) => return Ok(given),
                Err(error) => {
                    let failure = context(subject)(error);
                    // What a host's own files lack may be there again when a supervisor starts the server anew.
                    let comes_again = self == StartRetry::Server && failure.class == Class::Local;
                    return Err(if comes_again { failure.class(Class::Other) } else { failure });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_waits_for_what_passes_and_a_command_does_not() {
        let outage = || Err::<(), _>(StoreError::Unavailable("away".into()));
        let mut left = 2;
        let back = StartRetry::Server.until("database", || {
            left -= 1;
            if left == 0 { Ok(()) } else { outage() }
        });
        assert!(back.is_ok());
        assert_eq!(StartRetry::Command.until("database", outage).map_err(|failure| failure.class), Err(Class::Unavailable));
        let held = || Err::<(), _>(AuditError::InUse("/a/audit.lock".into()));
        assert_eq!(StartRetry::Server.until("audit", held).map_err(|failure| failure.class), Err(Class::Conflict));
        let open = || Err::<(), _>(AuditError::Open("/a".into(), "others may write".into()));
        assert_eq!(StartRetry::Command.until("audit", open).map_err(|failure| failure.class), Err(Class::Local));
        assert_eq!(StartRetry::Server.until("audit", open).map_err(|failure| failure.class), Err(Class::Other));
        let never = StartRetry::Server.until("database", || Err::<(), _>(StoreError::Fault("newer schema".into())));
        assert_eq!(never.map_err(|failure| failure.reason), Err("database: database fault: newer schema".to_owned()));
    }
}
