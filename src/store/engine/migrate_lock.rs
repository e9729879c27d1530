//! On PostgreSQL one process migrates at a time, and one that only looks needs no right to change anything.
//!
//! Owns: the lock, and what its holder and those who wait are told; the list of what was applied. Must not know: the migrations. Called
//! by: migrate.

use diesel::migration::MigrationVersion;
use diesel::result::{Error as SqlError, QueryResult};
use diesel::sql_types::{Bool, Integer, Nullable, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};

use crate::store::StoreError;

/// Any number, the same in every process: who holds this advisory lock migrates. The table of locks shows it in two halves.
const LOCK: i64 = 0x62_75_6c_6c_61;
/// How long to wait for who holds it, and for locks of tables.
const WAIT: &str = "10s";

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = Bool)]
    taken: bool,
    #[diesel(sql_type = Nullable<Integer>)]
    holder: Option<i32>,
}

/// Takes the lock until the end of the transaction, so that nothing is left of it in a session that others go on with.
pub(in crate::store) fn take(conn: &mut PgConnection) -> QueryResult<()> {
    sql_query(format!("SET LOCAL lock_timeout = '{WAIT}'")).execute(conn)?;
    let (class, object) = (LOCK >> 32, LOCK & 0xffff_ffff);
    let found: Taken = sql_query(format!(
        "SELECT pg_try_advisory_xact_lock({LOCK}) AS taken, (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted \
         AND classid = {class} AND objid = {object} AND pid <> pg_backend_pid() LIMIT 1) AS holder"
    ))
    .get_result(conn)?;
    if !found.taken {
        let holder = found.holder.map_or_else(String::new, |pid| format!(", which the server's process {pid} holds"));
        log::warn!("migrations: waiting {WAIT} for the lock of another who migrates{holder}");
        sql_query(format!("SELECT pg_advisory_xact_lock({LOCK})")).execute(conn)?;
    }
    Ok(())
}

/// What a failure of the transaction means.
pub(in crate::store) fn failure(error: SqlError) -> StoreError {
    let text = error.to_string();
    match StoreError::of("migrations", error) {
        StoreError::Busy | StoreError::Contended(_) => StoreError::Unavailable(format!(
            "migrations: another session holds a lock that they need, for longer than {WAIT} (pg_locks says which): {text}"
        )),
        other => other,
    }
}

#[derive(QueryableByName)]
struct There {
    #[diesel(sql_type = Bool)]
    there: bool,
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

/// The versions of what was applied, by reading alone.
pub(in crate::store) fn applied(conn: &mut PgConnection) -> Result<Vec<MigrationVersion<'static>>, StoreError> {
    let of = |error| StoreError::of("migrations", error);
    let query = "SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL AS there";
    if !sql_query(query).get_result::<There>(conn).map_err(of)?.there {
        return Ok(Vec::new());
    }
    let versions: Vec<Version> = sql_query("SELECT version FROM __diesel_schema_migrations").load(conn).map_err(of)?;
    Ok(versions.into_iter().map(|found| MigrationVersion::from(found.version)).collect())
}
