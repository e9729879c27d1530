//! A whole database as one file, and back: a backup is a database of SQLite, whatever the service runs on.
//!
//! Owns: reading all tables in one snapshot beside a service that runs, and filling an empty or given-up database with them. Must not
//! know: what rows say. Called by: admin (`bulla backup`, `bulla restore`).
//!
//! Between PostgreSQL and SQLite rows travel as INSERT statements that the database which has them writes itself, with every value in a
//! form that both read alike: numbers in decimal, bytes in hexadecimal, texts quoted.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use diesel::connection::{DefaultLoadingMode, SimpleConnection};
use diesel::pg::PgRowByRowLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel::{PgConnection, SqliteConnection, sql_query};

use crate::store::engine::begin::{Mode, begin};
use crate::store::engine::connection::{Access, Conn};
use crate::store::engine::location::Location;
use crate::store::{StoreError, StoreOptions, migrate};

/// Statements that are run at once.
const BATCH: usize = 256;

/// Between two looks at a file that becomes longer.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Tables that the migrations fill, alike on both sides.
const OF_MIGRATIONS: [&str; 2] = ["__diesel_schema_migrations", "schema_levels"];

/// The endings of the files that are a database of SQLite together: what is not written yet into the first stands in the second or third.
const OF_DATABASE: [&str; 4] = ["", "-wal", "-journal", "-shm"];

/// The types of columns on PostgreSQL.
const KINDS: [&str; 5] = ["bytea", "boolean", "text", "bigint", "smallint"];

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Bool)]
    boolean: bool,
}

/// Is told how much is done of how much: of rows, or of bytes.
pub type Told<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// Copies a database, as it is at one moment, into a new file; the service goes on beside it.
///
/// # Errors
/// `Fault` when there is such a file; else as any read.
pub fn save(options: &StoreOptions, file: &Path, told: Told<'_>) -> Result<(), StoreError> {
    if file.exists() {
        return Err(StoreError::Fault(format!("{} is there already", file.display())));
    }
    let location = Location::parse(&options.url)?;
    let mut conn = Conn::open(&location, Access::Create, options.busy_timeout)?;
    let of = |e| StoreError::of("backup", e);
    match &mut conn {
        Conn::Sqlite(conn) => {
            let size = "SELECT page_count * page_size AS n FROM pragma_page_count(), pragma_page_size()";
            let size = sql_query(size).get_result::<Number>(conn).map_err(of)?.n.unsigned_abs();
            let into = format!("VACUUM INTO {}", quoted(&file.to_string_lossy()));
            watched(file, size, told, || conn.batch_execute(&into)).map_err(of)?;
        }
        Conn::Postgres(_) => {
            begin(&mut conn, Mode::Snapshot).map_err(of)?;
            let Conn::Postgres(from) = &mut conn else { return Err(other_engine()) };
            let mut to = empty_file(file, options)?;
            to.batch_execute("PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE").map_err(of)?;
            let tables = tables(&mut to)?;
            let counted = sql_query(number_of_rows(&tables)).get_result::<Number>(from).map_err(of)?;
            let mut rows = Rows { done: 0, all: counted.n.unsigned_abs(), told };
            for table in tables {
                let columns = columns_of_postgres(from, &table)?;
                to.batch_execute(&format!("DELETE FROM {table}")).map_err(of)?;
                let mut batch = Batch::new(&mut to);
                for line in sql_query(statement_in_postgres(&table, &columns))
                    .load_iter::<Line, PgRowByRowLoadingMode>(from)
                    .map_err(of)?
                {
                    batch.add(&line.map_err(of)?.line)?;
                    rows.one_more();
                }
                batch.end()?;
            }
            to.batch_execute("COMMIT; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE").map_err(of)?;
        }
    }
    File::open(file).and_then(|file| file.sync_all()).map_err(|e| io(file, &e))?;
    private(file)
}

/// Puts a copy in the place of the database, which nobody uses. Answers where what was there has gone, if that was a file. The copy must lie
/// where nobody else writes: SQLite believes what stands beside it.
///
/// # Errors
/// As any write; then nothing of the copy is in the database.
pub fn load(file: &Path, options: &StoreOptions, told: Told<'_>) -> Result<Option<PathBuf>, StoreError> {
    match Location::parse(&options.url)? {
        Location::Sqlite(path) => replace_file(file, &path),
        Location::Postgres(_) => fill_postgres(file, options, told).map(|()| None),
    }
}

