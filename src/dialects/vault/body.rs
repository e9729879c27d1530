//! The body of a request: JSON, whatever its Content-Type says, as clients send it without one; or a form, of which the JSON is made before.
//!
//! Owns: its members, and reading numbers, durations and lists in the forms in which clients write them. Must not know: endpoints.
//! Called by: the endpoints.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::dialects::vault::asked::Asked;
use crate::dialects::vault::json::{Members, Unfit, members};
use crate::error::Error;

/// The members of a body; none of them where it is empty.
pub struct Body<'a> {
    members: Members<'a>,
}

impl<'a> Body<'a> {
    /// Reads a body. What is wrong is told without what is in it.
    ///
    /// # Errors
    /// [`Error::Unreadable`].
    pub fn of(asked: &Asked<'a>) -> Result<Self, Error> {
        let bytes = asked.body.map_err(|why| asked.bad(why))?.trim_ascii();
        if bytes.is_empty() || bytes == b"null" {
            return Ok(Self { members: Members::new() });
        }
        let wrong = |why: &str| asked.bad(format!("failed to decode JSON input: {why}"));
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8"))?;
        match serde_json::from_str::<&RawValue>(text) {
            Err(error) if error.is_eof() => Err(wrong("unexpected EOF")),
            Err(error) => Err(wrong(&format!("invalid at line {}, column {}", error.line(), error.column()))),
            Ok(_) => match serde_json::from_str(text) {
                Ok(members) => Ok(Self { members }),
                Err(_) if text.starts_with('{') => Err(wrong(&Unfit::NoText.why())),
                Err(_) => Err(wrong("the body must be an object")),
            },
        }
    }

    /// All members.
    pub fn into_members(self) -> Members<'a> {
        self.members
    }

    /// A member's text; none where it is absent or null.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.members.get(name).map(|value| value.get()).filter(|text| *text != "null")
    }

    /// Whether a member is there, null or not.
    pub fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// A warning that names the members that mean nothing here.
    pub fn ignored(&self, known: &[&str]) -> Option<String> {
        let ignored: Vec<_> = self.members.keys().filter(|name| !known.contains(&name.as_ref())).map(AsRef::as_ref).collect();
        (!ignored.is_empty()).then(|| format!("Endpoint ignored these unrecognized parameters: {ignored:?}").replace('"', ""))
    }

    /// A text.
    ///
    /// # Errors
    /// [`Error::Unreadable`] for another value.
    pub fn text(&self, asked: &Asked<'_>, name: &str) -> Result<Option<String>, Error> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let text: Result<String, _> = serde_json::from_str(value);
        text.map(Some).map_err(|_| converting(asked, name, "string", value))
    }

    /// A boolean, also as a text.
    ///
    /// # Errors
    /// [`Error::Unreadable`] for another value.
    pub fn flag(&self, asked: &Asked<'_>, name: &str) -> Result<Option<bool>, Error> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match &*plain(value) {
            "true" | "1" => Ok(Some(true)),
            "false" | "0" | "" => Ok(Some(false)),
            _ => Err(converting(asked, name, "bool", value)),
        }
    }

    /// A duration: a number of seconds, also as a text, or such as `1h30m`, in ms.
    ///
    /// # Errors
    /// [`Error::Unreadable`] for another value.
    pub fn duration_ms(&self, asked: &Asked<'_>, name: &str) -> Result<Option<i64>, Error> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let text = plain(value);
        let read = duration_ms(&text).ok_or_else(|| asked.bad(format!("time: invalid duration {text:?}")))?;
        Ok(Some(read))
    }

    /// An object's members.
    ///
    /// # Errors
    /// [`Error::Unreadable`] for another value.
    pub fn object(&self, asked: &Asked<'_>, name: &str) -> Result<Option<Members<'a>>, Error> {
        let Some(value) = self.get(name) else { return Ok(None) };
        if !value.starts_with('{') {
            return Err(converting(asked, name, "map[string]interface {}", value));
        }
        members(value).map(Some).ok_or_else(|| asked.bad(Unfit::NoText.why()))
    }

    /// One whole number, also as a text; none where that is empty.
    ///
    /// # Errors
    /// [`Error::Unreadable`] for another value, a list of one number among them.
    pub fn number(&self, asked: &Asked<'_>, name: &str) -> Result<Option<i64>, Error> {
        let Some(value) = self.get(name) else { return Ok(None) };
        if value.starts_with(['[', '{', 't', 'f']) {
            return Err(asked.bad(format!("Field validation failed: {}", unconvertible(name, "int", value))));
        }
        whole(value).map_err(|()| {
            asked.bad(format!("Field validation failed: error converting input for field {name:?}: it must be a whole number"))
        })
    }

    /// Whole numbers: a list of them, or one; each also as a text, and several in one, with commas.
    ///
    /// # Errors
    /// [`Error::Unreadable`] for another value.
    pub fn numbers(&self, asked: &Asked<'_>, name: &str) -> Result<Vec<i64>, Error> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let items: Vec<&str> = match serde_json::from_str::<Vec<&RawValue>>(value) {
            Ok(items) => items.iter().map(|item| item.get()).collect(),
            Err(_) => vec![value],
        };
        let texts: Vec<_> = items.iter().map(|item| plain(item)).collect();
        if let [one] = texts.as_slice()
            && one.trim().is_empty()
        {
            return Ok(Vec::new());
        }
        let parts = texts.iter().flat_map(|text| text.split(','));
        let numbers = parts.map(|part| part.trim().parse::<i64>());
        numbers.collect::<Result<_, _>>().map_err(|_| {
            asked.bad(format!(
                "Field validation failed: error converting input for field {name:?}: it must be a list of whole numbers"
            ))
        })
    }
}

