//! What can go wrong in the store, in its own closed words; the only place that reads a database's errors.
//!
//! Owns: [`StoreError`], [`Abort`], and the classes of diesel's errors. Must not know: the API's errors.
//! Called by: the rest of store; its callers see the two types.

use std::fmt;

use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error as SqlError};

use crate::base::failure::{Class, Reason};

/// What stood in the way of a transaction that may be run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contention {
    /// Another has changed, or read, what it would have to see or to change.
    Serialization,
    /// It and another waited for each other.
    Deadlock,
    /// It waited for a lock, or a statement ran, for too long.
    Timeout,
}

/// In the place of a table: the database as a whole is not believed.
pub(super) const NO_TABLE: &str = "all";

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// A row with this key exists, or a row that this one needs (or that needs this one) stands in the way.
    Conflict,
    /// Too many want the same rows or connections at once: the attempts or the waiting time are used up. Inside a transaction it means "run
    /// me again". Nothing was written.
    Busy,
    /// The same as the database said it, inside a transaction; outside it is `Busy`.
    Contended(Contention),
    /// The database cannot be reached, cannot write, or refuses its own user, for now; detail for the log. Nothing was written, as far as it said.
    Unavailable(String),
    /// The way to the database was lost while a write was being committed: nobody knows yet whether it happened. Detail for the log.
    Unknown(String),
    /// A row, or the file, does not verify.
    Corrupt {
        /// The table.
        table: &'static str,
        /// What was found, for the log; no values.
        detail: String,
    },
    /// A fault of the service or of its set-up; detail for the log.
    Fault(String),
}

/// What a sweep has to do, each row by itself: one that does not verify keeps no other from its turn.
pub type Each<T> = Vec<Result<T, StoreError>>;

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Conflict => f.write_str("conflicts with another row"),
            StoreError::Busy | StoreError::Contended(_) => f.write_str("the database is busy"),
            StoreError::Unavailable(detail) => write!(f, "the database is unavailable: {}", one_line(detail)),
            StoreError::Unknown(detail) => write!(f, "the database was lost during a commit: {}", one_line(detail)),
            StoreError::Corrupt { table: NO_TABLE, detail } => f.write_str(detail),
            StoreError::Corrupt { table, detail } => write!(f, "a row of {table} does not verify: {detail}"),
            StoreError::Fault(detail) => write!(f, "database fault: {}", one_line(detail)),
        }
    }
}

impl std::error::Error for StoreError {}

/// What a server said in several lines, in one.
pub(super) fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("; ")
}

impl Reason for StoreError {
    fn class(&self) -> Class {
        match self {
            StoreError::Busy | StoreError::Contended(_) | StoreError::Unavailable(_) | StoreError::Unknown(_) => {
                Class::Unavailable
            }
            StoreError::Conflict | StoreError::Corrupt { .. } | StoreError::Fault(_) => Class::Other,
        }
    }
}

/// Requires that a write found the row that its own transaction had read before. Nobody else can have changed it meanwhile, so a
/// miss is a fault of the service.
///
/// # Errors
/// [`StoreError::Fault`].
pub fn expect_changed(found: bool, table: &'static str) -> Result<(), StoreError> {
    if found { Ok(()) } else { Err(StoreError::Fault(format!("a row of {table} changed inside a transaction"))) }
}

/// How a transaction's closure ends without success: by the store, which may run it again, or by its own decision.
#[derive(Debug)]
pub enum Abort<E> {
    /// The store failed; only the runner looks inside.
    Db(StoreError),
    /// The caller decided to leave; nothing is written.
    App(E),
}

impl<E> From<StoreError> for Abort<E> {
    fn from(error: StoreError) -> Self {
        Abort::Db(error)
    }
}

impl StoreError {
    /// The class of an error that came while a statement on `table` ran.
    pub(in crate::store) fn of(table: &'static str, error: SqlError) -> Self {
        match error {
            SqlError::DatabaseError(kind, information) => of_database(table, kind, information.as_ref()),
            SqlError::DeserializationError(error) => StoreError::Corrupt { table, detail: error.to_string() },
            SqlError::BrokenTransactionManager => StoreError::Unavailable("the connection was lost".to_owned()),
            SqlError::RollbackErrorOnCommit { commit_error, .. } => Self::of(table, *commit_error),
            other => StoreError::Fault(format!("{table}: {other}")),
        }
    }
}

