//! Time as the service uses it: milliseconds since 1970-01-01T00:00:00Z, in one integer.
//!
//! Owns: reading the clock, the text forms of a time, and time that goes on from a moment whatever the clock does meanwhile. Must not know: anything else. Used by all.

use std::fmt;
#[cfg(test)]
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

/// A point in time, milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Reads a time in UTC in the one form of ISO 8601 that the API has (Common parameters: Timestamp), with or without a fraction of a
    /// second (`2026-11-24T05:47:40.764700223Z`).
    pub fn parse(text: &str) -> Option<Self> {
        let (seconds, fraction) = text.strip_suffix('Z')?.split_at_checked("YYYY-MM-DDThh:mm:ss".len())?;
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let is_in_place = |(at, b): (usize, u8)| match at {
            4 | 7 => b == b'-',
            10 => b == b'T',
            13 | 16 => b == b':',
            _ => b.is_ascii_digit(),
        };
        let has_form = seconds.bytes().enumerate().all(is_in_place) && !seconds.ends_with("60");
        if !has_form || !(fraction.is_empty() || fraction.strip_prefix('.').is_some_and(is_digits)) {
            return None;
        }
        let time: jiff::Timestamp = text.parse().ok()?;
        Some(Self(time.as_millisecond()))
    }

    /// Its text with milliseconds: `2026-11-24T05:47:40.764Z`.
    pub fn with_ms(self) -> String {
        jiff::Timestamp::from_millisecond(self.0).map_or_else(|_| self.to_string(), |time| format!("{time:.3}"))
    }

    /// The last time that has a text form, 9999-12-30T22:00:00Z. No sum of a time and a duration goes beyond it, so whatever callers
    /// name can be written, stored, and put into a certificate.
    pub const LATEST: Self = Self(253_402_207_200_000);

    /// This time, so many milliseconds later (earlier when negative), but never after [`Timestamp::LATEST`].
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms).min(Self::LATEST.0))
    }

    /// This time, so many days later.
    pub fn plus_days(self, days: u32) -> Self {
        self.plus_ms(i64::from(days) * 86_400_000)
    }
}

/// The wire form: whole seconds and `Z`, e.g. `2020-02-21T15:39:26Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0.div_euclid(1000)) {
            Ok(time) => time.fmt(f),
            Err(_) => write!(f, "@{}", self.0),
        }
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// A moment of the clock, from which time goes on with the monotonic clock. What belongs together, as the steps of a request do, has one,
/// so that a clock that is set in between tears nothing apart: a window that began by one clock would be over by the other.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    at: Timestamp,
    /// None where time stands, for tests.
    since: Option<Instant>,
}

impl Moment {
    /// The present moment, at which the clock says so.
    pub fn of(at: Timestamp) -> Self {
        Self { at, since: Some(Instant::now()) }
    }

    /// A moment at which time stands.
    #[cfg(test)]
    pub fn still(at: Timestamp) -> Self {
        Self { at, since: None }
    }

    /// A moment so long ago.
    #[cfg(test)]
    pub fn since(at: Timestamp, since: Instant) -> Self {
        Self { at, since: Some(since) }
    }

    /// The time at this moment.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The time now, seen from this moment.
    pub fn now(&self) -> Timestamp {
        let passed = self.since.map_or(0, |since| since.elapsed().as_millis());
        self.at.plus_ms(i64::try_from(passed).unwrap_or(i64::MAX))
    }
}

/// Where the time comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that stands until a test moves it.
    #[cfg(test)]
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// The time now.
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System => Timestamp(jiff::Timestamp::now().as_millisecond()),
            #[cfg(test)]
            Clock::Fixed(ms) => Timestamp(ms.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms() {
        let at = Timestamp::parse("2026-11-24T05:47:40.764700223Z").expect("fraction");
        assert_eq!(at.0 % 1000, 764);
        assert_eq!(at.to_string(), "2026-11-24T05:47:40Z");
        assert_eq!(Timestamp::parse("2016-03-28T03:13:08Z"), Some(Timestamp(1_459_134_788_000)));
        assert_eq!(Timestamp::LATEST.to_string(), "9999-12-30T22:00:00Z");
        for (ms, days) in [(0, u32::MAX), (Timestamp::LATEST.0, 1), (i64::MAX, 0)] {
            assert_eq!(Timestamp(ms).plus_days(days), Timestamp::LATEST);
        }
        let lenient =
            ["20261124T054740Z", "2026-11-24 05:47:40Z", "2026-11-24T05:47Z", "2026-11-24T05:47:60Z", "2026-11-24t05:47:40Z"];
        let broken = [
            "",
            "Z",
            "2026-11-24",
            "2026-11-24T05:47:40+08:00",
            "2026-13-24T05:47:40Z",
            "2026-11-24T05:47:40.Z",
            "2026-11-24T05:47:4éZ",
            "now",
        ];
        for bad in lenient.into_iter().chain(broken) {
            assert_eq!(Timestamp::parse(bad), None, "{bad}");
        }
    }
}
