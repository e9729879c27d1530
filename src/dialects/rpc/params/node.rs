//! What stands under one parameter name, and the shapes it can be read as.
//!
//! Owns: names with dots and numbers, and the rule that nothing stands there twice. Must not know: structs, serde's calls.
//! Called by: decode.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserializer, Visitor};

use crate::api::fields::whole_number;
use crate::base::raw_json::given;

/// Names and values, in order of arrival.
pub(super) type Pairs<'p> = Vec<(&'p str, &'p str)>;

/// The JSON text of nothing: clients in Go send it for a map that is not set.
pub(super) const NULL: &str = "null";

/// What is wrong with a parameter, and which. Never holds a value: messages of serde, which quote values, are not kept.
#[derive(Debug)]
pub(super) struct DecodeError {
    pub(super) problem: Problem,
    /// The parameter's name, put together from its end as the error goes up.
    pub(super) name: Cow<'static, str>,
    /// What it must be, in words that end a sentence; empty where nobody said.
    pub(super) must_be: Cow<'static, str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    Missing,
    Invalid,
    /// Invalid, and its text is empty.
    Empty,
}

impl DecodeError {
    pub(super) const INVALID: DecodeError = DecodeError::must_be("");
    pub(super) const EMPTY: DecodeError =
        DecodeError { problem: Problem::Empty, name: Cow::Borrowed(""), must_be: Cow::Borrowed("") };

    /// A value that must be something else.
    pub(super) const fn must_be(what: &'static str) -> Self {
        Self { problem: Problem::Invalid, name: Cow::Borrowed(""), must_be: Cow::Borrowed(what) }
    }

    /// The same error seen from one level up.
    pub(super) fn within(self, segment: &str) -> Self {
        let name = if self.name.is_empty() { segment.to_owned() } else { format!("{segment}.{}", self.name) };
        Self { name: name.into(), ..self }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} parameter {}", self.problem, self.name)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    /// What a type of ours says of its own grammar. The other errors of serde quote values and are not kept.
    fn custom<T: fmt::Display>(what: T) -> Self {
        let text = what.to_string();
        let what = text.strip_prefix("expected ").unwrap_or(&text).to_owned();
        Self { must_be: what.into(), ..Self::INVALID }
    }

    /// A unit is what a type of ours makes of JSON text that is `null`.
    fn invalid_type(found: de::Unexpected<'_>, _: &dyn de::Expected) -> Self {
        match found {
            de::Unexpected::Unit => Self::EMPTY,
            _ => Self::INVALID,
        }
    }

    fn invalid_value(_: de::Unexpected<'_>, _: &dyn de::Expected) -> Self {
        Self::INVALID
    }

    fn invalid_length(_: usize, _: &dyn de::Expected) -> Self {
        Self::INVALID
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self { must_be: format!("one of {}", known.join(", ")).into(), ..Self::INVALID }
    }

    fn unknown_field(_: &str, known: &'static [&'static str]) -> Self {
        Self { must_be: format!("an object with the members {}", known.join(", ")).into(), ..Self::INVALID }
    }

    fn duplicate_field(_: &'static str) -> Self {
        Self::must_be("given once")
    }

    fn missing_field(field: &'static str) -> Self {
        Self { problem: Problem::Missing, name: field.into(), ..Self::INVALID }
    }
}

/// What stands under one name: its own text, and the parts whose names go on after a dot.
pub(super) struct Node<'p> {
    pub(super) text: Option<&'p str>,
    pub(super) parts: Pairs<'p>,
}

impl<'p> Node<'p> {
    /// What stands under `segment` in these pairs, none if nothing does.
    pub(super) fn pick(pairs: &Pairs<'p>, segment: &str) -> Result<Option<Self>, DecodeError> {
        let mut node = Node { text: None, parts: Vec::new() };
        for &(name, value) in pairs {
            match name.strip_prefix(segment) {
                Some("") => node.set_text(value)?,
                Some(tail) => node.parts.extend(tail.strip_prefix('.').map(|tail| (tail, value))),
                None => {}
            }
        }
        Ok((node.text.is_some() || !node.parts.is_empty()).then_some(node))
    }

    /// The same value twice is fine, two values are not.
    fn set_text(&mut self, value: &'p str) -> Result<(), DecodeError> {
        match self.text.replace(value) {
            Some(other) if other != value => Err(DecodeError::must_be("given once, or with the same value each time")),
            _ => Ok(()),
        }
    }

