//! Who the client is when a proxy stands between.
//!
//! Owns: which forwarding headers are believed, and the one place that says whether a request came over TLS. Must not know:
//! sockets. Called by: handler.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::HeaderMap;
use ipnet::IpNet;

/// The client as the rest of the service sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Client {
    /// Its address; IPv4 addresses in IPv6 form (`::ffff:a.b.c.d`) are given as IPv4, so that policies see one spelling.
    pub address: IpAddr,
    /// Whether it spoke TLS (acs:SecureTransport).
    pub secure: bool,
    /// Whether a trusted proxy speaks for it, so that the connection's certificate is not its own.
    pub proxied: bool,
}

/// The client of a request that came from `peer`, over TLS or not. Forwarding headers count only when the peer is a trusted proxy:
/// `X-Forwarded-For` is read from the right and the first address that is no trusted proxy is the client, since everything left of it is
/// the client's own claim; of `X-Forwarded-Proto` the last value, the nearest proxy's; a proxy that says nothing speaks for its own
/// connection.
pub(super) fn client(peer: IpAddr, tls: bool, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let mut address = peer.to_canonical();
    if !is_trusted(&address) {
        return Client { address, secure: tls, proxied: false };
    }
    let secure = list(headers, "x-forwarded-proto").last().map_or(tls, |proto| proto.eq_ignore_ascii_case("https"));
    for hop in list(headers, "x-forwarded-for").rev() {
        // What cannot be read was not written by a proxy of ours: the last readable hop is all that is known.
        let Some(hop) = parse(hop) else { break };
        address = hop;
        if !is_trusted(&address) {
            break;
        }
    }
    Client { address, secure, proxied: true }
}

/// The members of a list header, over all its lines.
fn list<'a>(headers: &'a HeaderMap, name: &'static str) -> impl DoubleEndedIterator<Item = &'a str> {
    let lines: Vec<&str> = headers.get_all(name).map(|value| value.to_str().unwrap_or("")).collect();
    lines.into_iter().flat_map(|line| line.split(',')).map(str::trim)
}

/// An address, with or without a port or brackets.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text).parse::<IpAddr>().ok();
    text.parse::<SocketAddr>().map(|a| a.ip()).ok().or_else(bare).map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn seen(peer: &str, forwarded: &[&str], proto: &str) -> (String, bool) {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(HeaderName::from_static("x-forwarded-for"), HeaderValue::from_str(line).expect("text"));
        }
        headers.append(HeaderName::from_static("x-forwarded-proto"), HeaderValue::from_str(proto).expect("text"));
        let trusted = ["10.0.0.0/8".parse().expect("net"), "fd00::/8".parse().expect("net")];
        let client = client(peer.parse().expect("address"), false, &headers, &trusted);
        (client.address.to_string(), client.secure)
    }

    #[test]
    fn only_trusted_proxies_speak_for_others() {
        type Row = (&'static str, &'static [&'static str], &'static str, (&'static str, bool));
        let table: [Row; 10] = [
            ("192.0.2.1", &["203.0.113.9"], "https", ("192.0.2.1", false)),
            ("::ffff:192.0.2.1", &[], "", ("192.0.2.1", false)),
            ("10.1.1.1", &["203.0.113.9"], "https", ("203.0.113.9", true)),
            ("::ffff:10.1.1.1", &["203.0.113.9"], "http", ("203.0.113.9", false)),
            ("10.1.1.1", &["1.2.3.4, 203.0.113.9, 10.2.2.2"], "http, https", ("203.0.113.9", true)),
            ("10.1.1.1", &["1.2.3.4", "203.0.113.9:4711"], "https, http", ("203.0.113.9", false)),
            ("10.1.1.1", &["10.3.3.3, 10.2.2.2"], "", ("10.3.3.3", false)),
            ("10.1.1.1", &["1.2.3.4, rubbish, 10.2.2.2"], "", ("10.2.2.2", false)),
            ("10.1.1.1", &[], "", ("10.1.1.1", false)),
            ("fd00::1", &["[2001:db8::7]:443"], "HTTPS", ("2001:db8::7", true)),
        ];
        for (peer, forwarded, proto, (address, secure)) in table {
            assert_eq!(seen(peer, forwarded, proto), (address.to_owned(), secure), "{peer} {forwarded:?} {proto}");
        }
    }
}
