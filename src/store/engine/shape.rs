//! Whether the schema is ours: plain tables, without whatever could answer or act in their place.
//!
//! Owns: that look, at every connection that serves. Must not know: rows. Called by: connection, tx.
//!
//! A view can give other rows than there are, a trigger or rule undo a revocation behind its success. Who may make them may often
//! change rows too, but not always (CREATE on the database is enough for a schema before ours), and what is found here is an alarm.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use diesel::connection::SimpleConnection;
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

/// The same. This and the queries below ask a schema that may lie about it: pg_catalog is looked at before `public`, and of operators and
/// functions one whose types fit exactly is taken first. So every table is named with its schema, and every operand of `||` is text, and the
/// two of a comparison are of one type, for which pg_catalog has an operator.
const VERSIONS_IN_POSTGRES: &str = "SELECT version::text AS line FROM public.__diesel_schema_migrations ORDER BY version";

/// What stands in the place of a table, or acts beside one; what is made after the database itself has an oid from 16384 on, and a foreign key
/// is four triggers.
const STRANGE_IN_POSTGRES: &str = "\
    SELECT s.line FROM (SELECT c.relname::text || CASE \
        WHEN c.relkind <> 'r' OR c.relpersistence <> 'p' THEN ' is no plain table' \
        WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid) THEN ' has a rule' \
        WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) THEN ' has a trigger' \
        WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i WHERE c.oid = i.inhparent OR c.oid = i.inhrelid) THEN ' inherits' \
        WHEN c.relrowsecurity OR c.relforcerowsecurity THEN ' has row security' \
        WHEN NOT c.relhasindex AND EXISTS (SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid) THEN ' says that it has no index' \
        WHEN NOT c.relhastriggers AND EXISTS (SELECT 1 FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid) \
            THEN ' says that it has no foreign key' \
        WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_class o JOIN pg_catalog.pg_namespace p ON p.oid = o.relnamespace \
            WHERE o.relname = c.relname AND p.nspname = 'pg_catalog') THEN ' stands in pg_catalog as well, which is looked at first' \
        END AS line \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'v', 'm', 'f', 'p')) s WHERE s.line IS NOT NULL \
    UNION ALL \
    SELECT c.relname::text || '.' || a.attname::text || ' is of a type or collation, or made by a rule, of somebody else' AS line \
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
        JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace \
    WHERE n.nspname = 'public' AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped \
        AND (tn.nspname <> 'pg_catalog' OR a.attcollation >= '16384' OR a.attgenerated <> '') \
    UNION ALL \
    SELECT c.relname::text || ' has a foreign key that is not in force' AS line \
    FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = 'public' AND k.contype = 'f' AND (SELECT pg_catalog.count(*) FROM pg_catalog.pg_trigger t \
        WHERE t.tgconstraint = k.oid AND t.tgenabled = 'O') <> 4 \
    UNION ALL \
    SELECT 'the function ' || f.proname::text || ' is of somebody else' AS line \
    FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace WHERE n.nspname = 'public' \
    UNION ALL \
    SELECT 'the operator ' || o.oprname::text || ' is of somebody else' AS line \
    FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace WHERE n.nspname = 'public' \
    UNION ALL \
    SELECT 'the type ' || t.typname::text || ' is of somebody else' AS line \
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
    WHERE n.nspname = 'public' AND t.typrelid = '0' AND t.typelem = '0' \
    UNION ALL \
    SELECT 'the cast of ' || pg_catalog.format_type(k.castsource, NULL) || ' is of somebody else' AS line FROM pg_catalog.pg_cast k \
    WHERE k.oid >= '16384' AND k.castsource < '16384' AND k.casttarget < '16384' \
    UNION ALL \
    SELECT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) || ' runs what is of somebody else' AS line FROM pg_catalog.pg_depend d \
    WHERE d.refobjid >= '16384' AND EXISTS (SELECT 1 FROM pg_catalog.pg_class r JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace \
            WHERE r.oid = d.refclassid AND n.nspname = 'pg_catalog' AND r.relname IN ('pg_proc', 'pg_operator', 'pg_opclass', 'pg_language')) \
        AND EXISTS (SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
            WHERE n.nspname = 'public' AND (EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k WHERE k.oid = d.objid AND k.conrelid = c.oid) \
                OR EXISTS (SELECT 1 FROM pg_catalog.pg_index i WHERE i.indexrelid = d.objid AND i.indrelid = c.oid) \
                OR EXISTS (SELECT 1 FROM pg_catalog.pg_attrdef a WHERE a.oid = d.objid AND a.adrelid = c.oid))) \
    UNION ALL \
    SELECT 'session_replication_role is ' || pg_catalog.current_setting('session_replication_role') AS line \
    WHERE pg_catalog.current_setting('session_replication_role') <> 'origin'";

