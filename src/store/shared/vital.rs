//! Whether a read would find its rows now.
//!
//! Owns: one query over the tables that a read needs. Must not know: what becomes of the answer. Called by: app (readiness).

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable};

use crate::base::clock::Timestamp;
use crate::store::engine::connection::Conn;
use crate::store::{Store, StoreError, Tx};

/// A row of each table that authentication, authorisation and a value need: it meets a lock on any of them, and a right that was
/// lost. PostgreSQL also tells the time, which SQLite would have from the same clock as this process.
const ROWS: &str = "\
    (SELECT count(*) FROM (SELECT 1 FROM deployment LIMIT 1) t) + (SELECT count(*) FROM (SELECT 1 FROM scopes LIMIT 1) t) + \
    (SELECT count(*) FROM (SELECT 1 FROM access_keys LIMIT 1) t) + (SELECT count(*) FROM (SELECT 1 FROM keys LIMIT 1) t) + \
    (SELECT count(*) FROM (SELECT 1 FROM key_versions LIMIT 1) t) + (SELECT count(*) FROM (SELECT 1 FROM secrets LIMIT 1) t) + \
    (SELECT count(*) FROM (SELECT 1 FROM secret_versions LIMIT 1) t) + \
    (SELECT count(*) FROM (SELECT 1 FROM version_stages LIMIT 1) t) AS found";

#[derive(QueryableByName)]
struct Vital {
    #[diesel(sql_type = Nullable<BigInt>)]
    now_ms: Option<i64>,
}

impl Store {
    /// Whether the rows of a read can be read now; the database's own time, where it has a clock of its own.
    ///
    /// # Errors
    /// As any read.
    pub fn health(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read_row("health", |tx| tx.vital())
    }
}

impl Tx<'_> {
    fn vital(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let found = self.run("deployment", |conn| match conn {
            Conn::Postgres(conn) => {
                let time = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint) AS now_ms";
                sql_query(format!("SELECT {ROWS}, {time}")).get_result::<Vital>(conn)
            }
            Conn::Sqlite(conn) => sql_query(format!("SELECT {ROWS}, NULL AS now_ms")).get_result::<Vital>(conn),
        })?;
        Ok(found.now_ms.map(Timestamp))
    }
}
