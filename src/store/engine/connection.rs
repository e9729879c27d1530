//! The connection to either database, and how one is opened.
//!
//! Owns: the two-backend connection and its settings. Must not know: rows, retries. Called by: the rest of
//! store.
//!
//! `Conn::establish` is never used: it tries the variants in turn and takes any text for a file of SQLite.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use diesel::connection::{CacheSize, SimpleConnection};
use diesel::{
    Connection, PgConnection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query,
    sql_types::{Bool, Text},
};
use parking_lot::Mutex;

use crate::store::StoreError;
use crate::store::engine::location::{self, Location};
use crate::store::engine::shape;
use crate::store::engine::waits::{self, Watch};

/// A connection to one of the two.
#[derive(diesel::MultiConnection)]
pub(in crate::store) enum Conn {
    /// A PostgreSQL server.
    Postgres(PgConnection),
    /// A file.
    Sqlite(SqliteConnection),
}

/// A statement as a closure over a [`Conn`] that runs it as one of the database's own kind. As one of both kinds, diesel would write
/// its text anew each time, twice, before it finds it prepared, which is a tenth of what a value read costs. Only a boxed query,
/// which names its kind, runs on the [`Conn`] itself.
macro_rules! per_backend {
    (|$conn:ident| $statement:expr) => {
        |$conn: &mut $crate::store::engine::connection::Conn| match $conn {
            $crate::store::engine::connection::Conn::Postgres($conn) => $statement,
            $crate::store::engine::connection::Conn::Sqlite($conn) => $statement,
        }
    };
}
pub(in crate::store) use per_backend;

/// SQL in the words of whichever of the two it is.
pub(in crate::store) type Backend = <Conn as Connection>::Backend;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Access {
    /// Reads of the service.
    Read,
    /// Writes of the service.
    Write,
    /// Set-up and migrations, on an existing database.
    Admin,
    /// As `Admin`; makes the file of SQLite.
    Create,
}

/// How long a statement of the service may run on PostgreSQL, and a transaction stand idle: far above any that belongs here, so
/// that a lost client holds no locks.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long this side waits for an answer to one statement: longer than the server would work on it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(12);
/// How long a connection may last that is opened to look at something or set it up.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one may last that runs migrations.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(3600);

impl Conn {
    /// Opens a connection; `busy` is how long a statement waits for another's lock.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be reached, `Fault` when its settings would lose acknowledged writes.
    pub(in crate::store) fn open(location: &Location, access: Access, busy: Duration) -> Result<Self, StoreError> {
        let (conn, watch) = Self::open_watched(location, access, busy)?;
        if let Some(watch) = watch {
            watch.keep();
        }
        Ok(conn)
    }

    /// The same with a watch on its waits, where it is one that can be waited for.
    ///
    /// # Errors
    /// As [`Conn::open`].
    pub(in crate::store) fn open_watched(
        location: &Location,
        access: Access,
        busy: Duration,
    ) -> Result<(Self, Option<Watch>), StoreError> {
        match location {
            Location::Sqlite(path) => Ok((Conn::Sqlite(open_sqlite(path, access, busy)?), None)),
            Location::Postgres(url) => {
                let each = each_transaction(location, busy);
                open_postgres(url, access, busy, each.as_deref()).map(|(conn, watch)| (Conn::Postgres(conn), watch))
            }
        }
    }
}

impl Conn {
    /// Refuses a schema that is not plain tables as this program makes them; see [`shape`].
    ///
    /// # Errors
    /// `Corrupt`, with what was found.
    pub(in crate::store) fn check_shape(&mut self) -> Result<(), StoreError> {
        match self {
            Conn::Sqlite(conn) => shape::check_sqlite(conn),
            Conn::Postgres(conn) => shape::check_postgres(conn),
        }
    }
}

fn unavailable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

