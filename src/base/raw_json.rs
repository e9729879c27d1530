//! JSON whose values stay as they were written: numbers of any size and form, and the order of members.
//!
//! Owns: taking an object or a list apart, and writing a value without its blanks. Must not know: what it is for. Called by: who changes
//! or passes on values that are JSON.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// The members of an object, in its order. Of a name that stands twice the last value counts, at the first's place.
#[derive(Default)]
pub struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>, Option<Twice<'a>>);

/// The first name that stands twice, and which members have it, from 1 on.
type Twice<'a> = (Cow<'a, str>, usize, usize);

impl<'a> Members<'a> {
    /// The members of a text that is an object.
    ///
    /// # Errors
    /// Where it is none; the words can quote it.
    pub fn of(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.iter().find(|(there, _)| *there == name).map(|(_, value)| value)
    }

    /// The first name that stands twice, and which members have it, from 1 on.
    pub fn twice(&self) -> Option<(&str, usize, usize)> {
        self.1.as_ref().map(|(name, one, other)| (name.as_ref(), *one, *other))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut all, mut twice): (Vec<(Cow<'de, str>, &'de RawValue)>, _) = (Vec::new(), None);
                let mut count = 0;
                let mut places: HashMap<_, (usize, usize)> = HashMap::new();
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    count += 1;
                    match places.get(&name) {
                        Some((place, number)) => {
                            all[*place].1 = value;
                            twice.get_or_insert((name, *number, count));
                        }
                        None => {
                            places.insert(name.clone(), (all.len(), count));
                            all.push((name, value));
                        }
                    }
                }
                Ok(Members(all, twice))
            }
        }
        d.deserialize_map(Object)
    }
}

/// A member's name: borrowed where nothing in it is escaped.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The items of a list; none for another value.
pub fn items(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// A value as a text: a string's content, all else as [`compact`] JSON. None for a string that is no text: with half a surrogate pair.
pub fn text(value: &RawValue) -> Option<Zeroizing<String>> {
    if value.get().starts_with('"') { string(value) } else { Some(compact(value)) }
}

/// The content of a string; none for another value.
pub fn string(value: &RawValue) -> Option<Zeroizing<String>> {
    serde_json::from_str(value.get()).ok().map(Zeroizing::new)
}

/// How deep [`given`] looks: deeper than any parameter of a request has a right to be.
const GIVEN_LEVELS: u8 = 8;

/// The text of a value without what is not given in it: members and items that are null and, in a list of texts that is the value
/// itself, empty ones, as the same left empty in a form. As it was written where there is none of them, where it is no JSON, and where
/// a name stands twice.
pub fn given(text: &str) -> Cow<'_, str> {
    fn without(text: &str, levels: u8) -> Option<String> {
        let is_whole = levels == GIVEN_LEVELS;
        let levels = levels.checked_sub(1)?;
        let mut changed = false;
        let mut kept = Vec::new();
        let mut keep = |before: String, value: &RawValue, is_item: bool| {
            if value.get() == "null" || is_item && is_whole && value.get() == "\"\"" {
                changed = true;
                return;
            }
            let other = without(value.get(), levels);
            changed |= other.is_some();
            kept.push(before + other.as_deref().unwrap_or(value.get()));
        };
        let (open, close) = match text.trim_start().as_bytes().first() {
            Some(b'{') => {
                let members = Members::of(text).ok().filter(|members| members.twice().is_none())?;
                members.iter().for_each(|(name, value)| keep(format!("{}:", *quoted(name)), value, false));
                ('{', '}')
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                items.into_iter().for_each(|item| keep(String::new(), item, true));
                ('[', ']')
            }
            _ => return None,
        };
        changed.then(|| format!("{open}{}{close}", kept.join(",")))
    }
    without(text, GIVEN_LEVELS).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// A value without the blanks around its parts; everything else as it was written.
pub fn compact(value: &RawValue) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(value.get().len()));
    let (mut within, mut escaped) = (false, false);
    for c in value.get().chars() {
        if !within && c.is_ascii_whitespace() {
            continue;
        }
        within ^= c == '"' && !escaped;
        escaped = within && c == '\\' && !escaped;
        out.push(c);
    }
    out
}

