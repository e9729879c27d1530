//! Whether libpq would understand a URL, found out before it is asked: what it says quotes the URL, passwords too, and looks like an
//! outage that passes.
//!
//! Owns: the grammar of such URLs, and the values of parameters that libpq looks at before it connects. Must not know: connections, what
//! the way has to be. Called by: location. Source: PostgreSQL 18, "Connection URIs" and "Parameter Key Words"; `conninfo_uri_parse`.
//!
//! Nothing of the URL is in an error but names of parameters that are ours: a password in which a character is not encoded may stand
//! anywhere in it.

use percent_encoding::percent_decode_str;

use crate::store::StoreError;

/// What to do about a character of a password that ends it.
const ENCODE: &str = "in user and password write %40 for @, %2F for /, %3F for ? and %25 for %";

/// The values of parameters that have a choice of them.
const CHOICES: [(&str, &[&str]); 8] = [
    ("sslmode", &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]),
    ("target_session_attrs", &["any", "read-write", "read-only", "primary", "standby", "prefer-standby"]),
    ("load_balance_hosts", &["disable", "random"]),
    ("channel_binding", &["disable", "prefer", "require"]),
    ("gssencmode", &["disable", "prefer", "require"]),
    ("sslnegotiation", &["postgres", "direct"]),
    ("sslcertmode", &["disable", "allow", "require"]),
    ("ssl", &["true"]),
];

/// Parameters that are whole numbers.
const NUMBERS: [&str; 6] =
    ["connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"];

/// Parameters of which libpq, or this program (`pooler`), sees by itself what they are.
const OTHERS: [&str; 40] = [
    "application_name",
    "client_encoding",
    "dbname",
    "fallback_application_name",
    "gssdelegation",
    "gsslib",
    "host",
    "hostaddr",
    "krbsrvname",
    "max_protocol_version",
    "min_protocol_version",
    "oauth_client_id",
    "oauth_client_secret",
    "oauth_issuer",
    "oauth_scope",
    "options",
    "passfile",
    "password",
    "pooler",
    "port",
    "replication",
    "require_auth",
    "requirepeer",
    "requiressl",
    "scram_client_key",
    "scram_server_key",
    "service",
    "servicefile",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslkey",
    "sslkeylogfile",
    "sslpassword",
    "sslrootcert",
    "sslsni",
    "user",
];

/// Refuses a URL of PostgreSQL that libpq would not understand.
///
/// # Errors
/// `Fault`, which says what to write.
pub(in crate::store) fn check(url: &str) -> Result<(), StoreError> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    // As libpq does: who it is ends at the first @ before a /, whatever else is in it.
    let (user, rest) = match rest.find(['@', '/']) {
        Some(at) if rest[at..].starts_with('@') => (&rest[..at], &rest[at + 1..]),
        _ => ("", rest),
    };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    if user.contains('?') || place.contains('@') {
        return Err(refused(&format!("a character ends its password that belongs to it: {ENCODE}")));
    }
    if !is_encoded(user) || !is_encoded(rest) {
        return Err(refused(&format!("a % is not followed by two hexadecimal digits: {ENCODE}")));
    }
    let hosts = place.split('/').next().unwrap_or_default();
    if !hosts.split(',').all(|host| port_of(host).is_some_and(is_port)) {
        return Err(refused(&format!("a port is a number from 1 to 65535, and an IPv6 address stands in [ ]; {ENCODE}")));
    }
    let mut pairs = query.split('&').filter(|_| !query.is_empty());
    pairs.try_for_each(|pair| check_parameter(pair, query.contains('@')))
}

