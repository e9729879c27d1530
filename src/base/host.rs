//! Whether a host, as a URL names it, is this machine: what goes there passes no network.
//!
//! Owns: that rule. Must not know: URLs. Called by: whoever would else ask for TLS (store, logins, remote).

use std::net::IpAddr;

/// Whether it is `localhost` or a loopback address, an IPv6 one without its brackets. Names are not looked up: who answers for one could
/// say anything.
pub fn is_loopback(host: &str) -> bool {
    let address = host.parse::<IpAddr>().map(|address| address.to_canonical());
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_and_no_other() {
        for here in ["localhost", "LocalHost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(is_loopback(here), "{here}");
        }
        for beyond in ["", "localhost.example", "127.example", "127.1", "0.0.0.0", "::", "[::1]", "10.0.0.1", "::ffff:10.0.0.1"]
        {
            assert!(!is_loopback(beyond), "{beyond}");
        }
    }
}
