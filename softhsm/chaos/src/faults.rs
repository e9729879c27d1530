//! Rules that make calls fail, wait or hang, and the count of calls.
//!
//! Owns: both. Must not know: what calls do. Called by: `forward` at every call, `command`.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use cryptoki_sys::CK_RV;

use crate::forward::Function;
use crate::random;

/// What befalls a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Answers this without doing anything.
    Fail(CK_RV),
    /// Does it, and answers this all the same.
    FailLate(CK_RV),
    /// Waits first.
    Delay(Duration),
    /// Answers so long after it was called, as a token across a network would: what the call itself takes is part of it.
    Lasts(Duration),
    /// Waits first, until released.
    Hang,
}

/// An effect, and which calls it befalls.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// None: every function.
    pub(crate) function: Option<Function>,
    pub(crate) effect: Effect,
    /// So many calls are let through first.
    pub(crate) after: u64,
    /// So many are befallen; none: all.
    pub(crate) times: Option<u64>,
    /// With this probability.
    pub(crate) chance: f64,
}

/// What befalls one call.
pub(crate) struct Met {
    /// How it fails, if it does.
    pub(crate) failure: Option<Effect>,
    began: Instant,
    lasts: Duration,
}

impl Met {
    /// The call has been made: waits for as long as it lasts.
    pub(crate) fn end(&self) {
        if !self.lasts.is_zero() {
            delay(self.lasts.saturating_sub(self.began.elapsed()));
        }
    }
}

/// Waits for as long as it says: Linux adds up to 50 µs to a sleep unless told not to, a tenth of what a read at 1 ms a call waits for.
fn delay(time: Duration) {
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    sleep(time);
}

impl Rule {
    /// Whether this call is befallen; counts it.
    fn befalls(&mut self, function: Function) -> bool {
        if self.function.is_some_and(|of| of != function) || self.times == Some(0) {
            return false;
        }
        if self.after > 0 {
            self.after -= 1;
            return false;
        }
        if self.chance < 1.0 && !random::chance(self.chance) {
            return false;
        }
        self.times = self.times.map(|left| left - 1);
        true
    }
}

/// The rules.
pub(crate) struct Faults {
    calls: [AtomicU64; Function::COUNT],
    rules: Mutex<Vec<Rule>>,
    /// Whether there are rules at all, so that a call without any costs no lock.
    any: AtomicBool,
    /// Counts releases.
    releases: Mutex<u64>,
    released: Condvar,
    hanging: AtomicUsize,
}

impl Faults {
    /// None.
    pub(crate) const fn new() -> Self {
        Self {
            calls: [const { AtomicU64::new(0) }; Function::COUNT],
            rules: Mutex::new(Vec::new()),
            any: AtomicBool::new(false),
            releases: Mutex::new(0),
            released: Condvar::new(),
            hanging: AtomicUsize::new(0),
        }
    }

    /// Counts a call, makes it wait as the rules say, and answers how it fails, if it does (the first such rule decides), and how long it
    /// lasts.
    pub(crate) fn meet(&self, function: Function) -> Met {
        let mut met = Met { failure: None, began: Instant::now(), lasts: Duration::ZERO };
        self.calls[function as usize].fetch_add(1, Ordering::Relaxed);
        if !self.any.load(Ordering::Acquire) {
            return met;
        }
        // Before the rules are read: a release in between must not be missed.
        let releases = *self.releases();
        let befallen: Vec<Effect> =
            self.rules().iter_mut().filter_map(|rule| rule.befalls(function).then_some(rule.effect)).collect();
        for effect in befallen {
            match effect {
                Effect::Fail(_) | Effect::FailLate(_) => met.failure = met.failure.or(Some(effect)),
                Effect::Delay(time) => delay(time),
                Effect::Lasts(time) => met.lasts = time,
                Effect::Hang => self.hang(releases),
            }
        }
        met
    }

    /// Adds a rule.
    pub(crate) fn add(&self, rule: Rule) {
        self.rules().push(rule);
        self.any.store(true, Ordering::Release);
    }

    /// Removes the rules that make calls hang, and lets those that hang go on.
    pub(crate) fn release(&self) {
        self.rules().retain(|rule| rule.effect != Effect::Hang);
        *self.releases() += 1;
        self.released.notify_all();
    }

    /// Removes all rules, and lets calls that hang go on.
    pub(crate) fn clear(&self) {
        self.release();
        self.rules().clear();
        self.any.store(false, Ordering::Release);
    }

    /// How many calls hang.
    pub(crate) fn hanging(&self) -> usize {
        self.hanging.load(Ordering::Acquire)
    }

    /// How often each function was called, in the order of [`Function`].
    pub(crate) fn calls(&self) -> [u64; Function::COUNT] {
        std::array::from_fn(|at| self.calls[at].load(Ordering::Relaxed))
    }

    fn hang(&self, releases: u64) {
        self.hanging.fetch_add(1, Ordering::AcqRel);
        drop(self.released.wait_while(self.releases(), |now| *now == releases));
        self.hanging.fetch_sub(1, Ordering::AcqRel);
    }

    fn releases(&self) -> MutexGuard<'_, u64> {
        self.releases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
