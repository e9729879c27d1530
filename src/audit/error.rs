//! What keeps a record out of the log, or the log closed.
//!
//! Owns: [`AuditError`] and what it is to whoever ran a command. Must not know: files, records. Called by: every file of audit.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::failure::{Class, Reason};

/// Why a record is not in the log, or the log not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditError {
    /// Too many records wait.
    Full,
    /// What was to happen began so long ago that nobody waits for it.
    Late,
    /// The file cannot be written; why.
    Write(String),
    /// The log is closed.
    Closed,
    /// Another process holds the log; its lock file.
    InUse(PathBuf),
    /// The log cannot be opened; file and reason.
    Open(PathBuf, String),
    /// The log is sound, and what it knows forbids to go on; why.
    Contradicts(String),
}

impl AuditError {
    /// What a failed attempt to open the log is: `Write` when there is no space, which passes, else `Open`.
    pub(crate) fn of(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => AuditError::Write(error.to_string()),
            _ => AuditError::Open(path.to_owned(), error.to_string()),
        }
    }
}

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuditError::Full => f.write_str("too many audit records wait"),
            AuditError::Late => f.write_str("it began too long ago"),
            AuditError::Write(reason) => write!(f, "the audit file cannot be written: {reason}"),
            AuditError::Closed => f.write_str("the audit log is closed"),
            AuditError::InUse(lock) => write!(f, "another process holds the audit log ({})", lock.display()),
            AuditError::Contradicts(reason) => f.write_str(reason),
            AuditError::Open(path, reason) => write!(f, "cannot open the audit log {}: {reason}", path.display()),
        }
    }
}

impl std::error::Error for AuditError {}

impl Reason for AuditError {
    fn class(&self) -> Class {
        match self {
            AuditError::Full | AuditError::Late | AuditError::Write(_) => Class::Unavailable,
            AuditError::InUse(_) => Class::Conflict,
            AuditError::Open(..) => Class::Local,
            AuditError::Closed | AuditError::Contradicts(_) => Class::Other,
        }
    }
}
