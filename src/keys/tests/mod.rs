//! Master keys over a real SoftHSM and a real database, on a clock that the tests move. Each test has a process of its own; see
//! softhsm/README.md.

mod condemned;
mod deletion;
mod intents;
mod materials;
mod model;
mod rotation;
mod uses;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bulla_test_support::chaos;

use super::*;
use crate::audit::{Audit, AuditConfig, LineKey};
use crate::auth::Caller;
use crate::auth::SysKey;
use crate::base::clock::{Moment, Timestamp};
use crate::base::ids::{AccountId, Alias, DeploymentId, KeyId, KeyName, KeyRef, KeyVersionId, NodeId};
use crate::base::secret::Pin;
use crate::base::words::{DataType, KeySpec, KeyState, KeyUsage, Origin, ProtectionLevel};
use crate::envelope::Identity;
use crate::error::Error;
use crate::keys::orphans::Mismatch;
use crate::secrets::{SecretParts, Secrets};
use crate::servers::Servers;
use crate::store::{Abort, AccountRow, AnchorsRow, KeyRow, KeyVersionRow, StoreError, StoreOptions, Tx, migrate};
use crate::store::{DeploymentRow, Levels, RowKey, deployment};
use crate::token::isolated::isolated;
use crate::token::{LeftOut, Material, ObjectKind, Selector, TokenConfig, softhsm};

const DAY_MS: i64 = 86_400_000;

/// Token, database, audit log, and one node on them.
pub(crate) struct Bench {
    pub(crate) token: Arc<Token>,
    pub(crate) store: Arc<Store>,
    audit: Arc<Audit>,
    time: AtomicI64,
    pub(crate) account: AccountId,
    keys: Keys,
}

fn rows() -> RowKey {
    RowKey::new(&[7; 32])
}

/// Makes the row of a deployment.
fn initialise(url: &str) -> DeploymentRow {
    let id = KeyVersionId::new;
    let row = DeploymentRow {
        id: DeploymentId::new(),
        region: "cn-hangzhou".parse().expect("a region"),
        sys_key: id(),
        int_key: id(),
        aud_key: id(),
        row_key: id(),
        spare_row_key: None,
        suite: Suite::AesGcmCallerIv,
        ready: false,
        created_at: Timestamp(0),
        level: Levels::served().highest,
        left_out: String::new(),
    };
    deployment::insert(url, &row).expect("a new row");
    let (restored_at, key_since) = (Timestamp(0), Timestamp(0));
    let first = AnchorsRow { id: AnchorsRow::ID, restored_at, key_id: id(), previous_key: None, key_since };
    assert!(deployment::complete(url, &row, &first, &rows()).expect("a row to complete"));
    DeploymentRow { ready: true, ..row }
}

fn pin() -> Pin {
    Pin::new("1234".to_owned())
}

/// SoftHSM, or the chaos module where the child has it before SoftHSM.
fn module() -> PathBuf {
    if std::env::var_os("BULLA_CHAOS_MODULE").is_some() {
        return chaos::module();
    }
    softhsm::module().expect("softhsm2 is installed")
}

fn open_token() -> Token {
    let (module, selector) = (module(), Selector::Label("bulla test".into()));
    let session_wait = Duration::from_secs(60);
    let [open_wait, look_again, missed_for] = [Duration::ZERO; 3];
    let left_out = LeftOut::default();
    let config = TokenConfig { module, selector, sessions: 4, session_wait, open_wait, look_again, missed_for, left_out };
    Token::open(config, pin()).expect("the token opens")
}

impl Bench {
    pub(crate) fn sqlite(home: &Path) -> Self {
        Self::on(home, &format!("sqlite:{}", home.join("bulla.db").display()), KeyLimits::default())
    }

    fn on(home: &Path, url: &str, limits: KeyLimits) -> Self {
        Token::initialise(&module(), "bulla test", &pin(), &pin()).expect("a new token");
        let token = Arc::new(open_token());
        migrate::run(url).expect("a new schema");
        let options = StoreOptions { wait: Duration::from_secs(60), retries: 1000, ..StoreOptions::new(url) };
        let store = Arc::new(Store::open(options, &initialise(url), rows()).expect("the store opens"));
        let (audit, _) = Audit::open(
            AuditConfig::new(home.join("audit"), "audit"),
            NodeId::new(),
            LineKey::new(b"lines"),
            Box::new(|_| Ok(vec![0; 64])),
        )
        .expect("the audit log opens");
        let (audit, time) = (Arc::new(audit), AtomicI64::new(1_800_000_000_000));
        let account = AccountId::random();
        let row = AccountRow { id: account.clone(), name: "main".into(), enabled: true, created_at: Timestamp(0) };
        store.write("test", |tx| tx.account_insert(&row).map_err(Abort::<StoreError>::Db)).expect("an account");
        let keys = node(&token, &store, &audit, limits);
        Self { token, store, audit, time, account, keys }
    }

