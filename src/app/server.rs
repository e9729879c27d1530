//! The server: built from its configuration, run, stopped.
//!
//! Owns: what is built in which order, and closed in which. Must not know: what the parts do. Called by: main, admin (`bulla dev`).

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::api::Service;
use crate::app::anchor_watch::Watch;
use crate::app::base::{Base, OpenLog};
use crate::app::checks;
use crate::app::clock_watch;
use crate::app::figures::Sources;
use crate::app::freshness::LOGS;
use crate::app::front::Front;
use crate::app::host_figures::Host;
use crate::app::marks::Marks;
use crate::app::reload::{self, Reload};
use crate::app::settings;
use crate::app::spare_key;
use crate::app::start_retry::StartRetry;
use crate::app::supervised;
use crate::app::system_keys::line_key;
use crate::app::token_key::TokenKey;
use crate::app::unfinished;
use crate::app::unresolved;
use crate::app::vitals::{watch_database, watch_token};
use crate::audit::ship;
use crate::auth::access_point::AccessPoints;
use crate::auth::{Auth, Credentials};
use crate::base::clock::Clock;
use crate::base::clock_check::ClockCheck;
use crate::base::failure::{Failure, context};
use crate::base::periodic::Periodic;
use crate::base::signals::end;
use crate::config::Config;
use crate::dialects::Doors;
use crate::http;
use crate::jobs::{JobParts, Jobs};
use crate::keys::{KeyParts, Keys};
use crate::logging;
use crate::logins::Logins;
use crate::metrics::Metrics;
use crate::process::{self, notify, signals};
use crate::secrets::{SecretParts, Secrets};
use crate::service_task::ServiceTasks;
use crate::store::Store;

/// How long jobs under way may go on at the end, where token and database answer.
const JOBS_END: Duration = Duration::from_secs(2);
/// How much longer than its requests the whole of the end may take: jobs, then the audit log.
const AT_THE_END: Duration = Duration::from_secs(10);

/// A server that is built and listens, and not yet answers.
pub struct Server {
    bound: http::Bound,
    front: Arc<Front>,
    jobs: Jobs,
    metrics: Arc<Metrics>,
    store: Arc<Store>,
    log: OpenLog,
    watch: Watch,
    /// Dropped to stop.
    token_key: Option<Periodic>,
    marks: Periodic,
    /// Dropped behind all that asks for the time.
    clock_watch: Periodic,
    /// Until the end of the process.
    shipping: Vec<Periodic>,
    reload: Reload<Config>,
    resolver: Periodic,
    stop_timeout: Duration,
}

