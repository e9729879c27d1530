//! The way to PostgreSQL: over a network only by TLS that verifies, unless plain is chosen in so many words.
//!
//! Owns: which hosts a URL names, and what their way must be. Must not know: connections. Called by: location.
//!
//! Who is on the way could answer queries. libpq's own default (`prefer`) takes what it gets, and `require` asks nobody's name.

use percent_encoding::percent_decode_str;

use crate::base::host::is_loopback;
use crate::store::StoreError;

/// Refuses a URL by which rows would travel over a network to whoever says that it is the server.
///
/// # Errors
/// `Fault`, which says what to write.
pub(in crate::store) fn check(url: &str, variable: impl Fn(&str) -> Option<String>) -> Result<(), StoreError> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    // As libpq does: who it is ends at the first @ before a /, whatever else is in it.
    let rest = match rest.find(['@', '/']) {
        Some(at) if rest[at..].starts_with('@') => &rest[at + 1..],
        _ => rest,
    };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let hosts = place.split('/').next().unwrap_or_default();
    let parameter = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| decoded(key) == name).map(|(_, value)| decoded(value)).next_back()
    };
    let of_authority = Some(hosts.split(',').map(|host| decoded(without_port(host))).collect::<Vec<_>>().join(","));
    let named = parameter("host").or(of_authority).filter(|hosts| !hosts.is_empty());
    let named = parameter("hostaddr").or_else(|| variable("PGHOSTADDR")).or(named).or_else(|| variable("PGHOST"));
    let beyond = named.iter().flat_map(|hosts| hosts.split(',')).find(|host| !is_here(host));
    let mode = parameter("sslmode");
    let service = parameter("service").or_else(|| variable("PGSERVICE")).filter(|service| !service.is_empty());
    // What a service file says of host, address and TLS comes before the environment, and is not known here.
    if let Some(service) = service {
        return match mode.as_deref() {
            Some("verify-full" | "disable") => Ok(()),
            _ => Err(StoreError::Fault(format!(
                "database URL: the service {service} may name a host that is reached over a network: add sslmode=verify-full (and \
                 sslrootcert=FILE) to the URL, or, where nobody else is on the way, sslmode=disable or database.plain = true"
            ))),
        };
    }
    let mode = mode.or_else(|| variable("PGSSLMODE"));
    match (beyond, mode.as_deref()) {
        (None, _) | (Some(_), Some("verify-full" | "disable")) => Ok(()),
        (Some(host), _) => Err(StoreError::Fault(format!(
            "database URL: {host} is reached over a network: add sslmode=verify-full (and sslrootcert=FILE), or, where nobody else is on \
             the way, sslmode=disable or database.plain = true"
        ))),
    }
}

fn without_port(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    }
}

/// Whether a host is a socket in the file system, or this machine.
fn is_here(host: &str) -> bool {
    host.is_empty() || host.starts_with('/') || host.starts_with('@') || is_loopback(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_needs_tls_that_verifies() {
        let nothing = |_: &str| None;
        let here = [
            "postgres:///bulla",
            "postgresql://bulla@localhost/bulla",
            "postgres://127.0.0.1:5433/bulla",
            "postgres://u:p@[::1]:5432/bulla",
            "postgres://bulla@%2Fvar%2Frun%2Fpostgresql/bulla",
            "postgres:///bulla?host=/var/run/postgresql",
            "postgres://localhost,127.0.0.9/bulla",
            "postgres://db.internal/bulla?hostaddr=127.0.0.1",
        ];
        let beyond = [
            "postgres://bulla@db.internal/bulla",
            "postgres://10.0.0.5/bulla",
            "postgres://u@h:1/d",
            "postgres://[fe80::1]/d",
            "postgres://localhost,db2/bulla",
            "postgres:///bulla?host=db.internal",
            "postgres:///bulla?%68ost=db.internal",
            "postgres://localhost/bulla?host=db.internal",
            "postgres://localhost/bulla?hostaddr=10.1.1.1",
            "postgres://p%40ss@localhost@db/bulla",
            "postgres://localhost.evil.example/bulla",
        ];
        for url in here {
            assert_eq!(check(url, nothing), Ok(()), "{url}");
        }
        for url in beyond {
            assert!(check(url, nothing).is_err(), "{url}");
            let and = if url.contains('?') { '&' } else { '?' };
            for mode in ["verify-full", "disable"] {
                assert_eq!(check(&format!("{url}{and}sslmode={mode}"), nothing), Ok(()), "{url} {mode}");
            }
            for mode in ["prefer", "require", "verify-ca", "allow", ""] {
                assert!(check(&format!("{url}{and}sslmode={mode}"), nothing).is_err(), "{url} {mode}");
            }
        }
        assert!(check("postgres://localhost:p?x@db/bulla", nothing).is_err(), "a password may hold a question mark");
        let host = |name: &str| (name == "PGHOST").then(|| "db.internal".to_owned());
        assert!(check("postgres:///bulla", host).is_err(), "the environment names the host");
        assert_eq!(check("postgres://localhost/bulla", host), Ok(()));
    }

    #[test]
    fn a_service_file_is_no_way_around_tls() {
        let nothing = |_: &str| None;
        let named = |name: &str| (name == "PGSERVICE").then(|| "prod".to_owned());
        let plain = |name: &str| (name == "PGSSLMODE").then(|| "disable".to_owned());
        for (url, variable) in [
            ("postgres:///bulla?service=prod", &nothing as &dyn Fn(&str) -> Option<String>),
            ("postgres://localhost/bulla?service=prod", &nothing),
            ("postgres:///bulla?s%65rvice=prod&servicefile=/etc/s.conf", &nothing),
            // The file's own word on TLS comes before the environment's.
            ("postgres:///bulla?service=prod", &plain),
            ("postgres:///bulla?application_name=b", &named),
        ] {
            assert!(check(url, variable).is_err(), "{url}");
            for mode in ["verify-full", "disable"] {
                assert_eq!(check(&format!("{url}&sslmode={mode}"), variable), Ok(()), "{url} {mode}");
            }
        }
    }
}
