//! How parameters become a request struct: a serde `Deserializer` over the list of pairs.
//!
//! Owns: the rules below. Must not know: the structs. Called by: `Params::decode`.
//!
//! | in the struct | in the request |
//! |---|---|
//! | text, ids, words | `Name=text` |
//! | integer | decimal text |
//! | bool | `true` or `false` in any letter case (SDKs in Python send `True`) |
//! | list | `Name.1=…`, `Name.2=…` in any order, counted from 1; or JSON text in `Name` |
//! | struct | `Name.Field=…`; or JSON text in `Name` |
//! | map | `Name.key=…`; `Name.1.Key=…` with `Name.1.Value=…`; or JSON text in `Name` |
//!
//! Only names that a struct has are looked at. One name with two values is invalid, so is a parameter in two forms at once:
//! nothing is dropped silently. An empty value that does not fit the field's type counts as not sent, since old SDKs send what
//! their caller left out; where the field is required it is invalid.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapDeserializer, StrDeserializer};
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use crate::error::Error;

type Pairs<'p> = Vec<(&'p str, &'p str)>;

/// Reads a struct from pairs.
pub(super) fn decode<T: DeserializeOwned>(mut pairs: Pairs<'_>) -> Result<T, Error> {
    let mut dropped = Vec::new();
    loop {
        let fault = match T::deserialize(Node { text: None, parts: pairs.clone() }) {
            Ok(value) => return Ok(value),
            Err(fault) => fault,
        };
        match fault.problem {
            Problem::Missing if dropped.contains(&fault.name) => return Err(Error::InvalidParameter(fault.name)),
            Problem::Missing => return Err(Error::MissingParameter(fault.name)),
            Problem::Invalid => return Err(Error::InvalidParameter(fault.name)),
            Problem::Empty => {
                // Once more without it. Every turn takes at least one pair away, so this ends.
                let before = pairs.len();
                pairs.retain(|(name, value)| *name != fault.name || !value.is_empty());
                if pairs.len() == before {
                    return Err(Error::InvalidParameter(fault.name));
                }
                dropped.push(fault.name);
            }
        }
    }
}

/// What is wrong with a parameter, and which. Never holds a value: messages of serde, which quote values, are not kept.
#[derive(Debug)]
struct DecodeError {
    problem: Problem,
    /// The parameter's name, put together from its end as the error goes up.
    name: Cow<'static, str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Problem {
    Missing,
    Invalid,
    /// Invalid, and its text is empty.
    Empty,
}

impl DecodeError {
    const INVALID: DecodeError = DecodeError { problem: Problem::Invalid, name: Cow::Borrowed("") };

    /// The same error seen from one level up.
    fn within(self, segment: &str) -> Self {
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
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::INVALID
    }

    fn missing_field(field: &'static str) -> Self {
        Self { problem: Problem::Missing, name: field.into() }
    }
}

/// What stands under one name: its own text, and the parts whose names go on after a dot.
struct Node<'p> {
    text: Option<&'p str>,
    parts: Pairs<'p>,
}

