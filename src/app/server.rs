//! The server: built from its configuration, run, stopped.
//!
//! Owns: what is built in which order, and closed in which. Must not know: what the parts do. Called by: main, admin (`bulla dev`).

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::api::{Limits, Service};
use crate::app::base::Base;
use crate::app::figures::figures;
use crate::app::front::Front;
use crate::app::schema::settle_schema;
use crate::app::settings;
use crate::app::start_retry::StartRetry;
use crate::app::unfinished;
use crate::auth::access_point::AccessPoints;
use crate::auth::{Auth, Credentials};
use crate::base::clock::Clock;
use crate::base::failure::{Failure, context};
use crate::base::ids::NodeId;
use crate::config::Config;
use crate::dialects::Doors;
use crate::http;
use crate::jobs::{JobParts, Jobs};
use crate::keys::{KeyParts, Keys};
use crate::metrics::Metrics;
use crate::process;
use crate::secrets::{SecretParts, Secrets};
use crate::service_task::ServiceTasks;
use crate::store::{Abort, Store, StoreError};

/// A server that is built and listens, and not yet answers.
pub struct Server {
    bound: http::Bound,
    front: Arc<Front>,
    jobs: Jobs,
    metrics: Arc<Metrics>,
    store: Arc<Store>,
    node: NodeId,
}

impl Server {
    /// Settles the schema, opens token and database, and builds the server on them. Waits for a database that is away, and for
    /// space on a disk that is full.
    ///
    /// # Errors
    /// When anything that it needs is missing or does not fit.
    pub fn open(config: &Config) -> Result<Self, Failure> {
        settle_schema(config, StartRetry::Server)?;
        Self::on(config, Base::open_with(config, StartRetry::Server)?)
    }

    /// Builds everything and opens the listeners.
    ///
    /// # Errors
    /// When an address is taken, or the audit log cannot be opened.
    pub fn on(config: &Config, base: Base) -> Result<Self, Failure> {
        process::raise_open_files().map_err(context("open files"))?;
        process::lock_memory(config.server.lock_memory)?;
        let bound = http::bind(settings::http(config)?).map_err(context(config.server.listen))?;
        let (audit, node, open_intents) = base.audit_with(config, "audit", 0, StartRetry::Server)?;
        let clock = Clock::System;
        StartRetry::Server.until("database", || base.store.node_lives(node, clock.now()))?;
        unfinished::complete(&base.store, &audit, node, &open_intents)?;
        let audit = Arc::new(audit);
        let row = &base.deployment;
        let tasks = ServiceTasks::new(Arc::clone(&audit), row.region.clone(), node, clock.clone());
        let tasks = Arc::new(tasks);
        let keys = Arc::new(Keys::new(KeyParts {
            store: Arc::clone(&base.store),
            token: Arc::clone(&base.token),
            service_tasks: Arc::clone(&tasks),
            clock: clock.clone(),
            suite: row.suite,
            limits: settings::key_limits(config),
            sys: base.sys(),
        }));
        let secrets = Arc::new(Secrets::new(SecretParts {
            store: Arc::clone(&base.store),
            keys: Arc::clone(&keys),
            service_tasks: tasks,
            clock: clock.clone(),
            deployment: row.id,
            region: row.region.clone(),
            quota: config.quotas.secrets,
            servers: settings::servers(config)?,
        }));
        let credentials = Credentials::new(Arc::clone(&base.store), base.sys());
        let access_points = AccessPoints::new(Arc::clone(&base.store), clock.clone(), config.client_keys.cipher);
        let auth = Auth::new(credentials, access_points, row.region.clone(), node, config.limits.nonces);
        let metrics = Arc::new(Metrics::new());
        let alarms = Arc::new(AtomicU64::new(0));
        metrics.set_source(figures(&base, &keys, &secrets, &audit, &alarms));
        let jobs = Jobs::new(JobParts {
            store: Arc::clone(&base.store),
            keys: Arc::clone(&keys),
            secrets: Arc::clone(&secrets),
            system_keys: row.system_keys(),
            node,
            clock: clock.clone(),
        });
        let limits = Limits {
            requests_per_second: config.limits.requests_per_second,
            refusals_per_second: config.limits.refusals_per_second,
        };
        let doors = Doors::new(Service::new(auth, keys, secrets, Arc::clone(&audit), clock, limits));
        let Base { store, token, .. } = base;
        let front = Arc::new(Front { doors, audit, store: Arc::clone(&store), token, alarms });
        Ok(Self { bound, front, jobs, metrics, store, node })
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
        let Self { bound, front, jobs, metrics, store, node } = self;
        let running = jobs.start()?;
        let served = bound.run(Arc::clone(&front), metrics);
        running.stop();
        if let Err(error) = store.write("node_delete", |tx| Ok::<_, Abort<StoreError>>(tx.node_delete(&node)?)) {
            log::warn!("database: this node is not signed off: {error}");
        }
        front.audit.close();
        Ok(served?)
    }
}
