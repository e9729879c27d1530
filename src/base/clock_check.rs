//! Whether the clock can be believed: it is compared with the monotonic clock, with the database's, and with the last audit line.
//!
//! Owns: the comparison and its limits. Must not know: where the other times come from, what is done with the answer. Called by:
//! jobs (before anything that cannot be undone), app (readiness, figures, the samples).
//!
//! A clock that is wrong for some seconds must not end deletion windows, forget nonces, or take over what others have claimed. So
//! all of that waits while the sources differ, and goes on when they agree again, when an operator has said that the clock is
//! right (`bulla clock accept`), or when the clock has run evenly for [`STEADY_MS`] since.

use rustix::time::{ClockId, clock_gettime};

use parking_lot::{Mutex, MutexGuard};

use crate::base::clock::{Clock, Timestamp};

/// A step against the monotonic clock up to here is a correction like any other, ms.
const STEP_MS: i64 = 5_000;
/// A clock that is being slewed may differ from the monotonic one by this part of the time passed: four times what NTP does.
const SLEW_PART: i64 = 500;
/// How far the database's clock may be off, ms.
const DATABASE_MS: i64 = 30_000;
/// How long what the database said counts, ms.
const SAMPLE_MS: i64 = 10_000;
/// A longer silence before a start may as well be a clock that is ahead, ms. Nonces are kept this much longer than they matter.
pub const SILENCE_MS: i64 = 600_000;
/// After so long without a step a clock is believed that nothing else speaks for, ms.
const STEADY_MS: i64 = 3_600_000;

/// The comparison.
pub struct ClockCheck {
    clock: Clock,
    state: Mutex<State>,
}

/// A point in time on two clocks, ms.
#[derive(Debug, Clone, Copy)]
struct Point {
    wall: i64,
    boot: i64,
}

impl Point {
    /// What the wall clock should say when the monotonic one says `boot`.
    fn predicts(&self, boot: i64) -> i64 {
        self.wall + (boot - self.boot)
    }

    /// How much the clock may differ from that by then.
    fn allows(&self, boot: i64) -> i64 {
        STEP_MS + (boot - self.boot) / SLEW_PART
    }
}

#[derive(Debug)]
struct State {
    /// Where the clock was last known to be right.
    origin: Point,
    /// Where it seems to be since it stepped, and the first moment of that.
    since_step: Option<(Point, i64)>,
    /// The database's clock, and how much it may lag by an operator's word.
    database: Option<Point>,
    accepted_lag: i64,
    doubt: Option<Doubt>,
}

/// Why the clock is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// In words.
    pub reason: String,
    /// Whether another clock contradicts it. If not, nothing speaks for it either.
    pub contradicted: bool,
}

/// How far the clock is ahead of the others, ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offsets {
    /// Of the monotonic one, since both were last known to agree.
    pub monotonic: i64,
    /// Of the database's, if it was asked lately.
    pub database: Option<i64>,
}

impl ClockCheck {
    /// A comparison that begins now. `last_seen` is when this node's clock was last believed, as far as that is known.
    pub fn new(clock: Clock, last_seen: Option<Timestamp>) -> Self {
        let now = Point { wall: clock.now().0, boot: boot_ms() };
        let check = Self { clock, state: Mutex::new(State::begin(now, last_seen.map(|t| t.0))) };
        if let Some(doubt) = &check.state.lock().doubt {
            log::warn!("clock: {}; {PAUSED}", doubt.reason);
        }
        check
    }

    /// The time, if it can be believed for what cannot be undone.
    ///
    /// # Errors
    /// Why not.
    pub fn proved(&self) -> Result<Timestamp, Doubt> {
        let (now, state) = self.look();
        match &state.doubt {
            None => Ok(Timestamp(now.wall)),
            Some(doubt) => Err(doubt.clone()),
        }
    }

    /// Tells what the database's clock said while both clocks here went from one moment to the other.
    pub fn database_said(&self, time: Timestamp, asked_for: std::time::Duration) {
        let half = i64::try_from(asked_for.as_millis() / 2).unwrap_or(0);
        self.state.lock().database = Some(Point { wall: time.0, boot: boot_ms() - half });
    }

    /// An operator says that the clock is right.
    pub fn accept(&self) {
        let now = self.now();
        let mut state = self.state.lock();
        state.accepted_lag = state.database_lag(now).unwrap_or(0);
        state.settle(now);
        log::warn!("clock: an operator has said that it is right; what was paused goes on");
    }