/// A parameter, `NAME=VALUE`. Where all of them may be a piece of a password its name is not told.
fn check_parameter(pair: &str, unsure: bool) -> Result<(), StoreError> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let Some((name, value)) = pair.split_once('=').filter(|(_, value)| !value.contains('=')) else {
        return Err(refused(&format!("behind its ? stands NAME=VALUE, with & between two of them; {ENCODE}")));
    };
    let (name, value) = (decoded(name), decoded(value));
    if let Some((name, choices)) = CHOICES.iter().find(|(known, _)| *known == name) {
        return if choices.contains(&value.as_str()) {
            Ok(())
        } else {
            Err(refused(&format!("{name} is one of {}", choices.join(", "))))
        };
    }
    if NUMBERS.contains(&name.as_str()) {
        return value.trim().parse::<i32>().map(drop).map_err(|_| refused(&format!("{name} is a whole number")));
    }
    match name.as_str() {
        "port" if !value.split(',').all(is_port) => Err(refused("port is a number from 1 to 65535")),
        known if OTHERS.contains(&known) => Ok(()),
        _ if unsure => Err(refused(&format!("a parameter is none that libpq knows; {ENCODE}"))),
        other => Err(refused(&format!("libpq knows no parameter {other:?}"))),
    }
}

fn refused(why: &str) -> StoreError {
    StoreError::Fault(format!("database URL: {why}"))
}

/// Whether each % begins a byte, and none of them ends the text.
fn is_encoded(text: &str) -> bool {
    let bytes =
        |part: &str| part.get(..2).is_some_and(|digits| digits != "00" && digits.bytes().all(|b| b.is_ascii_hexdigit()));
    text.split('%').skip(1).all(bytes)
}

/// The port behind a host, empty where none is named; none where the host is not written as one.
fn port_of(host: &str) -> Option<&str> {
    let behind = match host.strip_prefix('[') {
        Some(address) => address.split_once(']')?.1,
        None => host.find(':').map_or("", |at| &host[at..]),
    };
    if behind.is_empty() { Some("") } else { behind.strip_prefix(':') }
}

fn is_port(text: &str) -> bool {
    text.is_empty() || (text.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libpq_understands_passes() {
        for url in [
            "postgres:///bulla",
            "postgresql://bulla:p%40ss%2F@[::1]:5432,b:1,c/bulla?target_session_attrs=any&sslmode=verify-full&sslrootcert=/a@b",
            "postgresql://",
            "postgres://h?connect_timeout=9&port=1,2&pooler=transaction&options=-c%20a%3Db",
            "postgres://bulla@%2Fvar%2Frun%2Fpostgresql/bulla",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn what_it_does_not_is_refused_without_a_word_of_it() {
        for (url, said) in [
            ("postgresql://bulla:HUNTER2%ZZ@127.0.0.1/x", "%25"),
            ("postgresql://bulla:HUN%@127.0.0.1/x", "%25"),
            ("postgresql://bulla:HUN%00@127.0.0.1/x", "%25"),
            ("postgresql://bulla:HUN@TER2@127.0.0.1:1/x", "%40"),
            ("postgresql://bulla:HUN/TER2@127.0.0.1/x", "%2F"),
            ("postgresql://bulla:12/HUNTER2@127.0.0.1/x", "%2F"),
            ("postgresql://bulla:HUN?TER2@127.0.0.1/x", "%3F"),
            ("postgresql://bulla:12?HUN=1/TER2@127.0.0.1/x", "%3F"),
            ("postgresql://127.0.0.1:99999/x", "65535"),
            ("postgresql://127.0.0.1:port/x", "65535"),
            ("postgresql://127.0.0.1:1:2/x", "65535"),
            ("postgresql://[::1/x", "[ ]"),
            ("postgresql:///x?sslmode=nope", "sslmode is one of disable"),
            ("postgresql:///x?target_session_attrs=zzz", "target_session_attrs is one of"),
            ("postgresql:///x?connect_timeout=soon", "connect_timeout is a whole number"),
            ("postgresql:///x?port=0", "65535"),
            ("postgresql:///x?foo=bar", "\"foo\""),
            ("postgresql:///x?sslmode", "NAME=VALUE"),
            ("postgresql:///x?sslmode=a=b", "NAME=VALUE"),
            ("postgresql:///x?host=a&", "NAME=VALUE"),
        ] {
            let error = check(url).expect_err(url).to_string();
            assert!(error.contains(said) && !error.contains("HUN") && !error.contains("TER2"), "{url}: {error}");
        }
    }
}
