//! The database of a server, seen from outside: what a request has changed in it; and what the audit log calls a write.

use std::collections::BTreeSet;

use bulla_test_support::server::Server;
use diesel::connection::SimpleConnection;
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, RunQueryDsl, SqliteConnection, sql_query};

/// Tables that the service writes for itself, whatever is asked for.
const OF_THE_SERVICE: [&str; 8] = ["nonces", "leases", "nodes", "rotation_calls", "log_heads", "anchors", "scopes", "parts"];

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    row: String,
}

/// The content of all tables but those of the service's own.
pub struct Watch {
    database: SqliteConnection,
    version: i64,
    content: Vec<String>,
}

impl Watch {
    pub fn new(server: &Server) -> Self {
        let mut watch = Self { database: crate::database(server), version: 0, content: Vec::new() };
        watch.database.batch_execute("PRAGMA query_only = ON").expect("a setting");
        assert!(!watch.changes().is_empty(), "what is there is seen");
        watch
    }

    /// What is other than at the last call: the rows that came and went, by their tables.
    pub fn changes(&mut self) -> Vec<String> {
        let version: Number =
            sql_query("SELECT data_version AS n FROM pragma_data_version").get_result(&mut self.database).expect("a number");
        if version.n == self.version {
            return Vec::new();
        }
        let content = self.read();
        let came = content.iter().filter(|row| self.content.binary_search(row).is_err()).map(|row| format!("+{row}"));
        let went = self.content.iter().filter(|row| content.binary_search(row).is_err()).map(|row| format!("-{row}"));
        let changes = came.chain(went).collect();
        (self.version, self.content) = (version.n, content);
        changes
    }

    fn read(&mut self) -> Vec<String> {
        let tables: Vec<Row> = sql_query("SELECT name AS row FROM sqlite_master WHERE type = 'table' ORDER BY name")
            .load(&mut self.database)
            .expect("the schema");
        let tables = tables.into_iter().map(|table| table.row).filter(|name| !OF_THE_SERVICE.contains(&name.as_str()));
        let mut content = Vec::new();
        for table in tables {
            let columns: Vec<Row> =
                sql_query(format!("SELECT 'quote(\"' || name || '\")' AS row FROM pragma_table_info('{table}')"))
                    .load(&mut self.database)
                    .expect("the columns");
            let columns: Vec<String> = columns.into_iter().map(|column| column.row).collect();
            let rows: Vec<Row> =
                sql_query(format!("SELECT '{table} ' || {} AS row FROM \"{table}\"", columns.join(" || ',' || ")))
                    .load(&mut self.database)
                    .expect("the rows");
            content.extend(rows.into_iter().map(|row| row.row));
        }
        content.sort();
        content
    }
}

/// The actions of which the audit log has an intent.
pub fn written(server: &Server) -> BTreeSet<String> {
    let lines = crate::audit_lines(server);
    let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a line of JSON"));
    let intents = lines.filter(|line| line["kind"] == "intent");
    intents.map(|line| line["action"].as_str().expect("an action").to_owned()).collect()
}