    /// How far the clock is from the others.
    pub fn offsets(&self) -> Offsets {
        let (now, state) = self.look();
        Offsets { monotonic: now.wall - state.origin.predicts(now.boot), database: state.database_lag(now) }
    }

    fn now(&self) -> Point {
        Point { wall: self.clock.now().0, boot: boot_ms() }
    }

    fn look(&self) -> (Point, MutexGuard<'_, State>) {
        let now = self.now();
        let mut state = self.state.lock();
        let before = state.doubt.clone();
        state.judge(now);
        match (&before, &state.doubt) {
            (None, Some(doubt)) => log::error!("clock: {}; {PAUSED}", doubt.reason),
            (Some(_), None) => log::warn!("clock: its sources agree; what was paused goes on"),
            _ => {}
        }
        (now, state)
    }
}

/// How far a clock is from the database's, in words, where the distance (ms, of the clock ahead) is too much to believe it.
pub fn apart(lag: i64) -> Option<String> {
    (lag.abs() > DATABASE_MS).then(|| format!("{} the database's clock", ahead(lag)))
}

const PAUSED: &str = "deletions, rotations and the removal of nonces wait (`bulla clock accept` if it is right)";

impl State {
    fn begin(now: Point, last_seen: Option<i64>) -> Self {
        let mut state = Self { origin: now, since_step: None, database: None, accepted_lag: 0, doubt: None };
        if let Some(last) = last_seen {
            let silent = now.wall - last;
            if silent < -STEP_MS {
                // It is contradicted until it has caught up.
                state.origin = Point { wall: last, boot: now.boot };
                state.judge(now);
            } else if silent > SILENCE_MS {
                let reason = format!(
                    "{} ahead of when it was last believed, and nothing else tells whether that is right",
                    span(silent)
                );
                state.since_step = Some((now, now.boot));
                state.doubt = Some(Doubt { reason, contradicted: false });
            }
        }
        state
    }

    /// How far the clock is ahead of the database's, if that is known.
    fn database_lag(&self, now: Point) -> Option<i64> {
        let said = self.database.filter(|said| now.boot - said.boot <= SAMPLE_MS)?;
        Some(now.wall - said.predicts(now.boot))
    }

    fn settle(&mut self, now: Point) {
        self.origin = now;
        self.since_step = None;
        self.doubt = None;
    }

    fn judge(&mut self, now: Point) {
        if let Some(lag) = self.database_lag(now) {
            if (lag - self.accepted_lag).abs() <= DATABASE_MS {
                return self.settle(now);
            }
            let reason = format!("{} the database's clock", ahead(lag));
            self.doubt = Some(Doubt { reason, contradicted: true });
            // What is left of its word when it is away.
            self.origin = Point { wall: now.wall - lag + self.accepted_lag, boot: now.boot };
            self.since_step = None;
            return;
        }
        let step = now.wall - self.origin.predicts(now.boot);
        let unproved = self.doubt.as_ref().is_some_and(|doubt| !doubt.contradicted);
        if step.abs() <= self.origin.allows(now.boot) && !unproved {
            self.since_step = None;
            self.doubt = None;
            return;
        }
        let steady = |(point, _): &(Point, i64)| (now.wall - point.predicts(now.boot)).abs() <= point.allows(now.boot);
        let (point, began) = *self.since_step.take_if(|since| steady(since)).get_or_insert((now, now.boot));
        if now.boot - began >= STEADY_MS {
            return self.settle(now);
        }
        self.since_step = Some((point, began));
        if step.abs() > self.origin.allows(now.boot) {
            let reason = format!("{} what it should be by the monotonic clock and the audit log", ahead(step));
            self.doubt = Some(Doubt { reason, contradicted: true });
        }
    }
}

/// `1 h 5 min ahead of`, `3 s behind`.
fn ahead(ms: i64) -> String {
    format!("{} {}", span(ms.abs()), if ms >= 0 { "ahead of" } else { "behind" })
}

fn span(ms: i64) -> String {
    let s = ms / 1000;
    match s {
        0..120 => format!("{s} s"),
        120..7200 => format!("{} min", s / 60),
        7200..172_800 => format!("{} h", s / 3600),
        _ => format!("{} days", s / 86_400),
    }
}

