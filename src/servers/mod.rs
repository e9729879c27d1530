//! The database servers whose accounts are rotated, by the DBInstanceId that secrets name them by.
//!
//! Owns: everything that happens on those servers: setting the password of an account, and telling whether it logs in. Nothing
//! else connects to them. Must not know: secrets, versions, when a password changes. Called by: secrets; app builds it.
//!
//! A password goes to a server as a verifier where the server takes one (PostgreSQL, MariaDB), so that no log of the server can
//! hold it. The administrator's password is read from its file for each connection: it can change without a restart, and so can the
//! list of servers.

mod call;
mod mysql;
mod options;
mod password;
mod postgres;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use zeroize::Zeroizing;

use crate::base::ids::{AccountId, AccountName, InstanceId};
use crate::base::secret::AccountPassword;
use crate::base::words::Engine;
use call::{Calls, Login};
pub use options::{ServerError, ServerOptions, Tls};

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
    /// [`ServerError::Refused`]: the old password stays. [`ServerError::Unreachable`]: the account has the old password or the new.
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

/// All servers that are configured. Clones are of one list.
#[derive(Clone, Default)]
pub struct Servers(Arc<RwLock<BTreeMap<InstanceId, Arc<Server>>>>);

impl Servers {
    /// These servers.
    pub fn new(servers: impl IntoIterator<Item = (InstanceId, ServerOptions)>) -> Self {
        let list = Self::default();
        list.replace(servers);
        list
    }

    /// From now on these servers; those that are as they were go on with the calls they are at.
    pub fn replace(&self, servers: impl IntoIterator<Item = (InstanceId, ServerOptions)>) {
        let mut list = self.0.write();
        let before = std::mem::take(&mut *list);
        list.extend(servers.into_iter().map(|(id, options)| {
            let same = before.get(&id).filter(|server| server.options == options).cloned();
            (id, same.unwrap_or_else(|| Arc::new(Server::new(options))))
        }));
    }

    /// The server of this name, if this account's secrets may use it.
    pub fn find(&self, id: &InstanceId, account: &AccountId) -> Option<Arc<Server>> {
        let found = self.0.read().get(id).cloned()?;
        (found.options.accounts.is_empty() || found.options.accounts.contains(account)).then_some(found)
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<(InstanceId, Arc<Server>)> {
        self.0.read().iter().map(|(id, server)| (id.clone(), Arc::clone(server))).collect()
    }
}
