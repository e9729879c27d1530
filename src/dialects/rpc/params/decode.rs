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
//! their caller left out, and so does `null` for what can be JSON text; where the field is required it is invalid.

use serde::de::value::{MapDeserializer, StrDeserializer};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::node::{DecodeError, NULL, Node, Pairs, Problem};
use super::{absent, invalid, invalid_since};
use crate::error::Error;

/// How many parameters may be empty that do not fit their type. Each costs a reading of all, and no operation has as many.
const MAX_EMPTY: usize = 24;

/// Reads a struct from pairs.
pub(super) fn decode<T: DeserializeOwned>(mut pairs: Pairs<'_>) -> Result<T, Error> {
    let mut dropped = Vec::new();
    loop {
        let fault = match T::deserialize(Node { text: None, parts: pairs.clone() }) {
            Ok(value) => return Ok(value),
            Err(fault) => fault,
        };
        match fault.problem {
            Problem::Missing if dropped.contains(&fault.name) => {
                return Err(invalid_since(fault.name, "It must not be empty."));
            }
            Problem::Missing => return Err(absent(fault.name)),
            Problem::Invalid if fault.must_be.is_empty() => return Err(invalid(fault.name)),
            Problem::Invalid => return Err(invalid_since(fault.name, format!("It must be {}.", fault.must_be))),
            Problem::Empty => {
                // Once more without it. Every turn takes at least one pair away, so this ends.
                let before = pairs.len();
                pairs.retain(|(name, value)| *name != fault.name || !(value.is_empty() || value.trim() == NULL));
                if pairs.len() == before || dropped.len() == MAX_EMPTY {
                    return Err(invalid(fault.name));
                }
                dropped.push(fault.name);
            }
        }
    }
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
            _ => Err(DecodeError::must_be("true or false")),
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
            return self.json_text("a list", visitor);
        }
        visitor.visit_seq(Elements(self.elements()?))
    }

    fn deserialize_map<V: Visitor<'p>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.text.is_some() {
            return self.json_map(visitor);
        }
        visitor.visit_map(MapDeserializer::new(self.entries()?.into_iter()))
    }

    fn deserialize_struct<V: Visitor<'p>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if self.text.is_some() {
            return self.json_text("an object", visitor);
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
