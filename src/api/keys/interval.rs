//! RotationInterval of keys.
//!
//! Owns: its grammar and bounds. Used by: CreateKey, UpdateRotationPolicy, and KeyMetadata, which writes it in seconds.

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::api::interval::{HOUR_S, interval_s};
use crate::base::field::Field;
use crate::error::Error;

/// Seconds of a day.
const DAY: i64 = 24 * HOUR_S;

/// RotationInterval of keys: 7 to 730 days (UpdateRotationPolicy), in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotationInterval(i64);

impl RotationInterval {
    fn parse(text: &str) -> Option<Self> {
        interval_s(text).filter(|seconds| (7 * DAY..=730 * DAY).contains(seconds)).map(Self)
    }
}

impl<'de> Deserialize<'de> for RotationInterval {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(d)?).ok_or_else(|| D::Error::custom("7 to 730 days, as 7d or 604800s"))
    }
}

/// Seconds between two rotations, where rotation is on.
///
/// # Errors
/// [`Error::Missing`] when it is on without an interval.
pub fn interval(on: bool, given: Option<RotationInterval>) -> Result<Option<i64>, Error> {
    match (on, given) {
        (false, _) => Ok(None),
        (true, Some(interval)) => Ok(Some(interval.0)),
        (true, None) => Err(Error::Missing(Field::RotationInterval)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_bounds() {
        for (text, seconds) in
            [("7d", 604_800), ("604800s", 604_800), ("168h", 604_800), ("10080m", 604_800), ("730d", 730 * DAY)]
        {
            assert_eq!(RotationInterval::parse(text), Some(RotationInterval(seconds)), "{text}");
        }
        for bad in ["", "d", "7", "6d", "731d", "-7d", "+7d", "7D", "7 d", "604799s", "99999999999999999999d", "7天"] {
            assert_eq!(RotationInterval::parse(bad), None, "{bad}");
        }
    }
}
