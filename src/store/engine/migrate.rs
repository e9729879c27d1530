//! Bringing the schema to the version of this program.
//!
//! Owns: the migrations, embedded from `migrations/`. Must not know: rows. Called by: admin (which runs them), store (which refuses
//! a schema it does not know). Needs no row key.

use std::time::Duration;

use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel::{Connection, PgConnection, RunQueryDsl, SqliteConnection, sql_query};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::store::StoreError;
use crate::store::engine::connection::{Access, Conn};
use crate::store::engine::location::Location;

pub(in crate::store) const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
pub(in crate::store) const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// How long to wait for another process that migrates.
const BUSY: Duration = Duration::from_secs(10);

/// Any number, the same in every process: who holds this advisory lock migrates.
const LOCK: i64 = 0x62_75_6c_6c_61;

/// The names of the migrations that the database lacks, oldest first; all of them if there is no database file yet.
///
/// # Errors
/// `Fault` when the database has migrations that this program does not know; `Unavailable` when it cannot be reached.
pub fn pending(url: &str) -> Result<Vec<String>, StoreError> {
    let location = Location::parse(url)?;
    match &location {
        Location::Sqlite(path) if !path.exists() => names::<diesel::sqlite::Sqlite>(SQLITE.migrations().map_err(fault)?),
        _ => pending_of(&mut Conn::open(&location, Access::Admin, BUSY)?),
    }
}

/// Runs what is pending, all or nothing, and makes the file of SQLite if there is none. Answers the names. Safe when several
/// processes do it at once.
///
/// # Errors
/// As [`pending`].
pub fn run(url: &str) -> Result<Vec<String>, StoreError> {
    let mut conn = Conn::open(&Location::parse(url)?, Access::Create, BUSY)?;
    if let Conn::Postgres(conn) = &mut conn {
        // Held until the connection closes.
        sql_query(format!("SELECT pg_advisory_lock({LOCK})")).execute(conn).map_err(fault)?;
    }
    let pending = pending_of(&mut conn)?;
    match &mut conn {
        Conn::Sqlite(conn) => conn.immediate_transaction(|conn| apply(conn, SQLITE)),
        Conn::Postgres(conn) => conn.transaction(|conn| apply(conn, POSTGRES)),
    }
    .map_err(|e| StoreError::of("migrations", e))?;
    Ok(pending)
}

/// Refuses a schema that is not exactly this program's.
pub(in crate::store) fn check(conn: &mut Conn) -> Result<(), StoreError> {
    match pending_of(conn)?.as_slice() {
        [] => Ok(()),
        pending => {
            Err(StoreError::Fault(format!("the schema is older than this program; not yet applied: {}", pending.join(", "))))
        }
    }
}

fn apply<C: MigrationHarness<C::Backend> + Connection>(conn: &mut C, source: EmbeddedMigrations) -> diesel::QueryResult<()>
where
    EmbeddedMigrations: MigrationSource<C::Backend>,
{
    conn.run_pending_migrations(source).map(drop).map_err(diesel::result::Error::QueryBuilderError)
}

fn pending_of(conn: &mut Conn) -> Result<Vec<String>, StoreError> {
    match conn {
        Conn::Sqlite(conn) => compare::<SqliteConnection>(conn, SQLITE),
        Conn::Postgres(conn) => compare::<PgConnection>(conn, POSTGRES),
    }
}

fn compare<C>(conn: &mut C, source: EmbeddedMigrations) -> Result<Vec<String>, StoreError>
where
    C: MigrationHarness<C::Backend> + Connection,
    EmbeddedMigrations: MigrationSource<C::Backend>,
{
    let mut known = MigrationSource::<C::Backend>::migrations(&source).map_err(fault)?;
    known.sort_by_key(|m| m.name().version().as_owned());
    let applied: Vec<MigrationVersion<'static>> = conn.applied_migrations().map_err(fault)?;
    if let Some(unknown) = applied.iter().find(|version| known.iter().all(|m| m.name().version() != **version)) {
        return Err(StoreError::Fault(format!("the schema is newer than this program: it has migration {unknown}")));
    }
    known.retain(|m| !applied.contains(&m.name().version()));
    names(known)
}

fn names<DB: diesel::backend::Backend>(migrations: Vec<Box<dyn Migration<DB>>>) -> Result<Vec<String>, StoreError> {
    let mut names: Vec<String> = migrations.iter().map(|m| m.name().to_string()).collect();
    names.sort();
    Ok(names)
}

fn fault(error: impl std::fmt::Display) -> StoreError {
    StoreError::Fault(format!("migrations: {error}"))
}
