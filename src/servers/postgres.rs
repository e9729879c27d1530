//! PostgreSQL, through libpq.
//!
//! Owns: its connection strings and its statement. Called by: servers.

use std::fmt::Write;

use diesel::Connection;
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::result::{DatabaseErrorKind, Error};
use zeroize::Zeroizing;

use crate::base::ids::AccountName;
use crate::base::secret::AccountPassword;
use crate::servers::options::{STEP, ServerError, ServerOptions, Tls};
use crate::servers::password;

/// The connection string of a login. Every setting that the environment could give otherwise is given here.
pub(super) fn conninfo(server: &ServerOptions, user: &str, password: &str) -> Zeroizing<String> {
    let port = server.port.to_string();
    let seconds = STEP.as_secs().to_string();
    let milliseconds = STEP.as_millis().to_string();
    let timeout = format!("-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}");
    let mut settings = vec![
        ("host", server.host.as_str()),
        ("port", &port),
        ("dbname", &server.database),
        ("user", user),
        ("password", password),
        ("application_name", "bulla"),
        ("connect_timeout", &seconds),
        ("tcp_user_timeout", &milliseconds),
        ("options", &timeout),
        ("gssencmode", "disable"),
        // Where a host name stands for primary and standbys: the one that takes the change is the one to ask.
        ("target_session_attrs", "read-write"),
    ];
    let authority;
    match &server.tls {
        Tls::Off => settings.push(("sslmode", "disable")),
        Tls::Verified(file) => {
            authority = file.to_string_lossy();
            settings.extend([("sslmode", "verify-full"), ("sslrootcert", authority.as_ref())]);
        }
    }
    // Large enough never to move, so that no copy of the password is left behind.
    let room = settings.iter().map(|(name, value)| name.len() + 2 * value.len() + 4).sum();
    let mut text = Zeroizing::new(String::with_capacity(room));
    for (name, value) in settings {
        let _ = write!(text, "{name}='");
        for c in value.chars() {
            if matches!(c, '\'' | '\\') {
                text.push('\\');
            }
            text.push(c);
        }
        text.push_str("' ");
    }
    text
}

/// Gives an account a verifier of a password. Names have no character that quotes would not hold.
pub(super) fn statement(account: &AccountName, password: &AccountPassword) -> Zeroizing<String> {
    let verifier = password::scram_sha_256(password);
    Zeroizing::new(format!("ALTER ROLE \"{account}\" PASSWORD '{}'", verifier.as_str()))
}

/// Logs in, and runs a statement if there is one.
pub(super) fn run(conninfo: &str, statement: Option<&str>) -> Result<(), ServerError> {
    let mut conn = PgConnection::establish(conninfo).map_err(|e| ServerError::Unreachable(e.to_string()))?;
    let Some(statement) = statement else { return Ok(()) };
    conn.batch_execute(statement).map_err(|error| match error {
        Error::DatabaseError(DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand, info) => {
            ServerError::Unreachable(info.message().to_owned())
        }
        Error::DatabaseError(_, info) => ServerError::Refused(info.message().to_owned()),
        other => ServerError::Unreachable(other.to_string()),
    })
}
