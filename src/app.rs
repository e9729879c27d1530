//! The only place that builds things: Config → token, store, audit, keys, secrets, service, server.
//!
//! Owns: the order of starting and stopping, and the checks at start. Called by: main (serve, check), admin (what commands need).

mod patience;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::api::{Limits, Service};
use crate::audit::{Audit, AuditConfig, AuditError, OpenIntent};
use crate::auth::Auth;
use crate::auth::access_key::{Credentials, SysKey};
use crate::auth::access_point::AccessPoints;
use crate::base::clock::{Clock, Timestamp};
pub use crate::base::failure::{Failure, context};
use crate::base::ids::{NodeId, RequestId};
use crate::config::{Config, Instance};
use crate::dialects::{Answer, Doors};
use crate::errand::Errands;
use crate::error::Error;
use crate::http;
use crate::jobs::Jobs;
use crate::keys::{KeyLimits, Keys, UseLimits};
use crate::metrics::{AuditFigures, DatabaseFigures, KeyFigures, Metrics, RotationFigures, Snapshot, TokenFigures};
use crate::process;
use crate::secrets::Secrets;
use crate::servers::{ServerOptions, Servers, Tls};
use crate::store::RowKey;
use crate::store::{Abort, DeploymentRow, Store, StoreError, StoreOptions, deployment, migrate};
use crate::token::{Selector, Token, TokenConfig};
use patience::Patience;

/// How long a start tries to open its token.
const TOKEN_WAIT: Duration = Duration::from_secs(2);

/// What the server and the administration commands both stand on. A process opens its token once, so a base is handed on.
#[derive(Clone)]
pub struct Base {
    /// The token, logged in.
    pub token: Arc<Token>,
    /// The installation.
    pub deployment: DeploymentRow,
    /// The database.
    pub store: Arc<Store>,
}

/// Opens the token of the configuration, with its PIN.
///
/// # Errors
/// When PIN, module or token are not as configured.
pub fn open_token(config: &Config) -> Result<Token, Failure> {
    let token = &config.token;
    let selector = match (&token.label, &token.serial) {
        (Some(label), _) => Selector::Label(label.clone()),
        (None, Some(serial)) => Selector::Serial(serial.clone()),
        (None, None) => return Err(Failure::new("token: name label or serial")),
    };
    let pin = token.pin()?;
    let session_wait = Duration::from_millis(token.session_wait_ms);
    let options =
        TokenConfig { module: token.module.clone(), selector, sessions: token.sessions, session_wait, open_wait: TOKEN_WAIT };
    Token::open(options, pin).map_err(context("token"))
}

/// Applies migrations, or refuses a database that needs them, as configured.
///
/// # Errors
/// When the database needs migrations that may not be applied at start.
fn settle_schema(config: &Config, patience: Patience) -> Result<(), Failure> {
    let url = config.database.location()?;
    if config.database.migrate_at_start {
        for name in patience.until("database", || migrate::run(&url))? {
            log::info!("migration {name} applied");
        }
        return Ok(());
    }
    none_pending(&patience.until("database", || migrate::pending(&url))?)
}

/// Refuses a database that lacks these migrations.
///
/// # Errors
/// When there are any.
pub fn none_pending(migrations: &[String]) -> Result<(), Failure> {
    match migrations {
        [] => Ok(()),
        names => Err(Failure::new(format!("database: pending migrations {}; run `bulla migrate`", names.join(", ")))),
    }
}

impl Base {
    /// Opens token and database of an initialised deployment.
    ///
    /// # Errors
    /// When either is away or does not fit the other, or `bulla init` has not run.
    pub fn open(config: &Config) -> Result<Self, Failure> {
        Self::open_with(config, Patience::Command)
    }

    fn open_with(config: &Config, patience: Patience) -> Result<Self, Failure> {
        let url = config.database.location()?;
        let row = patience.until("database", || deployment::read(&url))?;
        let deployment = row.filter(|row| row.ready).ok_or(Failure::new("database: not initialised; run `bulla init`"))?;
        if deployment.region != config.region {
            return Err(Failure::new(format!(
                "region is {} here and was {} at `bulla init`",
                config.region, deployment.region
            )));
        }
        Self::build(config, open_token(config)?, deployment, patience)
    }

    /// The same on a token that is open already.
    ///
    /// # Errors
    /// When the database does not fit the token.
    pub fn on(config: &Config, token: Token, deployment: DeploymentRow) -> Result<Self, Failure> {
        Self::build(config, token, deployment, Patience::Command)
    }

