//! Intervals as the API writes them: `7d`, `6h`, `604800s`.
//!
//! Owns: the grammar. Must not know: bounds; keys and secrets have their own. Called by: api::keys, api::secrets.

/// Seconds of an hour.
pub const HOUR_S: i64 = 3600;

/// The seconds of an interval: a whole number and its unit, d, h, m or s.
pub fn interval_s(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "d" => 24 * HOUR_S,
        "h" => HOUR_S,
        "m" => 60,
        "s" => 1,
        _ => return None,
    };
    let digits = Some(number).filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
    digits?.parse::<i64>().ok()?.checked_mul(unit)
}
