//! What the server and the commands of administration both stand on: token, database, audit log.
//!
//! Owns: opening each, and that they fit each other. Must not know: what is served. Called by: app::server, admin.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::app::anchors::{self, LogAnchor};
use crate::app::freshness::{self, LOGS, RESTORE};
use crate::app::marks;
use crate::app::node::{known_node, node_id};
use crate::app::start_retry::{Passing, StartRetry};
use crate::app::system_keys;
use crate::app::token;
use crate::audit::{Audit, AuditConfig, AuditError, LogEnd, Recovered, holder};
use crate::auth::SysKey;
use crate::base::alarm;
use crate::base::clock::{Clock, Timestamp};
use crate::base::failure::{Class, Failure, Reason, context};
use crate::base::ids::NodeId;
use crate::config::Config;
use crate::process::notify;
use crate::store::{AnchorsRow, DeploymentRow, LogHeadRow, LogHeads, Store, StoreError, StoreOptions, UrlAgain};
use crate::token::Token;

/// How long a node takes at most to say again that it runs: a round of its jobs, and what a slow database adds to it.
const SAYS_SO_WITHIN: Duration = Duration::from_secs(25);

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

/// Opens the token of the configuration for a command, with its PIN. `left_out`: what the deployment has recorded that it refuses to be
/// told; of a row that is not verified it is a claim, which makes no key other than it must be: all is read back.
///
/// # Errors
/// When PIN, module or token are not as configured.
pub fn open_token(config: &Config, left_out: &str) -> Result<Token, Failure> {
    token::open(config, token::Opener::Command, left_out)
}

impl Base {
    /// A base on a token that is open already.
    ///
    /// # Errors
    /// When the database does not fit the token.
    pub fn on(config: &Config, token: Arc<Token>, deployment: DeploymentRow) -> Result<Self, Failure> {
        Self::build(config, token, deployment, StartRetry::Command)
    }

