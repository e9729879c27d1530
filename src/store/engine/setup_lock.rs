//! One process at a time sets a deployment up.
//!
//! Owns: the lock, which is the database's, so that it holds between hosts too. Must not know: what its holder does. Called by: admin
//! (init).
//!
//! On PostgreSQL it is an advisory lock of a transaction that stays open, which works behind a pooler of transactions too. Beside a file
//! of SQLite it is a lock on the folder: nothing is left of it, and SQLite's own locks are not touched.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::sql_types::Bool;
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};

use crate::store::StoreError;
use crate::store::engine::connection::{Access, Conn};
use crate::store::engine::location::Location;

/// Any number, the same in every process, and another than that of migrations.
const LOCK: i64 = 0x62_75_6c_6c_62;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a statement waits for another's lock.
const BUSY: Duration = Duration::from_secs(10);

/// Held until it is dropped, or the process ends.
pub struct SetupLock {
    _held: Held,
}

enum Held {
    Folder { _folder: File },
    Transaction { _open: Conn },
}

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = Bool)]
    taken: bool,
}

/// Takes the lock; none where another process holds it for longer than `wait`.
///
/// # Errors
/// `Unavailable` when the database, or the folder of its file, cannot be reached.
pub fn take(url: &str, wait: Duration) -> Result<Option<SetupLock>, StoreError> {
    let until = Instant::now() + wait;
    match Location::parse(url)? {
        Location::Sqlite(path) => {
            let path = fs::canonicalize(&path).unwrap_or(path);
            let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
            let failed = |e: std::io::Error| StoreError::Unavailable(format!("{}: {e}", folder.display()));
            let file = File::open(folder).map_err(failed)?;
            let taken = attempts(until, || match file.try_lock() {
                Ok(()) => Ok(true),
                Err(TryLockError::WouldBlock) => Ok(false),
                Err(TryLockError::Error(e)) => Err(failed(e)),
            })?;
            Ok(taken.then_some(SetupLock { _held: Held::Folder { _folder: file } }))
        }
        // Of all connections, those that migrate last for long enough.
        location => match Conn::open(&location, Access::Create, BUSY)? {
            Conn::Postgres(mut conn) => {
                // Whatever the server's settings are: the transaction stands idle while the token works.
                let begin = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0";
                conn.batch_execute(begin).map_err(of)?;
                let taken = attempts(until, || attempt(&mut conn))?;
                Ok(taken.then_some(SetupLock { _held: Held::Transaction { _open: Conn::Postgres(conn) } }))
            }
            Conn::Sqlite(_) => Err(StoreError::Fault("database URL: a server's was expected".to_owned())),
        },
    }
}

fn attempt(conn: &mut PgConnection) -> Result<bool, StoreError> {
    let found = sql_query(format!("SELECT pg_try_advisory_xact_lock({LOCK}) AS taken")).get_result::<Taken>(conn);
    found.map(|found| found.taken).map_err(of)
}

/// Whether one of the attempts until then succeeds; one is made in any case.
fn attempts(until: Instant, mut attempt: impl FnMut() -> Result<bool, StoreError>) -> Result<bool, StoreError> {
    let mut told = false;
    loop {
        if attempt()? {
            return Ok(true);
        }
        if Instant::now() >= until {
            return Ok(false);
        }
        if !told {
            log::warn!("database: waiting for another process that sets the deployment up");
            told = true;
        }
        std::thread::sleep(PAUSE);
    }
}

fn of(error: diesel::result::Error) -> StoreError {
    StoreError::of("setup_lock", error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Fixture;

    #[test]
    fn one_holds_it_at_a_time_and_leaves_nothing() {
        for on in [Fixture::sqlite(1), Fixture::postgres(1)] {
            let held = take(&on.url, Duration::ZERO).expect("reached").expect("free");
            assert!(take(&on.url, Duration::from_millis(150)).expect("reached").is_none(), "{}", on.url);
            drop(held);
            // A server notices a moment later that a connection has gone.
            assert!(take(&on.url, Duration::from_secs(10)).expect("reached").is_some(), "{}", on.url);
        }
    }
}
