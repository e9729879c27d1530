//! Refusals of requests whose caller is unknown: how many are recorded one by one.
//!
//! Owns: a budget per address and one for all addresses together, and the count of what is beyond them. Must not know: why a request was
//! refused. Called by: pipeline.
//!
//! Anybody can bring about such a refusal, and each costs a line of the audit log and a share of a sync: without a bound the disk fills,
//! and then nobody is served. Beyond a budget they are answered 429 and recorded by their number, in one line a second and address; of many
//! addresses in one second the rest in one line together. What a whole network of addresses can have written is therefore bounded too.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use parking_lot::{Mutex, RwLock};

use crate::api::rates::Limits;
use crate::audit::{Audit, Kind, Record, Verdict};
use crate::base::host;
use crate::base::ids::RequestId;
use crate::code::Code;

/// How many seconds' budget may be spent at once.
const BURST_S: NonZeroU32 = NonZeroU32::new(10).expect("not 0");

/// How many times an address's budget all of them have together, and callers on this host: behind a proxy that is not among the trusted ones
/// everybody is one of those.
const ALL: NonZeroU32 = NonZeroU32::new(10).expect("not 0");

/// Addresses that are told apart; beyond, those that have not been seen lately are forgotten.
const MAX_ADDRESSES: usize = 10_000;

/// Addresses whose number is told in a line of their own each second.
const MAX_TOLD: usize = 100;

/// How often what was counted is recorded.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What may be recorded one by one.
struct Budgets {
    per_second: NonZeroU32,
    min_free_bytes: u64,
    each: DefaultKeyedRateLimiter<IpAddr>,
    all: DefaultDirectRateLimiter,
}

impl Budgets {
    fn new(limits: &Limits) -> Self {
        let Limits { refusals_per_second: per_second, min_free_bytes, .. } = *limits;
        let quota = |per_second: NonZeroU32| Quota::per_second(per_second).allow_burst(per_second.saturating_mul(BURST_S));
        let all = RateLimiter::direct(quota(per_second.saturating_mul(ALL)));
        Self { per_second, min_free_bytes, each: RateLimiter::keyed(quota(per_second)), all }
    }

    fn allow(&self, network: IpAddr) -> bool {
        if self.each.len() > MAX_ADDRESSES {
            self.each.retain_recent();
        }
        // Who is on this host has other ways to fill its disk; a proxy there brings others.
        (network.is_loopback() || self.each.check_key(&network).is_ok()) && self.all.check().is_ok()
    }
}

/// The budgets of all addresses.
pub(super) struct Strangers {
    budgets: RwLock<Budgets>,
    counted: Mutex<Counted>,
    disk: Mutex<Disk>,
}

/// Whether the disk has room, as it was seen last.
#[derive(Default)]
struct Disk {
    /// When somebody began to look.
    looked: Option<Instant>,
    is_short: bool,
}

#[derive(Default)]
struct Counted {
    by_address: HashMap<IpAddr, u64>,
    /// Of addresses beyond those that are told apart.
    others: u64,
    told_at: Option<Instant>,
}

impl Strangers {
    /// So many refusals a second are recorded for each address.
    pub fn new(limits: &Limits) -> Self {
        Self { budgets: RwLock::new(Budgets::new(limits)), counted: Mutex::default(), disk: Mutex::default() }
    }

    /// So many from now on.
    pub fn limit(&self, limits: &Limits) {
        let mut now = self.budgets.write();
        if now.per_second != limits.refusals_per_second {
            *now = Budgets::new(limits);
        }
        now.min_free_bytes = limits.min_free_bytes;
    }

    /// Whether the disk of the audit log has fewer bytes than are kept for callers that are known. One caller a second looks; the others go
    /// by what was seen last, so that a disk which does not answer holds nobody else.
    fn is_short(&self, least: u64, free_bytes: impl FnOnce() -> Option<u64>) -> bool {
        let was_short = {
            let mut disk = self.disk.lock();
            if disk.looked.is_some_and(|looked| looked.elapsed() < TELL_EVERY) {
                return disk.is_short;
            }
            disk.looked = Some(Instant::now());
            disk.is_short
        };
        let is_short = free_bytes().is_some_and(|free| free < least);
        if is_short && !was_short {
            log::warn!(
                "audit: the disk has less than {least} bytes left: refusals of unknown callers are recorded by their number"
            );
        }
        self.disk.lock().is_short = is_short;
        is_short
    }

