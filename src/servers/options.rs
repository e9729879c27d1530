//! How a server is reached, and why something could not be done there.
//!
//! Owns: these words. Called by: the other files of servers; app, which reads them from the configuration.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::ids::AccountId;
use crate::base::words::Engine;

/// The longest that a connection, or one statement, may take before the client's own time limits end it.
pub(super) const STEP: Duration = Duration::from_secs(4);

/// How a connection is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Not at all.
    Off,
    /// By TLS, with a certificate for the server's host that an authority of this file (PEM) has signed.
    Verified(PathBuf),
}

/// How to reach a server.
#[derive(Debug, Clone, PartialEq, Eq)]
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
