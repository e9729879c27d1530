//! Every sealed row of the database, read once and verified: what one tampered row would otherwise say only when it is asked.
//!
//! Owns: the list of sealed tables, and what the proof finds. Must not know: the token, the audit log. Called by: `bulla verify`; rekey.
//!
//! All of it is read in one snapshot, row by row, beside a service that runs.

use std::collections::HashSet;
use std::fmt;

use diesel::connection::{DefaultLoadingMode, SimpleConnection};
use diesel::pg::PgRowByRowLoadingMode;
use diesel::prelude::*;
use diesel::{QueryableByName, sql_query, sql_types::BigInt};

use crate::store::AttachmentRow;
use crate::store::engine::begin::{Mode, begin};
use crate::store::engine::connection::{Access, Conn};
use crate::store::engine::location::Location;
use crate::store::engine::migrate;
use crate::store::engine::row_mac::{Sealed, Sealer};
use crate::store::engine::schema;
use crate::store::engine::scope::{Counted, Scope};
use crate::store::engine::tx::NOT_ITS_MAC;
use crate::store::keys::key::DefaultKeyRow;
use crate::store::ledger::digests::{PartRow, ScopeRow};
use crate::store::shared::tags::TagRecord;
use crate::store::{
    AccessKeyRow, AccessPointRow, AccessPolicyRow, AccountRow, AliasRow, AnchorsRow, BearerTokenRow, ClientKeyRow,
    CondemnedRow, DeploymentRow, ImportParametersRow, KeyMaterialRow, KeyRotationRow, KeyRow, KeyVersionRow, Levels,
    LogHeadRow, NetworkRuleRow, NodeRow, NonceRow, PolicyRow, ResourcePolicyRow, RotationAccountRow, RotationRow, SecretRow,
    StageRow, Store, StoreError, StoreOptions, Tx, UserRow,
};

/// A row that does not hold, and why. No values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The table.
    pub table: &'static str,
    /// Which row, by its key.
    pub row: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.table, self.row, self.what)
    }
}

/// What a proof found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// Rows that were read, of all tables.
    pub rows: u64,
    /// What does not hold; empty when all does.
    pub flaws: Vec<Flaw>,
}

/// Hears how many rows were read, of how many in all.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// How many rows are read between two words of progress.
const TELL_EVERY: u64 = 4096;

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// What is known while rows are read.
struct Course<'a> {
    proof: Proof,
    all: u64,
    progress: Progress<'a>,
    /// The scopes of the rows that were found.
    scopes: HashSet<Scope>,
}

impl Course<'_> {
    fn counts(&mut self, counted: Counted) {
        if let Counted::In(scope) = counted {
            self.scopes.insert(scope);
        }
    }

    fn count(&mut self) {
        self.proof.rows += 1;
        if self.proof.rows.is_multiple_of(TELL_EVERY) {
            (self.progress)(self.proof.rows, self.all);
        }
    }

    fn flaw(&mut self, table: &'static str, row: String, what: impl Into<String>) {
        self.proof.flaws.push(Flaw { table, row, what: what.into() });
    }
}

/// Reads a sealed table row by row and verifies each.
macro_rules! table {
    ($tx:ident, $course:ident, $table:ident: $row:ty) => {{
        let seals = $tx.seals();
        let mut visit = |found: QueryResult<($row, Vec<u8>)>| {
            $course.count();
            match found {
                Ok((row, mac)) if !seals.verify(&row, &mac) => $course.flaw(<$row>::TABLE, row.name(), NOT_ITS_MAC),
                Ok((row, _)) => {
                    $course.counts(row.counted());
                }
                Err(error) => $course.flaw(<$row>::TABLE, "a row".to_owned(), format!("cannot be read: {error}")),
            }
        };
        let columns = || schema::$table::table.select((<$row>::as_select(), schema::$table::mac));
        $tx.run(<$row>::TABLE, |conn| match conn {
            Conn::Postgres(conn) => {
                columns().load_iter::<_, PgRowByRowLoadingMode>(conn)?.for_each(&mut visit);
                Ok(())
            }
            Conn::Sqlite(conn) => {
                let columns = schema::$table::table.select((<$row>::as_select(), schema::$table::mac));
                columns.load_iter::<_, DefaultLoadingMode>(conn)?.for_each(&mut visit);
                Ok(())
            }
        })?;
    }};
}

/// The sealed tables; a test compares the list with the database.
pub(in crate::store) const TABLES: [&str; 31] = [
    "access_keys",
    "access_points",
    "access_policies",
    "accounts",
    "aliases",
    "anchors",
    "bearer_tokens",
    "client_keys",
    "condemned",
    "default_keys",
    "deployment",
    "import_parameters",
    "key_materials",
    "key_rotations",
    "key_versions",
    "keys",
    "log_heads",
    "network_rules",
    "nodes",
    "nonces",
    "parts",
    "policies",
    "policy_attachments",
    "resource_policies",
    "rotation_accounts",
    "rotations",
    "scopes",
    "secrets",
    "tags",
    "users",
    "version_stages",
];