    fn build(config: &Config, token: Token, deployment: DeploymentRow, patience: Patience) -> Result<Self, Failure> {
        token.authenticate_with(deployment.int_key);
        let store = open_store(config, &token, &deployment, patience)?;
        Ok(Self { token: Arc::new(token), deployment, store: Arc::new(store) })
    }

    /// SYS, which wraps access-key secrets.
    pub fn sys(&self) -> SysKey {
        SysKey {
            token: Arc::clone(&self.token),
            id: self.deployment.sys_key,
            suite: self.deployment.suite,
            deployment: self.deployment.id,
        }
    }

    /// Opens an audit log of this node that AUD signs; gives the intents that a crash left open.
    ///
    /// # Errors
    /// When the folder cannot be written, or another process holds the log.
    pub fn audit(&self, config: &Config, name: &str, lock_wait_ms: u64) -> Result<(Audit, NodeId, Vec<OpenIntent>), Failure> {
        self.audit_with(config, name, lock_wait_ms, Patience::Command)
    }

    fn audit_with(
        &self,
        config: &Config,
        name: &str,
        lock_wait_ms: u64,
        patience: Patience,
    ) -> Result<(Audit, NodeId, Vec<OpenIntent>), Failure> {
        let node = patience.until("audit", || node_id(&config.audit.directory))?;
        let options = AuditConfig {
            max_file_bytes: config.audit.max_file_bytes,
            lock_wait_ms,
            ..AuditConfig::new(&config.audit.directory, name)
        };
        let (audit, recovered) = patience.until("audit", || {
            let (token, aud) = (Arc::clone(&self.token), self.deployment.aud_key);
            let signer = move |text: &[u8]| token.sign(&aud, text).map(|s| s.to_vec()).map_err(|e| e.to_string());
            Audit::open(options.clone(), node, Box::new(signer))
        })?;
        if let Some(reason) = recovered.set_aside {
            log::warn!("audit: the file found was set aside: {reason}");
        }
        Ok((audit, node, recovered.open_intents))
    }
}

/// The store, with row MACs under a key that only the token can derive.
fn open_store(config: &Config, token: &Token, deployment: &DeploymentRow, patience: Patience) -> Result<Store, Failure> {
    let derivation = RowKey::derivation(&deployment.id);
    let signature = token.mac(&deployment.int_key, derivation.as_bytes()).map_err(context("token: INT"))?;
    let options = StoreOptions {
        readers: config.database.connections,
        wait: Duration::from_millis(config.database.wait_ms),
        ..StoreOptions::new(config.database.location()?)
    };
    patience.until("database", || Store::open(options.clone(), RowKey::new(&signature)))
}

/// This node's id, from its audit folder; made at the first start.
fn node_id(folder: &Path) -> Result<NodeId, AuditError> {
    let failed = |path: &Path, error: std::io::Error| AuditError::of(path, &error);
    std::fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
    let file = folder.join("node-id");
    match std::fs::read_to_string(&file) {
        Ok(text) => text.trim().parse().map_err(|e| failed(&file, std::io::Error::other(e))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let id = NodeId::new();
            // Linked into place whole, so that of two processes at their first start both use the one that was first.
            let draft = folder.join(format!("node-id.{id}"));
            let written = std::fs::write(&draft, format!("{id}\n"));
            let linked = written.is_ok() && std::fs::hard_link(&draft, &file).is_ok();
            std::fs::remove_file(&draft).map_err(|e| failed(&draft, e))?;
            written.map_err(|e| failed(&draft, e))?;
            if linked { Ok(id) } else { node_id(folder) }
        }
        Err(e) => Err(failed(&file, e)),
    }
}

/// A server that is built and listens, and not yet answers.
pub struct Server {
    bound: http::Bound,
    front: Arc<Front>,
    jobs: Jobs,
    metrics: Arc<Metrics>,
}

/// What the HTTP front calls.
struct Front {
    doors: Doors,
    audit: Arc<Audit>,
    store: Arc<Store>,
    token: Arc<Token>,
    alarms: Arc<AtomicU64>,
}

impl http::Service for Front {
    type Durable = crate::audit::Ticket;
    type Lost = AuditError;

    fn accepts(&self, method: http::Method, path: &str) -> Result<(), Error> {
        self.doors.accepts(method, path)
    }

    fn refuse(&self, path: &str, error: &Error, request_id: &RequestId) -> (http::Reply, &'static str) {
        let (reply, code) = self.doors.refuse(path, error, request_id);
        (reply, code.as_str())
    }

