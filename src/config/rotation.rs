//! `[[rotation.instance]]`: the database servers whose accounts are rotated.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::files::{ConfigError, anchor, secret_file};
use crate::base::ids::{AccountId, InstanceId};
use crate::base::words::Engine;

/// `[rotation]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rotation {
    /// The servers.
    pub instance: Vec<Instance>,
}

/// One server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// The DBInstanceId that secrets name it by.
    pub id: InstanceId,
    /// `postgresql`, `mariadb` or `mysql`.
    pub engine: Engine,
    /// Its host name or address; for PostgreSQL a list with commas too, of which the one that takes writes is used.
    pub host: String,
    /// Its port; the engine's own where nothing is said.
    pub port: Option<u16>,
    /// The database that logins go to (PostgreSQL).
    #[serde(default = "Instance::default_database")]
    pub database: String,
    /// The account that may change the passwords of others.
    pub administrator: String,
    /// File with its password, one line, read again for each connection.
    pub password_file: Option<PathBuf>,
    /// Name of a systemd credential with its password.
    pub password_credential: Option<String>,
    /// Whether connections are protected by TLS, with a certificate for `host`. Off only where the network is trusted.
    #[serde(default = "Instance::default_tls")]
    pub tls: bool,
    /// File with the certificates (PEM) of the authorities that may sign the server's; needed with TLS.
    pub ca_file: Option<PathBuf>,
    /// The host part of account names (MySQL, MariaDB).
    #[serde(default = "Instance::default_account_host")]
    pub account_host: String,
    /// Accounts of this service whose secrets may use it; all where nothing is said.
    #[serde(default)]
    pub accounts: Vec<AccountId>,
}

impl Instance {
    fn default_database() -> String {
        "postgres".into()
    }

    fn default_tls() -> bool {
        true
    }

    fn default_account_host() -> String {
        "%".into()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.engine {
            Engine::Postgres => 5432,
            Engine::MariaDb | Engine::MySql => 3306,
        })
    }

    /// The file of the administrator's password.
    ///
    /// # Errors
    /// When none is named, or systemd gave no credentials.
    pub fn password(&self) -> Result<PathBuf, ConfigError> {
        let name = format!("rotation.instance {}: password", self.id);
        secret_file(&name, self.password_file.as_deref(), self.password_credential.as_deref())?
            .ok_or_else(|| ConfigError(format!("name {name}_file or password_credential")))
    }
}

impl Rotation {
    pub(super) fn anchor(&mut self, folder: &Path) {
        for instance in &mut self.instance {
            instance.password_file.iter_mut().chain(&mut instance.ca_file).for_each(|file| anchor(file, folder));
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let mut seen = std::collections::HashSet::new();
        for instance in &self.instance {
            let wrong = |text: &str| Err(ConfigError(format!("rotation.instance {}: {text}", instance.id)));
            if !seen.insert(&instance.id) {
                return wrong("there are two of this id");
            }
            for (name, text) in
                [("host", &instance.host), ("administrator", &instance.administrator), ("database", &instance.database)]
            {
                if text.trim().is_empty() {
                    return wrong(&format!("{name} is empty"));
                }
            }
            if instance.tls != instance.ca_file.is_some() {
                return wrong("TLS needs ca_file; without TLS (tls = false) there is none");
            }
            if instance.password_file.is_some() == instance.password_credential.is_some() {
                return wrong("name password_file or password_credential, one of them");
            }
        }
        Ok(())
    }
}
