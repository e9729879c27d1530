//! Whether the claims of a JWT are those that a role asks for.
//!
//! Owns: finding a claim, and comparing it. Must not know: signatures. Called by: jwt.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::logins::LoginError;

/// Whether each claim has one of its values. Texts, numbers and booleans are compared as they are written; of a list one member is enough.
///
/// # Errors
/// [`LoginError::Refused`] with the name of the first claim that does not fit, in Vault's words.
pub(super) fn check(claims: &Map<String, Value>, bound: &BTreeMap<String, Vec<String>>) -> Result<(), LoginError> {
    for (name, values) in bound {
        let refused = |what: &str| LoginError::Refused(format!("error validating claims: claim {name:?} {what}"));
        let claim = find(claims, name).ok_or_else(|| refused("is missing"))?;
        let fits = |value: &Value| match value {
            Value::String(text) => values.iter().any(|wanted| wanted == text),
            Value::Number(_) | Value::Bool(_) => values.contains(&value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => false,
        };
        let found = match claim {
            Value::Array(members) => members.iter().any(fits),
            one => fits(one),
        };
        if !found {
            return Err(refused("does not match any associated bound claim values"));
        }
    }
    Ok(())
}

/// The claim of this name, or at this JSON pointer.
fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let Some(pointer) = name.strip_prefix('/') else { return claims.get(name) };
    let decoded = |step: &str| step.replace("~1", "/").replace("~0", "~");
    let (first, rest) = match pointer.split_once('/') {
        Some((first, _)) => (first, &pointer[first.len()..]),
        None => (pointer, ""),
    };
    claims.get(&decoded(first))?.pointer(rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_by_name_and_by_pointer() {
        let claims = json!({
            "sub": "system:serviceaccount:prod:app", "groups": ["dev", "ops"], "n": 7, "admin": true, "none": null, "o": {},
            "kubernetes.io": { "namespace": "prod", "serviceaccount": { "name": "app" } }, "a/b": { "c~d": "x" },
        });
        let claims = claims.as_object().expect("an object");
        let told = |name: &str, values: &[&str]| {
            let values = values.iter().map(ToString::to_string).collect();
            check(claims, &BTreeMap::from([(name.to_owned(), values)]))
        };
        for (name, values) in [
            ("sub", &["other", "system:serviceaccount:prod:app"][..]),
            ("groups", &["ops"]),
            ("n", &["7"]),
            ("admin", &["true"]),
            ("/kubernetes.io/namespace", &["prod"]),
            ("/kubernetes.io/serviceaccount/name", &["app"]),
            ("/a~1b/c~0d", &["x"]),
            ("/groups/0", &["dev"]),
        ] {
            assert_eq!(told(name, values), Ok(()), "{name}");
        }
        for (name, values, what) in [
            ("sub", &["system:serviceaccount:prod"][..], "does not match any associated bound claim values"),
            ("groups", &["root", "devops"], "does not match any associated bound claim values"),
            ("none", &["null"], "does not match any associated bound claim values"),
            ("o", &["{}"], "does not match any associated bound claim values"),
            ("team", &["x"], "is missing"),
            ("/kubernetes.io/pod", &["x"], "is missing"),
            ("/sub/x", &["x"], "is missing"),
            ("", &["x"], "is missing"),
        ] {
            let expected = LoginError::Refused(format!("error validating claims: claim {name:?} {what}"));
            assert_eq!(told(name, values), Err(expected), "{name}");
        }
    }
}
