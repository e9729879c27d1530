//! Every MAC and digest of the database under another row key.
//!
//! Owns: the one transaction in which that happens: all is proved under the key of before, written under the next, and proved again. Must not
//! know: the token, where the keys come from. Called by: `bulla rekey`.
//!
//! Nobody else writes meanwhile. A node that ran on through it would hold the key of before: it can read no row any more and ends no write,
//! since each ends with a digest that it cannot read either.

use std::collections::{BTreeMap, HashMap};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use crate::base::failpoint::{Step, reach};
use crate::store::engine::begin::{Mode, begin};
use crate::store::engine::connection::{Access, Conn, per_backend};
use crate::store::engine::digest::Digest;
use crate::store::engine::location::Location;
use crate::store::engine::part_sum::PartSum;
use crate::store::engine::row_mac::{RowKey, RowMac, Sealed, Sealer};
use crate::store::engine::schema;
use crate::store::engine::scope::{Counted, range};
use crate::store::engine::tx::NOT_ITS_MAC;
use crate::store::engine::update::update;
use crate::store::keys::key::DefaultKeyRow;
use crate::store::ledger::pass::PartFound;
use crate::store::ledger::verify::{TABLES, proved};
use crate::store::shared::tags::TagRecord;
use crate::store::{
    AccessKeyRow, AccessPointRow, AccessPolicyRow, AccountRow, AliasRow, AnchorsRow, AttachmentRow, BearerTokenRow,
    ClientKeyRow, CondemnedRow, DeploymentRow, ImportParametersRow, KeyMaterialRow, KeyRotationRow, KeyRow, KeyVersionRow,
    LogHeadRow, NetworkRuleRow, NodeRow, NonceRow, PolicyRow, Proof, ResourcePolicyRow, RotationAccountRow, RotationRow,
    SecretRow, StageRow, Store, StoreError, StoreOptions, Tx, UserRow, expect_changed,
};

/// How long each table is waited for, where somebody else still writes it.
const TABLES_WITHIN: &str = "10s";

/// What bears rights, and so is to be looked through where somebody may have forged rows; and what a change of the row key revokes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// Users of all accounts.
    pub users: i64,
    /// Access keys, of users and of roots.
    pub access_keys: i64,
    /// Policies.
    pub policies: i64,
    /// Policies of single keys and secrets.
    pub resource_policies: i64,
    /// Policies that users have.
    pub attachments: i64,
    /// Keys of applications.
    pub client_keys: i64,
    /// Bearer tokens, whose hashes hang on the row key.
    pub bearer_tokens: i64,
}

/// What is done in a change of the row key, for progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RekeyStage {
    /// All rows are proved, under the key of before or under the next.
    Proving,
    /// They are written.
    Writing,
}

/// Hears how many rows are done, of how many.
pub type RekeyProgress<'a> = &'a mut dyn FnMut(RekeyStage, u64, u64);

/// The work under way. Its transaction seals with the next key.
struct Work<'a, 'p> {
    tx: Tx<'a>,
    /// With the key of before.
    from: &'a Sealer,
    scopes: BTreeMap<Vec<u8>, Digest>,
    done: u64,
    all: u64,
    progress: RekeyProgress<'p>,
}

/// Writes the rows that a query gives under the next key; `$key` finds one: `rows!(work, table: Row, query, |row| key)`.
macro_rules! rows {
    ($work:ident, $table:ident: $row:ty, $query:expr, |$found:ident| $key:expr) => {{
        let query = $query;
        let load = per_backend!(|conn| query.select((<$row>::as_select(), schema::$table::mac)).load(conn));
        let found: Vec<($row, Vec<u8>)> = $work.tx.run(<$row>::TABLE, load)?;
        for (row, old) in found {
            let mac = $work.take(&row, &old)?;
            let $found = &row;
            let change = update(&schema::$table::table, $key, schema::$table::mac.eq(mac.to_vec()));
            let changed = $work.tx.changed(<$row>::TABLE, per_backend!(|conn| change.execute(conn)))?;
            expect_changed(changed, <$row>::TABLE)?;
        }
    }};
    ($work:ident, $table:ident: $row:ty, |$found:ident| $key:expr) => {
        rows!($work, $table: $row, schema::$table::table, |$found| $key)
    };
}

