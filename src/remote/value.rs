//! A field of a value that is a JSON object.

use bulla_client::Value;

use crate::base::failure::{Class, Failure};
use crate::base::locale::t;
use crate::base::raw_json::{self, Members};

/// The members of a value that is a JSON object.
///
/// # Errors
/// Where it is none. Its content is not in the words.
pub fn object<'v>(subject: &str, value: &'v Value) -> Result<Members<'v>, Failure> {
    let members = value.text().and_then(|text| Members::of(text).ok());
    members.ok_or_else(|| {
        Failure::new(t!("%{subject}: the value is no JSON object, and so has no fields", subject = subject))
            .class(Class::Other)
            .hint(t!("leave the field out to read it whole; `bulla secret put` writes it whole"))
    })
}

/// One field: the member of that name, else, at each dot, a member of a member. Texts as they are, all else as JSON.
///
/// # Errors
/// Where there is none; the names that there are.
pub fn field(subject: &str, value: &Value, name: &str) -> Result<Value, Failure> {
    let there = object(subject, value)?;
    let found = there.get(name).or_else(|| {
        let mut parts = name.split('.');
        let first = there.get(parts.next()?)?;
        parts.try_fold(first, |at, part| match Members::of(at.get()) {
            Ok(below) => below.get(part),
            Err(_) => raw_json::items(at)?.get(part.parse::<usize>().ok()?).copied(),
        })
    });
    match found {
        Some(member) => match raw_json::text(member) {
            Some(text) => Ok(Value::new(text.as_bytes().to_vec())),
            None => {
                Err(Failure::local(t!("%{subject}: field %{name} is no text", subject = subject, name = format!("{name:?}"))))
            }
        },
        None => Err(no_field(subject, &there, name)),
    }
}

/// There is no such field; the names that there are.
pub fn no_field(subject: &str, there: &Members<'_>, name: &str) -> Failure {
    let mut names: Vec<&str> = there.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    let failure = Failure::not_found(t!("%{subject}: no field %{name}", subject = subject, name = format!("{name:?}")));
    failure.hint(t!("there are: %{names}", names = names.join(", ")))
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
        let exact = Value::new(br#"{"id":98765432109876543210,"ratio":0.10,"in":{"z": 1, "a":[1e3]}}"#.to_vec());
        for (name, expected) in [("id", "98765432109876543210"), ("ratio", "0.10"), ("in", r#"{"z":1,"a":[1e3]}"#)] {
            assert_eq!(field("s", &exact, name).expect(name).text(), Some(expected));
        }
        let missing = field("s", &value, "password").expect_err("none");
        assert_eq!(missing.class, Class::NotFound);
        assert_eq!(missing.hint.as_deref(), Some("there are: a, a.b, port, user"));
        let failure = object("s", &Value::new(b"hunter2".to_vec())).err().expect("no JSON");
        assert!(!failure.reason.contains("hunter2"));
    }
}
