//! The database servers whose accounts are rotated, by the DBInstanceId that secrets name them by.
//!
//! Owns: everything that happens on those servers: setting the password of an account, and telling whether it logs in. Nothing
//! else connects to them. Must not know: secrets, versions, when a password changes. Called by: secrets; app builds it.
//!
//! A password goes to a server as a verifier where the server takes one (PostgreSQL, MariaDB), so that no log of the server can
//! hold it. The administrator's password is read from its file for each connection: it can change without a restart.

mod call;
mod mysql;
mod password;
mod postgres;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::base::ids::{AccountId, AccountName, InstanceId};
use crate::base::secret::AccountPassword;
use crate::base::words::Engine;
use call::{Calls, Login};

/// The longest that a connection, or one statement, may take before the client's own time limits end it.
const STEP: Duration = Duration::from_secs(4);

/// How a connection is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Not at all.
    Off,
    /// By TLS, with a certificate for the server's host that an authority of this file (PEM) has signed.
    Verified(PathBuf),
}

/// How to reach a server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Its kind.
    pub engine: Engine,
    /// Its host name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database that logins go to (PostgreSQL).
    pub database: String,
    /// The account that may change the passwords of others.
    pub administrator: String,
    /// The file of its password, one line.
    pub password_file: PathBuf,
    /// How connections are protected.
    pub tls: Tls,
    /// The host part of account names, as in `'name'@'%'` (MySQL, MariaDB).
    pub account_host: String,
    /// Whose secrets may use it; anybody's where none is named.
    pub accounts: Vec<AccountId>,
}

/// Why something could not be done on a server; the reason is for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerError {
    /// No connection, or no answer in time: whether the server did it is unknown.
    Unreachable(String),
    /// The server answered, and did not do it.
    Refused(String),
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerError::Unreachable(reason) => write!(f, "unreachable: {reason}"),
            ServerError::Refused(reason) => write!(f, "refused: {reason}"),
        }
    }
}

impl std::error::Error for ServerError {}

/// One server.
pub struct Server {
    options: ServerOptions,
    calls: Calls,
}

impl Server {
    /// A server; nothing is connected before it is used.
    pub fn new(options: ServerOptions) -> Self {
        Self { options, calls: Calls::default() }
    }

    /// Gives an account a password; its old one does not log in any more.
    ///
    /// # Errors
    /// Either; after `Unreachable` the account has the one or the other.
    pub fn set_password(&self, account: &AccountName, password: &AccountPassword) -> Result<(), ServerError> {
        let statement = match self.options.engine {
            Engine::Postgres => postgres::statement(account, password),
            Engine::MariaDb => mysql::mariadb_statement(account, &self.options.account_host, password),
            Engine::MySql => mysql::statement(account, &self.options.account_host, password),
        };
        self.calls.make(self.administrator()?, Some(statement))
    }

    /// Whether an account logs in with a password. A failed login counts as refused when the server lets its administrator in;
    /// the texts of servers are in many languages.
    ///
    /// # Errors
    /// `Unreachable`.
    pub fn accepts(&self, account: &AccountName, password: &AccountPassword) -> Result<bool, ServerError> {
        match self.calls.make(self.login(account.as_str(), password.expose()), None) {
            Ok(()) => Ok(true),
            Err(_) => self.health().map(|()| false),
        }
    }

    /// Whether the administrator logs in.
    ///
    /// # Errors
    /// `Unreachable`.
    pub fn health(&self) -> Result<(), ServerError> {
        self.calls.make(self.administrator()?, None)
    }

    fn administrator(&self) -> Result<Login, ServerError> {
        let file = &self.options.password_file;
        let text = std::fs::read_to_string(file).map(Zeroizing::new);
        let text = text.map_err(|e| ServerError::Unreachable(format!("the password file {}: {e}", file.display())))?;
        Ok(self.login(&self.options.administrator, text.trim_end_matches(['\r', '\n'])))
    }

    fn login(&self, user: &str, password: &str) -> Login {
        match self.options.engine {
            Engine::Postgres => Login::Postgres(postgres::conninfo(&self.options, user, password)),
            Engine::MariaDb | Engine::MySql => Login::MySql(mysql::options(&self.options, user, password)),
        }
    }
}

/// All servers that are configured.
#[derive(Default)]
pub struct Servers(BTreeMap<InstanceId, Server>);

impl Servers {
    /// These servers.
    pub fn new(servers: impl IntoIterator<Item = (InstanceId, ServerOptions)>) -> Self {
        Self(servers.into_iter().map(|(id, options)| (id, Server::new(options))).collect())
    }

    /// The server of this name, if this account's secrets may use it.
    pub fn find(&self, id: &InstanceId, account: &AccountId) -> Option<&Server> {
        self.0.get(id).filter(|s| s.options.accounts.is_empty() || s.options.accounts.contains(account))
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&InstanceId, &Server)> {
        self.0.iter()
    }
}
