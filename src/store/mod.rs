//! The database: everything that outlives the process, except what the token keeps and the audit files.
//!
//! Owns: rows, queries, transactions and their retries, on SQLite and PostgreSQL by one code path. Must not know: HTTP, PKCS#11,
//! what a caller may do. Called by: auth, keys, secrets, jobs, admin, app.
//!
//! Work is a closure over [`Tx`], whose methods are the rows' (resource first, then verb: `secret_insert`). It may run more than
//! once and must have no other effect. Rows that decide who may do what, or which value is served, carry a MAC: it is made and
//! checked in here, and callers never see one.
//!
//! *As any read*: `Corrupt` for a row whose MAC or digest is wrong, `Unavailable` when the database is away, `Fault` for anything else. *As
//! any write*: those, `Busy` when other writers were in the way for too long, and `Conflict` for a row that is there already.

mod engine;
mod identity;
mod keys;
mod ledger;
mod secrets;
mod shared;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

pub use engine::content::Content;
pub use engine::copy;
pub use engine::disbelief::Distrust;
pub use engine::error::{Abort, Contention, Each, StoreError, expect_changed};
pub use engine::known::Changed;
pub use engine::level::{Level, Levels};
pub use engine::migrate;
pub use engine::privileges;
pub use engine::room::server_room;
pub use engine::row_mac::{RowKey, RowMac, Sealed};
pub use engine::setup_lock::{self, SetupLock};
pub use engine::tx::Tx;
pub use identity::access_keys::AccessKeyRow;
pub use identity::access_points::AccessPointRow;
pub use identity::access_policies::AccessPolicyRow;
pub use identity::accounts::AccountRow;
pub use identity::bearer_tokens::{BearerTokenRow, TokenDigest};
pub use identity::client_keys::ClientKeyRow;
pub use identity::network_rules::NetworkRuleRow;
pub use identity::policies::{AttachmentRow, PolicyRow};
pub use identity::users::UserRow;
pub use keys::aliases::AliasRow;
pub use keys::condemned::CondemnedRow;
pub use keys::import_parameters::ImportParametersRow;
pub use keys::inventory::HeldVersion;
pub use keys::key::KeyRow;
pub use keys::key_filters::KeyCondition;
pub use keys::key_materials::KeyMaterialRow;
pub use keys::key_rotations::KeyRotationRow;
pub use keys::key_versions::KeyVersionRow;
pub use ledger::head::Head;
pub use ledger::pass::{PARTS, PartFound};
pub use ledger::rekey::{RekeyProgress, RekeyStage, Rights};
pub use ledger::verify::{Flaw, Proof};
pub use secrets::rotations::{RotationAccountRow, RotationRow};
pub use secrets::secret::{SecretFilter, SecretRow};
pub use secrets::stages::StageRow;
pub use secrets::values::ValueRow;
pub use secrets::versions::{VersionHead, VersionRow};
pub use shared::deployment::{self, DeploymentRow};
pub use shared::log_heads::{AnchorsRow, LogHeadRow, LogHeads};
pub use shared::nodes::NodeRow;
pub use shared::nonces::{MarkPlace, MarksPage, NonceRow};
pub use shared::resource_policies::ResourcePolicyRow;
pub use shared::tags::{TagRow, Tagged};

use parking_lot::Mutex;

use engine::begin::Mode;
use engine::connection::{Access, Conn};
use engine::disbelief::Disbelief;
use engine::gate::Gate;
use engine::location::Location;
use engine::pool::{Pool, Source};
use engine::row_mac::Sealer;
use engine::shared_commit::Writer;

/// Whether a URL is one of a database.
///
/// # Errors
/// `Fault` with the reason.
pub fn check_url(url: &str) -> Result<(), StoreError> {
    Location::parse(url).map(drop)
}

/// Reads the URL of the database, whose password may have changed; why it cannot.
pub type UrlAgain = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// Where the database is and how long to wait for it. No Debug: the URL may hold a password.
#[derive(Clone)]
pub struct StoreOptions {
    /// `sqlite:PATH`, `postgres://…` or `postgresql://…`.
    pub url: String,
    /// Where the URL is read again for each connection; none where it cannot change.
    pub url_again: Option<UrlAgain>,
    /// Connections: on SQLite the readers, beside the one writer; on PostgreSQL all, of which a quarter is left to reads.
    pub readers: u32,
    /// How long a request waits for a free connection, and keeps trying a transaction.
    pub wait: Duration,
    /// How long a statement waits for the lock of another process (SQLite) or transaction (PostgreSQL).
    pub busy_timeout: Duration,
    /// How many times a transaction is run again before its caller hears `Busy`.
    pub retries: u32,
    /// The levels that it serves.
    pub levels: Levels,
    /// Whether reads of secrets are compared with their digests, for about 60 bytes of memory a secret.
    pub exact_secrets: bool,
}

impl StoreOptions {
    /// The defaults for this URL: 8 connections, 2 s of waiting, 32 retries.
    pub fn new(url: impl Into<String>) -> Self {
        let wait = Duration::from_secs(2);
        Self {
            url: url.into(),
            url_again: None,
            readers: 8,
            wait,
            busy_timeout: wait,
            retries: 32,
            levels: Levels::served(),
            exact_secrets: false,
        }
    }
}

