//! A JSON object as the whole body of a request.
//!
//! Owns: its members as parameters. Must not know: which parameters there are. Called by: params.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Reading;
use crate::error::Error;

/// What is said of a body that is no such text.
const NO_OBJECT: Error =
    Error::MalformedRequest("A body of the type application/json must be one JSON object in UTF-8, without a byte order mark.");

/// The members of a JSON object, values as they stand in the source.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Key(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        d.deserialize_map(Object)
    }
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Adds the members of a JSON object: strings by their content, null not at all, everything else by its JSON text.
///
/// Strings are unescaped here and not by serde_json, whose scratch space for that is not wiped.
pub(super) fn read_object(body: &[u8], reading: &mut Reading) -> Result<(), Error> {
    let body = std::str::from_utf8(body).map_err(|_| NO_OBJECT)?;
    let Members(members) = serde_json::from_str(body).map_err(|_| NO_OBJECT)?;
    for (name, value) in members {
        let add_name = |out: &mut Vec<u8>| {
            out.extend_from_slice(name.as_bytes());
            Ok(())
        };
        let raw = value.get();
        match raw.strip_prefix('"').and_then(|tail| tail.strip_suffix('"')) {
            Some(escaped) => reading.pair(add_name, |out| unescape(escaped, out))?,
            None if raw == "null" => {}
            None => reading.pair(add_name, |out| {
                out.extend_from_slice(raw.as_bytes());
                Ok(())
            })?,
        }
    }
    Ok(())
}

/// Undoes the escapes of a JSON string (RFC 8259 section 7); the quotes are off already.
fn unescape(escaped: &str, out: &mut Vec<u8>) -> Result<(), Error> {
    let mut rest = escaped;
    while let Some((plain, tail)) = rest.split_once('\\') {
        out.extend_from_slice(plain.as_bytes());
        let mut after = tail.chars();
        let byte = match after.next() {
            Some(itself @ ('"' | '\\' | '/')) => itself,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let (character, tail) = unicode_escape(after.as_str()).ok_or(NO_OBJECT)?;
                after = tail.chars();
                character
            }
            _ => return Err(NO_OBJECT),
        };
        out.extend_from_slice(byte.encode_utf8(&mut [0; 4]).as_bytes());
        rest = after.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(())
}

/// The character after `\u` and the text behind it; two escapes for a surrogate pair, none for half of one.
fn unicode_escape(text: &str) -> Option<(char, &str)> {
    fn unit(text: &str) -> Option<(u16, &str)> {
        let (digits, tail) = text.split_at_checked(4)?;
        let hexadecimal = digits.bytes().all(|b| b.is_ascii_hexdigit());
        u16::from_str_radix(digits, 16).ok().filter(|_| hexadecimal).map(|unit| (unit, tail))
    }
    let (first, tail) = unit(text)?;
    if let Some(character) = char::from_u32(first.into()) {
        return Some((character, tail));
    }
    let (second, tail) = unit(tail.strip_prefix("\\u")?)?;
    let character = char::decode_utf16([first, second]).next()?.ok()?;
    Some((character, tail))
}