impl Store {
    /// Writes everything under the next row key, and that it is in use. Bearer tokens end. All or nothing.
    ///
    /// `to` is the deployment's row as it is then: the keys that it names as in use and as spare have changed places. `mark` is done in the same
    /// transaction.
    ///
    /// # Errors
    /// `Corrupt` when a row or a digest does not verify; `Conflict` when the deployment's row is not as it must be before; `Unknown` when the
    /// connection was lost at the commit; else as any write.
    pub fn rekey(
        &self,
        options: &StoreOptions,
        to: &DeploymentRow,
        key: RowKey,
        mark: &dyn Fn(&mut Tx<'_>) -> Result<(), StoreError>,
        progress: RekeyProgress<'_>,
    ) -> Result<u64, StoreError> {
        let next = Sealer::new(key, options.levels, self.seals.level(), false);
        // A connection of its own, which may last as long as a migration's.
        let mut conn = Conn::open(&Location::parse(&options.url)?, Access::Create, options.busy_timeout)?;
        let done = alone(&mut conn).and_then(|()| self.rekey_in(&mut conn, options, to, &next, mark, progress));
        if done.is_err() {
            // What cannot be rolled back ends with the connection.
            let _ = conn.batch_execute("ROLLBACK");
            return done;
        }
        reach(Step::RekeyWritten);
        conn.batch_execute("COMMIT").map_err(|error| StoreError::Unknown(error.to_string()))?;
        reach(Step::RekeyCommitted);
        done
    }

    fn rekey_in(
        &self,
        conn: &mut Conn,
        options: &StoreOptions,
        to: &DeploymentRow,
        next: &Sealer,
        mark: &dyn Fn(&mut Tx<'_>) -> Result<(), StoreError>,
        progress: RekeyProgress<'_>,
    ) -> Result<u64, StoreError> {
        // What does not verify gets no MAC: it would be ours from then on.
        let mut proving = |done, all| progress(RekeyStage::Proving, done, all);
        without_flaw(proved(conn, &self.seals, options.levels, &mut proving)?)?;
        let mut before = Tx::new(conn, &self.seals, Mode::Snapshot);
        let found = before.deployment()?;
        let spare = (to.spare_row_key, Some(to.row_key));
        if found.level != self.seals.level() || (Some(found.row_key), found.spare_row_key) != spare {
            return Err(StoreError::Conflict);
        }
        let root = before.root()?.map_or(0, |root| root.row.seq);
        let parts: HashMap<u8, i64> = before.part_rows()?.iter().map(|part| (part.row.part as u8, part.row.seq)).collect();
        drop(before);
        let done = {
            let tx = Tx::new(conn, next, Mode::Write);
            let mut work = Work { tx, from: &self.seals, scopes: BTreeMap::new(), done: 0, all: 0, progress: &mut *progress };
            work.all = work.tx.rows_in_all()?;
            work.deployment(&found, to)?;
            work.of_the_service()?;
            work.of_callers()?;
            work.of_keys()?;
            let sums = (0..=u8::MAX).map(|part| work.part(part).map(|sum| (part, sum))).collect::<Result<Vec<_>, _>>()?;
            let Work { mut tx, scopes, done, .. } = work;
            // Of parts without secrets too: a node that ran on through it would begin one anew.
            let parts = sums.into_iter().map(|(part, sum)| (part, parts.get(&part).copied().unwrap_or(0), sum));
            tx.digests_renew(root, scopes, parts)?;
            mark(&mut tx)?;
            done
        };
        let mut proving = |done, all| progress(RekeyStage::Proving, done, all);
        without_flaw(proved(conn, next, options.levels, &mut proving)?)?;
        Ok(done)
    }
}

/// Begins the transaction beside which nobody writes.
fn alone(conn: &mut Conn) -> Result<(), StoreError> {
    let of = |error| StoreError::of("rekey", error);
    begin(conn, Mode::Write).map_err(of)?;
    match conn {
        // Its one writer, from its beginning.
        Conn::Sqlite(_) => Ok(()),
        Conn::Postgres(conn) => {
            let lock = format!(
                "SET LOCAL lock_timeout = '{TABLES_WITHIN}'; LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE",
                [&TABLES[..], &["secret_versions"]].concat().join(", ")
            );
            conn.batch_execute(&lock).map_err(of)
        }
    }
}

/// Refuses to go on with what does not verify.
fn without_flaw(proof: Proof) -> Result<(), StoreError> {
    match proof.flaws.first() {
        None => Ok(()),
        Some(flaw) => {
            let detail = format!("{}: {}; flaws: {}", flaw.row, flaw.what, proof.flaws.len());
            Err(StoreError::Corrupt { table: flaw.table, detail })
        }
    }
}

impl Work<'_, '_> {
    /// The MAC of a row under the next key, if the row has one under the key of before.
    fn take<R: Sealed>(&mut self, row: &R, old: &[u8]) -> Result<RowMac, StoreError> {
        if !self.from.verify(row, old) {
            return Err(self.tx.disbelieved(row, NOT_ITS_MAC));
        }
        self.done += 1;
        (self.progress)(RekeyStage::Writing, self.done, self.all);
        let mac = self.tx.mac(row);
        if let Counted::In(scope) = row.counted() {
            let sum = self.scopes.entry(scope.key()).or_default();
            *sum = sum.plus(self.tx.seals().element(R::TABLE, row.bound(), &mac));
        }
        Ok(mac)
    }

    /// The row that names the keys.
    fn deployment(&mut self, old: &DeploymentRow, new: &DeploymentRow) -> Result<(), StoreError> {
        use schema::deployment::{id, mac, table};

        let sealed = self.tx.mac(new);
        let change = update(&table, id.eq(old.id), (new, mac.eq(sealed.to_vec())));
        let changed = self.tx.changed(DeploymentRow::TABLE, per_backend!(|conn| change.execute(conn)))?;
        expect_changed(changed, DeploymentRow::TABLE)
    }

    /// What nodes say of themselves.
    fn of_the_service(&mut self) -> Result<(), StoreError> {
        use schema::{anchors, log_heads, nodes, nonces};

        rows!(self, nodes: NodeRow, |row| nodes::id.eq(row.id));
        rows!(self, nonces: NonceRow, |row| nonces::digest.eq(&row.digest));
        rows!(self, log_heads: LogHeadRow, |row| log_heads::node.eq(row.node).and(log_heads::log.eq(&row.log)));
        rows!(self, anchors: AnchorsRow, |row| anchors::id.eq(row.id));
        Ok(())
    }

    /// Who may do what.
    fn of_callers(&mut self) -> Result<(), StoreError> {
        use schema::{
            access_keys, access_points, access_policies, accounts, bearer_tokens, client_keys, network_rules, policies,
            policy_attachments, resource_policies, users,
        };

        rows!(self, accounts: AccountRow, |row| accounts::id.eq(&row.id));
        rows!(self, users: UserRow, |row| users::id.eq(row.id));
        rows!(self, access_keys: AccessKeyRow, |row| access_keys::id.eq(&row.id));
        rows!(self, policies: PolicyRow, |row| {
            policies::account_id.eq(&row.account_id).and(policies::name.eq(&row.name))
        });
        rows!(self, policy_attachments: AttachmentRow, |row| {
            let which = policy_attachments::user_id.eq(row.user_id).and(policy_attachments::system.eq(row.system));
            which.and(policy_attachments::policy_name.eq(&row.policy_name))
        });
        rows!(self, access_points: AccessPointRow, |row| {
            access_points::account_id.eq(&row.account_id).and(access_points::name.eq(&row.name))
        });
        rows!(self, access_policies: AccessPolicyRow, |row| {
            access_policies::account_id.eq(&row.account_id).and(access_policies::name.eq(&row.name))
        });
        rows!(self, network_rules: NetworkRuleRow, |row| {
            network_rules::account_id.eq(&row.account_id).and(network_rules::name.eq(&row.name))
        });
        rows!(self, client_keys: ClientKeyRow, |row| client_keys::id.eq(&row.id));
        rows!(self, resource_policies: ResourcePolicyRow, |row| {
            resource_policies::account_id.eq(&row.account_id).and(resource_policies::resource.eq(&row.resource))
        });
        // Their digests are hashes under the key of before, of what their bearers alone have.
        let gone = per_backend!(|conn| diesel::delete(bearer_tokens::table).execute(conn));
        self.tx.run_change(BearerTokenRow::TABLE, gone).map(drop)
    }

    /// Master keys, and what belongs to them.
    fn of_keys(&mut self) -> Result<(), StoreError> {
        use schema::{aliases, condemned, default_keys, import_parameters, key_materials, key_rotations, key_versions, keys};

        rows!(self, keys: KeyRow, |row| keys::id.eq(row.id));
        rows!(self, key_versions: KeyVersionRow, |row| key_versions::id.eq(row.id));
        rows!(self, key_rotations: KeyRotationRow, |row| key_rotations::key_id.eq(row.key_id));
        rows!(self, key_materials: KeyMaterialRow, |row| key_materials::key_version_id.eq(row.key_version_id));
        rows!(self, import_parameters: ImportParametersRow, |row| import_parameters::id.eq(row.id));
        rows!(self, condemned: CondemnedRow, |row| condemned::id.eq(row.id));
        rows!(self, default_keys: DefaultKeyRow, |row| default_keys::account_id.eq(&row.account_id));
        rows!(self, aliases: AliasRow, |row| aliases::account_id.eq(&row.account_id).and(aliases::name.eq(&row.name)));
        Ok(())
    }

    /// The secrets whose ids begin with a byte, with all that belongs to them, and the tags of keys whose ids do; the sum of the secrets.
    fn part(&mut self, part: u8) -> Result<PartSum, StoreError> {
        use schema::{rotation_accounts, rotations, secrets, tags, version_stages};

        let (from, to) = range(part);
        let (from, to) = (&from[..], &to[..]);
        let labels = version_stages::table.filter(version_stages::secret_id.between(from, to));
        rows!(self, version_stages: StageRow, labels, |row| {
            version_stages::secret_id.eq(row.secret_id).and(version_stages::stage.eq(&row.stage))
        });
        let of = rotations::table.filter(rotations::secret_id.between(from, to));
        rows!(self, rotations: RotationRow, of, |row| rotations::secret_id.eq(row.secret_id));
        let of = rotation_accounts::table.filter(rotation_accounts::secret_id.between(from, to));
        rows!(self, rotation_accounts: RotationAccountRow, of, |row| {
            rotation_accounts::instance.eq(&row.instance).and(rotation_accounts::name.eq(&row.name))
        });
        let of = tags::table.filter(tags::resource_id.between(from, to));
        rows!(self, tags: TagRecord, of, |row| {
            let (resource, key) = row.key();
            tags::resource_id.eq(resource).and(tags::tag_key.eq(key))
        });
        // Under the next key already.
        let sums = self.tx.children_of(part, &mut PartFound::default())?;
        let of = secrets::table.filter(secrets::id.between(from, to));
        let load = per_backend!(|conn| of.select((SecretRow::as_select(), secrets::mac)).load(conn));
        let found: Vec<(SecretRow, Vec<u8>)> = self.tx.run(SecretRow::TABLE, load)?;
        let mut sum = PartSum::default();
        for (old, mac) in found {
            self.take(&old, &mac)?;
            let theirs = sums.get(&old.id).copied().unwrap_or_default();
            let new = SecretRow { content: self.tx.content(&old.id, &theirs), ..old };
            let mac = self.tx.mac(&new);
            let key = secrets::account_id.eq(&new.account_id).and(secrets::name.eq(&new.name));
            let change = update(&secrets::table, key, (&new, secrets::mac.eq(mac.to_vec())));
            let changed = self.tx.changed(SecretRow::TABLE, per_backend!(|conn| change.execute(conn)))?;
            expect_changed(changed, SecretRow::TABLE)?;
            sum = sum.plus(PartSum::of(&new.id, self.tx.seals().element(SecretRow::TABLE, new.bound(), &mac)));
        }
        Ok(sum)
    }
}

impl Tx<'_> {
    /// How much of what bears rights there is.
    ///
    /// # Errors
    /// As any read.
    pub fn rights_counted(&mut self) -> Result<Rights, StoreError> {
        use schema::{access_keys, bearer_tokens, client_keys, policies, policy_attachments, resource_policies, users};

        macro_rules! count {
            ($table:ident) => {
                self.run(stringify!($table), per_backend!(|conn| $table::table.count().get_result(conn)))?
            };
        }
        Ok(Rights {
            users: count!(users),
            access_keys: count!(access_keys),
            policies: count!(policies),
            resource_policies: count!(resource_policies),
            attachments: count!(policy_attachments),
            client_keys: count!(client_keys),
            bearer_tokens: count!(bearer_tokens),
        })
    }
}
