//! A field of a value that is a JSON object.

use bulla_client::Value;
use serde_json::{Map, Value as Json};

use crate::base::failure::{Class, Failure};

/// The members of a value that is a JSON object.
///
/// # Errors
/// Where it is none. Its content is not in the words.
pub fn object(subject: &str, value: &Value) -> Result<Map<String, Json>, Failure> {
    match serde_json::from_slice(value.expose()) {
        Ok(Json::Object(members)) => Ok(members),
        _ => Err(Failure::new(format!("{subject}: the value is no JSON object, and so has no fields")).class(Class::Other)),
    }
}

/// One field: the member of that name, else, at each dot, a member of a member.
///
/// # Errors
/// Where there is none; the names that there are.
pub fn field(subject: &str, value: &Value, name: &str) -> Result<Value, Failure> {
    let members = object(subject, value)?;
    let found = members.get(name).or_else(|| {
        let mut parts = name.split('.');
        let first = members.get(parts.next()?)?;
        parts.try_fold(first, |at, part| match at {
            Json::Object(members) => members.get(part),
            Json::Array(items) => items.get(part.parse::<usize>().ok()?),
            _ => None,
        })
    });
    match found {
        Some(member) => Ok(Value::new(text(member).into_bytes())),
        None => {
            let mut names: Vec<&str> = members.keys().map(String::as_str).collect();
            names.sort_unstable();
            let failure = Failure::not_found(format!("{subject}: no field {name:?}"));
            Err(failure.hint(format!("there are: {}", names.join(", "))))
        }
    }
}

/// A member as a value: texts as they are, all else as JSON.
pub fn text(member: &Json) -> String {
    match member {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_by_name_and_by_path() {
        let value = Value::new(br#"{"user":"u","port":5432,"a.b":"whole","a":{"b":"deep","c":["x",{"d":null}]}}"#.to_vec());
        for (name, expected) in
            [("user", "u"), ("port", "5432"), ("a.b", "whole"), ("a.c.0", "x"), ("a.c.1", r#"{"d":null}"#), ("a.c.1.d", "null")]
        {
            assert_eq!(field("s", &value, name).expect(name).text(), Some(expected));
        }
        let missing = field("s", &value, "password").expect_err("none");
        assert_eq!(missing.class, Class::NotFound);
        assert_eq!(missing.hint.as_deref(), Some("there are: a, a.b, port, user"));
        let failure = object("s", &Value::new(b"hunter2".to_vec())).expect_err("no JSON");
        assert!(!failure.reason.contains("hunter2"));
    }
}
