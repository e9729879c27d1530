//! Bringing the schema to the version of this program.
//!
//! Owns: running what is pending, and with which schemas this program works. Must not know: rows. Called by: admin
//! (which runs them), store (which refuses a schema it does not know). Needs no row key.
//!
//! A program works with a schema that is one level ahead of it, because migrations add before they remove: then nodes can be replaced
//! one by one. Each migration writes its level into `schema_levels`, so that a program knows of one that it does not have.

use std::time::Duration;

use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;
use diesel_migrations::MigrationHarness;

use crate::store::StoreError;
use crate::store::engine::connection::{Access, Conn};
use crate::store::engine::level::{Level, Levels};
use crate::store::engine::location::Location;
use crate::store::engine::migrate_lock;
use crate::store::engine::migrations::{Known, POSTGRES, SQLITE};
use crate::store::engine::schema::schema_levels;

/// How long to wait for another process that migrates.
const BUSY: Duration = Duration::from_secs(10);

/// The names of the migrations that the database lacks, oldest first; all of them if there is no database file yet.
///
/// # Errors
/// `Fault` when this program does not work with the migrations that the database has; `Unavailable` when it cannot be reached.
pub fn pending(url: &str) -> Result<Vec<String>, StoreError> {
    let (location, levels) = (Location::parse(url)?, Levels::served());
    match &location {
        Location::Sqlite(path) if !path.exists() => {
            names::<diesel::sqlite::Sqlite>(Known(SQLITE, levels).migrations().map_err(fault)?)
        }
        _ => pending_of(&mut Conn::open(&location, Access::Admin, BUSY)?, levels),
    }
}

/// Runs what is pending, all or nothing, and makes the file of SQLite if there is none. Answers the names. Safe when several
/// processes do it at once.
///
/// # Errors
/// As [`pending`].
pub fn run(url: &str) -> Result<Vec<String>, StoreError> {
    run_at(url, Levels::served())
}

/// The same for a program with these levels.
///
/// # Errors
/// As [`pending`].
pub(in crate::store) fn run_at(url: &str, levels: Levels) -> Result<Vec<String>, StoreError> {
    let mut conn = Conn::open(&Location::parse(url)?, Access::Create, BUSY)?;
    let pending = pending_of(&mut conn, levels)?;
    if pending.is_empty() {
        return Ok(pending);
    }
    match &mut conn {
        Conn::Sqlite(conn) => conn.immediate_transaction(|conn| apply(conn, Known(SQLITE, levels))),
        Conn::Postgres(conn) => conn.transaction(|conn| {
            migrate_lock::take(conn)?;
            apply(conn, Known(POSTGRES, levels))
        }),
    }
    .map_err(migrate_lock::failure)?;
    Ok(pending)
}

/// Refuses a schema that this program does not work with.
pub(in crate::store) fn check(conn: &mut Conn, levels: Levels) -> Result<(), StoreError> {
    match pending_of(conn, levels)?.as_slice() {
        [] => Ok(()),
        pending => Err(StoreError::Fault(format!(
            "the schema is older than this program; run `bulla migrate`, which applies {}",
            pending.join(", ")
        ))),
    }
}

fn apply<C: MigrationHarness<C::Backend> + Connection>(conn: &mut C, known: Known) -> QueryResult<()>
where
    Known: MigrationSource<C::Backend>,
{
    conn.run_pending_migrations(known).map(drop).map_err(diesel::result::Error::QueryBuilderError)
}

/// The versions of migrations that the database has and this program does not: those of the next level, or somebody else's.
///
/// # Errors
/// As [`pending`].
pub fn unknown(url: &str) -> Result<Vec<String>, StoreError> {
    unknown_of(&mut Conn::open(&Location::parse(url)?, Access::Admin, BUSY)?, Levels::served())
}

