//! What the server and the commands of administration both stand on: token, database, audit log.
//!
//! Owns: opening each, and that they fit each other. Must not know: what is served. Called by: app::server, admin.

use std::sync::Arc;
use std::time::Duration;

use crate::app::node::node_id;
use crate::app::start_retry::StartRetry;
use crate::app::system_keys;
use crate::app::token;
use crate::audit::{Audit, AuditConfig, Recovered};
use crate::auth::SysKey;
use crate::base::failure::Failure;
use crate::base::ids::NodeId;
use crate::config::Config;
use crate::store::{DeploymentRow, Store, StoreError, StoreOptions, UrlAgain};
use crate::token::Token;

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

/// Opens the token of the configuration for a command, with its PIN.
///
/// # Errors
/// When PIN, module or token are not as configured.
pub fn open_token(config: &Config) -> Result<Token, Failure> {
    token::open(config, token::Opener::Command)
}

impl Base {
    /// A base on a token that is open already.
    ///
    /// # Errors
    /// When the database does not fit the token.
    pub fn on(config: &Config, token: Token, deployment: DeploymentRow) -> Result<Self, Failure> {
        Self::build(config, token, deployment, StartRetry::Command)
    }

    pub(super) fn build(config: &Config, token: Token, deployment: DeploymentRow, retry: StartRetry) -> Result<Self, Failure> {
        token.authenticate_with(deployment.int_key);
        system_keys::prove(&token, &deployment)?;
        let store = open_store(config, &token, &deployment, retry)?;
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
    pub fn audit(&self, config: &Config, name: &str, lock_wait_ms: u64) -> Result<(Audit, NodeId, Recovered), Failure> {
        self.audit_with(config, name, lock_wait_ms, StartRetry::Command)
    }

    /// The same, for a server that waits or a command that does not.
    ///
    /// # Errors
    /// As [`Base::audit`].
    pub(super) fn audit_with(
        &self,
        config: &Config,
        name: &str,
        lock_wait_ms: u64,
        retry: StartRetry,
    ) -> Result<(Audit, NodeId, Recovered), Failure> {
        let node = retry.until("audit", || node_id(&config.audit.directory))?;
        let options = AuditConfig {
            max_file_bytes: config.audit.max_file_bytes,
            lock_wait_ms,
            ..AuditConfig::new(&config.audit.directory, name)
        };
        let (audit, recovered) = retry.until("audit", || {
            let (token, aud) = (Arc::clone(&self.token), self.deployment.aud_key);
            let signer = move |text: &[u8]| token.sign(&aud, text).map_err(|e| e.to_string());
            Audit::open(options.clone(), node, Box::new(signer))
        })?;
        if let Some(reason) = &recovered.set_aside {
            log::warn!("audit: the file found was set aside: {reason}");
        }
        Ok((audit, node, recovered))
    }
}

/// The store, with row MACs under a key that only the token can derive.
fn open_store(config: &Config, token: &Token, deployment: &DeploymentRow, retry: StartRetry) -> Result<Store, Failure> {
    let key = system_keys::row_key(token, deployment)?;
    let options = StoreOptions {
        readers: config.database.connections,
        wait: Duration::from_millis(config.database.wait_ms),
        url_again: url_again(config),
        ..StoreOptions::new(config.database.location()?)
    };
    retry.until("database", || Store::open(options.clone(), deployment, key.clone()))
}

/// The URL of the database, as it is now.
pub(super) fn url_of(config: &Config) -> Result<String, StoreError> {
    config.database.location().map_err(|e| StoreError::Unavailable(e.to_string()))
}

/// How the URL of the database is read again, where it lies in a file.
fn url_again(config: &Config) -> Option<UrlAgain> {
    let file = config.database.url_file.clone()?;
    Some(Arc::new(move || {
        let text = std::fs::read_to_string(&file).map_err(|e| format!("database.url_file {}: {e}", file.display()))?;
        Ok(text.trim().to_owned())
    }))
}