    fn call(&self, call: http::Call) -> http::Answer<Self::Durable> {
        let Answer { reply, action, done } = self.doors.call(&call);
        if done.alarm {
            self.alarms.fetch_add(1, Ordering::Relaxed);
        }
        let action = action.map_or_else(|| http::Action::Unknown(done.asked), http::Action::Served);
        http::Answer { reply, action, code: done.code.as_str(), durable: done.durable }
    }

    fn readiness(&self) -> http::Readiness {
        http::Readiness {
            token: self.token.health().map_err(|e| e.to_string()),
            database: self.store.health().map_err(|e| e.to_string()),
            audit: self.audit.health().map_err(|e| e.to_string()),
        }
    }
}

impl Server {
    /// Settles the schema, opens token and database, and builds the server on them. Waits for a database that is away, and for
    /// space on a disk that is full.
    ///
    /// # Errors
    /// When anything that it needs is missing or does not fit.
    pub fn open(config: &Config) -> Result<Self, Failure> {
        settle_schema(config, Patience::Server)?;
        Self::on(config, Base::open_with(config, Patience::Server)?)
    }

    /// Builds everything and opens the listeners.
    ///
    /// # Errors
    /// When an address is taken, or the audit log cannot be opened.
    pub fn on(config: &Config, base: Base) -> Result<Self, Failure> {
        process::raise_open_files().map_err(context("open files"))?;
        process::lock_memory(config.server.lock_memory)?;
        let bound = http::bind(http_config(config)?).map_err(context(config.server.listen))?;
        let (audit, node, open_intents) = base.audit_with(config, "audit", 0, Patience::Server)?;
        complete(&base.store, &audit, node, &open_intents)?;
        let audit = Arc::new(audit);
        let clock = Clock::System;
        let row = &base.deployment;
        let errands = Errands::new(Arc::clone(&audit), Arc::clone(&base.store), row.region.clone(), node, clock.clone());
        let (store, token) = (Arc::clone(&base.store), Arc::clone(&base.token));
        let keys = Keys::new(store, token, Arc::new(errands), clock.clone(), row.suite, key_limits(config), base.sys());
        let keys = Arc::new(keys);
        let secrets = Arc::new(Secrets::new(
            Arc::clone(&base.store),
            Arc::clone(&keys),
            clock.clone(),
            row.id,
            row.region.clone(),
            config.quotas.secrets,
            servers(config)?,
        ));
        let credentials = Credentials::new(Arc::clone(&base.store), base.sys());
        let access_points = AccessPoints::new(Arc::clone(&base.store), clock.clone(), config.client_keys.cipher);
        let auth = Auth::new(credentials, access_points, row.region.clone(), node, config.limits.nonces);
        let metrics = Arc::new(Metrics::new());
        let alarms = Arc::new(AtomicU64::new(0));
        metrics.set_source(figures(&base, &keys, &secrets, &audit, &alarms));
        let jobs =
            Jobs::new(Arc::clone(&base.store), Arc::clone(&keys), Arc::clone(&secrets), row.system_keys(), node, clock.clone());
        let limits = Limits { requests_per_second: config.limits.requests_per_second };
        let doors = Doors::new(Service::new(auth, keys, secrets, Arc::clone(&audit), clock, limits));
        let Base { store, token, .. } = base;
        let front = Arc::new(Front { doors, audit, store, token, alarms });
        Ok(Self { bound, front, jobs, metrics })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Of the system.
    pub fn address(&self) -> Result<std::net::SocketAddr, Failure> {
        Ok(self.bound.address()?)
    }

    /// Serves until SIGTERM or SIGINT, then closes the audit log.
    ///
    /// # Errors
    /// Of the system.
    pub fn run(self) -> Result<(), Failure> {
        let Self { bound, front, jobs, metrics } = self;
        let running = jobs.start()?;
        let served = bound.run(Arc::clone(&front), metrics);
        running.stop();
        front.audit.close();
        Ok(served?)
    }
}

/// Writes the outcomes that a crash kept from being written, from what the database says.
fn complete(store: &Store, audit: &Audit, node: NodeId, intents: &[OpenIntent]) -> Result<(), Failure> {
    // Nonces of this node are kept until it sweeps them itself, so every open intent's is still there.
    let from = Timestamp(0);
    for intent in intents {
        let request = intent.request_id;
        let committed = Patience::Server.until("database", || {
            store.read("intent", |tx| Ok::<_, Abort<StoreError>>(tx.nonce_of_request(&request, &node, from)?))
        })?;
        match audit.complete(intent, committed).wait() {
            // The log itself writes the outcome as soon as it can.
            Ok(()) | Err(AuditError::Write(_)) => {}
            Err(error) => return Err(context("audit")(error)),
        }
        let outcome = if committed { "committed" } else { "not committed" };
        log::warn!("request {request} ({}) was under way when the server died: {outcome}", intent.action);
    }
    Ok(())
}

fn key_limits(config: &Config) -> KeyLimits {
    let uses = UseLimits { rotate: config.keys.rotate_after_uses.into(), stop: config.keys.stop_after_uses.into() };
    KeyLimits { keys: config.quotas.keys, aliases: config.quotas.aliases, uses }
}

/// The servers whose accounts are rotated.
///
/// # Errors
/// When the file of a password is not named.
pub fn servers(config: &Config) -> Result<Servers, Failure> {
    let options = |instance: &Instance| {
        let options = ServerOptions {
            engine: instance.engine,
            host: instance.host.clone(),
            port: instance.port(),
            database: instance.database.clone(),
            administrator: instance.administrator.clone(),
            password_file: instance.password()?,
            tls: instance.ca_file.clone().map_or(Tls::Off, Tls::Verified),
            account_host: instance.account_host.clone(),
            accounts: instance.accounts.clone(),
        };
        Ok((instance.id.clone(), options))
    };
    let servers: Result<Vec<_>, Failure> = config.rotation.instance.iter().map(options).collect();
    Ok(Servers::new(servers?))
}

fn http_config(config: &Config) -> Result<http::Config, Failure> {
    let server = &config.server;
    let ms = Duration::from_millis;
    let tls = server.tls.as_ref().map(|tls| {
        http::Tls::load(http::TlsFiles {
            certificate: tls.certificate_file.clone(),
            key: tls.key_file.clone(),
            client_ca: tls.client_ca_file.clone(),
            client_required: tls.client_certificate_required,
        })
    });
    Ok(http::Config {
        tls: tls.transpose().map_err(context("server.tls"))?.map(Arc::new),
        admin_listen: server.admin_listen.map(|listen| listen.0),
        threads: server.threads,
        max_concurrent: server.max_concurrent,
        max_connections: server.max_connections,
        max_body_bytes: server.max_body_bytes,
        head_timeout: ms(server.head_timeout_ms),
        body_timeout: ms(server.body_timeout_ms),
        keep_alive: ms(server.keep_alive_ms),
        answer_timeout: ms(server.answer_timeout_ms),
        stop_timeout: ms(server.stop_timeout_ms),
        trusted_proxies: server.trusted_proxies.clone(),
        ..http::Config::new(server.listen.0)
    })
}

/// Reads, at each scrape, what the parts count for themselves.
fn figures(
    base: &Base,
    keys: &Arc<Keys>,
    secrets: &Arc<Secrets>,
    audit: &Arc<Audit>,
    alarms: &Arc<AtomicU64>,
) -> impl Fn() -> Snapshot + Send + Sync + 'static {
    let (token, store, secrets) = (Arc::clone(&base.token), Arc::clone(&base.store), Arc::clone(secrets));
    let (keys, audit, alarms) = (Arc::clone(keys), Arc::clone(audit), Arc::clone(alarms));
    move || {
        let uses = keys.use_figures();
        let (token, store, audit) = (token.status(), store.status(), audit.stats());
        let (rotated, failed) = secrets.rotation_counts();
        Snapshot {
            token: TokenFigures {
                up: token.up,
                epochs: token.epoch,
                sessions_open: token.sessions_open as u64,
                sessions_in_use: token.sessions_in_use as u64,
                sessions_limit: token.sessions_limit as u64,
                operations: token.operations,
                errors: token.failures,
            },
            database: DatabaseFigures {
                in_use: u64::from(store.connections - store.idle),
                idle: u64::from(store.idle),
                limit: u64::from(store.limit),
                retries: store.retries,
            },
            audit: AuditFigures {
                queue: audit.queued as u64,
                lines: audit.lines,
                syncs: audit.syncs,
                last_sync_seconds: audit.last_sync_us as f64 / 1e6,
                failures: audit.failures,
                checkpoint_failures: audit.checkpoint_failures,
            },
            keys: KeyFigures { uses: uses.uses, highest_uses: uses.highest },
            rotations: RotationFigures { done: rotated, failed, failing: secrets.rotations_failing().ok() },
            integrity_alarms: alarms.load(Ordering::Relaxed),
        }
    }
}