/// What differs between two configurations and is read at a start alone, if anything does.
fn changed(started: Option<&[(&'static str, u64); 11]>, now: &Config) -> Option<String> {
    let of_now = now.of_a_start();
    let differing: Vec<_> = started?.iter().zip(&of_now).filter(|(was, is)| was != is).map(|(was, _)| was.0).collect();
    (!differing.is_empty()).then(|| differing.join(", "))
}

impl Server {
    /// Settles the schema, opens token and database, and builds the server on them. Waits for a database that is away, and for
    /// space on a disk that is full.
    ///
    /// # Errors
    /// When anything that it needs is missing or does not fit.
    pub fn open(config: &Config) -> Result<Self, Failure> {
        let (base, logins) = checks::start(config)?;
        Self::build(config, base, logins)
    }

    /// Builds everything and, last, opens the listeners.
    ///
    /// # Errors
    /// When an address is taken, or the audit log or the logins' keys cannot be read.
    pub fn on(config: &Config, base: Base) -> Result<Self, Failure> {
        Self::build(config, base, settings::logins(config)?)
    }

    fn build(config: &Config, base: Base, logins: Logins) -> Result<Self, Failure> {
        process::lock_memory(config.server.lock_memory)?;
        let http_config = settings::http(config)?;
        let tls = http_config.tls.clone();
        let reserved = http::reserve(http_config).map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => Failure::conflict(format!("{}: {error}", config.server.listen))
                .hint("this service, or another program, listens there; `ss -ltnp` says which"),
            _ => context(config.server.listen)(error),
        })?;
        base.require_own_folder(config)?;
        // Before this node writes its own.
        let newest = base.newest_server_head()?;
        let log = base.audit_of_server(config)?;
        let (audit, node, recovered) = (Arc::clone(&log.audit), log.node, &log.recovered);
        let clock = Clock::System;
        StartRetry::Server.until("database", || base.store.node_lives(node, clock.now()))?;
        unfinished::complete(&base.store, &audit, node, &recovered.open_intents)?;
        spare_key::finish(config, &base, &audit, node)?;
        let to = config.audit.ship.iter().flat_map(|receiver| LOGS.map(|log| (log, receiver.clone())));
        let too_long_to_ship = Arc::default();
        let shipping = to.map(|(log, receiver)| ship(&config.audit.directory, log, receiver, &too_long_to_ship));
        let shipping = shipping.collect::<Result<Vec<_>, _>>()?;
        // Where nothing was kept, what the log says; and where that is new as well, what the database says of servers' logs.
        let last_seen = clock_watch::last_proved(&config.audit.directory).or(recovered.last_time).or(newest);
        let clocks = Arc::new(ClockCheck::new(clock.clone(), last_seen));
        let clock_watch = clock_watch::start(&clocks, &config.audit.directory, clock.clone())?;
        let row = &base.deployment;
        let tasks = ServiceTasks::new(Arc::clone(&audit), row.region.clone(), node);
        let tasks = Arc::new(tasks);
        let keys = Arc::new(Keys::new(KeyParts {
            store: Arc::clone(&base.store),
            token: Arc::clone(&base.token),
            service_tasks: Arc::clone(&tasks),
            suite: row.suite,
            limits: settings::key_limits(config),
            sys: base.sys(),
        }));
        let servers = settings::servers(config)?;
        let secrets = Arc::new(Secrets::new(SecretParts {
            store: Arc::clone(&base.store),
            keys: Arc::clone(&keys),
            service_tasks: tasks,
            deployment: row.id,
            region: row.region.clone(),
            quota: config.quotas.secrets,
            servers: servers.clone(),
        }));
        let credentials = Credentials::new(Arc::clone(&base.store), base.sys());
        let access_points = AccessPoints::new(Arc::clone(&base.store), config.client_keys.cipher);
        let auth = Auth::new(
            credentials,
            access_points,
            logins.clone(),
            Arc::clone(&clocks),
            row.region.clone(),
            node,
            config.limits.nonces,
        );
        let metrics = Arc::new(Metrics::new());
        let swept = Arc::new(Mutex::new(Instant::now()));
        let sources = Sources {
            token: Arc::clone(&base.token),
            store: Arc::clone(&base.store),
            keys: Arc::clone(&keys),
            secrets: Arc::clone(&secrets),
            audit: Arc::clone(&audit),
            too_long_to_ship,
            clocks: Arc::clone(&clocks),
            swept: Arc::clone(&swept),
            host: Host::new(config, tls.clone()),
        };
        metrics.set_source(move || sources.figures());
        let jobs = Jobs::new(JobParts {
            store: Arc::clone(&base.store),
            keys: Arc::clone(&keys),
            secrets: Arc::clone(&secrets),
            system_keys: row.objects(),
            node,
            clock: clock.clone(),
            clocks: Arc::clone(&clocks),
            marks_unneeded_until: {
                let audit = Arc::clone(&audit);
                Box::new(move |until| audit.marks_unneeded_until(until))
            },
            swept,
            check_percent: config.database.check_percent.get(),
        });
        let limits = settings::limits(config);
        let resolver = unresolved::start(Arc::clone(&base.store), Arc::clone(&audit), node)?;
        let token = watch_token(&base)?;
        let database = watch_database(&base.store, &clocks)?;
        let token = Arc::new(token);
        let vault = settings::vault(config, &token);
        let doors = Doors::new(Service::new(auth, keys, secrets, Arc::clone(&audit), limits), vault);
        let token_key = match config.keys.anchor_minutes {
            0 => None,
            minutes => {
                let key = TokenKey::new(&base.token, &base.store, node, &clocks, minutes);
                Some(key.start()?)
            }
        };
        let marks = Marks {
            store: Arc::clone(&base.store),
            clocks: Arc::clone(&clocks),
            node,
            logs: (config.audit.directory.clone(), line_key(&base.token, &base.deployment, &node)?),
            percent: config.database.check_percent.get(),
        };
        let marks = marks.start()?;
        let front = Arc::new(Front { doors, audit, token, database, clocks });
        // From here on there is an answer to whoever comes.
        let bound = reserved.listen().map_err(context(config.server.listen))?;
        let stopper = bound.stopper();
        let watch = Watch::start(Arc::clone(&log.anchor), move || stopper.stop());
        let watch = watch.map_err(context("database"))?;
        let file = config.file.clone();
        let limited = Arc::downgrade(&front);
        // As the file has it: `bulla dev` sets some of it otherwise.
        let started = Config::load(&file).ok().map(|config| config.of_a_start());
        let reload = Reload::of(move || Config::load(&file));
        let reload = match tls {
            Some(tls) => reload.with("certificates", move || tls.reload()),
            None => reload,
        };
        let reload = reload
            .with_settings("log", move |config| {
                logging::set(config.log);
                if let Some(changed) = changed(started.as_ref(), config) {
                    log::warn!(target: reload::TARGET, "settings that take a restart have changed: {changed}");
                }
                Ok::<_, Failure>(())
            })
            .with_settings("rotation servers", move |config| {
                servers.replace(settings::server_options(config)?);
                Ok::<_, Failure>(())
            })
            .with_settings("logins", move |config| {
                let options = settings::login_options(config)?;
                logins.replace(options).map_err(|reason| Failure::local(format!("vault.jwt: {reason}")))
            })
            .with_settings("limits", move |config| {
                let limits = settings::limits(config);
                limited.upgrade().into_iter().for_each(|front| front.doors.limit(limits));
                Ok::<_, Failure>(())
            });
        let stop_timeout = Duration::from_millis(config.server.stop_timeout_ms);
        let store = base.store;
        Ok(Self {
            bound,
            front,
            jobs,
            metrics,
            store,
            log,
            watch,
            token_key,
            marks,
            clock_watch,
            shipping,
            reload,
            resolver,
            stop_timeout,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Of the system.
    pub fn address(&self) -> Result<std::net::SocketAddr, Failure> {
        Ok(self.bound.address()?)
    }

    /// Serves until a signal asks it to stop, then closes the audit log. Ends the process when that takes longer than it may.
    ///
    /// # Errors
    /// Of the system.
    pub fn run(self) -> Result<(), Failure> {
        let Self {
            bound,
            front,
            jobs,
            metrics,
            store,
            log,
            watch,
            token_key,
            marks,
            clock_watch,
            shipping,
            reload,
            resolver,
            stop_timeout,
        } = self;
        let running = jobs.start()?;
        let stopper = bound.stopper();
        let reload = reload.start()?;
        signals::hear(move |asked| match asked {
            signals::Asked::Reload => reload(),
            signals::Asked::Stop => {
                notify::stopping();
                stopper.stop();
                // Nothing that hangs keeps the process: what it leaves is what a crash leaves.
                std::thread::spawn(move || {
                    std::thread::sleep(stop_timeout + AT_THE_END);
                    log::error!("not stopped in time; ending as at a crash");
                    logging::flush(Duration::from_millis(200));
                    end(1);
                });
            }
        });
        supervised::start(Arc::downgrade(&front))?;
        let served = bound.run(Arc::clone(&front), metrics);
        drop((token_key, marks));
        Periodic::stop_all(running, JOBS_END);
        drop(clock_watch);
        resolver.stop(JOBS_END);
        if let Err(error) = store.write_rows("node_delete", |tx| tx.node_delete(&log.node)) {
            log::warn!("database: this node is not signed off: {error}");
        }
        let restored = watch.was_restored();
        watch.stop(JOBS_END);
        drop(log);
        store.settle();
        // The last lines may be sent yet; what is not is sent by the next start.
        drop(shipping);
        match restored {
            true => Err(Failure::unavailable("the database was restored; this node has to begin anew")),
            false => Ok(served?),
        }
    }
}
