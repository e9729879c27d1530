//! The suite of the store: every test runs on SQLite and on PostgreSQL.

#![allow(clippy::unwrap_used)]

mod guarded;
mod identity;
mod imports;
mod junk;
mod levels;
mod migrations;
mod outage;
mod random_writer;
mod rekey;
mod replays;
mod resources;
mod shape;
mod tampering;
mod transactions;
mod values;

use bulla_test_support::postgres::PostgresCluster;
use diesel::connection::SimpleConnection;
use diesel::sql_types::Text;
use diesel::{ExpressionMethods, QueryableByName, RunQueryDsl, sql_query};

use super::*;
use crate::base::clock::Timestamp;
use crate::base::ids::{
    AccessKeyId, AccountId, DeploymentId, KeyId, KeyVersionId, NodeId, SecretId, SecretName, SecretVersionUuid, Stage, UserId,
    VersionId,
};
use crate::base::words::{
    DataType, ImportAlgorithm, KeySpec, KeyState, KeyUsage, MaterialState, Origin, ProtectionLevel, SecretSubType, SecretType,
    Suite,
};
use crate::store::engine::schema;

/// Makes a test of each function over a [`Fixture`] on each database at each level that is served, and at the next one.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite { $(#[test] fn $name() { super::$name(&crate::store::tests::Fixture::sqlite(1)) })* }
        mod postgres { $(#[test] fn $name() { super::$name(&crate::store::tests::Fixture::postgres(1)) })* }
        mod sqlite_at_the_next_level { $(#[test] fn $name() { super::$name(&crate::store::tests::Fixture::sqlite(2)) })* }
        mod postgres_at_the_next_level { $(#[test] fn $name() { super::$name(&crate::store::tests::Fixture::postgres(2)) })* }
    };
}
pub(super) use on_both;

#[test]
fn every_served_level_is_tested() {
    assert_eq!(
        Levels::served(),
        Levels { lowest: Level(1), highest: Level(1) },
        "the levels of `on_both`, but for the next one"
    );
}

/// A store on a fresh database.
pub(super) struct Fixture {
    pub(super) url: String,
    pub(super) deployment: DeploymentRow,
    pub(super) store: Store,
    _folder: tempfile::TempDir,
}

/// Patient enough for a slow machine.
pub(super) fn options(url: &str) -> StoreOptions {
    StoreOptions { readers: 16, wait: Duration::from_secs(60), retries: 1000, ..StoreOptions::new(url) }
}

pub(super) fn row_key() -> RowKey {
    RowKey::new(&[7; 32])
}

/// The levels up to this one.
pub(super) fn up_to(level: u8) -> Levels {
    Levels { lowest: Level(1), highest: Level(level) }
}

pub(super) fn deployment(level: Level) -> DeploymentRow {
    DeploymentRow {
        id: DeploymentId::new(),
        region: "cn-hangzhou".parse().unwrap(),
        sys_key: KeyVersionId::new(),
        int_key: KeyVersionId::new(),
        aud_key: KeyVersionId::new(),
        row_key: KeyVersionId::new(),
        spare_row_key: Some(KeyVersionId::new()),
        suite: Suite::AesGcmCallerIv,
        ready: true,
        created_at: NOW,
        level,
        left_out: "C_GenerateKey/CKA_COPYABLE".to_owned(),
    }
}

/// Brings up the schema of a program with these levels, and the row of a deployment at this level.
pub(super) fn initialise(url: &str, levels: Levels, level: Level) -> DeploymentRow {
    migrate::run_at(url, levels).unwrap();
    let row = deployment(level);
    let mac = row_key().seal(&row, level);
    let mut conn = Conn::open(&Location::parse(url).unwrap(), Access::Admin, Duration::from_secs(5)).unwrap();
    let values = (&row, schema::deployment::mac.eq(&mac[..]));
    diesel::insert_into(schema::deployment::table).values(values).execute(&mut conn).unwrap();
    let first = anchors();
    let values = (&first, schema::anchors::mac.eq(row_key().seal(&first, level).to_vec()));
    diesel::insert_into(schema::anchors::table).values(values).execute(&mut conn).unwrap();
    row
}

/// The anchors of a deployment that was just made.
fn anchors() -> AnchorsRow {
    let key_id = KeyVersionId::new();
    AnchorsRow { id: AnchorsRow::ID, restored_at: Timestamp(0), key_id, previous_key: None, key_since: NOW }
}

impl Fixture {
    pub(super) fn sqlite(level: u8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("bulla.db").display());
        Self::on(url, folder, level)
    }

    pub(super) fn postgres(level: u8) -> Self {
        Self::on(PostgresCluster::shared().database(), tempfile::tempdir().unwrap(), level)
    }

    fn on(url: String, folder: tempfile::TempDir, level: u8) -> Self {
        let deployment = initialise(&url, up_to(level), Level(level));
        let options = StoreOptions { levels: up_to(level), ..options(&url) };
        let store = Store::open(options, &deployment, row_key()).unwrap();
        Self { url, deployment, store, _folder: folder }
    }

    pub(super) fn options(&self) -> StoreOptions {
        StoreOptions { levels: up_to(self.deployment.level.0), ..options(&self.url) }
    }

    /// Another node on the same database.
    pub(super) fn open(&self, options: StoreOptions) -> Result<Store, StoreError> {
        Store::open(options, &self.deployment, row_key())
    }

    pub(super) fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    /// A connection with no checks of foreign keys: what an intruder in the database has.
    pub(super) fn intruder(&self) -> Conn {
        let location = Location::parse(&self.url).unwrap();
        let mut conn = Conn::open(&location, Access::Admin, Duration::from_secs(5)).unwrap();
        let sql = if self.is_sqlite() { "PRAGMA foreign_keys = OFF" } else { "SET session_replication_role = replica" };
        conn.batch_execute(sql).unwrap();
        conn
    }

    /// Runs a write that must succeed.
    pub(super) fn write<T>(&self, f: impl Fn(&mut Tx<'_>) -> Result<T, StoreError>) -> T {
        self.try_write(f).unwrap()
    }

    pub(super) fn try_write<T>(&self, f: impl Fn(&mut Tx<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.store.write("test", |tx| f(tx).map_err(Abort::Db))
    }

    pub(super) fn read<T>(&self, f: impl Fn(&mut Tx<'_>) -> Result<T, StoreError>) -> T {
        self.store.read("test", |tx| f(tx).map_err(Abort::<StoreError>::Db)).unwrap()
    }

    /// What a sweep finds; all of it verifies.
    pub(super) fn sweep<T>(&self, f: impl Fn(&mut Tx<'_>) -> Result<Each<T>, StoreError>) -> Vec<T> {
        self.read(f).into_iter().map(|row| row.expect("it verifies")).collect()
    }

    /// An account, a key in it, and a secret with one version under two labels.
    pub(super) fn with_secret(&self) -> (AccountRow, KeyRow, SecretRow, VersionRow) {
        let account = account("main");
        let key = key(&account.id);
        let secret = secret(&account.id, &key.id, "app/db");
        let version = version(&secret.id, &key.primary_version, "v1");
        self.write(|tx| {
            tx.account_insert(&account)?;
            tx.key_insert(&key)?;
            tx.key_version_insert(&key_version(&key))?;
            tx.secret_insert(&secret)?;
            tx.version_insert(&version)?;
            tx.stage_insert(&stage(&version, "ACSCurrent"))?;
            tx.stage_insert(&stage(&version, "blue"))
        });
        let secret = self.as_it_is(&secret);
        (account, key, secret, version)
    }

    /// The same with what the store keeps of it, so that it can be put in another's place.
    pub(super) fn as_it_is(&self, row: &SecretRow) -> SecretRow {
        let content = self.read(|tx| tx.secret_by_id(&row.id)).unwrap().content;
        SecretRow { content, ..row.clone() }
    }
}

/// A change of who may do what.
pub(super) fn change(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    let id = AccountId::random();
    tx.account_insert(&AccountRow { name: id.to_string(), id, enabled: true, created_at: NOW })
}

pub(super) const NOW: Timestamp = Timestamp(1_700_000_000_000);

pub(super) fn account(name: &str) -> AccountRow {
    AccountRow { id: AccountId::random(), name: name.to_owned(), enabled: true, created_at: NOW }
}

pub(super) fn user(account: &AccountId, name: &str) -> UserRow {
    UserRow { id: UserId::new(), account_id: account.clone(), name: name.parse().unwrap(), enabled: true, created_at: NOW }
}

pub(super) fn access_key(account: &AccountId, user: Option<UserId>) -> AccessKeyRow {
    AccessKeyRow {
        id: AccessKeyId::random(),
        account_id: account.clone(),
        user_id: user,
        enabled: true,
        created_at: NOW,
        suite: Suite::AesGcmCallerIv,
        wrapped: vec![9; 60],
    }
}

pub(super) fn key(account: &AccountId) -> KeyRow {
    KeyRow {
        id: KeyId::new(),
        account_id: account.clone(),
        spec: KeySpec::Aes256,
        usage: KeyUsage::EncryptDecrypt,
        origin: Origin::Service,
        protection: ProtectionLevel::Software,
        state: KeyState::Enabled,
        service: false,
        description: String::new(),
        primary_version: KeyVersionId::new(),
        created_at: NOW,
        delete_at: None,
        deletion_protection: Some("payments".to_owned()),
        material_expires_at: None,
        kms_instance: Some("kst-0".parse().unwrap()),
    }
}

pub(super) fn material(key: &KeyRow) -> KeyMaterialRow {
    KeyMaterialRow {
        key_version_id: key.primary_version,
        key_id: key.id,
        state: MaterialState::Present,
        check_value: Some(vec![5; 32]),
        changed_at: NOW,
    }
}

pub(super) fn parameters(key: &KeyId) -> ImportParametersRow {
    ImportParametersRow {
        id: KeyVersionId::new(),
        key_id: *key,
        algorithm: ImportAlgorithm::OaepSha256,
        token_digest: vec![6; 32],
        ready: true,
        failures: 0,
        expires_at: NOW.plus_days(1),
        wrapped_suite: None,
        wrapped: None,
    }
}

/// The first version of a key.
/// A token with every column set; `first` is the first byte of its digest.
pub(super) fn bearer_token(account: &AccountId, first: u8) -> BearerTokenRow {
    BearerTokenRow {
        digest: [vec![first], vec![7; 31]].concat(),
        account_id: account.clone(),
        user_id: Some(UserId::new()),
        access_key: Some(AccessKeyId::random()),
        accessor: format!("accessor{first}"),
        login: "auth/approle/login".to_owned(),
        label: "user/ann".to_owned(),
        parent: Some(vec![first.wrapping_sub(1); 32]),
        issued_at: NOW,
        ttl_ms: 1000,
        expires_at: NOW.plus_ms(1000),
        max_at: NOW.plus_ms(5000),
        renewable: true,
    }
}

pub(super) fn key_version(key: &KeyRow) -> KeyVersionRow {
    KeyVersionRow { id: key.primary_version, key_id: key.id, created_at: NOW, ready: true, uses: 0 }
}

pub(super) fn secret(account: &AccountId, key: &KeyId, name: &str) -> SecretRow {
    SecretRow {
        account_id: account.clone(),
        name: name.parse::<SecretName>().unwrap(),
        id: SecretId::new(),
        secret_type: SecretType::Generic,
        description: String::new(),
        key_id: *key,
        user_key: false,
        created_at: NOW,
        updated_at: NOW,
        delete_at: None,
        kms_instance: Some("kst-0".parse().unwrap()),
        content: Content::default(),
    }
}

pub(super) fn version(secret: &SecretId, key_version: &KeyVersionId, name: &str) -> VersionRow {
    VersionRow {
        secret_id: *secret,
        version_id: name.parse::<VersionId>().unwrap(),
        uuid: SecretVersionUuid::new(),
        number: name.strip_prefix('v').and_then(|n| n.parse().ok()).unwrap_or(1),
        deleted_at: None,
        destroyed: false,
        data_type: DataType::Text,
        created_at: NOW,
        key_version_id: *key_version,
        suite: Suite::AesGcmCallerIv,
        wrapped: vec![1; 60],
        commitment: vec![2; 32],
        nonce: vec![3; 12],
        ciphertext: vec![4; 50],
    }
}

pub(super) fn stage(version: &VersionRow, label: &str) -> StageRow {
    StageRow {
        secret_id: version.secret_id,
        stage: label.parse::<Stage>().unwrap(),
        version_id: version.version_id.clone(),
        version_uuid: version.uuid,
        number: version.number,
        withheld: version.head().is_withheld(),
    }
}

/// A rotation under way, with every column set: due at 20, held until 30.
pub(super) fn rotation(secret: &SecretId) -> RotationRow {
    RotationRow {
        secret_id: *secret,
        sub_type: SecretSubType::SingleUser,
        instance: "pg-1".parse().unwrap(),
        custom_data: "{}".to_owned(),
        interval_ms: Some(21_600_000),
        last_at: Some(Timestamp(3)),
        next_at: Some(Timestamp(20)),
        pending_id: Some("v2".parse().unwrap()),
        pending_uuid: Some(SecretVersionUuid::new()),
        attempt_at: Some(Timestamp(20)),
        failures: 1,
        holder: Some(NodeId::new()),
        held_until: Some(Timestamp(30)),
    }
}

/// Bytes in the words of the database.
pub(super) fn blob(on: &Fixture, bytes: &[u8]) -> String {
    let digits = hex::encode(bytes);
    if on.is_sqlite() { format!("x'{digits}'") } else { format!("'\\x{digits}'") }
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// The column `line` of a query, as an intruder.
pub(super) fn lines(conn: &mut Conn, query: &str) -> Vec<String> {
    let lines: Vec<Line> = sql_query(query).load(conn).unwrap();
    lines.into_iter().map(|l| l.line).collect()
}

/// Name, type and nullability of a table's columns, in order, in words of both databases: `name blob|text|int|bool[ null]`.
pub(super) fn columns(fixture: &Fixture, table: &str) -> Vec<String> {
    let mut conn = fixture.intruder();
    if fixture.is_sqlite() {
        let query = format!(
            "SELECT name || ' ' || CASE WHEN EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '{table}' AND sql LIKE \
             '%(' || c.name || ' IN (0, 1)%') THEN 'bool' ELSE lower(replace(type, 'INTEGER', 'int')) END || \
             CASE WHEN \"notnull\" = 1 THEN '' ELSE ' null' END AS line FROM pragma_table_info('{table}') AS c ORDER BY cid"
        );
        lines(&mut conn, &query)
    } else {
        let query = format!(
            "SELECT column_name || ' ' || CASE data_type WHEN 'bytea' THEN 'blob' WHEN 'boolean' THEN 'bool' WHEN 'bigint' \
             THEN 'int' WHEN 'smallint' THEN 'int' ELSE data_type END || CASE is_nullable WHEN 'YES' THEN ' null' ELSE '' END \
             AS line FROM information_schema.columns WHERE table_name = '{table}' ORDER BY ordinal_position"
        );
        lines(&mut conn, &query)
    }
}
