//! MySQL and MariaDB, through the `mysql` crate.
//!
//! Owns: its connection options and statements. Called by: servers.

use mysql::prelude::Queryable;
use mysql::{Conn, Error, OptsBuilder, SslOpts};
use zeroize::Zeroizing;

use crate::base::ids::AccountName;
use crate::base::secret::AccountPassword;
use crate::servers::options::{STEP, ServerError, ServerOptions, Tls};
use crate::servers::password;

/// The options of a login.
pub(super) fn options(server: &ServerOptions, user: &str, password: &str) -> Box<OptsBuilder> {
    let tls = match &server.tls {
        Tls::Off => None,
        Tls::Verified(file) => Some(SslOpts::default().with_root_cert_path(Some(file.clone()))),
    };
    let options = OptsBuilder::new()
        .ip_or_hostname(Some(server.host.as_str()))
        .tcp_port(server.port)
        .prefer_socket(false)
        .user(Some(user))
        .pass(Some(password))
        .tcp_connect_timeout(Some(STEP))
        .read_timeout(Some(STEP))
        .write_timeout(Some(STEP))
        .ssl_opts(tls);
    Box::new(options)
}

/// Gives an account of MariaDB the hash of a password.
pub(super) fn mariadb_statement(account: &AccountName, host: &str, password: &AccountPassword) -> Zeroizing<String> {
    let hash = password::native(password);
    Zeroizing::new(format!("ALTER USER '{account}'@{} IDENTIFIED BY PASSWORD '{}'", quoted(host), hash.as_str()))
}

/// Gives an account of MySQL a password, which MySQL itself keeps out of its logs: there is no verifier that all its ways of
/// authentication take.
pub(super) fn statement(account: &AccountName, host: &str, password: &AccountPassword) -> Zeroizing<String> {
    let password = Zeroizing::new(quoted(password.expose()));
    Zeroizing::new(format!("ALTER USER '{account}'@{} IDENTIFIED BY {}", quoted(host), password.as_str()))
}

/// A text between quotes, under the SQL mode that [`run`] sets.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(2 * text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        if matches!(c, '\'' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('\'');
    quoted
}

/// Logs in, and runs a statement if there is one.
pub(super) fn run(options: OptsBuilder, statement: Option<&str>) -> Result<(), ServerError> {
    let mut conn = Conn::new(options).map_err(|error| ServerError::Unreachable(reason(&error)))?;
    let Some(statement) = statement else { return Ok(()) };
    // Without NO_BACKSLASH_ESCAPES and ANSI_QUOTES, whatever the server's own mode is.
    let done = conn.query_drop("SET SESSION sql_mode = ''").and_then(|()| conn.query_drop(statement));
    done.map_err(|error| match error {
        Error::MySqlError(_) => ServerError::Refused(reason(&error)),
        _ => ServerError::Unreachable(reason(&error)),
    })
}

/// The server's own text is left out: it may repeat part of the statement.
fn reason(error: &Error) -> String {
    match error {
        Error::MySqlError(e) => format!("error {} ({})", e.code, e.state),
        other => other.to_string(),
    }
}
