//! Refusals of requests whose caller is unknown: how many are recorded one by one.
//!
//! Owns: a budget per address, and the count of what is beyond it. Must not know: why a request was refused. Called by: pipeline.
//!
//! Anybody can bring about such a refusal, and each costs a line of the audit log and a share of a sync: without a bound the disk fills,
//! and then nobody is served. Beyond the budget they are answered 429 and recorded by their number, in one line a second and address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use parking_lot::{Mutex, RwLock};

use crate::audit::{Audit, Kind, Record, Verdict};
use crate::base::ids::RequestId;
use crate::code::Code;

/// How many seconds' budget may be spent at once.
const BURST_S: u32 = 10;

/// Addresses that are told apart; beyond, those that have not been seen lately are forgotten.
const MAX_ADDRESSES: usize = 10_000;

/// How often what was counted is recorded.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The budgets of all addresses.
pub(super) struct Strangers {
    budget: RwLock<(NonZeroU32, DefaultKeyedRateLimiter<IpAddr>)>,
    counted: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    by_address: HashMap<IpAddr, u64>,
    told_at: Option<Instant>,
}

fn budget(per_second: NonZeroU32) -> DefaultKeyedRateLimiter<IpAddr> {
    let burst = per_second.saturating_mul(NonZeroU32::MIN.saturating_add(BURST_S - 1));
    RateLimiter::keyed(Quota::per_second(per_second).allow_burst(burst))
}

impl Strangers {
    /// So many refusals a second are recorded for each address.
    pub fn new(per_second: NonZeroU32) -> Self {
        Self { budget: RwLock::new((per_second, budget(per_second))), counted: Mutex::default() }
    }

    /// So many from now on.
    pub fn limit(&self, per_second: NonZeroU32) {
        let mut now = self.budget.write();
        if now.0 != per_second {
            *now = (per_second, budget(per_second));
        }
    }

    /// Whether a refusal of a request from this address is recorded like others; if not, it is counted.
    pub fn is_recorded(&self, source_ip: IpAddr) -> bool {
        // Who is on this host has other ways to fill its disk.
        if source_ip.is_loopback() {
            return true;
        }
        let network = network_of(source_ip);
        let (_, budget) = &*self.budget.read();
        if budget.len() > MAX_ADDRESSES {
            budget.retain_recent();
        }
        if budget.check_key(&network).is_ok() {
            return true;
        }
        let mut counted = self.counted.lock();
        counted.told_at.get_or_insert_with(Instant::now);
        if counted.by_address.len() < MAX_ADDRESSES || counted.by_address.contains_key(&network) {
            *counted.by_address.entry(network).or_default() += 1;
        }
        false
    }

    /// Records what was counted, if that is due.
    pub fn tell(&self, audit: &Audit) {
        let mut counted = self.counted.lock();
        let due = counted.told_at.is_some_and(|at| at.elapsed() >= TELL_EVERY);
        if !due {
            return;
        }
        let Counted { by_address, .. } = std::mem::take(&mut *counted);
        drop(counted);
        for (address, number) in by_address {
            let by = format!("{number} requests beyond the limit for refusals");
            let record = Record {
                source_ip: Some(address),
                decision: Some(Verdict::Refused),
                by: Some(&by),
                code: Some(Code::Throttled.as_str()),
                ..Record::new(Kind::Refused, RequestId::new(), "")
            };
            // Nobody waits for it: the answers have gone.
            drop(audit.submit(&record));
            log::warn!("{number} requests from {address} without a known caller, beyond the limit for refusals");
        }
    }
}

/// The address itself; of IPv6 the /64, within which one host may have any.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(strangers: &Strangers, address: &str, times: usize) -> usize {
        let address = address.parse().expect("an address");
        (0..times).filter(|_| strangers.is_recorded(address)).count()
    }

    #[test]
    fn each_network_has_its_budget_and_loopback_none() {
        let strangers = Strangers::new(NonZeroU32::MIN);
        assert!((10..13).contains(&recorded(&strangers, "192.0.2.1", 1_000)));
        assert!((10..13).contains(&recorded(&strangers, "192.0.2.2", 1_000)));
        assert!((10..13).contains(&recorded(&strangers, "2001:db8::1", 1_000)));
        assert!(recorded(&strangers, "2001:db8::2", 1_000) < 3, "the same /64");
        assert_eq!(recorded(&strangers, "127.0.0.1", 1_000), 1_000);
        let counted = strangers.counted.lock();
        assert_eq!(counted.by_address.len(), 3);
        assert!(counted.by_address.values().all(|n| *n > 900));
    }
}