/// What a migration says of columns, constraints and indexes, a line each, the table's name first. An index that REINDEX CONCURRENTLY is making,
/// or has replaced, is told as the one that it is of, and INVALID.
const DEFINITIONS_IN_POSTGRES: &str = "\
    SELECT c.relname::text || '.' || a.attname::text || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod) \
        || coalesce(' COLLATE ' || o.collname::text, '') || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END \
        || CASE WHEN a.attidentity <> '' THEN ' IDENTITY' ELSE '' END \
        || coalesce(' DEFAULT ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') AS line \
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_catalog.pg_collation o ON o.oid = a.attcollation \
        LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
    WHERE n.nspname = 'public' AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped \
    UNION ALL \
    SELECT c.relname::text || ' ' || pg_catalog.pg_get_constraintdef(k.oid) AS line \
    FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = 'public' AND k.contype NOT IN ('n', 't') \
    UNION ALL \
    SELECT t.relname::text || ' ' || CASE WHEN i.indisvalid AND i.indisready AND i.indislive AND i.indimmediate \
        THEN pg_catalog.pg_get_indexdef(i.indexrelid) \
        ELSE pg_catalog.regexp_replace(pg_catalog.pg_get_indexdef(i.indexrelid), '_cc(new|old)[0-9]* ON ', ' ON ') || ' INVALID' END AS line \
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class t ON t.oid = i.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace \
    WHERE n.nspname = 'public'";

/// The same of a database that the migrations of this program made, the versions of those in the first line. A test compares it with such a
/// one; `BULLA_GOLDEN=write` has it written anew.
const DEFINITIONS: &str = include_str!("definitions.txt");

