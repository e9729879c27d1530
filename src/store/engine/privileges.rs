//! What the role of a running service may do with its tables.
//!
//! Owns: which rights it needs. Must not know: rows. Called by: app (`bulla check`).

use std::collections::BTreeMap;
use std::time::Duration;

use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl, sql_query};

use crate::store::StoreError;
use crate::store::engine::connection::{Access, Conn};
use crate::store::engine::location::Location;

/// How long a statement waits for another's lock.
const BUSY: Duration = Duration::from_secs(10);

/// Each right on each table that the role has not. Those of migrations are only read.
const LACKING: &str = "\
    SELECT c.relname::text AS name, wanted::text AS wanted \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, \
        unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) WITH ORDINALITY AS wants (wanted, at) \
    WHERE n.nspname = 'public' AND c.relkind = 'r' AND NOT pg_catalog.has_table_privilege(c.oid, wanted) \
        AND (wanted = 'SELECT' OR c.relname NOT IN ('__diesel_schema_migrations', 'schema_levels')) \
    ORDER BY c.relname, at";

#[derive(QueryableByName)]
struct Lacking {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    wanted: String,
}

/// The rights that the role of the URL lacks, a text for each table, e.g. `INSERT, UPDATE on secrets`. A file of SQLite knows none.
///
/// # Errors
/// `Unavailable` when the database cannot be reached.
pub fn lacking(url: &str) -> Result<Vec<String>, StoreError> {
    let Conn::Postgres(mut conn) = Conn::open(&Location::parse(url)?, Access::Admin, BUSY)? else { return Ok(Vec::new()) };
    let found: Vec<Lacking> = sql_query(LACKING).load(&mut conn).map_err(|e| StoreError::of("pg_class", e))?;
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Lacking { name, wanted } in found {
        tables.entry(name).or_default().push(wanted);
    }
    Ok(tables.into_iter().map(|(name, wanted)| format!("{} on {name}", wanted.join(", "))).collect())
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;

    use super::*;
    use crate::store::tests::Fixture;

    #[test]
    fn what_a_role_lacks_is_told_by_table() {
        assert_eq!(lacking(&Fixture::sqlite(1).url), Ok(Vec::new()));
        let on = Fixture::postgres(1);
        let lacking = || lacking(&on.url.replace("postgres@", "weak@"));
        on.intruder()
            .batch_execute(
                "CREATE ROLE weak LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO weak",
            )
            .expect("a role");
        assert_eq!(lacking(), Ok(Vec::new()));
        let taken = "REVOKE INSERT, UPDATE ON secrets, schema_levels FROM weak; REVOKE SELECT ON nonces FROM weak";
        on.intruder().batch_execute(taken).expect("revoked");
        assert_eq!(lacking(), Ok(vec!["SELECT on nonces".to_owned(), "INSERT, UPDATE on secrets".to_owned()]));
    }
}