fn replace_file(file: &Path, path: &Path) -> Result<Option<PathBuf>, StoreError> {
    let failed = |e: &std::io::Error| io(path, e);
    let beside = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let new = beside(".restored");
    fs::copy(file, &new).and_then(|_| File::open(&new)?.sync_all()).map_err(|e| failed(&e))?;
    private(&new)?;
    // What stands beside the database goes with it: its last writes may be there alone, and would be played into the one that comes.
    let old = |n: u32, end: &str| beside(&format!(".before-restore-{n}{end}"));
    let is_free = |n: &u32| OF_DATABASE.iter().all(|end| !old(*n, end).exists());
    let number = (1..1000).find(is_free).ok_or_else(|| StoreError::Fault("too many databases of before".to_owned()))?;
    let mut aside = None;
    for end in OF_DATABASE {
        match fs::rename(beside(end), old(number, end)) {
            Ok(()) if end.is_empty() => aside = Some(old(number, end)),
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(io(&beside(end), &e)),
            _ => {}
        }
    }
    fs::rename(&new, path).map_err(|e| failed(&e))?;
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| failed(&e))?;
    Ok(aside)
}

fn fill_postgres(file: &Path, options: &StoreOptions, told: Told<'_>) -> Result<(), StoreError> {
    migrate::run(&options.url)?;
    let of = |e| StoreError::of("restore", e);
    let mut from = SqliteConnection::establish(&file.to_string_lossy()).map_err(|e| StoreError::Fault(e.to_string()))?;
    let mut conn = Conn::open(&Location::parse(&options.url)?, Access::Create, options.busy_timeout)?;
    begin(&mut conn, Mode::Write).map_err(of)?;
    // The texts that come are quoted as the standard has it: with another setting of the role a backslash would end one.
    conn.batch_execute("SET LOCAL standard_conforming_strings = on").map_err(of)?;
    let Conn::Postgres(to) = &mut conn else { return Err(other_engine()) };
    let tables = tables(&mut from)?;
    for table in tables.iter().rev() {
        to.batch_execute(&format!("DELETE FROM {table}")).map_err(of)?;
    }
    let counted = sql_query(number_of_rows(&tables)).get_result::<Number>(&mut from).map_err(of)?;
    let mut rows = Rows { done: 0, all: counted.n.unsigned_abs(), told };
    for table in &tables {
        let columns = columns_of_postgres(to, table)?;
        let mut batch = Batch::new(to);
        for line in
            sql_query(statement_in_sqlite(table, &columns)).load_iter::<Line, DefaultLoadingMode>(&mut from).map_err(of)?
        {
            batch.add(&line.map_err(of)?.line)?;
            rows.one_more();
        }
        batch.end()?;
    }
    conn.batch_execute("COMMIT").map_err(of)
}

/// Does something that makes a file longer, and tells meanwhile how long it is.
fn watched<T>(file: &Path, size: u64, told: Told<'_>, work: impl FnOnce() -> T) -> T {
    let (at_work, ended) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                told(fs::metadata(file).map_or(0, |there| there.len()).min(size), size);
            }
        });
        let done = work();
        drop(at_work);
        done
    })
}

/// How far a copy is.
struct Rows<'a> {
    done: u64,
    all: u64,
    told: Told<'a>,
}

impl Rows<'_> {
    fn one_more(&mut self) {
        self.done += 1;
        (self.told)(self.done, self.all);
    }
}

/// How many rows tables have together, as a query.
fn number_of_rows(tables: &[String]) -> String {
    let each: Vec<String> = tables.iter().map(|table| format!("(SELECT count(*) FROM {table})")).collect();
    format!("SELECT CAST({} AS bigint) AS n", each.join(" + "))
}

/// A new file with the schema of this program.
fn empty_file(file: &Path, options: &StoreOptions) -> Result<SqliteConnection, StoreError> {
    let url = format!("sqlite:{}", file.display());
    migrate::run(&url)?;
    match Conn::open(&Location::parse(&url)?, Access::Create, options.busy_timeout)? {
        Conn::Sqlite(conn) => Ok(conn),
        Conn::Postgres(_) => Err(other_engine()),
    }
}

/// That a connection is not to the engine that its location names.
fn other_engine() -> StoreError {
    StoreError::Fault("another engine than the location names".to_owned())
}