/// Refuses a role or database in whose sessions tables would be looked for elsewhere than in our schema. For sessions of a pooler, in which a
/// search path that we set would not stay.
///
/// # Errors
/// `Fault`, with what was found.
pub(in crate::store) fn check_search_path(conn: &mut PgConnection) -> Result<(), StoreError> {
    let path = "SELECT pg_catalog.array_to_string(pg_catalog.current_schemas(false), ', ') AS line";
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

/// Refuses a schema with anything but plain tables of plain columns in it, one before which another table stands, or one in which a table
/// of this program has other columns, constraints or indexes than the migrations gave it.
///
/// # Errors
/// `Corrupt`, with what was found.
pub(in crate::store) fn check_postgres(conn: &mut PgConnection) -> Result<(), StoreError> {
    let of = |e| StoreError::of("schema", e);
    let strange: Vec<Line> = sql_query(STRANGE_IN_POSTGRES).load(conn).map_err(of)?;
    none(strange.into_iter().map(|found| found.line).collect())?;
    let versions: Vec<Line> = sql_query(VERSIONS_IN_POSTGRES).load(conn).map_err(of)?;
    let (known, expected) = DEFINITIONS.split_once('\n').unwrap_or_default();
    let expected: BTreeSet<&str> = expected.lines().collect();
    let table = |line: &str| line.split(['.', ' ']).next().map(str::to_owned);
    let found = definitions(conn)?;
    let lacks = |line: &&&str| !found.contains(**line);
    let lacked = |line: &&str| format!("it lacks {line}");
    match beside(&versions, known.split(' ')) {
        Beside::Same => {
            let tables: BTreeSet<_> = expected.iter().map(|line| table(line)).collect();
            let added = found.iter().filter(|line| {
                tables.contains(&table(line)) && !expected.contains(line.strip_suffix(" INVALID").unwrap_or(line))
            });
            let added = added.map(|line| format!("{line} is of somebody else"));
            none(expected.iter().filter(lacks).map(lacked).chain(added).collect())
        }
        Beside::Ahead => {
            let holds = |line: &&&str| line.contains(" PRIMARY KEY ") || line.contains(" UNIQUE ");
            none(expected.iter().filter(holds).filter(lacks).map(lacked).collect())
        }
        Beside::Behind => none(vec![BEHIND.to_owned()]),
    }
}

/// Tables in which two rows have one key, in words, by the rows themselves: an index may have been switched off for a while. In a
/// transaction, as all that is set for it.
pub(in crate::store) fn keys_twice(conn: &mut PgConnection) -> QueryResult<Vec<String>> {
    let indexes = ["enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan"];
    let set = |to: &str| indexes.map(|name| format!("SET LOCAL {name} = {to};")).concat();
    conn.batch_execute(&(set("off") + "SET LOCAL enable_seqscan = on"))?;
    let mut twice = Vec::new();
    for line in DEFINITIONS.lines() {
        let key = [" PRIMARY KEY (", " UNIQUE ("].iter().find_map(|kind| line.split_once(kind));
        let Some((table, columns)) = key.and_then(|(table, rest)| Some((table, rest.strip_suffix(')')?))) else { continue };
        let query = format!(
            "SELECT '{table}: rows of one ({columns}): ' || pg_catalog.count(*)::text AS line FROM public.{table} \
             GROUP BY {columns} HAVING pg_catalog.count(*) > 1 LIMIT 1"
        );
        let found: Vec<Line> = sql_query(query).load(conn)?;
        twice.extend(found.into_iter().map(|found| found.line));
    }
    conn.batch_execute(&set("DEFAULT"))?;
    Ok(twice)
}

/// The definitions that a database has.
pub(in crate::store) fn definitions(conn: &mut PgConnection) -> Result<BTreeSet<String>, StoreError> {
    let found: Vec<Line> = sql_query(DEFINITIONS_IN_POSTGRES).load(conn).map_err(|e| StoreError::of("schema", e))?;
    Ok(found.into_iter().map(|found| found.line).collect())
}

/// What is said of a database whose list of migrations has become shorter.
const BEHIND: &str = "of the migrations of this program its list lacks some";

/// How a database stands to this program.
enum Beside {
    /// It has the same migrations.
    Same,
    /// It has others too: of a program one level ahead, in which a table may have a column more and an index have gone. What keeps two rows
    /// from being one is not taken away.
    Ahead,
    /// It lacks one. Whoever opens a database says so before this is looked at, and one that was opened goes on only.
    Behind,
}

fn beside<'a>(found: &[Line], mut known: impl Iterator<Item = &'a str> + Clone) -> Beside {
    if found.iter().map(|version| version.line.as_str()).eq(known.clone()) {
        return Beside::Same;
    }
    let has = |version: &str| found.iter().any(|found| found.line == version);
    if known.all(has) { Beside::Ahead } else { Beside::Behind }
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
    match beside(&versions, known.iter().map(String::as_str)) {
        Beside::Same => {}
        // The text of a table may have changed; its columns are named in every statement.
        Beside::Ahead => {
            let found = uniques(conn).map_err(of)?;
            return none(
                uniques_expected()?.difference(&found).map(|line| format!("it lacks the unique index {line}")).collect(),
            );
        }
        Beside::Behind => return none(vec![BEHIND.to_owned()]),
    }
    let differs = |(name, sql): (&String, &String)| (found.get(name) != Some(sql)).then(|| format!("{name} is another one"));
    // An index refuses rows, or computes what its text says. A table that nobody asks does nothing.
    let is_index = |sql: &str| sql.split_whitespace().take(3).any(|word| word.eq_ignore_ascii_case("INDEX"));
    let added = found.iter().filter(|(name, sql)| is_index(sql) && !expected.contains_key(*name));
    let added = added.map(|(name, _)| format!("the index {name} is of somebody else"));
    none(expected.iter().filter_map(differs).chain(added).collect())
}