/// Whether two values say the same: strings by their content, members in any order, numbers as they are written.
pub fn same(one: &RawValue, other: &RawValue) -> bool {
    match (Members::of(one.get()), Members::of(other.get())) {
        (Ok(one), Ok(other)) => {
            one.0.len() == other.0.len()
                && one.iter().all(|(name, value)| other.get(name).is_some_and(|found| same(value, found)))
        }
        (Err(_), Err(_)) => match (items(one), items(other), string(one), string(other)) {
            (Some(one), Some(other), ..) => one.len() == other.len() && one.iter().zip(&other).all(|(a, b)| same(a, b)),
            (.., Some(one), Some(other)) => one == other,
            _ => one.get() == other.get(),
        },
        _ => false,
    }
}

/// An object of these members, each the text of a value.
pub fn object(members: &[(&str, &str)]) -> Zeroizing<String> {
    let length: usize = members.iter().map(|(name, value)| 6 * name.len() + value.len() + 4).sum();
    // Nothing that is written moves it: what moves leaves a copy behind.
    let mut out = Zeroizing::new(String::with_capacity(length + 2));
    out.push('{');
    for (place, (name, value)) in members.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        out.push_str(&quoted(name));
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    out
}

/// A text as JSON writes it.
pub fn quoted(text: &str) -> Zeroizing<String> {
    // The most that a byte becomes is \u00XX.
    let mut out = Zeroizing::new(Vec::with_capacity(6 * text.len() + 2));
    serde_json::to_writer(&mut *out, text).expect("a text is JSON, and memory takes it");
    Zeroizing::new(String::from_utf8(std::mem::take(&mut *out)).expect("JSON is UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_as_they_were_written() {
        let text_of = r#"{"z": 1, "id":98765432109876543210,"r":0.10,"\u0061":"x\"\u00fc","o":{"b": 1e3, "a":" { "},"z":2}"#;
        let members = Members::of(text_of).expect("an object");
        let shown: Vec<_> = members.iter().map(|(name, value)| (name, text(value).expect("a text").to_string())).collect();
        let expected =
            [("z", "2"), ("id", "98765432109876543210"), ("r", "0.10"), ("a", "x\"ü"), ("o", r#"{"b":1e3,"a":" { "}"#)];
        assert_eq!(shown, expected.map(|(name, value)| (name, value.to_owned())));
        let written = object(&members.iter().map(|(name, value)| (name, value.get())).collect::<Vec<_>>());
        assert_eq!(*written, r#"{"z":2,"id":98765432109876543210,"r":0.10,"a":"x\"\u00fc","o":{"b": 1e3, "a":" { "}}"#);
        let half = RawValue::from_string(r#""\udc00x""#.to_owned()).expect("JSON");
        assert_eq!(text(&half), None);
        assert!(Members::of("[1]").is_err() && Members::of("{\"a\":1").is_err() && Members::of("{} x").is_err());
    }

    #[test]
    fn null_and_empty_are_not_given() {
        for (text, expected) in [
            (r#"["t", "",null]"#, r#"["t"]"#),
            (
                r#"[{"TagKey":"a", "TagValue":null},{"TagKey":"b","TagValue":""}]"#,
                r#"[{"TagKey":"a"},{"TagKey":"b","TagValue":""}]"#,
            ),
            (r#"[{"Key":"N","Values":["",null]}]"#, r#"[{"Key":"N","Values":[""]}]"#),
            (r#"{"a\"\u00e4":1, "b":null}"#, r#"{"a\"ä":1}"#),
            ("[null]", "[]"),
            (r#" [ 1, {"a" : "null"} ]"#, r#" [ 1, {"a" : "null"} ]"#),
            (r#"{"a":null,"a":1}"#, r#"{"a":null,"a":1}"#),
            ("null", "null"),
            ("[null", "[null"),
            ("[[[[[[[[[[null]]]]]]]]]]", "[[[[[[[[[[null]]]]]]]]]]"),
        ] {
            assert_eq!(given(text), expected, "{text}");
        }
    }

    #[test]
    fn what_says_the_same() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).expect("JSON");
        for (one, other, expected) in [
            (r#"{"a":1,"b":[1, "x"]}"#, r#"{"b":[1,"\u0078"],"a":1}"#, true),
            ("12345678901234567890123", "12345678901234567890124", false),
            ("0.10", "0.1", false),
            ("null", "null", true),
            ("{}", "[]", false),
            (r#"["a"]"#, r#"["a","a"]"#, false),
            (r#""1""#, "1", false),
        ] {
            assert_eq!(same(&raw(one), &raw(other)), expected, "{one} {other}");
        }
    }
}
