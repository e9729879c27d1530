//! RotationInterval of keys.
//!
//! Owns: its grammar and bounds. Used by: CreateKey, UpdateRotationPolicy.

use crate::api::fields::Text;
use crate::api::interval::{HOUR_S, interval_s};
use crate::base::field::Field;
use crate::error::Error;

/// Seconds of a day.
const DAY: i64 = 24 * HOUR_S;

/// RotationInterval of keys, in seconds: 7 to 730 days (UpdateRotationPolicy).
fn seconds(text: &str) -> Option<i64> {
    interval_s(text).filter(|seconds| (7 * DAY..=730 * DAY).contains(seconds))
}

/// Seconds between two rotations, where rotation is on. Where it is off the interval has no effect, and is not read.
///
/// # Errors
/// [`Error::Missing`] when it is on without an interval; the parameter's own when it is on with one that is none.
pub fn interval(on: bool, given: Option<&Text>) -> Result<Option<i64>, Error> {
    if !on {
        return Ok(None);
    }
    let given = given.ok_or(Error::Missing(Field::RotationInterval))?;
    let wrong = || Error::invalid_since(Field::RotationInterval, "It must be 7 to 730 days, as 7d or 604800s.");
    seconds(&given.0).map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_bounds() {
        for (text, expected) in
            [("7d", 604_800), ("604800s", 604_800), ("168h", 604_800), ("10080m", 604_800), ("730d", 730 * DAY)]
        {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for bad in ["", "d", "7", "6d", "731d", "-7d", "+7d", "7D", "7 d", "604799s", "99999999999999999999d", "7天"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_interval_counts_where_rotation_is_on() {
        let given = |on, text: &str| interval(on, Some(&Text(text.to_owned()))).ok();
        assert_eq!(given(true, "7d"), Some(Some(604_800)));
        assert_eq!(given(true, "1d"), None);
        assert_eq!(given(false, "1d"), Some(None));
        assert!(matches!(interval(true, None), Err(Error::Missing(Field::RotationInterval))));
    }
}