impl Store {
    /// Proves the whole database: the schema, the MAC of every row, every digest, and that what rows name is there.
    ///
    /// # Errors
    /// When the database cannot be read. What does not hold is in the [`Proof`].
    pub fn prove(&self, options: &StoreOptions, progress: Progress<'_>) -> Result<Proof, StoreError> {
        // A connection of its own, which may last as long as a migration's: those of the service end a statement that takes long.
        let mut conn = Conn::open(&Location::parse(&options.url)?, Access::Create, options.busy_timeout)?;
        begin(&mut conn, Mode::Snapshot).map_err(|e| StoreError::of("begin", e))?;
        let proof = proved(&mut conn, &self.seals, options.levels, progress);
        // Nothing was written; the connection closes next.
        let _ = conn.batch_execute("ROLLBACK");
        proof
    }
}

/// The same in the transaction that is open on a connection, under a key.
pub(in crate::store) fn proved(
    conn: &mut Conn,
    seals: &Sealer,
    levels: Levels,
    progress: Progress<'_>,
) -> Result<Proof, StoreError> {
    let mut course = Course { proof: Proof::default(), all: 0, progress, scopes: HashSet::new() };
    if let Err(error) = conn.check_shape() {
        course.flaw("schema", "all".to_owned(), error.to_string());
    }
    let unknown = migrate::unknown_of(conn, levels)?;
    if !unknown.is_empty() {
        let what = "this program does not have it: it cannot prove what it has made; run the newer one, if there is one";
        course.flaw("schema", format!("migration {}", unknown.join(", ")), what);
    }
    let mut tx = Tx::new(conn, seals, Mode::Snapshot);
    if let Err(error) = tx.values_checked(true) {
        course.flaw("schema", "values".to_owned(), error.to_string());
    }
    for twice in tx.keys_twice()? {
        course.flaw("schema", "keys".to_owned(), twice);
    }
    course.all = tx.rows_in_all()?;
    tx.prove(&mut course)?;
    let Course { mut proof, scopes, .. } = course;
    proof.flaws.extend(tx.digests_proved(scopes)?);
    proof.flaws.extend(tx.relations()?);
    Ok(proof)
}

impl Tx<'_> {
    /// How many rows the sealed tables have.
    pub(in crate::store) fn rows_in_all(&mut self) -> Result<u64, StoreError> {
        let counts: Vec<_> = TABLES.iter().map(|table| format!("(SELECT count(*) FROM {table})")).collect();
        let query = format!("SELECT {} AS rows", counts.join(" + "));
        let count: Count = self.run("all", |conn| match conn {
            Conn::Postgres(conn) => sql_query(&query).get_result(conn),
            Conn::Sqlite(conn) => sql_query(&query).get_result(conn),
        })?;
        Ok(u64::try_from(count.rows).unwrap_or_default())
    }

    fn prove(&mut self, course: &mut Course<'_>) -> Result<(), StoreError> {
        table!(self, course, deployment: DeploymentRow);
        table!(self, course, nodes: NodeRow);
        table!(self, course, nonces: NonceRow);
        table!(self, course, log_heads: LogHeadRow);
        let before = course.proof.rows;
        table!(self, course, anchors: AnchorsRow);
        if course.proof.rows == before {
            course.flaw(AnchorsRow::TABLE, AnchorsRow::ID.to_string(), "it is gone: nothing says how old the database is");
        }
        table!(self, course, accounts: AccountRow);
        table!(self, course, users: UserRow);
        table!(self, course, access_keys: AccessKeyRow);
        table!(self, course, bearer_tokens: BearerTokenRow);
        table!(self, course, policies: PolicyRow);
        table!(self, course, policy_attachments: AttachmentRow);
        table!(self, course, access_points: AccessPointRow);
        table!(self, course, access_policies: AccessPolicyRow);
        table!(self, course, network_rules: NetworkRuleRow);
        table!(self, course, client_keys: ClientKeyRow);
        table!(self, course, resource_policies: ResourcePolicyRow);
        table!(self, course, keys: KeyRow);
        table!(self, course, key_versions: KeyVersionRow);
        table!(self, course, key_rotations: KeyRotationRow);
        table!(self, course, key_materials: KeyMaterialRow);
        table!(self, course, import_parameters: ImportParametersRow);
        table!(self, course, condemned: CondemnedRow);
        table!(self, course, default_keys: DefaultKeyRow);
        table!(self, course, aliases: AliasRow);
        table!(self, course, secrets: SecretRow);
        table!(self, course, version_stages: StageRow);
        table!(self, course, rotations: RotationRow);
        table!(self, course, rotation_accounts: RotationAccountRow);
        table!(self, course, tags: TagRecord);
        table!(self, course, scopes: ScopeRow);
        table!(self, course, parts: PartRow);
        Ok(())
    }
}