    /// The text of a parameter that has no parts.
    pub(super) fn scalar(&self) -> Result<&'p str, DecodeError> {
        match self.text {
            Some(text) if self.parts.is_empty() => Ok(text),
            Some(_) => Err(DecodeError::must_be("one text or in parts, not both")),
            None => Err(DecodeError::must_be("one text")),
        }
    }

    /// An integer from decimal text.
    pub(super) fn integer<T: std::str::FromStr>(&self) -> Result<T, DecodeError> {
        whole_number(self.scalar()?).ok_or(DecodeError::must_be("a whole number"))
    }

    /// Reads a list or struct from JSON text, but for what is not given in it; `shape` is what that must be, for whoever wrote another.
    pub(super) fn json_text<V: Visitor<'p>>(&self, shape: &str, visitor: V) -> Result<V::Value, DecodeError> {
        match given(self.json()?) {
            Cow::Borrowed(text) => read_json(text, visitor).map_err(|fault| not_so(shape, &fault)),
            Cow::Owned(text) => {
                let value: serde_json::Value = serde_json::from_str(&text).map_err(|fault| not_so(shape, &fault))?;
                value.deserialize_any(visitor).map_err(|fault| not_so(shape, &fault))
            }
        }
    }

    /// Reads a map from JSON text. Its names are the caller's, so that all in it is given.
    pub(super) fn json_map<V: Visitor<'p>>(&self, visitor: V) -> Result<V::Value, DecodeError> {
        let must_be = format!("JSON, {}", &visitor as &dyn de::Expected);
        read_json(self.json()?, visitor).map_err(|_| DecodeError { must_be: must_be.into(), ..DecodeError::INVALID })
    }

    fn json(&self) -> Result<&'p str, DecodeError> {
        let text = self.scalar()?;
        if text.trim() == NULL { Err(DecodeError::EMPTY) } else { Ok(text) }
    }

    /// The elements of a flattened list, by number.
    pub(super) fn elements(self) -> Result<impl Iterator<Item = (u32, Node<'p>)>, DecodeError> {
        let mut elements = BTreeMap::new();
        for (name, value) in self.parts {
            let (number, tail) = name.split_once('.').map_or((name, None), |(number, tail)| (number, Some(tail)));
            let index: Option<u32> = number.parse().ok().filter(|index: &u32| *index > 0 && index.to_string() == number);
            let index = index.ok_or(DecodeError::must_be("numbered from 1, as in .1 and .2"))?;
            let element = elements.entry(index).or_insert_with(|| Node { text: None, parts: Vec::new() });
            match tail {
                None => element.set_text(value).map_err(|fault| fault.within(number))?,
                Some(tail) => element.parts.push((tail, value)),
            }
        }
        Ok(elements.into_iter())
    }

    /// The entries of a flattened map. Everything behind the first dot is the key, dots included, unless every part is the
    /// `Key` or `Value` of a number.
    pub(super) fn entries(self) -> Result<BTreeMap<&'p str, &'p str>, DecodeError> {
        let pairs = numbered_entries(&self.parts).unwrap_or(self.parts);
        let mut entries = BTreeMap::new();
        for (key, value) in pairs {
            if entries.insert(key, value).is_some_and(|other| other != value) {
                return Err(DecodeError::must_be("a map in which each name is given once, or with the same value each time"));
            }
        }
        Ok(entries)
    }
}

fn read_json<'p, V: Visitor<'p>>(text: &'p str, visitor: V) -> serde_json::Result<V::Value> {
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_any(visitor).and_then(|value| json.end().map(|()| value))
}

/// What JSON must be, and why it is not where that quotes no value: a name that is missing or not known, and what a type of ours says of its
/// own grammar.
fn not_so(shape: &str, fault: &serde_json::Error) -> DecodeError {
    let why = fault.to_string();
    let quotes = ["invalid ", "unknown variant "].iter().any(|begin| why.starts_with(begin));
    let must_be = if fault.is_data() && !quotes { format!("JSON, {shape} ({why})") } else { format!("JSON, {shape}") };
    DecodeError { must_be: must_be.into(), ..DecodeError::INVALID }
}

/// `1.Key=a`, `1.Value=b` as the pair a=b; none if the parts are not all of this form and in pairs.
fn numbered_entries<'p>(parts: &Pairs<'p>) -> Option<Pairs<'p>> {
    let mut halves: BTreeMap<&str, (Option<&'p str>, Option<&'p str>)> = BTreeMap::new();
    for &(name, value) in parts {
        let (number, half) = name.split_once('.')?;
        number.parse::<u32>().ok()?;
        let entry = halves.entry(number).or_default();
        let slot = match half {
            "Key" => &mut entry.0,
            "Value" => &mut entry.1,
            _ => return None,
        };
        if slot.replace(value).is_some_and(|other| other != value) {
            return None;
        }
    }
    halves.into_values().map(|(key, value)| key.zip(value)).collect()
}
