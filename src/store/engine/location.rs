//! Which database a URL names, decided by its scheme alone.
//!
//! Owns: the grammar of database URLs. Must not know: connections. Called by: the rest of engine, store.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::store::StoreError;
use crate::store::engine::{libpq_url, way};

/// Seconds that libpq waits for one host, unless the URL says otherwise.
const CONNECT_TIMEOUT_S: u32 = 2;
/// Milliseconds after which unacknowledged bytes end a TCP connection, unless the URL says otherwise: a server that vanished
/// without a word is noticed by then, not after the system's quarter of an hour.
const TCP_USER_TIMEOUT_MS: u32 = 8_000;
/// A connection on which nothing comes for so many seconds is asked whether the other end is still there, again after so many, and
/// ended after so many questions, unless the URL says otherwise: a server that vanished while it owed an answer is noticed by then, not
/// after the system's two hours.
const KEEPALIVES: [(&str, u32); 3] = [("keepalives_idle", 4), ("keepalives_interval", 1), ("keepalives_count", 4)];
/// The parameter of a URL that says what stands before the server; libpq does not know it.
const POOLER: &str = "pooler";
/// PostgreSQL's own port.
const PORT: u16 = 5432;

/// Where the database is.
#[derive(Clone)]
pub(in crate::store) enum Location {
    /// A file.
    Sqlite(PathBuf),
    /// A server; the URL for libpq, possibly with a password.
    Postgres(String),
}

impl Location {
    /// Reads `sqlite:PATH`, or `postgres://…` (`postgresql://…`), whose other parts go to libpq as they are.
    ///
    /// # Errors
    /// `Fault` when the text is none of them. A bare path is refused: a PIN in the place of the URL, or libpq's `host=… password=…`, would
    /// make a file of that name.
    pub(in crate::store) fn parse(url: &str) -> Result<Self, StoreError> {
        let refuse = |why: &str| Err(StoreError::Fault(format!("database URL: {why}")));
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            libpq_url::check(url)?;
            way::check(url, |name| std::env::var(name).ok())?;
            if parameters(url).any(|(name, value)| name == POOLER && !["session", "transaction"].contains(&value)) {
                return refuse("pooler= is session or transaction: what the pooler before the server pools");
            }
            return Ok(Location::Postgres(with_timeouts(url)));
        }
        let Some(path) = url.strip_prefix("sqlite:") else {
            return refuse("expected sqlite:PATH, postgres://… or postgresql://…");
        };
        if path.is_empty() || path.starts_with(':') || path.starts_with("file:") || path.contains('\0') {
            return refuse("expected the path of a file after sqlite:");
        }
        Ok(Location::Sqlite(PathBuf::from(path)))
    }
}

impl Location {
    /// Whether a pooler gives each transaction another session, in which nothing stays that is said once.
    pub(in crate::store) fn pools_transactions(&self) -> bool {
        match self {
            Location::Sqlite(_) => false,
            Location::Postgres(url) => parameters(url).any(|parameter| parameter == (POOLER, "transaction")),
        }
    }
}

/// The parameters of a URL.
fn parameters(url: &str) -> impl Iterator<Item = (&str, &str)> {
    let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
    parameters.split('&').filter_map(|parameter| parameter.split_once('='))
}

/// A URL without what libpq does not know.
pub(in crate::store) fn for_libpq(url: &str) -> String {
    let Some((place, rest)) = url.split_once('?') else { return url.to_owned() };
    let known: Vec<_> = rest.split('&').filter(|parameter| parameter.split('=').next() != Some(POOLER)).collect();
    format!("{place}?{}", known.join("&"))
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

/// Between the scheme and the path or the parameters: `user:password@host:port,host:port`.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or_default()
}

/// The ports that a URL of PostgreSQL names, and its own where it names none.
pub(in crate::store) fn ports(url: &str) -> Vec<u16> {
    let hosts = authority(url);
    let hosts = hosts.rsplit_once('@').map_or(hosts, |(_, hosts)| hosts);
    let parameter = url.split_once('?').map_or("", |(_, parameters)| parameters);
    let parameter = parameter.split('&').filter_map(|p| p.strip_prefix("port=")).flat_map(|p| p.split(','));
    let named = hosts.split(',').filter_map(|host| host.rsplit_once(':')).map(|(_, port)| port);
    let mut ports: Vec<u16> = named.chain(parameter).filter_map(|port| port.parse().ok()).collect();
    ports.push(PORT);
    ports
}