/// The database. Shared by all threads of a process.
pub struct Store {
    connections: Pool,
    /// The one writer of SQLite; PostgreSQL writes on any connection.
    writer: Option<Writer>,
    /// How many connections of PostgreSQL may write at once.
    write_gate: Option<Gate>,
    seals: Sealer,
    disbelief: Disbelief,
    wait: Duration,
    retries: u32,
    retried: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    /// Transactions of this process that changed what callers may do.
    rights_changes: AtomicU64,
}

/// Numbers of the moment, for metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// Connections open.
    pub connections: u32,
    /// Of them, not in use.
    pub idle: u32,
    /// The most that will be opened.
    pub limit: u32,
    /// How long ago the last complete pass over the secrets ended, seconds; since the start where there was none yet.
    pub pass_age_s: u64,
    /// Secrets that are not served, as they do not fit their digest.
    pub secrets_quarantined: u64,
    /// Parts of the secrets, of 256, of which none is served.
    pub parts_quarantined: u64,
    /// Since the start, how often transactions were run again, by name and cause.
    pub retries: Vec<((&'static str, &'static str), u64)>,
}

impl Store {
    /// Opens the database of a deployment, as [`deployment::read`] told it.
    ///
    /// # Errors
    /// `Fault` when the URL is none, this program does not serve the schema or the level, or the server's settings would lose
    /// acknowledged writes; `Corrupt` when the deployment's row does not verify or is another one now; `Unavailable` when the database
    /// cannot be reached.
    pub fn open(options: StoreOptions, deployment: &DeploymentRow, rows: RowKey) -> Result<Self, StoreError> {
        let location = Location::parse(&options.url)?;
        let mut first = Conn::open(&location, Access::Admin, options.busy_timeout)?;
        migrate::check(&mut first, options.levels)?;
        let seals = Sealer::new(rows, options.levels, deployment.level, options.exact_secrets);
        let mut tx = Tx::new(&mut first, &seals, Mode::Snapshot);
        let found = tx.deployment()?;
        let claimed = (deployment.derivation(), deployment.ready);
        if (found.derivation(), found.ready) != claimed || tx.names_system_key(&deployment.system_keys())? {
            return Err(tx.corrupt(DeploymentRow::TABLE, "its system keys are not those of the token"));
        }
        drop(tx);
        seals.set_level(found.level);
        first.check_shape()?;
        drop(first);
        // A connection to a server ends its life after half an hour, so that after a fail-over the load spreads again.
        let lifetime = matches!(location, Location::Postgres(_)).then_some(Duration::from_secs(1800));
        let source = source_of(location.clone(), options.url_again.clone());
        let pool = |access, size| Pool::new(&source, lifetime, access, size, options.wait, options.busy_timeout);
        let write_gate = matches!(location, Location::Postgres(_)).then(|| Gate::beside_reads(options.readers));
        let (connections, writer) = match &location {
            Location::Sqlite(_) => {
                (pool(Access::Read, options.readers), Some(Writer::new(pool(Access::Write, 1), options.wait)))
            }
            Location::Postgres(_) => (pool(Access::Write, options.readers), None),
        };
        Ok(Self {
            connections,
            writer,
            write_gate,
            seals,
            disbelief: Disbelief::of(&location),
            wait: options.wait,
            retries: options.retries,
            retried: Mutex::default(),
            rights_changes: AtomicU64::new(0),
        })
    }

    /// At the end: brings what SQLite's log holds into the database's own file, so that the file alone is the database, and the next
    /// start has nothing to do. What cannot be done is left to that start.
    pub fn settle(&self) {
        if let Some(writer) = &self.writer
            && let Err(error) = writer.settle()
        {
            log::info!("database: its log is left to the next start: {error}");
        }
    }

    /// Pool and retry numbers.
    pub fn status(&self) -> StoreStatus {
        let pools = [Some(&self.connections), self.writer.as_ref().map(Writer::pool)];
        let (mut connections, mut idle, mut limit) = (0, 0, 0);
        for pool in pools.into_iter().flatten() {
            let (open, free) = pool.state();
            connections += open;
            idle += free;
            limit += pool.size();
        }
        let retries = self.retried.lock().iter().map(|(name, count)| (*name, *count)).collect();
        let (secrets, parts) = self.quarantined();
        StoreStatus {
            connections,
            idle,
            limit,
            retries,
            pass_age_s: self.pass_age().as_secs(),
            secrets_quarantined: secrets as u64,
            parts_quarantined: parts as u64,
        }
    }
}

/// Behind it no connection is opened, and none that fails is told: whoever ends may take the database's folder away next.
impl Drop for Store {
    fn drop(&mut self) {
        [Some(&self.connections), self.writer.as_ref().map(Writer::pool)].into_iter().flatten().for_each(Pool::close);
    }
}

/// Where the database is: as at the start, or as its file says now. It stays of the same kind.
fn source_of(first: Location, again: Option<UrlAgain>) -> Source {
    let Some(again) = again else { return Arc::new(move || Ok(first.clone())) };
    Arc::new(move || {
        let url = again().map_err(StoreError::Unavailable)?;
        match (Location::parse(&url)?, &first) {
            (location @ Location::Sqlite(_), Location::Sqlite(_)) => Ok(location),
            (location @ Location::Postgres(_), Location::Postgres(_)) => Ok(location),
            _ => Err(StoreError::Fault("database URL: its kind has changed; start the service again".to_owned())),
        }
    })
}