fn open_sqlite(path: &Path, access: Access, busy: Duration) -> Result<SqliteConnection, StoreError> {
    if access == Access::Create {
        create_private(path).map_err(unavailable)?;
    }
    make_private(path)?;
    let text = path.to_str().ok_or_else(|| StoreError::Fault("the path of the database is not UTF-8".to_owned()))?;
    let mut connection = SqliteConnection::establish(text).map_err(unavailable)?;
    // The waiting time comes before everything that may have to wait, the change to WAL included.
    let settings = format!("PRAGMA busy_timeout = {};", busy.as_millis());
    execute(&mut connection, &settings)?;
    let mode: Vec<JournalMode> = sql_query("PRAGMA journal_mode = WAL").load(&mut connection).map_err(of_opening)?;
    if mode.first().is_none_or(|m| m.journal_mode != "wal") {
        return Err(StoreError::Fault("the file system of the database does not allow SQLite's WAL".to_owned()));
    }
    execute(&mut connection, SQLITE_SETTINGS)?;
    if access == Access::Read {
        execute(&mut connection, "PRAGMA query_only = ON;")?;
    }
    if matches!(access, Access::Read | Access::Write) {
        shape::check_sqlite(&mut connection)?;
    }
    Ok(connection)
}

/// FULL syncs the log at every commit. cache_size is in KiB when negative and per connection: up to 4 MiB it made no difference to
/// a value read of 14 µs (1,000 secrets) or 21 µs (100,000), as the system's own cache stands behind it; nor did mmap beyond a tenth,
/// at the price of memory that grows with the file. The log is cut back to 64 MiB after a burst.
const SQLITE_SETTINGS: &str = "\
    PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; \
    PRAGMA temp_store = MEMORY; PRAGMA cache_size = -1024; PRAGMA journal_size_limit = 67108864;";

#[derive(QueryableByName)]
struct JournalMode {
    #[diesel(sql_type = Text)]
    journal_mode: String,
}

/// What an SQLite file begins with; one that was just made is empty.
const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";

/// Takes a database from all but its owner. What is none is not touched: a path may be misspelt.
///
/// Once for each file, before its first connection: whoever closes a file gives up every lock that the process has on it (POSIX), those
/// of SQLite's connections as well. Another program that opens the database then takes itself for the only one, and at its end removes
/// the log in which the service goes on to write.
fn make_private(path: &Path) -> Result<(), StoreError> {
    /// Device and number of each file that was looked at.
    static LOOKED_AT: Mutex<BTreeSet<(u64, u64)>> = Mutex::new(BTreeSet::new());
    let mut looked_at = LOOKED_AT.lock();
    let named = |e: io::Error| unavailable(format_args!("{}: {e}", path.display()));
    let is_none = || StoreError::Fault(format!("{} is no SQLite database", path.display()));
    let metadata = std::fs::metadata(path).map_err(named)?;
    if !metadata.is_file() {
        return Err(is_none());
    }
    if !looked_at.insert((metadata.dev(), metadata.ino())) {
        return Ok(());
    }
    let mut start = Vec::new();
    File::open(path).map_err(named)?.take(SQLITE_MAGIC.len() as u64).read_to_end(&mut start).map_err(named)?;
    if !start.is_empty() && start != SQLITE_MAGIC {
        return Err(is_none());
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(named)?;
    }
    Ok(())
}