    /// Whether a refusal of a request from this address is recorded like others; if not, it is counted. `free_bytes` tells what the disk
    /// of the audit log has left.
    pub fn is_recorded(&self, source_ip: IpAddr, free_bytes: impl FnOnce() -> Option<u64>) -> bool {
        let network = host::of_address(source_ip);
        let (allowed, least) = {
            let budgets = self.budgets.read();
            (budgets.allow(network), budgets.min_free_bytes)
        };
        if allowed && !self.is_short(least, free_bytes) {
            return true;
        }
        let mut counted = self.counted.lock();
        counted.told_at.get_or_insert_with(Instant::now);
        if counted.by_address.len() < MAX_TOLD || counted.by_address.contains_key(&network) {
            *counted.by_address.entry(network).or_default() += 1;
        } else {
            counted.others += 1;
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
        let Counted { by_address, others, .. } = std::mem::take(&mut *counted);
        drop(counted);
        let rest = (others > 0).then_some((None, others));
        for (address, number) in by_address.into_iter().map(|(address, number)| (Some(address), number)).chain(rest) {
            let by = format!("{number} requests beyond the limit for refusals");
            let record = Record {
                source_ip: address,
                decision: Some(Verdict::Refused),
                by: Some(&by),
                code: Some(Code::Throttled.as_str()),
                ..Record::new(Kind::Refused, RequestId::new(), "")
            };
            // Nobody waits for it: the answers have gone.
            drop(audit.submit(&record));
            let from = address.map_or_else(|| "other addresses".to_owned(), |address| address.to_string());
            log::warn!("{number} requests from {from} without a known caller, beyond the limit for refusals");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(strangers: &Strangers, address: &str, times: usize) -> usize {
        let address = address.parse().expect("an address");
        (0..times).filter(|_| strangers.is_recorded(address, || Some(7))).count()
    }

    fn one_a_second(min_free_bytes: u64) -> Strangers {
        Strangers::new(&Limits { requests_per_second: None, refusals_per_second: NonZeroU32::MIN, min_free_bytes })
    }

    #[test]
    fn what_is_left_of_the_disk_is_for_others() {
        let strangers = one_a_second(8);
        assert_eq!(recorded(&strangers, "192.0.2.1", 10), 0);
        assert_eq!(strangers.counted.lock().by_address.values().sum::<u64>(), 10);
        assert_eq!(recorded(&one_a_second(7), "192.0.2.1", 10), 10);
    }

    #[test]
    fn each_network_has_its_budget() {
        let strangers = one_a_second(0);
        assert!((10..13).contains(&recorded(&strangers, "192.0.2.1", 1_000)));
        assert!((10..13).contains(&recorded(&strangers, "192.0.2.2", 1_000)));
        assert!((10..13).contains(&recorded(&strangers, "2001:db8::1", 1_000)));
        assert!(recorded(&strangers, "2001:db8::2", 1_000) < 3, "the same /64");
        let counted = strangers.counted.lock();
        assert_eq!((counted.by_address.len(), counted.others), (3, 0));
        assert!(counted.by_address.values().all(|n| *n > 900));
    }

    #[test]
    fn all_addresses_have_one_together_and_so_has_this_host() {
        let strangers = one_a_second(0);
        assert!((100..200).contains(&recorded(&strangers, "127.0.0.1", 1_000)), "a proxy on this host brings anybody");
        let strangers = one_a_second(0);
        let all: usize = (0..1_000).map(|n| recorded(&strangers, &format!("2001:db8:0:{n:x}::1"), 1)).sum();
        assert!((100..200).contains(&all), "{all} of a /48");
        let counted = strangers.counted.lock();
        assert_eq!(counted.by_address.len(), MAX_TOLD);
        assert_eq!(counted.by_address.values().sum::<u64>() + counted.others, 1_000 - all as u64);
    }
}