/// Classes of what the database reports. diesel names only some SQLSTATEs and no code of SQLite's, hence the texts; those of
/// PostgreSQL are English unless the server's `lc_messages` says otherwise, which opening a connection warns of.
fn of_database(table: &'static str, kind: DatabaseErrorKind, information: &dyn DatabaseErrorInformation) -> StoreError {
    let message = information.message();
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    match kind {
        DatabaseErrorKind::UniqueViolation | DatabaseErrorKind::ForeignKeyViolation | DatabaseErrorKind::RestrictViolation => {
            StoreError::Conflict
        }
        DatabaseErrorKind::SerializationFailure => StoreError::Contended(Contention::Serialization),
        DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::ReadOnlyTransaction => {
            StoreError::Unavailable(message.to_owned())
        }
        _ if message.contains("prepared statement") && says(POOLED) => StoreError::Fault(format!(
            "{table}: {message}: the way to the database leads through a pooler in transaction mode (PgBouncer: pool_mode), in which \
             sessions are not ours; add pooler=transaction to the database URL, let it pool sessions, or connect to the server itself"
        )),
        _ if says(DEADLOCK) => StoreError::Contended(Contention::Deadlock),
        _ if says(TIMEOUT) => StoreError::Contended(Contention::Timeout),
        _ if says(AWAY) => StoreError::Unavailable(message.to_owned()),
        _ if says(REFUSED) || is_missing(message) => StoreError::Unavailable(format!("{table}: {message}")),
        _ if says(DAMAGED) => StoreError::Corrupt { table, detail: message.to_owned() },
        _ => StoreError::Fault(format!("{table}: {message}")),
    }
}

/// PostgreSQL's 42P05 and 26000, where several share a session.
const POOLED: &[&str] = &["already exists", "does not exist"];

/// PostgreSQL's 40P01.
const DEADLOCK: &[&str] = &["deadlock detected"];

/// SQLITE_BUSY; PostgreSQL's 55P03 and 57014.
const TIMEOUT: &[&str] = &[
    "database is locked",
    "database table is locked",
    "canceling statement due to lock timeout",
    "canceling statement due to statement timeout",
];

/// SQLITE_FULL, _IOERR, _CANTOPEN, _READONLY, _NOMEM; PostgreSQL's classes 53, 57P and 58.
const AWAY: &[&str] = &[
    "database or disk is full",
    "disk I/O error",
    "unable to open database file",
    "attempt to write a readonly database",
    "out of memory",
    "No space left on device",
    "could not extend file",
    "could not write to file",
    "could not fsync file",
    "too many clients",
    "remaining connection slots",
    "terminating connection",
    "the database system is",
    "server closed the connection",
];

/// PostgreSQL's 42501 and class 28: what an administrator took from the service's user, and gives back.
const REFUSED: &[&str] =
    &["permission denied", "must be owner of", "must be a member of", "is not permitted to log in", "authentication failed"];

/// PostgreSQL's 42P01, 3F000 and 3D000. The program's own schema was there when the connection was opened.
fn is_missing(message: &str) -> bool {
    let what = ["relation \"", "schema \"", "database \"", "role \""];
    what.iter().any(|what| message.starts_with(what)) && message.ends_with("does not exist")
        || message.starts_with("no schema has been selected")
}

/// SQLITE_CORRUPT and _NOTADB; PostgreSQL's class XX001 and XX002.
const DAMAGED: &[&str] = &[
    "database disk image is malformed",
    "file is not a database",
    "invalid page in block",
    "could not read block",
    "page verification failed",
    "missing chunk number",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn class(message: &str) -> StoreError {
        StoreError::of("secrets", SqlError::DatabaseError(DatabaseErrorKind::Unknown, Box::new(message.to_owned())))
    }

    #[test]
    fn what_an_administrator_takes_and_gives_back_is_an_outage() {
        for message in [
            "permission denied for table secrets",
            "permission denied for schema bulla",
            "must be owner of table secrets",
            "relation \"secrets\" does not exist",
            "schema \"bulla\" does not exist",
            "database \"bulla\" does not exist",
            "role \"bulla\" is not permitted to log in",
        ] {
            assert_eq!(class(message), StoreError::Unavailable(format!("secrets: {message}")));
        }
        for message in ["column \"x\" of relation \"secrets\" does not exist", "function f() does not exist", "syntax error"] {
            assert_eq!(class(message), StoreError::Fault(format!("secrets: {message}")));
        }
    }
}
