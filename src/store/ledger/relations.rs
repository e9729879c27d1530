//! What rows name and is not there: the trace of a row that was deleted behind the service's back, where another row still tells.
//!
//! Owns: those questions. Must not know: what is done about an answer. Called by: verify.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;

use crate::store::engine::connection::Conn;
use crate::store::ledger::verify::Flaw;
use crate::store::{StoreError, Tx};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// Table, what is wrong, and the query whose column `line` names the rows; HEX(…) stands for the text of an id.
const RELATIONS: [(&str, &str, &str); 15] = [
    (
        "version_stages",
        "stands on a version that is not there",
        "SELECT s.stage || ' of secret ' || HEX(s.secret_id) AS line FROM version_stages s LEFT JOIN secret_versions v \
         ON v.secret_id = s.secret_id AND v.version_id = s.version_id AND v.uuid = s.version_uuid WHERE v.uuid IS NULL",
    ),
    (
        "secrets",
        "has no ACSCurrent",
        "SELECT s.name || ' of ' || s.account_id AS line FROM secrets s LEFT JOIN version_stages l \
         ON l.secret_id = s.id AND l.stage = 'ACSCurrent' WHERE l.secret_id IS NULL",
    ),
    (
        "secrets",
        "its key is not there",
        "SELECT s.name || ' of ' || s.account_id AS line FROM secrets s LEFT JOIN keys k ON k.id = s.key_id WHERE k.id IS NULL",
    ),
    (
        "secret_versions",
        "its secret is not there",
        "SELECT v.version_id || ' of secret ' || HEX(v.secret_id) AS line FROM secret_versions v \
         LEFT JOIN secrets s ON s.id = v.secret_id WHERE s.id IS NULL",
    ),
    (
        "secret_versions",
        "its key version is not there",
        "SELECT v.version_id || ' of secret ' || s.name || ' of ' || s.account_id AS line FROM secret_versions v \
         JOIN secrets s ON s.id = v.secret_id JOIN keys k ON k.id = s.key_id \
         LEFT JOIN key_versions o ON o.id = v.key_version_id WHERE o.id IS NULL AND k.state <> 'Deleted'",
    ),
    (
        "keys",
        "its primary version is not there",
        "SELECT HEX(k.id) AS line FROM keys k LEFT JOIN key_versions v ON v.id = k.primary_version AND v.key_id = k.id \
         WHERE v.id IS NULL AND k.state <> 'Deleted'",
    ),
    (
        "key_versions",
        "its key is not there",
        "SELECT HEX(v.id) AS line FROM key_versions v LEFT JOIN keys k ON k.id = v.key_id WHERE k.id IS NULL",
    ),
    (
        "condemned",
        "is to be destroyed and in use",
        "SELECT HEX(c.id) AS line FROM condemned c JOIN key_versions v ON v.id = c.id",
    ),
    (
        "aliases",
        "its key is not there",
        "SELECT a.name || ' of ' || a.account_id AS line FROM aliases a LEFT JOIN keys k ON k.id = a.key_id WHERE k.id IS NULL",
    ),
    (
        "default_keys",
        "its key is not there",
        "SELECT d.account_id AS line FROM default_keys d LEFT JOIN keys k ON k.id = d.key_id WHERE k.id IS NULL",
    ),
    (
        "access_keys",
        "its user is not there",
        "SELECT a.id AS line FROM access_keys a LEFT JOIN users u ON u.id = a.user_id \
         WHERE a.user_id IS NOT NULL AND u.id IS NULL",
    ),
    (
        "policy_attachments",
        "its user is not there",
        "SELECT p.policy_name || ' on user ' || HEX(p.user_id) AS line FROM policy_attachments p \
         LEFT JOIN users u ON u.id = p.user_id WHERE u.id IS NULL",
    ),
    (
        "policy_attachments",
        "its policy is not there",
        "SELECT p.policy_name || ' on user ' || HEX(p.user_id) AS line FROM policy_attachments p LEFT JOIN policies d \
         ON d.account_id = p.account_id AND d.name = p.policy_name WHERE d.name IS NULL AND p.system = FALSE",
    ),
    (
        "client_keys",
        "its access point is not there",
        "SELECT c.id AS line FROM client_keys c LEFT JOIN access_points a \
         ON a.account_id = c.account_id AND a.name = c.access_point WHERE a.name IS NULL",
    ),
    (
        "rotations",
        "its secret is not there",
        "SELECT HEX(r.secret_id) AS line FROM rotations r LEFT JOIN secrets s ON s.id = r.secret_id WHERE s.id IS NULL",
    ),
];

impl Tx<'_> {
    /// Rows that name what is not there.
    pub(in crate::store) fn relations(&mut self) -> Result<Vec<Flaw>, StoreError> {
        let mut flaws = Vec::new();
        for (table, what, query) in RELATIONS {
            let lines: Vec<Line> = self.run(table, |conn| match conn {
                Conn::Sqlite(conn) => sql_query(query.replace("HEX(", "hex(")).load(conn),
                Conn::Postgres(conn) => sql_query(hex_of_postgres(query)).load(conn),
            })?;
            flaws.extend(lines.into_iter().map(|found| Flaw { table, row: found.line, what: what.to_owned() }));
        }
        Ok(flaws)
    }
}

/// `HEX(x)` in PostgreSQL's words.
fn hex_of_postgres(query: &str) -> String {
    let mut parts = query.split("HEX(");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (inside, rest) = part.split_once(')').unwrap_or((part, ""));
        text.push_str(&format!("encode({inside}, 'hex'){rest}"));
    }
    text
}