/// Milliseconds on the clock that nobody sets, and that goes on while the machine sleeps.
fn boot_ms() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;
    const AT: i64 = 1_800_000_000_000;

    /// A machine whose clock is off by so much after so long.
    fn at(after: i64, off: i64) -> Point {
        Point { wall: AT + after + off, boot: 1_000 + after }
    }

    fn doubted(state: &mut State, now: Point) -> bool {
        state.judge(now);
        state.doubt.is_some()
    }

    #[test]
    fn a_step_is_noticed_and_forgiven_when_it_is_taken_back() {
        for off in [HOUR, -HOUR, 8 * DAY, -8 * DAY, 20_000, -20_000] {
            let mut state = State::begin(at(0, 0), Some(AT - 1_000));
            assert!(!doubted(&mut state, at(60_000, 0)));
            assert!(doubted(&mut state, at(60_250, off)), "{off}");
            assert!(doubted(&mut state, at(85_000, off)), "{off}");
            assert!(!doubted(&mut state, at(85_250, 0)), "{off}");
        }
    }

    #[test]
    fn a_drift_is_a_step_in_the_end_and_slewing_is_not() {
        let ended = |part: i64| {
            let mut state = State::begin(at(0, 0), Some(AT));
            (0..4 * 3600).any(|s| doubted(&mut state, at(s * 1000, s * 1000 / part)))
        };
        assert!(ended(100) && ended(-100) && ended(2));
        assert!(!ended(2000) && !ended(-2000), "500 ppm");
    }

    #[test]
    fn a_step_that_stays_is_believed_after_an_hour_without_another() {
        let mut state = State::begin(at(0, 0), Some(AT));
        assert!(doubted(&mut state, at(1_000, DAY)));
        assert!(doubted(&mut state, at(HOUR / 2, DAY)));
        assert!(doubted(&mut state, at(HOUR / 2 + 250, 2 * DAY)), "another");
        assert!(doubted(&mut state, at(HOUR + 2_000, 2 * DAY)));
        assert!(!doubted(&mut state, at(HOUR + HOUR / 2 + 300, 2 * DAY)));
    }

    #[test]
    fn the_database_decides() {
        let mut state = State::begin(at(0, 8 * DAY), Some(AT - 1_000));
        let doubt = state.doubt.clone().expect("a long silence");
        assert!(!doubt.contradicted && doubt.reason.contains("8 days"), "{doubt:?}");
        state.database = Some(at(100, 0));
        assert!(doubted(&mut state, at(500, 8 * DAY)));
        assert!(state.doubt.as_ref().is_some_and(|d| d.contradicted && d.reason.contains("the database")));
        assert!(doubted(&mut state, at(500 + 2 * HOUR, 8 * DAY)), "also when it has been away for long");
        state.database = Some(at(2 * HOUR + 1_000, 8 * DAY));
        assert!(!doubted(&mut state, at(2 * HOUR + 1_500, 8 * DAY)), "a long silence that was one");
        assert!(!doubted(&mut state, at(2 * HOUR + 60_000, 8 * DAY)), "with the database away it is still right");
        // The sample is older than the step.
        state.database = Some(at(3 * HOUR, 8 * DAY));
        assert!(doubted(&mut state, at(3 * HOUR + 250, 0)));
    }

    #[test]
    fn a_start_in_the_past_waits_until_it_has_caught_up() {
        let mut state = State::begin(at(0, -HOUR), Some(AT));
        assert!(state.doubt.as_ref().is_some_and(|d| d.contradicted));
        assert!(doubted(&mut state, at(60_000, -HOUR)));
        assert!(!doubted(&mut state, at(60_500, 0)));
        assert!(State::begin(at(0, 0), Some(AT - SILENCE_MS + 1)).doubt.is_none());
        assert!(State::begin(at(0, 0), None).doubt.is_none(), "a first start has nothing to destroy");
    }

    #[test]
    fn half_a_minute_is_near_enough() {
        assert_eq!((apart(DATABASE_MS), apart(-DATABASE_MS)), (None, None));
        assert_eq!(apart(DATABASE_MS + 1_000).as_deref(), Some("31 s ahead of the database's clock"));
        assert_eq!(apart(-HOUR).as_deref(), Some("60 min behind the database's clock"));
    }

    #[test]
    fn an_operator_decides_for_both_others() {
        let moved = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(AT));
        let check = ClockCheck::new(Clock::Fixed(std::sync::Arc::clone(&moved)), None);
        moved.store(AT + 8 * DAY, std::sync::atomic::Ordering::Relaxed);
        check.database_said(Timestamp(AT), std::time::Duration::ZERO);
        assert!(check.proved().is_err());
        check.accept();
        assert_eq!(check.proved(), Ok(Timestamp(AT + 8 * DAY)));
        assert!(check.offsets().database.is_some_and(|off| off > 7 * DAY));
    }
}