/// The refusal of a member of another kind, which is told by how its text begins.
pub fn converting(asked: &Asked<'_>, name: &str, kind: &str, value: &str) -> Error {
    asked.bad(unconvertible(name, kind, value))
}

fn unconvertible(name: &str, kind: &str, value: &str) -> String {
    let got = match value.bytes().next() {
        Some(b'"') => "string",
        Some(b't' | b'f') => "bool",
        Some(b'[') => "[]interface {}",
        Some(b'{') => "map[string]interface {}",
        _ => "json.Number",
    };
    format!("error converting input for field {name:?}: '' expected type '{kind}', got unconvertible type '{got}'")
}

/// What a value says that may be a text or not: a text without its quotes, and anything else as it stands.
pub fn plain(value: &str) -> Cow<'_, str> {
    serde_json::from_str::<String>(value).map_or(Cow::Borrowed(value), Cow::Owned)
}

/// A whole number that may be a text; none where that is empty.
///
/// # Errors
/// Where it is something else.
pub fn whole(value: &str) -> Result<Option<i64>, ()> {
    match plain(value).trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(drop),
    }
}

/// A duration in ms, of which a part counts as one: a number of seconds, or numbers, of which each may have decimals, with h, m, s, ms, us
/// or ns behind them, or d; a sign before all of it.
pub fn duration_ms(text: &str) -> Option<i64> {
    const UNITS: [(&str, i128); 8] = [
        ("ms", 1_000_000),
        ("us", 1000),
        ("µs", 1000),
        ("ns", 1),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("d", 86_400_000_000_000),
    ];
    if text.is_empty() {
        return Some(0);
    }
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1000);
    }
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut total = 0i128;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (whole, decimals) = rest[..end].split_once('.').unwrap_or((&rest[..end], ""));
        if whole.len() + decimals.len() == 0 || whole.len() > 18 || decimals.contains('.') {
            return None;
        }
        let (name, unit) = UNITS.into_iter().find(|(name, _)| rest[end..].starts_with(name))?;
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        // Beyond these no unit has a ns.
        let decimals = &decimals[..decimals.len().min(18)];
        let part =
            if decimals.is_empty() { 0 } else { decimals.parse::<i128>().ok()? * unit / 10i128.pow(decimals.len() as u32) };
        total += whole * unit + part;
        rest = &rest[end + name.len()..];
    }
    i64::try_from((total + 999_999) / 1_000_000).ok().map(|ms| sign * ms)
}

/// A duration as Go writes it: `1h0m0s`.
pub fn spelled_s(seconds: i64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in
            [("", 0), ("60", 60_000), ("1h30m", 5_400_000), ("10m0s", 600_000), ("250ms", 250), ("2d", 172_800_000)]
        {
            assert_eq!(duration_ms(text), Some(ms), "{text}");
        }
        for (text, ms) in
            [("1.5h", 5_400_000), ("0.0s", 0), ("1us", 1), ("1.5s1ns", 1501), (".5s", 500), ("-5", -5000), ("-1m", -60_000)]
        {
            assert_eq!(duration_ms(text), Some(ms), "{text}");
        }
        assert_eq!([59, 60, 3601].map(spelled_s), ["59s", "1m0s", "1h0m1s"]);
        for wrong in ["soon", "-", ".s", "1.5", "1.5.5s", "1.s.", "h", "1x", "1h2", "99999999999999999999", "9999999999999999h"]
        {
            assert_eq!(duration_ms(wrong), None, "{wrong}");
        }
    }
}