/// The tables, those that others refer to before those that do: the order in which they were made.
fn tables(conn: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    let query = "SELECT name AS line FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid";
    let names: Vec<Line> = sql_query(query).load(conn).map_err(|e| StoreError::of("schema", e))?;
    Ok(names.into_iter().map(|name| name.line).filter(|name| !OF_MIGRATIONS.contains(&name.as_str())).collect())
}

fn columns_of_postgres(conn: &mut PgConnection, table: &str) -> Result<Vec<Column>, StoreError> {
    let query = format!(
        "SELECT column_name::text AS name, CASE WHEN domain_name IS NULL AND udt_schema = 'pg_catalog' THEN data_type::text \
         ELSE 'another' END AS kind, data_type = 'boolean' AS boolean FROM information_schema.columns WHERE table_schema = 'public' AND table_name = {} ORDER BY ordinal_position",
        quoted(table)
    );
    let found: Vec<Column> = sql_query(query).load(conn).map_err(|e| StoreError::of("schema", e))?;
    if found.is_empty() {
        return Err(StoreError::Fault(format!("there is no table {table}: the copy is of another release")));
    }
    // What a column of another type gives as its text could go on as a statement of its own.
    match found.iter().find(|column| !KINDS.contains(&column.kind.as_str())) {
        Some(strange) => {
            let detail = format!("the column {} of {table} is of a type that no migration gives it", strange.name);
            Err(StoreError::Corrupt { table: "schema", detail })
        }
        None => Ok(found),
    }
}

fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| format!("\"{}\"", column.name)).collect::<Vec<_>>().join(", ")
}

/// The query that gives the rows of a table of PostgreSQL as statements of SQLite.
fn statement_in_postgres(table: &str, columns: &[Column]) -> String {
    let value = |column: &Column| {
        let name = format!("\"{}\"", column.name);
        let text = match column.kind.as_str() {
            "bytea" => format!("'x''' || encode({name}, 'hex') || ''''"),
            "boolean" => format!("{name}::int::text"),
            "text" => format!("'''' || replace({name}, '''', '''''') || ''''"),
            // Of a number, or nothing would have come so far.
            _ => format!("{name}::text"),
        };
        format!("coalesce({text}, 'NULL')")
    };
    let values = columns.iter().map(value).collect::<Vec<_>>().join(" || ',' || ");
    format!("SELECT 'INSERT INTO {table} ({}) VALUES (' || {values} || ')' AS line FROM {table}", names(columns))
}

/// The query that gives the rows of a table of SQLite as statements of PostgreSQL.
fn statement_in_sqlite(table: &str, columns: &[Column]) -> String {
    let value = |column: &Column| {
        let name = format!("\"{}\"", column.name);
        let text = match column.kind.as_str() {
            "bytea" => format!("'decode(''' || hex({name}) || ''', ''hex'')'"),
            "text" => format!("'''' || replace({name}, '''', '''''') || ''''"),
            _ if column.boolean => format!("CASE {name} WHEN 0 THEN 'FALSE' ELSE 'TRUE' END"),
            _ => format!("CAST({name} AS TEXT)"),
        };
        format!("CASE WHEN {name} IS NULL THEN 'NULL' ELSE {text} END")
    };
    let values = columns.iter().map(value).collect::<Vec<_>>().join(" || ',' || ");
    format!("SELECT 'INSERT INTO {table} ({}) VALUES (' || {values} || ')' AS line FROM {table}", names(columns))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Statements that wait to be run together.
struct Batch<'c, C> {
    conn: &'c mut C,
    text: String,
    count: usize,
}

impl<'c, C: SimpleConnection> Batch<'c, C> {
    fn new(conn: &'c mut C) -> Self {
        Self { conn, text: String::new(), count: 0 }
    }

    fn add(&mut self, statement: &str) -> Result<(), StoreError> {
        self.text.push_str(statement);
        self.text.push(';');
        self.count += 1;
        if self.count >= BATCH { self.end() } else { Ok(()) }
    }

    fn end(&mut self) -> Result<(), StoreError> {
        if self.count > 0 {
            self.conn.batch_execute(&self.text).map_err(|e| StoreError::of("copy", e))?;
        }
        self.text.clear();
        self.count = 0;
        Ok(())
    }
}

fn private(file: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).map_err(|e| io(file, &e))
}

fn io(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Fault(format!("{}: {error}", path.display()))
}