/// Refuses a file in which values are not of the kinds of their columns, or that is broken otherwise: whoever writes into the file itself can
/// put a row where no query by its key finds it, and a query by another column does. Reads all of it; with `indexes`, which takes several times
/// as long, what stands in them is compared with the rows.
///
/// # Errors
/// `Corrupt`, with what was found first.
pub(in crate::store) fn check_values(conn: &mut SqliteConnection, indexes: bool) -> Result<(), StoreError> {
    let check = if indexes { "integrity_check" } else { "quick_check" };
    let query = sql_query(format!("SELECT {check} AS line FROM pragma_{check} LIMIT 1"));
    let said: Vec<Line> = query.load(conn).map_err(|e| StoreError::of("schema", e))?;
    none(said.into_iter().map(|found| found.line).filter(|said| said != "ok").collect())
}

fn texts(conn: &mut SqliteConnection) -> QueryResult<BTreeMap<String, String>> {
    let tables: Vec<Table> = sql_query("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL").load(conn)?;
    Ok(tables.into_iter().map(|table| (table.name, table.sql)).collect())
}

/// What keeps two rows of a table from being one: primary keys, constraints and indexes, by their columns.
fn uniques(conn: &mut SqliteConnection) -> QueryResult<BTreeSet<String>> {
    let query = "SELECT t.name || ' (' || (SELECT group_concat(coalesce(x.name, '?') || ' ' || x.coll, ', ') \
                 FROM pragma_index_xinfo(i.name) x WHERE x.key = 1) || ')' || CASE WHEN i.origin = 'c' \
                 THEN ' ' || (SELECT s.sql FROM sqlite_schema s WHERE s.name = i.name) ELSE '' END AS line \
                 FROM sqlite_schema t, pragma_index_list(t.name) i WHERE t.type = 'table' AND i.\"unique\" = 1";
    let found: Vec<Line> = sql_query(query).load(conn)?;
    Ok(found.into_iter().map(|found| found.line).collect())
}

/// The same as the migrations of this program make it.
fn uniques_expected() -> Result<&'static BTreeSet<String>, StoreError> {
    static EXPECTED: Made<BTreeSet<String>> = OnceLock::new();
    made(&EXPECTED, |conn, _| uniques(conn))
}

/// The versions of migrations, and the texts of tables and indexes by their names.
type Expected = (Vec<String>, BTreeMap<String, String>);

/// The migrations of this program, and the texts that they make.
fn expected() -> Result<&'static Expected, StoreError> {
    static EXPECTED: Made<Expected> = OnceLock::new();
    made(&EXPECTED, |conn, versions| Ok((versions, texts(conn)?)))
}

/// What was seen once of a database that the migrations of this program made, or why that is not to be seen.
type Made<T> = OnceLock<Result<T, String>>;

/// Looks at such a database, at its first use; `look` is given the versions of its migrations.
fn made<T>(
    seen: &'static Made<T>,
    look: impl FnOnce(&mut SqliteConnection, Vec<String>) -> QueryResult<T>,
) -> Result<&'static T, StoreError> {
    let make = || {
        let mut conn = SqliteConnection::establish(":memory:").map_err(|e| e.to_string())?;
        let versions = migrations::make(&mut conn).map_err(|e| e.to_string())?;
        look(&mut conn, versions).map_err(|e| e.to_string())
    };
    seen.get_or_init(make).as_ref().map_err(|error| StoreError::Fault(format!("the schema of this program: {error}")))
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
