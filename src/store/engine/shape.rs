//! Whether the schema is ours: plain tables, without whatever could answer or act in their place.
//!
//! Owns: that look, at every connection that serves. Must not know: rows. Called by: store::connection, store.
//!
//! A view can give other rows than there are, a trigger or rule undo a revocation behind its success. Who may make them may often
//! change rows too, but not always (CREATE on the database is enough for a schema before ours), and what is found here is an alarm.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::{PgConnection, SqliteConnection, sql_query};

use crate::store::StoreError;
use crate::store::engine::migrations;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

#[derive(QueryableByName)]
struct Table {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    sql: String,
}

/// The schema in which our tables are, and the only one in which they are looked for. Temporary tables come last, as they would come
/// first where they are not named.
pub(in crate::store) const SEARCH_PATH: &str = "search_path = public, pg_temp";

/// The migrations that were run, by their versions.
const VERSIONS: &str = "SELECT CAST(version AS TEXT) AS line FROM __diesel_schema_migrations ORDER BY version";

/// What stands in the place of a table, or acts beside one.
const STRANGE_IN_POSTGRES: &str = "\
    SELECT c.relname::text || CASE \
        WHEN c.relkind <> 'r' OR c.relpersistence <> 'p' THEN ' is no plain table' \
        WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid) THEN ' has a rule' \
        WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) THEN ' has a trigger' \
        WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i WHERE c.oid IN (i.inhparent, i.inhrelid)) THEN ' inherits' \
        ELSE ' has row security' END AS line \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'v', 'm', 'f', 'p') \
        AND (c.relkind <> 'r' OR c.relpersistence <> 'p' OR c.relrowsecurity OR c.relforcerowsecurity \
        OR EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid) \
        OR EXISTS (SELECT 1 FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) \
        OR EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i WHERE c.oid IN (i.inhparent, i.inhrelid))) \
    UNION ALL \
    SELECT c.relname || '.' || a.attname || ' is of a type, or made by a rule, of somebody else' AS line \
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
        JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace \
    WHERE n.nspname = 'public' AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped \
        AND (tn.nspname <> 'pg_catalog' OR a.attgenerated <> '')";

/// The indexes that hold, those of primary keys by their tables.
const INDEXES_IN_POSTGRES: &str = "\
    SELECT CASE WHEN i.indisprimary THEN 'the primary key of ' || t.relname \
        ELSE 'the ' || CASE WHEN i.indisunique THEN 'unique ' ELSE '' END || 'index ' || c.relname END AS line \
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
        JOIN pg_catalog.pg_class t ON t.oid = i.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = 'public' AND i.indisvalid AND i.indisready";

/// Refuses a role or database in whose sessions tables would be looked for elsewhere than in our schema. For sessions of a pooler, in which a
/// search path that we set would not stay.
///
/// # Errors
/// `Fault`, with what was found.
pub(in crate::store) fn check_search_path(conn: &mut PgConnection) -> Result<(), StoreError> {
    let path = "SELECT array_to_string(current_schemas(false), ', ') AS line";
    let path: Line = sql_query(path).get_result(conn).map_err(|e| StoreError::of("schema", e))?;
    if path.line == "public" {
        return Ok(());
    }
    Err(StoreError::Fault(format!(
        "database: with pooler=transaction tables are looked for where the role's search_path says, which must be public alone, and is \"{}\": \
         ALTER ROLE … SET search_path = public",
        path.line
    )))
}

/// Refuses a schema with anything but plain tables of plain columns in it, or without a key or index of this program's migrations.
///
/// # Errors
/// `Corrupt`, with what was found.
pub(in crate::store) fn check_postgres(conn: &mut PgConnection) -> Result<(), StoreError> {
    let of = |e| StoreError::of("schema", e);
    let strange: Vec<Line> = sql_query(STRANGE_IN_POSTGRES).load(conn).map_err(of)?;
    none(strange.into_iter().map(|found| found.line).collect())?;
    let found: Vec<Line> = sql_query(INDEXES_IN_POSTGRES).load(conn).map_err(of)?;
    let found: BTreeSet<String> = found.into_iter().map(|found| found.line).collect();
    let versions: Vec<Line> = sql_query(VERSIONS).load(conn).map_err(of)?;
    let (known, texts) = expected()?;
    // Beside a program one level ahead an index may have gone that this one knows.
    if versions.iter().map(|version| &version.line).ne(known.iter()) {
        return Ok(());
    }
    let expected = texts.iter().filter_map(|(name, text)| match text.split_whitespace().nth(1) {
        Some("TABLE") => Some(format!("the primary key of {name}")),
        Some("UNIQUE") => Some(format!("the unique index {name}")),
        Some("INDEX") => Some(format!("the index {name}")),
        _ => None,
    });
    none(expected.filter(|index| !found.contains(index)).map(|index| format!("it lacks {index}")).collect())
}