    pub(super) fn build(
        config: &Config,
        token: Arc<Token>,
        deployment: DeploymentRow,
        retry: StartRetry,
    ) -> Result<Self, Failure> {
        token.authenticate_with(deployment.int_key);
        system_keys::prove_system_keys(&token, &deployment)?;
        let store = open_store(config, &token, &deployment, retry)?;
        Ok(Self { token, deployment, store: Arc::new(store) })
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

    /// What the database says of logs and of itself. Where it does not say how old it is, it may be of any age.
    fn heads(&self, retry: StartRetry) -> Result<(LogHeads, AnchorsRow), Failure> {
        let (heads, anchors) = retry.until("database", || anchors::found(&self.store))?;
        match anchors {
            Ok(anchors) => Ok((heads, anchors)),
            Err(error) => {
                let reason = format!("database: {error}: nothing says how old it is");
                alarm::raise(&reason);
                Err(Failure::new(reason).hint(RESTORE))
            }
        }
    }

    /// When a server last wrote how far its log was; none where none has run.
    pub(super) fn newest_server_head(&self) -> Result<Option<Timestamp>, Failure> {
        let (heads, _) = self.heads(StartRetry::Server)?;
        Ok(heads.rows.iter().filter(|head| head.log == "audit").map(|head| head.written_at).max())
    }

    /// The nodes of which the database says that they run, but for that of this host's folder.
    ///
    /// # Errors
    /// When database or folder cannot be read.
    pub fn other_nodes(&self, config: &Config) -> Result<Vec<NodeId>, Failure> {
        let this = StartRetry::Command.until("audit", || known_node(&config.audit.directory))?;
        let now = Clock::System.now();
        let nodes = StartRetry::Command.until("database", || self.store.read_rows("nodes", |tx| tx.nodes()))?;
        Ok(nodes.into_iter().filter(|node| node.runs(now) && Some(node.id) != this).map(|node| node.id).collect())
    }

    /// Why the database is older than the token, its own rows or this host's logs know it to be, if it is. Writes nothing.
    ///
    /// # Errors
    /// When token, database or logs cannot be read.
    pub fn contradiction(&self, config: &Config) -> Result<Option<String>, Failure> {
        let (retry, folder) = (StartRetry::Command, &config.audit.directory);
        let (found, anchors) = self.heads(retry)?;
        let heads = found.since_restoration(&anchors);
        freshness::contradiction(&self.token, &self.deployment, &self.store, folder, retry, (&heads, &anchors), &LOGS)
    }

    /// What the marks of this host's node and its logs contradict each other in; nothing where no node has its logs here.
    ///
    /// # Errors
    /// When token, database or logs cannot be read.
    pub fn marks_beside_logs(&self, config: &Config) -> Result<Vec<String>, Failure> {
        let folder = &config.audit.directory;
        let Some(node) = known_node(folder).map_err(context("audit"))? else { return Ok(Vec::new()) };
        let key = system_keys::line_key(&self.token, &self.deployment, &node)?;
        let found = marks::beside_logs(&self.store, &node, (folder, &key), Clock::System.now(), &|_| false);
        Ok(found.map_err(context("database"))?.unwrap_or_default())
    }

    /// Refuses a database that was put back to an earlier state.
    ///
    /// # Errors
    /// That it was, and as [`Base::contradiction`].
    pub fn require_freshness(&self, config: &Config) -> Result<(), Failure> {
        self.contradiction(config).and_then(unless_older)
    }

    /// Opens an audit log of this node that AUD signs.
    ///
    /// # Errors
    /// When the folder cannot be written, another process holds the log, or the database is older than the log knew it.
    pub fn audit(&self, config: &Config, name: &str, lock_wait_ms: u64) -> Result<OpenLog, Failure> {
        self.open_log(config, name, lock_wait_ms, StartRetry::Command, true)
    }

    /// The same where the database may be older than the log knew it: for whoever is about to accept that.
    ///
    /// # Errors
    /// As [`Base::audit`].
    pub fn audit_of_a_restored(&self, config: &Config, name: &str, lock_wait_ms: u64) -> Result<OpenLog, Failure> {
        self.open_log(config, name, lock_wait_ms, StartRetry::Command, false)
    }

    /// Refuses the audit folder of a node that runs elsewhere: both would write as one. A node that was killed has not said that it stops,
    /// so what tells the two apart is whether it goes on to say that it runs.
    ///
    /// # Errors
    /// That it does; or that database or folder cannot be read.
    pub(super) fn require_own_folder(&self, config: &Config) -> Result<(), Failure> {
        let retry = StartRetry::Server;
        let folder = &config.audit.directory;
        let Some(node) = retry.until("audit", || known_node(folder))? else { return Ok(()) };
        let (heads, _) = self.heads(retry)?;
        let here = anchors::place_of(folder);
        let elsewhere = heads.rows.iter().find(|head| head.node == node && head.log == "audit" && head.place != here);
        let Some(place) = elsewhere.map(|head| &head.place) else { return Ok(()) };
        let seen = || {
            let nodes = retry.until("database", || self.store.read_rows("nodes", |tx| tx.nodes()))?;
            Ok::<_, Failure>(
                nodes.into_iter().find(|row| row.id == node && row.runs(Clock::System.now())).map(|row| row.seen_at),
            )
        };
        let Some(before) = seen()? else { return Ok(()) };
        log::warn!("audit: the node of this folder was last seen at {place}; waiting whether it still runs there");
        notify::waiting(&format!("audit: the node of this folder was last seen at {place}"));
        let begun = Instant::now();
        while begun.elapsed() < SAYS_SO_WITHIN {
            std::thread::sleep(Duration::from_millis(500));
            match seen()? {
                Some(now) if now != before => {
                    let reason =
                        format!("audit: the node of {} runs at {place}: this folder is a copy of that", folder.display());
                    return Err(
                        Failure::conflict(reason).hint("name an empty folder in audit.directory: a node has one of its own")
                    );
                }
                Some(_) => {}
                None => break,
            }
        }
        Ok(())
    }

    /// The log of a server, which waits for what passes.
    ///
    /// # Errors
    /// As [`Base::audit`].
    pub(super) fn audit_of_server(&self, config: &Config) -> Result<OpenLog, Failure> {
        self.open_log(config, "audit", 0, StartRetry::Server, true)
    }

    /// The heads of logs, of a database that nothing contradicts, since it was last accepted; and whether there are none at all. Both logs
    /// of a node are asked before either is written; the one that is opened, behind its lock.
    fn believed_heads(&self, config: &Config, name: &str, retry: StartRetry) -> Result<(Vec<LogHeadRow>, bool), Failure> {
        let (found, anchors) = self.heads(retry)?;
        if found.strange > 0 && retry == StartRetry::Command {
            alarm::raise(format!("database: {}", anchors::strange_heads(found.strange)));
        }
        let no_heads = found.rows.is_empty();
        let heads = found.since_restoration(&anchors);
        let others: Vec<_> = LOGS.into_iter().filter(|log| *log != name).collect();
        let (token, deployment, store) = (&self.token, &self.deployment, &self.store);
        let folder = &config.audit.directory;
        let why = freshness::contradiction(token, deployment, store, folder, retry, (&heads, &anchors), &others)?;
        unless_older(why)?;
        Ok((heads, no_heads))
    }

    fn open_log(
        &self,
        config: &Config,
        name: &str,
        lock_wait_ms: u64,
        retry: StartRetry,
        must_be_fresh: bool,
    ) -> Result<OpenLog, Failure> {
        let folder = &config.audit.directory;
        let place = anchors::place_of(folder);
        let (heads, no_heads) = match must_be_fresh {
            true => self.believed_heads(config, name, retry)?,
            false => (Vec::new(), false),
        };
        if no_heads {
            let changes = retry.until("database", || self.store.head_told())?.changes;
            if changes > 0 {
                alarm::raise(format!(
                    "audit: the database has had {changes} changes of secrets, and has no head of any log: they were deleted"
                ));
            }
        }
        let here = heads.iter().filter(|head| head.place == place).max_by_key(|head| head.written_at).map(|head| head.node);
        // Somebody has taken its logs away, and perhaps left the id of a node that nobody knows: a folder of another host is not at the
        // same place.
        let known = retry.until("audit", || known_node(folder))?;
        let is_known = known.is_some_and(|known| heads.iter().any(|head| head.node == known));
        if let Some(gone) = here.filter(|_| !is_known) {
            let folder = folder.display();
            alarm::raise(format!("audit: the logs of node {gone}, which were in {folder}, are gone; a new node begins"));
        }
        let node = retry.until("audit", || node_id(folder))?;
        let known = heads.iter().find(|head| head.node == node && head.log == name).and_then(log_end);
        let options =
            AuditConfig { max_file_bytes: config.audit.max_file_bytes, lock_wait_ms, known, ..AuditConfig::new(folder, name) };
        let key = system_keys::line_key(&self.token, &self.deployment, &node)?;
        let is_older = Cell::new(false);
        let fresh = |found: &Recovered, now: Timestamp| {
            if !must_be_fresh {
                return Ok(anchors::head_of_log(&self.store, &node, name)?);
            }
            let (head, older) = anchors::beside_log(&self.store, &node, name, found, now)?;
            match older {
                None => Ok(head),
                Some(why) => {
                    is_older.set(true);
                    Err(NotOpened::Older(why))
                }
            }
        };
        let hinted = |failure: Failure| match (failure.class, holder(folder, name)) {
            _ if is_older.get() => failure.hint(RESTORE),
            (Class::Conflict, Some(pid)) => {
                failure.hint(format!("process {pid} does; one server, and one command at a time, to a folder"))
            }
            _ => failure,
        };
        let head = RefCell::new(None);
        let opened = retry.until("audit", || {
            let (token, aud) = (Arc::clone(&self.token), self.deployment.aud_key);
            let signer = move |text: &[u8]| token.sign(&aud, text).map_err(|e| e.to_string());
            Audit::open_if(options.clone(), node, key.clone(), Box::new(signer), |found| {
                // Behind the lock, where nobody else of this node writes.
                let stopped = found.last_time.unwrap_or(Timestamp(0));
                head.replace(fresh(found, stopped).map_err(AuditError::from)?);
                Ok(())
            })
        });
        let (audit, recovered) = opened.map_err(hinted)?;
        if let Some(reason) = &recovered.set_aside {
            alarm::raise(format!("audit: the log \"{name}\" is not as this node left it: {reason}"));
        }
        let audit = Arc::new(audit);
        let anchor = Arc::new(LogAnchor::new(&self.store, &audit, node, name, place, head.into_inner()));
        Ok(OpenLog { audit, node, recovered, anchor })
    }
}

/// Why a log is not opened: the database is away, or older than the log.
#[derive(Debug)]
enum NotOpened {
    Away(StoreError),
    Older(String),
}

impl From<StoreError> for NotOpened {
    fn from(error: StoreError) -> Self {
        NotOpened::Away(error)
    }
}

impl From<NotOpened> for AuditError {
    fn from(why: NotOpened) -> Self {
        match why {
            NotOpened::Away(error) if error.passes() => AuditError::Write(error.to_string()),
            NotOpened::Away(error) => AuditError::Contradicts(error.to_string()),
            NotOpened::Older(why) => AuditError::Contradicts(why),
        }
    }
}

impl Reason for NotOpened {
    fn class(&self) -> Class {
        match self {
            NotOpened::Away(error) => error.class(),
            NotOpened::Older(_) => Class::Other,
        }
    }
}

impl Passing for NotOpened {
    fn passes(&self) -> bool {
        matches!(self, NotOpened::Away(error) if error.passes())
    }
}

impl fmt::Display for NotOpened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotOpened::Away(error) => error.fmt(f),
            NotOpened::Older(why) => f.write_str(why),
        }
    }
}