/// Makes the file, for its owner only, and its entry in the folder durable; leaves an existing one as it is.
fn create_private(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file.sync_all()?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    }
    match path.parent() {
        Some(folder) if folder != Path::new("") => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// The settings of a session that serves.
fn session_settings(busy: Duration) -> [(&'static str, String); 4] {
    let timeout = STATEMENT_TIMEOUT.as_millis();
    [
        ("client_min_messages", "error".to_owned()),
        ("lock_timeout", busy.as_millis().to_string()),
        ("statement_timeout", timeout.to_string()),
        ("idle_in_transaction_session_timeout", timeout.to_string()),
    ]
}

/// What each transaction says behind its BEGIN where a pooler lends a session for that long: all that is said once of a session of our
/// own. None where it is our own.
pub(in crate::store) fn each_transaction(location: &Location, busy: Duration) -> Option<String> {
    let local = |(name, value)| format!("; SET LOCAL {name} = {value}");
    let settings = || session_settings(busy).into_iter().map(local).collect::<String>();
    location.pools_transactions().then(|| format!("; SET LOCAL {}{}", shape::SEARCH_PATH, settings()))
}

fn open_postgres(
    url: &str,
    access: Access,
    busy: Duration,
    each: Option<&str>,
) -> Result<(PgConnection, Option<Watch>), StoreError> {
    let limit = match access {
        Access::Read | Access::Write => ANSWER_TIMEOUT,
        Access::Admin => ADMIN_TIMEOUT,
        Access::Create => MIGRATION_TIMEOUT,
    };
    let known = location::for_libpq(url);
    let (mut connection, watch) = waits::opening(url, limit, || PgConnection::establish(&known)).map_err(unavailable)?;
    if each.is_some() {
        // A prepared statement is one session's.
        connection.set_prepared_statement_cache_size(CacheSize::Disabled);
    }
    let _wait = Watch::begin(watch.as_ref());
    let settings: PostgresSettings = sql_query(
        "SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes, \
         current_setting('synchronous_commit') AS synchronous_commit, current_setting('lc_messages') AS lc_messages, \
         pg_is_in_recovery() AS standby",
    )
    .get_result(&mut connection)
    .map_err(of_opening)?;
    settings.check()?;
    let serves = matches!(access, Access::Read | Access::Write);
    match each {
        None => {
            execute(&mut connection, &format!("SET {}", shape::SEARCH_PATH))?;
            if serves {
                // Whatever the server's settings are: a write of one statement says nothing at its beginning. Reads of several say READ ONLY.
                execute(&mut connection, "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")?;
                let settings = session_settings(busy).map(|(name, value)| format!("SET {name} = {value};")).concat();
                execute(&mut connection, &settings)?;
                shape::check_postgres(&mut connection)?;
            }
        }
        Some(each) => {
            shape::check_search_path(&mut connection)?;
            if serves {
                execute(&mut connection, &format!("BEGIN READ ONLY{each}"))?;
                shape::check_postgres(&mut connection)?;
                execute(&mut connection, "COMMIT")?;
            }
        }
    }
    Ok((connection, watch))
}

#[derive(QueryableByName)]
struct PostgresSettings {
    #[diesel(sql_type = Bool)]
    standby: bool,
    #[diesel(sql_type = Text)]
    fsync: String,
    #[diesel(sql_type = Text)]
    full_page_writes: String,
    #[diesel(sql_type = Text)]
    synchronous_commit: String,
    #[diesel(sql_type = Text)]
    lc_messages: String,
}

impl PostgresSettings {
    /// Refuses a server that would lose acknowledged writes.
    fn check(&self) -> Result<(), StoreError> {
        if self.standby {
            return Err(unavailable("the server is a standby, which takes no writes; a primary is waited for"));
        }
        let settings = [
            ("fsync", &self.fsync),
            ("full_page_writes", &self.full_page_writes),
            ("synchronous_commit", &self.synchronous_commit),
        ];
        for (name, value) in settings {
            if value == "off" {
                return Err(StoreError::Fault(format!("the server has {name}=off: acknowledged writes could be lost")));
            }
        }
        let messages = &self.lc_messages;
        if !(messages.is_empty()
            || messages == "C"
            || messages.starts_with("C.")
            || messages.starts_with("en")
            || messages == "POSIX")
        {
            log::warn!("the server's lc_messages is {messages}: deadlocks and a full disk are told only in English");
        }
        Ok(())
    }
}

fn execute(connection: &mut impl SimpleConnection, sql: &str) -> Result<(), StoreError> {
    connection.batch_execute(sql).map_err(of_opening)
}

fn of_opening(error: diesel::result::Error) -> StoreError {
    StoreError::of("database", error)
}
