//! How many connections the database's server lets in.
//!
//! Owns: which settings say it. Must not know: how many are wanted. Called by: app (`bulla check`).

use std::time::Duration;

use diesel::sql_types::BigInt;
use diesel::{QueryableByName, RunQueryDsl, sql_query};

use crate::store::StoreError;
use crate::store::engine::connection::{Access, Conn};
use crate::store::engine::location::Location;

/// How long a statement waits for another's lock.
const BUSY: Duration = Duration::from_secs(10);

/// All but those that are kept for superusers and, from PostgreSQL 16 on, for roles with `pg_use_reserved_connections`.
const ROOM: &str = "\
    SELECT current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint \
        - coalesce(current_setting('reserved_connections', true), '0')::bigint AS room";

#[derive(QueryableByName)]
struct Room {
    #[diesel(sql_type = BigInt)]
    room: i64,
}

/// How many connections the server of the URL has for roles like ours. A file of SQLite has no server.
///
/// # Errors
/// `Unavailable` when the database cannot be reached.
pub fn server_room(url: &str) -> Result<Option<i64>, StoreError> {
    let Conn::Postgres(mut conn) = Conn::open(&Location::parse(url)?, Access::Admin, BUSY)? else { return Ok(None) };
    let Room { room } = sql_query(ROOM).get_result(&mut conn).map_err(|e| StoreError::of("pg_settings", e))?;
    Ok(Some(room))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Fixture;

    #[test]
    fn what_is_reserved_is_no_room() {
        assert_eq!(server_room(&Fixture::sqlite(1).url), Ok(None));
        // The tests' server is started with 200, of which PostgreSQL reserves 3 where nothing is said.
        assert_eq!(server_room(&Fixture::postgres(1).url), Ok(Some(197)));
    }
}
