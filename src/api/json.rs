//! A parameter whose text is JSON.
//!
//! Owns: reading it into a type, and saying what is wrong with it. Called by: the request structs of operations.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeOwned, Deserializer, MapAccess, Unexpected, Visitor};

use crate::base::raw_json::given;

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

/// A struct that is written as an object: a list of its members in their order, which a derived reader takes as well, is none.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }
        d.deserialize_map(Members(PhantomData))
    }
}

/// Characters of what is said of a text.
const MAX_SHOWN_BYTES: usize = 240;

/// Reads JSON that is no secret, but for what is not given in it ([`given`]); `what` it is to be, in words. The error tells place and
/// reason, perhaps with a value of the caller's.
///
/// # Errors
/// Where it is no such JSON. `null` is a unit in the place of a value, which a door may take for a parameter that was not given.
pub fn from_text<T: DeserializeOwned, E: de::Error>(what: &str, text: &str) -> Result<T, E> {
    not_null(what, text)?;
    serde_json::from_str(&given(text)).map_err(|fault| {
        let told: String = fault.to_string().chars().take(MAX_SHOWN_BYTES).collect();
        E::custom(format_args!("{what} ({told})"))
    })
}

/// Refuses `null`: clients in Go send it for a list or a map that is not set.
///
/// # Errors
/// A unit in the place of a value.
pub fn not_null<E: de::Error>(what: &str, text: &str) -> Result<(), E> {
    if text.trim() == "null" { Err(E::invalid_type(Unexpected::Unit, &what)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_none_that_is_written_as_a_list() {
        #[derive(Debug, Deserialize)]
        struct Rule {
            name: String,
        }
        let Object(rule): Object<Rule> = serde_json::from_str(r#"{"name":"a"}"#).expect("an object");
        assert_eq!(rule.name, "a");
        let refused = serde_json::from_str::<Object<Rule>>(r#"["a"]"#).expect_err("a list");
        assert!(refused.to_string().contains("expected an object"), "{refused}");
    }
}
