//! Where to listen, as people write it: `127.0.0.1:8080`, `localhost:8080`, `8080`, `:8080`.
//!
//! Owns: the forms. A port alone is on loopback: what is reached from elsewhere is named in full. Called by: config, cli.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// An address and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

impl Listen {
    /// Whether only this host can reach it.
    pub fn is_loopback(&self) -> bool {
        self.0.ip().is_loopback()
    }

    fn port(port: u16) -> Self {
        Listen(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }
}

/// Port 8080 on loopback.
impl Default for Listen {
    fn default() -> Self {
        Listen::port(8080)
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse() {
            return Ok(Listen::port(port));
        }
        if let Ok(address) = text.parse() {
            return Ok(Listen(address));
        }
        let wrong = |reason: &str| format!("{text:?} {reason}; write for example 127.0.0.1:8080, localhost:8080 or 8080");
        let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("names no port"))?;
        if host.is_empty() || port.parse::<u16>().is_err() {
            return Err(wrong("is no address and port"));
        }
        // What the system would take for a number of one of the old forms: 0127.0.0.1 is octal there, and 127.1 lacks two parts.
        let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        if !last.is_empty() && (last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X")) {
            return Err(wrong("is no address: four numbers from 0 to 255 without zeros before them"));
        }
        let found = text.to_socket_addrs().map_err(|e| wrong(&format!("is not known here ({e})")))?;
        // Names like localhost have both kinds of address; clients try IPv4 in any case.
        let mut found: Vec<SocketAddr> = found.collect();
        found.sort_by_key(SocketAddr::is_ipv6);
        found.first().copied().map(Listen).ok_or_else(|| wrong("has no address"))
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl Visitor<'_> for Form {
            type Value = Listen;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address and a port, for example \"127.0.0.1:8080\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Listen, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, port: i64) -> Result<Listen, E> {
                u16::try_from(port).map(Listen::port).map_err(|_| E::custom("a port is from 0 to 65535"))
            }

            fn visit_u64<E: de::Error>(self, port: u64) -> Result<Listen, E> {
                u16::try_from(port).map(Listen::port).map_err(|_| E::custom("a port is from 0 to 65535"))
            }
        }
        deserializer.deserialize_any(Form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_that_people_write() {
        for (text, address) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("8080", "127.0.0.1:8080"),
            (":8080", "127.0.0.1:8080"),
            ("localhost:8080", "127.0.0.1:8080"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(text.parse::<Listen>().expect(text).to_string(), address, "{text}");
        }
        for wrong in [
            "",
            ":",
            "x",
            "127.0.0.1",
            "127.0.0.1:99999",
            "no.such.host.invalid:80",
            ":x",
            "0127.0.0.1:80",
            "127.1:80",
            "0x7f.0.0.1:80",
            "127.0.0.0x1:80",
            "2130706433:80",
        ] {
            let reason = wrong.parse::<Listen>().expect_err(wrong);
            assert!(reason.contains("for example 127.0.0.1:8080"), "{reason}");
        }
    }
}
