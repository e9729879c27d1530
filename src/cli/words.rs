//! Words of a command line that several commands read alike.

/// `KEY=VALUE`
///
/// # Errors
/// Where there is no `=`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// `30d`, or `30`, of so many.
///
/// # Errors
/// Where it is no number of days, or not one of these.
pub fn days(text: &str, of: std::ops::RangeInclusive<u32>) -> Result<u32, String> {
    let number = text.strip_suffix('d').unwrap_or(text).parse().ok().filter(|days| of.contains(days));
    number.ok_or_else(|| format!("{}d to {}d", of.start(), of.end()))
}
