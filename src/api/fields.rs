//! Values with rules of their own that operations of several groups take: texts, numbers, flags.
//!
//! Owns: their bounds. Must not know: what operations do with them. Called by: api's operations.
//! A value that breaks its rule does not deserialise; the caller is told the parameter's name.

use std::str::FromStr;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serializer};

use crate::base::secret::Plaintext;
use crate::error::Error;

/// A text of the API's. An empty one is none: SDKs send what their caller left out.
#[derive(Debug)]
pub struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        if text.is_empty() { Err(D::Error::custom("a text")) } else { Ok(Self(text)) }
    }
}

/// A whole number in decimal text. A sign in front of a positive number is Rust's, not the API's.
pub fn whole_number<T: FromStr>(text: &str) -> Option<T> {
    if text.starts_with('+') { None } else { text.parse().ok() }
}

/// A description: at most 8,192 characters (CreateKey; the pages of secrets give no limit).
#[derive(Debug, Default)]
pub struct Description(pub String);

impl<'de> Deserialize<'de> for Description {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        if text.chars().count() <= 8192 { Ok(Self(text)) } else { Err(D::Error::custom("at most 8192 characters")) }
    }
}

/// A whole number from `MIN` to `MAX`, in decimal text.
#[derive(Debug, Clone, Copy)]
pub struct Bounded<const MIN: u32, const MAX: u32>(pub u32);

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Bounded<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        // Wider than it may be, so that a number below none is told its bounds too.
        let number = u32::try_from(i64::deserialize(d)?).ok().filter(|number| (MIN..=MAX).contains(number));
        number.map(Self).ok_or_else(|| D::Error::custom(format_args!("a number from {MIN} to {MAX}")))
    }
}

/// For `#[serde(serialize_with = "plaintext")]`: the one way in which a secret value becomes part of an answer.
///
/// # Errors
/// If the value is not UTF-8; values come in as text, so this is a fault of the service.
pub fn plaintext<S: Serializer>(value: &Plaintext, serializer: S) -> Result<S::Ok, S::Error> {
    match std::str::from_utf8(value.expose()) {
        Ok(text) => serializer.serialize_str(text),
        Err(_) => Err(serde::ser::Error::custom("a value that is not UTF-8")),
    }
}

/// True or false: in a JSON text as such or as text (BatchGetSecretValue), elsewhere as text; letter case does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag(pub bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Flag;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true or false")
            }

            fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Flag, E> {
                Ok(Flag(value))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Flag, E> {
                match text {
                    yes if yes.eq_ignore_ascii_case("true") => Ok(Flag(true)),
                    no if no.eq_ignore_ascii_case("false") => Ok(Flag(false)),
                    _ => Err(E::custom("true or false")),
                }
            }
        }
        d.deserialize_any(Either)
    }
}

/// Refuses an answer that only an attested enclave could read; giving it in the clear would be less than was asked for (Recipient).
///
/// # Errors
/// [`Error::Lacking`] where there is one.
pub fn no_recipient(recipient: Option<&String>) -> Result<(), Error> {
    match recipient {
        Some(text) if !text.is_empty() => Err(Error::Lacking("attestation of enclaves (Recipient)".into())),
        _ => Ok(()),
    }
}
