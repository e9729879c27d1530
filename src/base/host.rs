//! Hosts: which is this machine, and whose an address is.
//!
//! Owns: those rules. Must not know: URLs, connections. Called by: whoever would else ask for TLS (store, logins, remote), and whoever
//! bounds what one host may take (api, http).

use std::net::{IpAddr, Ipv6Addr};

/// The address that stands for a host: itself; of IPv6 the /64, within which one host may have any (RFC 4291, section 2.5.1).
pub fn of_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address => address,
    }
}

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
    fn one_host_has_one_address_of_ipv4_and_a_network_of_ipv6() {
        for (address, host) in [
            ("10.1.2.3", "10.1.2.3"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::", "2001:db8:1:2::"),
            ("::1", "::1"),
        ] {
            let [address, host] = [address, host].map(|text| text.parse::<IpAddr>().expect(text));
            assert_eq!(of_address(address), host, "{address}");
        }
    }

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
