//! Which database a URL names, decided by its scheme alone.
//!
//! Owns: the grammar of database URLs. Must not know: connections. Called by: store::connection, store::migrate.

use std::fmt;
use std::path::PathBuf;

use crate::store::StoreError;

/// Seconds that libpq waits for one host, unless the URL says otherwise.
const CONNECT_TIMEOUT_S: u32 = 2;
/// Milliseconds after which unacknowledged bytes end a TCP connection, unless the URL says otherwise: a server that vanished
/// without a word is noticed by then, not after the system's quarter of an hour.
const TCP_USER_TIMEOUT_MS: u32 = 10_000;

/// Where the database is.
#[derive(Clone)]
pub(in crate::store) enum Location {
    /// A file.
    Sqlite(PathBuf),
    /// A server; the URL for libpq, possibly with a password.
    Postgres(String),
}

impl Location {
    /// Reads `sqlite:PATH`, a bare path, or `postgres://…` (`postgresql://…`), whose other parts go to libpq as they are.
    ///
    /// # Errors
    /// `Fault` when the text is none of them. libpq's `host=… password=…` form is refused: taken for a path, it would make a
    /// file of that name.
    pub(in crate::store) fn parse(url: &str) -> Result<Self, StoreError> {
        let refuse = |why: &str| Err(StoreError::Fault(format!("database URL: {why}")));
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Location::Postgres(with_timeouts(url)));
        }
        let (path, bare) = match url.strip_prefix("sqlite:") {
            Some(path) => (path, false),
            None => (url, true),
        };
        if path.is_empty() || path.starts_with(':') || path.starts_with("file:") || path.contains('\0') {
            return refuse("expected the path of a file after sqlite:");
        }
        if bare && (path.contains("://") || path.contains('=')) {
            return refuse("expected sqlite:PATH, postgres://… or postgresql://…");
        }
        Ok(Location::Sqlite(PathBuf::from(path)))
    }
}

/// For people: the path, or the URL without user, password and parameters.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Location::Postgres(url) => {
                let rest = url.split_once("://").map_or("", |(_, rest)| rest);
                let rest = rest.split('?').next().unwrap_or_default();
                write!(f, "postgres://{}", rest.rsplit_once('@').map_or(rest, |(_, place)| place))
            }
        }
    }
}

fn with_timeouts(url: &str) -> String {
    let mut url = url.to_owned();
    for (name, value) in [("connect_timeout", CONNECT_TIMEOUT_S), ("tcp_user_timeout", TCP_USER_TIMEOUT_MS)] {
        let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
        if !parameters.split('&').any(|p| p.split('=').next() == Some(name)) {
            let separator = match parameters {
                "" if url.ends_with('?') => "",
                "" => "?",
                _ => "&",
            };
            url.push_str(&format!("{separator}{name}={value}"));
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_decides() {
        for path in ["sqlite:a.db", "sqlite:/a/b c=d", "sqlite:///a/b", "/var/lib/bulla/bulla.db", "bulla.db"] {
            assert!(matches!(Location::parse(path), Ok(Location::Sqlite(_))), "{path}");
        }
        for bad in
            ["", "sqlite:", ":memory:", "sqlite::memory:", "file:a.db", "mysql://h/d", "host=h password=p", "sqlite:a\0b"]
        {
            assert!(matches!(Location::parse(bad), Err(StoreError::Fault(_))), "{bad}");
        }
    }

    #[test]
    fn timeouts_are_added_once_and_several_hosts_pass() {
        let url = |text: &str| match Location::parse(text) {
            Ok(Location::Postgres(url)) => url,
            _ => panic!("{text} names PostgreSQL"),
        };
        assert_eq!(url("postgres://h/d"), "postgres://h/d?connect_timeout=2&tcp_user_timeout=10000");
        assert_eq!(
            url("postgresql://a:1,b:2/d?target_session_attrs=read-write&connect_timeout=9"),
            "postgresql://a:1,b:2/d?target_session_attrs=read-write&connect_timeout=9&tcp_user_timeout=10000"
        );
    }

    #[test]
    fn no_password_is_shown() {
        let shown = Location::parse("postgres://bulla:p@ss@db:5432/bulla?sslkey=x").map(|l| l.to_string());
        assert_eq!(shown.as_deref(), Ok("postgres://db:5432/bulla"));
    }
}