    /// Another node: caches of its own on the same token and database.
    fn node(&self, limits: KeyLimits) -> Keys {
        node(&self.token, &self.store, &self.audit, limits)
    }

    /// Secrets under these keys.
    fn secrets(&self) -> Secrets {
        let keys = Arc::new(self.node(KeyLimits::default()));
        let servers = Servers::new([]);
        let region = "cn-test".parse().expect("a region");
        Secrets::new(SecretParts {
            store: Arc::clone(&self.store),
            service_tasks: Arc::clone(&keys.service_tasks),
            keys,
            deployment: DeploymentId::new(),
            region,
            quota: None,
            servers,
        })
    }

    pub(crate) fn pass(&self, ms: i64) {
        self.time.fetch_add(ms, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.time.load(Ordering::Relaxed))
    }

    pub(crate) fn at(&self) -> Moment {
        Moment::still(self.now())
    }

    /// A request of the account's root.
    pub(crate) fn caller(&self) -> Caller {
        Caller::root_of(&self.account, &self.store, self.now())
    }

    pub(crate) fn make(&self) -> KeyRow {
        self.keys.create(&self.caller(), &plain()).expect("a key is made").key
    }

    fn read<T>(&self, f: impl Fn(&mut Tx<'_>) -> Result<T, StoreError>) -> T {
        self.store.read("test", |tx| f(tx).map_err(Abort::<StoreError>::Db)).expect("a read")
    }

    pub(crate) fn write<T>(&self, f: impl Fn(&mut Tx<'_>) -> Result<T, StoreError>) -> T {
        self.store.write("test", |tx| f(tx).map_err(Abort::<StoreError>::Db)).expect("a write")
    }

    /// The key as its account finds it.
    fn find(&self, key: &KeyRow) -> Result<KeyRow, Error> {
        self.keys.look_up(&self.caller(), &by_id(key))?.row
    }

    fn row(&self, key: &KeyId) -> Option<KeyRow> {
        self.read(|tx| tx.key_by_id(key))
    }

    fn versions(&self, key: &KeyId) -> Vec<KeyVersionRow> {
        self.read(|tx| tx.key_versions_of(key))
    }

    /// Neither objects without rows nor rows without objects.
    fn fits(&self) {
        assert_eq!(self.keys.mismatch(&[]), Ok(Mismatch::default()));
    }

    /// Lines of the audit log that tell this action of the service.
    fn recorded(&self, home: &Path, action: &str) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(home.join("audit/audit.jsonl")).expect("the audit log");
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        lines.filter(|line| line["action"] == action && line["principal"] == "service").collect()
    }
}

fn node(token: &Arc<Token>, store: &Arc<Store>, audit: &Arc<Audit>, limits: KeyLimits) -> Keys {
    let region = "cn-test".parse().expect("a region");
    let service_tasks = Arc::new(ServiceTasks::new(Arc::clone(audit), region, NodeId::new()));
    let suite = Suite::AesGcmCallerIv;
    let sys = SysKey { token: Arc::clone(token), id: KeyVersionId::new(), suite, deployment: DeploymentId::new() };
    Keys::new(KeyParts { store: Arc::clone(store), token: Arc::clone(token), service_tasks, suite, limits, sys })
}

/// What a version of it is on the token.
pub(crate) fn aes() -> ObjectKind {
    ObjectKind::Cmk(Material::of(KeySpec::Aes256, KeyUsage::EncryptDecrypt).expect("every token has AES"))
}

/// A key with nothing special.
fn plain() -> NewKey {
    NewKey {
        spec: KeySpec::Aes256,
        usage: KeyUsage::EncryptDecrypt,
        origin: Origin::Service,
        protection: ProtectionLevel::Software,
        description: String::new(),
        rotation_s: None,
        tags: vec![("k".to_owned(), "v".to_owned())],
        policy: None,
        kms_instance: None,
    }
}

fn by_id(key: &KeyRow) -> KeyRef {
    KeyRef { home: None, name: KeyName::Id(key.id.to_string()) }
}

/// Gives a test the identity of a secret version under a key version.
fn under<T>(key: &KeyId, key_version: &KeyVersionId, work: impl FnOnce(&Identity<'_>) -> T) -> T {
    work(&Identity {
        deployment: &"00000000-0000-4000-8000-000000000001".parse().expect("a uuid"),
        account: &"1234567890123456".parse().expect("an account"),
        region: &"r".parse().expect("a region"),
        secret: &"00000000-0000-4000-8000-000000000002".parse().expect("a uuid"),
        name: &"s".parse().expect("a name"),
        version_uuid: &"00000000-0000-4000-8000-000000000003".parse().expect("a uuid"),
        version: &"v".parse().expect("a name"),
        data_type: DataType::Text,
        created_at: Timestamp(0),
        key,
        key_version,
        suite: Suite::AesGcmCallerIv,
    })
}

#[test]
fn half_made_keys_and_versions_are_cleared_away() {
    isolated(softhsm::prepare, |home| {
        let bench = Bench::sqlite(home);
        let whole = bench.make();
        // What a kill leaves behind at each step: rows alone, rows and object; for a new key and for a new version.
        let mut left = Vec::new();
        for on_token in [false, true] {
            let (key, version) = create::new_rows(&bench.account, &plain(), false, bench.now());
            bench.write(|tx| create::begin(tx, &key, &version));
            let half = bench.make();
            let next = bench.write(|tx| versions::begin(tx, &half, bench.now()));
            if on_token {
                bench.token.create(&version.id, aes()).expect("an object");
                bench.token.create(&next.id, aes()).expect("an object");
            }
            left.push((key, version, half, next));
        }
        bench.keys.creations_sweep(bench.at()).expect("a sweep");
        for (key, version, half, next) in &left {
            assert!(bench.row(&key.id).is_some(), "its maker may still be at it");
            assert_eq!(bench.find(key), Err(Error::KeyNotFound));
            assert!(bench.versions(&half.id).contains(next));
            assert!(bench.read(|tx| tx.key_version_by_id(&version.id)).is_some());
            let busy = bench.keys.version_create(&bench.caller(), &by_id(half));
            assert!(matches!(busy, Err(Error::Unavailable(_))), "{busy:?}");
        }
        bench.pass(rows::STALE_MS + 1);
        bench.keys.creations_sweep(bench.at()).expect("a sweep");
        for (key, version, half, next) in &left {
            assert_eq!(bench.row(&key.id), None);
            assert_eq!(bench.row(&half.id).as_ref(), Some(half));
            assert_eq!(bench.versions(&half.id).len(), 1);
            assert!(!bench.token.exists(&version.id).expect("a look") && !bench.token.exists(&next.id).expect("a look"));
        }
        assert_eq!(bench.row(&whole.id), Some(whole));
        bench.fits();
    });
}

#[test]
fn who_was_taken_for_dead_makes_nothing() {
    isolated(softhsm::prepare, |home| {
        let bench = Bench::sqlite(home);
        let key = bench.make();
        let version = bench.write(|tx| versions::begin(tx, &key, bench.now()));
        bench.pass(rows::STALE_MS + 1);
        // The sweep takes the row over while its maker, which only was slow, is about to make it ready.
        bench.keys.creations_sweep(bench.at()).expect("a sweep");
        let caller = bench.caller();
        let late = bench.keys.version_finish(&key, &version, &caller.effect);
        assert!(matches!(late, Err(Error::Unavailable(_))), "{late:?}");
        assert_eq!(bench.row(&key.id).map(|k| k.primary_version), Some(key.primary_version));
        bench.fits();
        // What is ready is never cleared away, whoever thinks that it failed.
        let made = bench.versions(&key.id).remove(0);
        bench.keys.version_fail(&made, bench.now()).expect("nothing to do");
        assert!(bench.token.exists(&made.id).expect("a look"));
    });
}

#[test]
fn strangers_on_the_token_are_reported_and_left_alone() {
    isolated(softhsm::prepare, |home| {
        let bench = Bench::sqlite(home);
        let key = bench.make();
        let stranger = KeyVersionId::new();
        bench.token.create(&stranger, aes()).expect("an object");
        bench.token.destroy_own(&key.primary_version).expect("an accident");
        let found = Mismatch { without_row: vec![stranger], without_object: vec![key.primary_version], half_made: vec![] };
        assert_eq!(bench.keys.mismatch(&[]).as_ref(), Ok(&found));
        let found = Mismatch { without_row: vec![], ..found };
        assert_eq!(bench.keys.mismatch(&[stranger]), Ok(found), "a system key is no stranger");
        bench.pass(DAY_MS);
        bench.keys.creations_sweep(bench.at()).expect("a sweep");
        bench.keys.deletions_sweep(bench.at(), 10).expect("a sweep");
        assert!(bench.token.exists(&stranger).expect("a look"));
    });
}

#[test]
fn the_tokens_room_bounds_default_keys_rotations_and_imports_too() {
    isolated(softhsm::prepare, |home| {
        // The deployment's own, and one key.
        let limits = KeyLimits { token_objects: Some(11), ..KeyLimits::default() };
        let bench = Bench::on(home, &format!("sqlite:{}", home.join("bulla.db").display()), limits);
        let rotates = NewKey { rotation_s: Some(7 * 86_400), ..plain() };
        let key = bench.keys.create(&bench.caller(), &rotates).expect("a key is made").key;
        assert_eq!(bench.keys.default_key(&bench.caller(), || Ok(())).map(|key| key.id), Err(Error::TokenFull));
        // A key whose material is to come has its place from the beginning.
        let external = NewKey { origin: Origin::External, ..plain() };
        assert_eq!(bench.keys.create(&bench.caller(), &external).map(drop), Err(Error::TokenFull));
        // A rotation that is due waits for room.
        bench.pass(7 * DAY_MS);
        assert_eq!(bench.keys.rotations_sweep(bench.at(), 10), Err(Error::TokenFull));
        assert_eq!(bench.versions(&key.id).len(), 1);
        let roomier = bench.node(KeyLimits { token_objects: Some(12), ..KeyLimits::default() });
        roomier.rotations_sweep(bench.at(), 10).expect("a sweep");
        assert_eq!(bench.versions(&key.id).len(), 2);
        bench.fits();
    });
}

#[test]
fn a_key_is_used_as_its_alias_named_it_when_permission_was_asked() {
    isolated(softhsm::prepare, |home| {
        let bench = Bench::sqlite(home);
        let (first, second) = (bench.make(), bench.make());
        let alias = "alias/a".parse::<Alias>().expect("an alias");
        let named = KeyRef { home: None, name: KeyName::Alias(alias.clone()) };
        let caller = bench.caller();
        bench.keys.alias_create(&caller, &alias, &by_id(&first)).expect("an alias is made");
        let found = bench.keys.look_up(&caller, &named).expect("a look-up");
        bench.keys.alias_update(&bench.caller(), &alias, &first.id, &by_id(&second)).expect("it moves");
        assert_eq!(found.relative(), format!("key/{}", first.id), "what policies are asked about");
        let admitted = |found: FoundKey| {
            let (_, authorised) = found.authorise(&caller, Use::GenerateDataKey).expect("root may");
            authorised.admit(caller.now()).expect("it is enabled")
        };
        let key = admitted(found);
        assert_eq!((key.key(), key.primary()), (&first.id, &first.primary_version));
        // Whoever comes now is asked about the other, and gets that.
        let found = bench.keys.look_up(&caller, &named).expect("a look-up");
        assert_eq!(found.relative(), format!("key/{}", second.id));
        assert_eq!(admitted(found).key(), &second.id);
    });
}

#[test]
fn quotas_bound_keys_and_aliases() {
    isolated(softhsm::prepare, |home| {
        let limits = KeyLimits { keys: Some(2), aliases: Some(2), ..KeyLimits::default() };
        let bench = Bench::on(home, &format!("sqlite:{}", home.join("bulla.db").display()), limits);
        let key = bench.make();
        let full = Err(Error::LimitExceeded { most: 2, of: "keys in an account" });
        // Two requests race for the last place.
        let (a, b) = std::thread::scope(|scope| {
            let make = || bench.keys.create(&bench.caller(), &plain()).map(|made| made.key);
            let other = scope.spawn(make);
            (make(), other.join().expect("no panic"))
        });
        let (made, refused) = if a.is_ok() { (a, b) } else { (b, a) };
        assert_eq!(refused, full);
        let made = made.expect("one of them is made");
        assert_eq!(bench.keys.create(&bench.caller(), &plain()).map(|d| d.key), full);
        let alias = |name: &str| name.parse::<Alias>().expect("an alias");
        for name in ["alias/a", "alias/b"] {
            bench.keys.alias_create(&bench.caller(), &alias(name), &by_id(&key)).expect("an alias is made");
        }
        let third = |name: &str| bench.keys.alias_create(&bench.caller(), &alias(name), &by_id(&made));
        assert_eq!(third("alias/c"), Err(Error::LimitExceeded { most: 2, of: "aliases in an account" }));
        let moved = bench.keys.alias_delete(&bench.caller(), &alias("alias/a"), &made.id);
        assert!(matches!(moved, Err(Error::Unavailable(_))), "permission was asked for another key: {moved:?}");
        let moved = bench.keys.alias_update(&bench.caller(), &alias("alias/a"), &made.id, &by_id(&made));
        assert!(matches!(moved, Err(Error::Unavailable(_))), "permission was asked for another key: {moved:?}");
        bench.keys.alias_delete(&bench.caller(), &alias("alias/a"), &key.id).expect("an alias is deleted");
        assert_eq!(third("alias/c"), Ok(()));
        // A key that waits for its deletion counts; one that is gone does not.
        bench.keys.schedule_deletion(&bench.caller(), &by_id(&key), 7).expect("a window begins");
        assert_eq!(bench.keys.create(&bench.caller(), &plain()).map(|d| d.key), full);
        bench.pass(7 * DAY_MS);
        bench.keys.deletions_sweep(bench.at(), 10).expect("a sweep");
        bench.make();
        bench.fits();
    });
}