/// The end of a log as the database knows it.
fn log_end(row: &LogHeadRow) -> Option<LogEnd> {
    let number = |n: i64| u64::try_from(n).ok();
    Some(LogEnd { seq: number(row.seq)?, hash: row.hash.as_slice().try_into().ok()?, open_from: number(row.open_from)? })
}

/// An audit log that is open. When it is dropped the log is closed, and the database told how far it has come.
pub struct OpenLog {
    /// The log.
    pub audit: Arc<Audit>,
    /// Whose.
    pub node: NodeId,
    /// What it says of the time before.
    pub recovered: Recovered,
    pub(super) anchor: Arc<LogAnchor>,
}

impl Drop for OpenLog {
    fn drop(&mut self) {
        // Before, so that the last checkpoint knows it; and behind, so that no line can be taken away.
        let written = self.anchor.write();
        self.audit.close();
        match written.and_then(|()| self.anchor.write()) {
            Ok(()) => {}
            Err(error @ StoreError::Corrupt { .. }) => {
                alarm::raise(format!("database: how far the audit log is could not be written: {error}"));
            }
            Err(error) => log::warn!("database: how far the audit log is could not be written: {error}"),
        }
    }
}

/// The store, with row MACs under a key that only the token can derive.
fn open_store(config: &Config, token: &Token, deployment: &DeploymentRow, retry: StartRetry) -> Result<Store, Failure> {
    let key = system_keys::row_key(token, deployment)?;
    let options = StoreOptions {
        readers: config.database.connections,
        wait: Duration::from_millis(config.database.wait_ms),
        url_again: url_again(config),
        exact_secrets: config.database.exact_secrets,
        ..StoreOptions::new(config.database.location()?)
    };
    retry.until("database", || Store::open(options.clone(), deployment, key.clone()))
}

/// The URL of the database, as it is now.
pub(super) fn url_of(config: &Config) -> Result<String, StoreError> {
    config.database.location().map_err(|e| StoreError::Unavailable(e.to_string()))
}

/// Refuses a database for which there is a reason why it is older than it should be.
fn unless_older(why: Option<String>) -> Result<(), Failure> {
    why.map_or(Ok(()), |why| Err(Failure::new(why).hint(RESTORE)))
}

/// How the URL of the database is read again, where it lies in a file.
fn url_again(config: &Config) -> Option<UrlAgain> {
    let database = config.database.clone();
    database.url_file.is_some().then(|| -> UrlAgain { Arc::new(move || database.location().map_err(|e| e.to_string())) })
}