/// Whether the tables of a deployment are there, whatever the list of migrations says.
///
/// # Errors
/// As [`pending`].
pub fn has_tables(url: &str) -> Result<bool, StoreError> {
    let location = Location::parse(url)?;
    if matches!(&location, Location::Sqlite(path) if !path.exists()) {
        return Ok(false);
    }
    let found = match &mut Conn::open(&location, Access::Admin, BUSY)? {
        Conn::Sqlite(conn) => {
            sql_query("SELECT count(*) AS tables FROM sqlite_schema WHERE name = 'deployment'").get_result::<Tables>(conn)
        }
        Conn::Postgres(conn) => sql_query(
            "SELECT count(*) AS tables FROM pg_catalog.pg_tables WHERE schemaname = 'public' AND tablename = 'deployment'",
        )
        .get_result(conn),
    };
    found.map(|found| found.tables > 0).map_err(|e| StoreError::of("schema", e))
}

#[derive(QueryableByName)]
struct Tables {
    #[diesel(sql_type = BigInt)]
    tables: i64,
}

/// [`unknown`] on a connection, for a program with these levels.
pub(in crate::store) fn unknown_of(conn: &mut Conn, levels: Levels) -> Result<Vec<String>, StoreError> {
    compared(conn, levels).map(|(_, unknown)| unknown)
}

/// The names of the migrations that the database lacks, and the versions of those that the program lacks.
fn compared(conn: &mut Conn, levels: Levels) -> Result<(Vec<String>, Vec<String>), StoreError> {
    match conn {
        Conn::Sqlite(conn) => {
            compare::<diesel::sqlite::Sqlite>(&conn.applied_migrations().map_err(fault)?, &Known(SQLITE, levels))
        }
        Conn::Postgres(conn) => compare::<diesel::pg::Pg>(&migrate_lock::applied(conn)?, &Known(POSTGRES, levels)),
    }
}

fn pending_of(conn: &mut Conn, levels: Levels) -> Result<Vec<String>, StoreError> {
    let (pending, unknown) = compared(conn, levels)?;
    if !unknown.is_empty() {
        let told = schema_levels::table.filter(schema_levels::version.eq_any(&unknown)).select(schema_levels::level);
        let told: Vec<Level> = told.load(conn).map_err(|e| StoreError::of("schema_levels", e))?;
        ahead(levels, &unknown, &told)?;
    }
    Ok(pending)
}

/// Refuses migrations that this program does not have, unless all of them say that they are one level ahead of it.
fn ahead(levels: Levels, unknown: &[String], told: &[Level]) -> Result<(), StoreError> {
    let next = Level(levels.highest.0.saturating_add(1));
    if told.len() == unknown.len() && told.iter().all(|level| *level == next) {
        return Ok(());
    }
    let of = told.iter().max().map(|level| format!(" of level {level}")).unwrap_or_default();
    Err(StoreError::Fault(format!(
        "the schema is newer than this program ({}), which serves {levels} and works beside programs one level ahead: it has migration \
         {}{of}; run the newer program",
        env!("CARGO_PKG_VERSION"),
        unknown.join(", "),
    )))
}

/// [`compared`], of the one kind of database or the other.
fn compare<DB: diesel::backend::Backend>(
    applied: &[MigrationVersion<'static>],
    source: &Known,
) -> Result<(Vec<String>, Vec<String>), StoreError>
where
    Known: MigrationSource<DB>,
{
    let mut known = MigrationSource::<DB>::migrations(source).map_err(fault)?;
    let unknown = applied.iter().filter(|version| known.iter().all(|m| m.name().version() != **version));
    let unknown = unknown.map(MigrationVersion::to_string).collect();
    known.retain(|m| !applied.contains(&m.name().version()));
    Ok((names(known)?, unknown))
}

fn names<DB: diesel::backend::Backend>(migrations: Vec<Box<dyn Migration<DB>>>) -> Result<Vec<String>, StoreError> {
    let mut names: Vec<String> = migrations.iter().map(|m| m.name().to_string()).collect();
    names.sort();
    Ok(names)
}

fn fault(error: impl std::fmt::Display) -> StoreError {
    StoreError::Fault(format!("migrations: {error}"))
}
