//! How transactions begin.
//!
//! Owns: isolation, and the order of writes that were refused. Must not know: closures, rows. Called by: runner, shared_commit, tx; copies and
//! proofs, for their one long read.

use diesel::PgConnection;
use diesel::connection::{AnsiTransactionManager, SimpleConnection};
use diesel::result::QueryResult;

use crate::store::engine::connection::Conn;

/// What surrounds the closure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Mode {
    /// Nothing: its one query is its own transaction.
    One,
    /// A snapshot.
    Snapshot,
    /// A serializable transaction that may write.
    Write,
    /// A snapshot that may write what constraints, and the rows that it replaces, hold together.
    Guarded,
}

impl Mode {
    /// Whether it may write.
    pub(in crate::store) fn writes(self) -> bool {
        matches!(self, Mode::Write | Mode::Guarded)
    }
}

/// Begins a transaction. IMMEDIATE, because SQLite refuses a reader that turns into a writer after another one wrote, whatever
/// time it may wait.
pub(in crate::store) fn begin(conn: &mut Conn, mode: Mode) -> QueryResult<()> {
    begin_with(conn, mode, None)
}

/// The same in a session of a pooler, where each transaction says how it is to be.
pub(in crate::store) fn begin_with(conn: &mut Conn, mode: Mode, each: Option<&str>) -> QueryResult<()> {
    let postgres = |conn: &mut PgConnection, isolation: &str| {
        AnsiTransactionManager::begin_transaction_sql(
            conn,
            &format!("BEGIN ISOLATION LEVEL {isolation}{}", each.unwrap_or_default()),
        )
    };
    match (conn, mode) {
        (Conn::Sqlite(conn), Mode::Write | Mode::Guarded) => {
            AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN IMMEDIATE")
        }
        (Conn::Sqlite(conn), _) => AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN"),
        (Conn::Postgres(conn), Mode::Write) => postgres(conn, "SERIALIZABLE READ WRITE"),
        (Conn::Postgres(conn), Mode::Guarded) => postgres(conn, "REPEATABLE READ READ WRITE"),
        (Conn::Postgres(conn), Mode::Snapshot | Mode::One) => postgres(conn, "REPEATABLE READ READ ONLY"),
    }
}

/// Lets only one of the writes that PostgreSQL has refused before run at a time, on all nodes, until it ends. SERIALIZABLE refuses
/// by what was read beside what was written, by whole pages, and so many at once would refuse each other over and over. The lock
/// is of a table that nothing writes while the service runs, in the weakest mode that stands against itself; it is taken before
/// the transaction's first read, which fixes what the transaction sees.
pub(in crate::store) fn line_up(conn: &mut Conn, mode: Mode) -> QueryResult<()> {
    match (conn, mode) {
        (Conn::Postgres(conn), Mode::Write | Mode::Guarded) => {
            conn.batch_execute("LOCK TABLE deployment IN SHARE UPDATE EXCLUSIVE MODE")
        }
        _ => Ok(()),
    }
}