impl<'p> Node<'p> {
    /// What stands under `segment` in these pairs, none if nothing does.
    fn pick(pairs: &Pairs<'p>, segment: &str) -> Result<Option<Self>, DecodeError> {
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
            Some(other) if other != value => Err(DecodeError::INVALID),
            _ => Ok(()),
        }
    }

    /// The text of a parameter that has no parts.
    fn scalar(&self) -> Result<&'p str, DecodeError> {
        self.text.filter(|_| self.parts.is_empty()).ok_or(DecodeError::INVALID)
    }

    /// An integer from decimal text.
    fn integer<T: std::str::FromStr>(&self) -> Result<T, DecodeError> {
        self.scalar()?.parse().map_err(|_| DecodeError::INVALID)
    }

    /// Reads a list, struct or map from JSON text.
    fn from_json<T>(
        &self,
        read: impl FnOnce(&mut serde_json::Deserializer<serde_json::de::StrRead<'p>>) -> serde_json::Result<T>,
    ) -> Result<T, DecodeError> {
        let mut json = serde_json::Deserializer::from_str(self.scalar()?);
        read(&mut json).and_then(|value| json.end().map(|()| value)).map_err(|_| DecodeError::INVALID)
    }

    /// The elements of a flattened list, by number.
    fn elements(self) -> Result<impl Iterator<Item = (u32, Node<'p>)>, DecodeError> {
        let mut elements = BTreeMap::new();
        for (name, value) in self.parts {
            let (number, tail) = name.split_once('.').map_or((name, None), |(number, tail)| (number, Some(tail)));
            let index: u32 = number.parse().ok().filter(|n| *n > 0).ok_or(DecodeError::INVALID)?;
            if index.to_string() != number {
                return Err(DecodeError::INVALID);
            }
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
    fn entries(self) -> Result<BTreeMap<&'p str, &'p str>, DecodeError> {
        let pairs = numbered_entries(&self.parts).unwrap_or(self.parts);
        let mut entries = BTreeMap::new();
        for (key, value) in pairs {
            if entries.insert(key, value).is_some_and(|other| other != value) {
                return Err(DecodeError::INVALID);
            }
        }
        Ok(entries)
    }
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

/// Reads one value; if that fails and its text is empty, the error says so.
fn read<'p, S: DeserializeSeed<'p>>(node: Node<'p>, seed: S) -> Result<S::Value, DecodeError> {
    let empty = node.text == Some("");
    seed.deserialize(node).map_err(|fault| match fault.problem {
        Problem::Invalid if empty => DecodeError { problem: Problem::Empty, ..fault },
        _ => fault,
    })
}

macro_rules! integers {
    ($($method:ident => $visit:ident,)*) => {$(
        fn $method<V: Visitor<'p>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            visitor.$visit(self.integer()?)
        }
    )*};
}

impl<'p> Deserializer<'p> for Node<'p> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'p>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_borrowed_str(self.scalar()?)
    }

    fn deserialize_bool<V: Visitor<'p>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.scalar()? {
            yes if yes.eq_ignore_ascii_case("true") => visitor.visit_bool(true),
            no if no.eq_ignore_ascii_case("false") => visitor.visit_bool(false),
            _ => Err(DecodeError::INVALID),
        }
    }

    integers! {
        deserialize_u8 => visit_u8,
        deserialize_u16 => visit_u16,
        deserialize_u32 => visit_u32,
        deserialize_u64 => visit_u64,
        deserialize_i8 => visit_i8,
        deserialize_i16 => visit_i16,
        deserialize_i32 => visit_i32,
        deserialize_i64 => visit_i64,
    }

    fn deserialize_option<V: Visitor<'p>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_some(self)
    }

    fn deserialize_unit_struct<V: Visitor<'p>>(self, _: &'static str, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'p>>(self, _: &'static str, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'p>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let text: StrDeserializer<'p, DecodeError> = self.scalar()?.into_deserializer();
        text.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_seq<V: Visitor<'p>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.text.is_some() {
            return self.from_json(|json| json.deserialize_seq(visitor));
        }
        visitor.visit_seq(Elements(self.elements()?))
    }

    fn deserialize_map<V: Visitor<'p>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.text.is_some() {
            return self.from_json(|json| json.deserialize_map(visitor));
        }
        visitor.visit_map(MapDeserializer::new(self.entries()?.into_iter()))
    }

    fn deserialize_struct<V: Visitor<'p>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if self.text.is_some() {
            return self.from_json(|json| json.deserialize_struct(name, fields, visitor));
        }
        visitor.visit_map(Fields { pairs: self.parts, fields: fields.iter(), next: None })
    }

    forward_to_deserialize_any! {
        <V: Visitor<'p>>
        i128 u128 f32 f64 char str string bytes byte_buf unit tuple tuple_struct identifier ignored_any
    }
}

/// The fields of a struct that were sent, in the struct's order.
struct Fields<'p> {
    pairs: Pairs<'p>,
    fields: std::slice::Iter<'static, &'static str>,
    next: Option<(&'static str, Node<'p>)>,
}

impl<'p> MapAccess<'p> for Fields<'p> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'p>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        for field in self.fields.by_ref() {
            if let Some(node) = Node::pick(&self.pairs, field).map_err(|fault| fault.within(field))? {
                self.next = Some((field, node));
                let name: StrDeserializer<'p, DecodeError> = field.into_deserializer();
                return seed.deserialize(name).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'p>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let (field, node) = self.next.take().ok_or(DecodeError::INVALID)?;
        read(node, seed).map_err(|fault| fault.within(field))
    }
}

/// The elements of a flattened list with their numbers.
struct Elements<I>(I);

impl<'p, I: Iterator<Item = (u32, Node<'p>)>> SeqAccess<'p> for Elements<I> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'p>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        let Some((number, node)) = self.0.next() else { return Ok(None) };
        read(node, seed).map(Some).map_err(|fault| fault.within(&number.to_string()))
    }
}
