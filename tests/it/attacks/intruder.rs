//! Somebody who writes the database of a server, whichever that is.

use std::path::{Path, PathBuf};

use bulla_test_support::postgres::PostgresCluster;
use bulla_test_support::server::Server;
use diesel::connection::SimpleConnection;
use diesel::sql_types::Text;
use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query};

/// Where he writes: with the rights of the tables' owner, and no foreign key in his way.
pub enum Intruder {
    Sqlite(PathBuf),
    Postgres(String),
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

impl Intruder {
    pub fn of(server: &Server) -> Self {
        let config = std::fs::read_to_string(server.data().join("bulla.toml")).expect("written by dev");
        match config.split('"').find(|part| part.starts_with("postgres")) {
            Some(url) => Intruder::Postgres(url.to_owned()),
            None => Intruder::Sqlite(server.data().join("bulla.db")),
        }
    }

    fn sqlite(file: &Path) -> SqliteConnection {
        let mut conn = SqliteConnection::establish(file.to_str().expect("UTF-8")).expect("a database");
        conn.batch_execute("PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = OFF").expect("settings");
        conn
    }

    /// Runs statements that both databases understand; blobs and truth in them are [`Intruder::blob`]'s and comparisons.
    pub fn run(&self, statements: &str) {
        match self {
            Intruder::Sqlite(file) => {
                Self::sqlite(file).batch_execute(statements).unwrap_or_else(|e| panic!("{statements}: {e}"))
            }
            Intruder::Postgres(url) => {
                PostgresCluster::shared().sql(url, &format!("SET session_replication_role = replica; {statements}"));
            }
        }
    }

    /// The one text that a query has, as `line`.
    pub fn line(&self, query: &str) -> String {
        match self {
            Intruder::Sqlite(file) => {
                let line: Line = sql_query(query).get_result(&mut Self::sqlite(file)).expect(query);
                line.line
            }
            Intruder::Postgres(url) => PostgresCluster::shared().sql(url, query).trim().to_owned(),
        }
    }

    /// Bytes, from hexadecimal digits.
    pub fn blob(&self, digits: &str) -> String {
        match self {
            Intruder::Sqlite(_) => format!("x'{digits}'"),
            Intruder::Postgres(_) => format!("'\\x{digits}'::bytea"),
        }
    }

    /// A column of bytes as lower hexadecimal digits.
    pub fn hex(&self, column: &str) -> String {
        match self {
            Intruder::Sqlite(_) => format!("lower(hex({column}))"),
            Intruder::Postgres(_) => format!("encode({column}, 'hex')"),
        }
    }

    /// Puts rows that a copy has in the place of those with the same id.
    pub fn put_back(&self, table: &str, copy: &str) {
        self.run(&format!("DELETE FROM {table} WHERE id IN (SELECT id FROM {copy}); INSERT INTO {table} SELECT * FROM {copy}"));
    }
}
