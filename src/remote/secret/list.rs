//! `bulla secret list` and `find`.

use std::collections::BTreeSet;

use bulla_client::secrets::Secret;
use serde_json::{Value as Json, json};

use super::super::{Session, failure};
use crate::base::failure::Failure;
use crate::output::{Output, Row, seen_in_line};

/// The names that begin so; a line each, for scripts. With `directories` one level of them, with `more` all that a list knows.
pub(super) fn names(session: &Session, prefix: &str, directories: bool, more: bool) -> Result<Output, Failure> {
    let found = session.client.list_secrets(prefix).map_err(failure(prefix))?;
    if directories {
        let level: BTreeSet<String> = found.iter().map(|secret| level(&secret.secret_name, prefix)).collect();
        return Ok(match more {
            true => Output::List(level.into_iter().map(|name| Output::row([("Name", name.into())])).collect()),
            false => lines(level),
        });
    }
    Ok(match more {
        true => Output::List(found.iter().map(row).collect()),
        false => lines(found.into_iter().map(|secret| secret.secret_name)),
    })
}

/// The secrets with a word in name or tags.
pub(super) fn find(session: &Session, word: &str, more: bool) -> Result<Output, Failure> {
    let word = word.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&word);
    let fits = |secret: &Secret| has(&secret.secret_name) || secret.tags().iter().any(|(key, value)| has(key) || has(value));
    let found: Vec<Secret> = session.client.list_secrets("").map_err(failure(""))?.into_iter().filter(fits).collect();
    Ok(match more {
        true => Output::List(found.iter().map(row).collect()),
        false => lines(found.into_iter().map(|secret| secret.secret_name)),
    })
}

fn lines(names: impl IntoIterator<Item = String>) -> Output {
    Output::Text("", names.into_iter().map(|name| seen_in_line(&name)).collect::<Vec<_>>().join("\n"))
}

fn row(secret: &Secret) -> Row {
    Output::row([
        ("SecretName", secret.secret_name.as_str().into()),
        ("SecretType", secret.secret_type.as_str().into()),
        ("CreateTime", secret.create_time.as_str().into()),
        ("UpdateTime", secret.update_time.as_str().into()),
        ("PlannedDeleteTime", secret.planned_delete_time.as_deref().map_or(Json::Null, Json::from)),
        ("Tags", tags(secret)),
    ])
}

/// The tags of a secret, as the API writes them.
pub(super) fn tags(secret: &Secret) -> Json {
    secret.tags().into_iter().map(|(key, value)| json!({ "TagKey": key, "TagValue": value })).collect()
}

/// The name up to the first slash behind the prefix.
fn level(name: &str, prefix: &str) -> String {
    match name[prefix.len()..].find('/') {
        Some(slash) => name[..=prefix.len() + slash].to_owned(),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_level() {
        for (name, prefix, expected) in
            [("a/b/c", "", "a/"), ("a/b/c", "a/", "a/b/"), ("a/b/c", "a/b/", "a/b/c"), ("a/b/c", "a", "a/"), ("x", "", "x")]
        {
            assert_eq!(level(name, prefix), expected);
        }
    }
}