/// How long libpq may take to connect to a host of this URL; none where the URL does not limit it.
pub(super) fn connect_timeout(url: &str) -> Option<Duration> {
    let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
    let given = parameters.split('&').find_map(|parameter| parameter.strip_prefix("connect_timeout="));
    given.and_then(|seconds| seconds.parse().ok()).filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// The URL with what it does not say itself: limits for every wait, and, where it names several servers, that the one is wanted that
/// takes writes.
fn with_timeouts(url: &str) -> String {
    let mut url = url.to_owned();
    let limits = [("connect_timeout", CONNECT_TIMEOUT_S), ("tcp_user_timeout", TCP_USER_TIMEOUT_MS)];
    let limits = limits.into_iter().chain(KEEPALIVES).map(|(name, value)| (name, value.to_string()));
    let several = authority(&url).contains(',').then(|| ("target_session_attrs", "read-write".to_owned()));
    for (name, value) in limits.chain(several).collect::<Vec<_>>() {
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
        for path in ["sqlite:a.db", "sqlite:/a/b c=d", "sqlite:///a/b"] {
            assert!(matches!(Location::parse(path), Ok(Location::Sqlite(_))), "{path}");
        }
        for bad in [
            "",
            "bulla.db",
            "/var/lib/bulla/bulla.db",
            "12345678",
            "sqlite:",
            ":memory:",
            "sqlite::memory:",
            "file:a.db",
            "mysql://h/d",
            "host=h password=p",
            "sqlite:a\0b",
        ] {
            assert!(matches!(Location::parse(bad), Err(StoreError::Fault(_))), "{bad}");
        }
    }

    #[test]
    fn timeouts_are_added_once_and_several_hosts_pass() {
        let url = |text: &str| match Location::parse(text) {
            Ok(Location::Postgres(url)) => url,
            _ => panic!("{text} names PostgreSQL"),
        };
        let keepalives = "keepalives_idle=4&keepalives_interval=1&keepalives_count=4";
        let with = |url: &str| format!("{url}connect_timeout=2&tcp_user_timeout=8000&{keepalives}");
        assert_eq!(url("postgres://localhost/d"), with("postgres://localhost/d?"));
        assert_eq!(
            url("postgresql://a:1,b:2/d?target_session_attrs=any&sslmode=verify-full&connect_timeout=9"),
            format!(
                "postgresql://a:1,b:2/d?target_session_attrs=any&sslmode=verify-full&connect_timeout=9&tcp_user_timeout=8000&{keepalives}"
            )
        );
        assert!(url("postgres://u:p@a,b:2/d?sslmode=disable").ends_with("&target_session_attrs=read-write"));
        assert_eq!(ports("postgres://u:p@a:7,b/d?sslmode=disable"), [7, 5432]);
        assert_eq!(ports("postgres:///d?host=/run&port=9"), [9, 5432]);
    }

    #[test]
    fn what_stands_before_the_server_is_not_libpqs_business() {
        let pooled = |url: &str| Location::parse(url).map(|location| location.pools_transactions());
        assert_eq!(pooled("postgres://localhost/d?pooler=transaction"), Ok(true));
        assert_eq!(pooled("postgres://localhost/d?connect_timeout=1&pooler=session"), Ok(false));
        assert_eq!(pooled("postgres://pooler=transaction@localhost/d"), Ok(false));
        assert!(pooled("postgres://localhost/d?pooler=statement").is_err());
        assert_eq!(for_libpq("postgres://h/d?pooler=transaction"), "postgres://h/d?");
        assert_eq!(for_libpq("postgres://h/d?a=1&pooler=transaction&b=2"), "postgres://h/d?a=1&b=2");
        assert_eq!(for_libpq("postgres://h/d"), "postgres://h/d");
    }

    #[test]
    fn no_password_is_shown() {
        let shown = Location::parse("postgres://bulla:p%40ss@db:5432/bulla?sslmode=disable&sslkey=x").map(|l| l.to_string());
        assert_eq!(shown.as_deref(), Ok("postgres://db:5432/bulla"));
        let refused = Location::parse("postgres://bulla:p@ss@db:5432/bulla").map(|l| l.to_string()).expect_err("an @ too many");
        assert!(!refused.to_string().contains("ss@db"), "{refused}");
    }
}
