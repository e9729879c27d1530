//! A parameter whose text is JSON.
//!
//! Owns: reading it into a type, and saying what is wrong with it. Called by: the request structs of operations.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, DeserializeOwned, Deserializer, Visitor};

/// A parameter whose text is JSON, e.g. `Tags=[{"TagKey":"k","TagValue":"v"}]` as `Option<Json<Vec<Tag>>>`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Json<T>(pub T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Json<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Text<T>(PhantomData<T>);
        impl<T: DeserializeOwned> Visitor<'_> for Text<T> {
            type Value = Json<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Json<T>, E> {
                from_text("JSON", text).map(Json)
            }
        }
        d.deserialize_str(Text(PhantomData))
    }
}

/// Characters of what is said of a text.
const MAX_SHOWN_BYTES: usize = 240;

/// Reads JSON that is no secret; `what` it is to be, in words. The error tells place and reason, perhaps with a value of the caller's.
///
/// # Errors
/// Where it is no such JSON.
pub fn from_text<T: DeserializeOwned, E: de::Error>(what: &str, text: &str) -> Result<T, E> {
    serde_json::from_str(text).map_err(|fault| {
        let told: String = fault.to_string().chars().take(MAX_SHOWN_BYTES).collect();
        E::custom(format_args!("{what} ({told})"))
    })
}