/// The same, and the text of every table and index as this program's migrations make it.
///
/// # Errors
/// `Corrupt`, with what was found.
pub(in crate::store) fn check_sqlite(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    let of = |e| StoreError::of("schema", e);
    let strange = "SELECT 'there is a ' || type || ' ' || name AS line FROM sqlite_schema WHERE type NOT IN ('table', 'index')";
    let strange: Vec<Line> = sql_query(strange).load(conn).map_err(of)?;
    none(strange.into_iter().map(|found| found.line).collect())?;
    let found = texts(conn).map_err(of)?;
    let versions: Vec<Line> = sql_query(VERSIONS).load(conn).map_err(of)?;
    let (known, expected) = expected()?;
    // Beside a program one level ahead the text of a table may have changed; its columns are named in every statement.
    if versions.iter().map(|version| &version.line).ne(known.iter()) {
        return Ok(());
    }
    let differs = |(name, sql): (&String, &String)| (found.get(name) != Some(sql)).then(|| format!("{name} is another one"));
    // An index refuses rows, or computes what its text says. A table that nobody asks does nothing.
    let is_index = |sql: &str| sql.split_whitespace().take(3).any(|word| word.eq_ignore_ascii_case("INDEX"));
    let added = found.iter().filter(|(name, sql)| is_index(sql) && !expected.contains_key(*name));
    let added = added.map(|(name, _)| format!("the index {name} is of somebody else"));
    none(expected.iter().filter_map(differs).chain(added).collect())
}

/// Refuses a file in which values are not of the kinds of their columns, or that is broken otherwise: whoever writes into the file itself can
/// put a row where no query by its key finds it, and a query by another column does. Reads all of it.
///
/// # Errors
/// `Corrupt`, with what was found first.
pub(in crate::store) fn check_values(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    let said: Vec<QuickCheck> = sql_query("PRAGMA quick_check(1)").load(conn).map_err(|e| StoreError::of("schema", e))?;
    none(said.into_iter().map(|found| found.quick_check).filter(|said| said != "ok").collect())
}

#[derive(QueryableByName)]
struct QuickCheck {
    #[diesel(sql_type = Text)]
    quick_check: String,
}

fn texts(conn: &mut SqliteConnection) -> QueryResult<BTreeMap<String, String>> {
    let tables: Vec<Table> = sql_query("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL").load(conn)?;
    Ok(tables.into_iter().map(|table| (table.name, table.sql)).collect())
}

/// The versions of migrations, and the texts of tables and indexes by their names.
type Expected = (Vec<String>, BTreeMap<String, String>);

/// The migrations of this program, and the texts that they make.
fn expected() -> Result<&'static Expected, StoreError> {
    static EXPECTED: OnceLock<Result<Expected, String>> = OnceLock::new();
    let expected = EXPECTED.get_or_init(|| {
        let mut conn = SqliteConnection::establish(":memory:").map_err(|e| e.to_string())?;
        let versions = migrations::make(&mut conn).map_err(|e| e.to_string())?;
        Ok((versions, texts(&mut conn).map_err(|e| e.to_string())?))
    });
    expected.as_ref().map_err(|error| StoreError::Fault(format!("the schema of this program: {error}")))
}

fn none(strange: Vec<String>) -> Result<(), StoreError> {
    match strange.first() {
        None => Ok(()),
        Some(first) => {
            let more = if strange.len() > 1 { format!(", and {} more", strange.len() - 1) } else { String::new() };
            Err(StoreError::Corrupt {
                table: "schema",
                detail: format!("the schema is not as this program made it: {first}{more}"),
            })
        }
    }
}
