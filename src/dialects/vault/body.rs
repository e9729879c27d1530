//! The body of a request: JSON, whatever its Content-Type says, as clients send it without one.
//!
//! Owns: its members, and reading numbers, durations and lists in the forms in which clients write them. Must not know: endpoints.
//! Called by: the endpoints.

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
        let bytes = asked.call.body.trim_ascii();
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
        match value.trim_matches('"') {
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
        let text = value.trim_matches('"');
        let read = duration_ms(text).ok_or_else(|| asked.bad(format!("time: invalid duration {text:?}")))?;
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
        let parts = items.iter().flat_map(|item| item.trim_matches('"').split(','));
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
    let got = match value.bytes().next() {
        Some(b'"') => "string",
        Some(b't' | b'f') => "bool",
        Some(b'[') => "[]interface {}",
        Some(b'{') => "map[string]interface {}",
        _ => "json.Number",
    };
    asked.bad(format!("error converting input for field {name:?}: '' expected type '{kind}', got unconvertible type '{got}'"))
}

/// A duration in ms: a number of seconds, or numbers with h, m, s or ms behind them, or d.
pub fn duration_ms(text: &str) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1000);
    }
    let (mut rest, mut total) = (text, 0i64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
        let number: i64 = rest[..digits].parse().ok()?;
        let unit = &rest[digits..];
        let (length, ms) = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("d", 86_400_000)]
            .into_iter()
            .find(|(name, _)| unit.starts_with(name))
            .map(|(name, ms)| (name.len(), ms))?;
        total = total.checked_add(number.checked_mul(ms)?)?;
        rest = &unit[length..];
    }
    Some(total)
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
        for wrong in ["soon", "h", "1x", "1h2", "99999999999999999999", "9999999999999999h"] {
            assert_eq!(duration_ms(wrong), None, "{wrong}");
        }
    }
}
