//! A parameter whose text is JSON.
//!
//! Owns: reading it into a type. Called by: the request structs of operations.

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
                serde_json::from_str(text).map(Json).map_err(|_| E::custom("not the expected JSON"))
            }
        }
        d.deserialize_str(Text(PhantomData))
    }
}
