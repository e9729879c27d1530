//! KV version 2: what is known of a secret without its value, and lists of names.
//!
//! Owns: the endpoints under `metadata`. Must not know: how tags are kept. Called by: door.
//!
//! Custom metadata are the tags of a secret, and as those must be: what is written here can be changed through every door.

use serde_json::{Map, Value, json};

use crate::api::tags::MAX_TAGS;
use crate::api::tags::fields::{GRAMMAR, TagKey, TagValue};
use crate::api::versions::{DescribeVersions, Level, ListLevel, NumberedVersions, RemoveSecret, Retag, Retagged};
use crate::api::{Exchange, Mode};
use crate::dialects::vault::asked::Asked;
use crate::dialects::vault::body::{Body, converting};
use crate::dialects::vault::json::Members;
use crate::dialects::vault::kv::{custom, merge_patch, removed, unchanged, unsupported};
use crate::dialects::vault::path::secret;
use crate::dialects::vault::reply::{Content, time, time_or_empty};
use crate::error::Error;
use crate::http::Method;

/// An endpoint under `metadata`.
pub fn endpoint(asked: &Asked<'_>, exchange: &Exchange<'_>, path: &str) -> Result<Content, Error> {
    match asked.method() {
        Method::List => list(asked, exchange, path),
        // OpenBao's walk through all levels: no answer to it must look like that of an empty mount.
        Method::Get if asked.says("scan") => unsupported(asked, exchange),
        Method::Get | Method::Head => match asked.query("list").as_deref() {
            None | Some("" | "false" | "FALSE" | "False" | "f" | "F" | "0") => read(asked, exchange, path),
            Some(_) => asked.for_bearer(exchange, "NoRoute", || Err(asked.bad("list must be true or false"))),
        },
        Method::Post | Method::Put => write(asked, exchange, path, false),
        Method::Patch => write(asked, exchange, path, true),
        Method::Delete => asked.as_bearer(exchange, "DeleteSecret", |request| {
            request.execute::<RemoveSecret>(removed(asked, path), Mode::Real)?;
            Ok(Content::Nothing)
        }),
    }
}

fn list(asked: &Asked<'_>, exchange: &Exchange<'_>, path: &str) -> Result<Content, Error> {
    asked.as_bearer(exchange, "ListSecrets", |request| {
        let mut prefix = path.to_owned();
        if !prefix.is_empty() && !prefix.ends_with('/') {
            prefix.push('/');
        }
        // Names are ASCII; under anything else there is nothing.
        if !prefix.is_ascii() {
            prefix = "\u{1}".to_owned();
        }
        let level = Level { prefix, after: asked.query("after").unwrap_or_default(), limit: limit(asked)? };
        let keys = request.execute::<ListLevel>(Ok(level), Mode::Real)?;
        if keys.is_empty() { Err(Error::SecretNotFound) } else { Ok(Content::data(&json!({ "keys": keys }))) }
    })
}

/// How many names are wanted at most.
fn limit(asked: &Asked<'_>) -> Result<usize, Error> {
    match asked.query("limit").as_deref() {
        None | Some("") => Ok(usize::MAX),
        Some(text) => match text.parse::<i64>() {
            // As OpenBao: what is no positive number bounds nothing.
            Ok(number) => Ok(usize::try_from(number).ok().filter(|number| *number > 0).unwrap_or(usize::MAX)),
            Err(_) => Err(asked.bad(
                "Field validation failed: error converting input for field \"limit\": '' cannot parse value as 'int': \
                 strconv.ParseInt: invalid syntax",
            )),
        },
    }
}

fn read(asked: &Asked<'_>, exchange: &Exchange<'_>, path: &str) -> Result<Content, Error> {
    asked.as_bearer(exchange, "DescribeSecret", |request| {
        if path.is_empty() || path.ends_with('/') {
            return Err(Error::SecretNotFound);
        }
        let found = request.execute::<DescribeVersions>(secret(asked, path), Mode::Real)?;
        Ok(Content::data(&told(found)))
    })
}

fn told(found: NumberedVersions) -> Value {
    let NumberedVersions { versions, current, gone_at, tags, created_at, updated_at } = found;
    let numbered: Vec<_> = versions.iter().filter(|version| version.number > 0).collect();
    let oldest = numbered.iter().map(|version| version.number).min().filter(|number| *number > 1).unwrap_or(0);
    let mut each = Map::new();
    for version in numbered {
        let deleted_at = version.deleted_at.or(gone_at.filter(|_| version.number == current));
        let facts = json!({
            "created_time": time(version.created_at),
            "deletion_time": time_or_empty(deleted_at),
            "destroyed": version.destroyed,
        });
        each.insert(version.number.to_string(), facts);
    }
    json!({
        "cas_required": false,
        "created_time": time(created_at),
        "current_metadata_version": 0,
        "current_version": current,
        "custom_metadata": custom(tags),
        "delete_version_after": "0s",
        "max_versions": 0,
        "metadata_cas_required": false,
        "oldest_version": oldest,
        "updated_time": time(updated_at),
        "versions": each,
    })
}

/// The tags that custom metadata stand for; those without a value are to go.
fn tags(asked: &Asked<'_>, given: &Members<'_>) -> Result<Vec<(String, Option<String>)>, Error> {
    let pair = |(key, value): (&std::borrow::Cow<'_, str>, &&serde_json::value::RawValue)| {
        let value = match serde_json::from_str(value.get()) {
            Ok(Value::Null) => None,
            Ok(Value::String(text)) => Some(text),
            // A number or a boolean stands for its text.
            Ok(Value::Number(_) | Value::Bool(_)) => Some(value.get().to_owned()),
            _ => return Err(converting(asked, "custom_metadata", "string", value.get())),
        };
        // One that is to go need not be one that could be set.
        let is_tag = |value: &String| TagKey::try_from(key.to_string()).is_ok() && TagValue::try_from(value.clone()).is_ok();
        if !value.as_ref().is_none_or(is_tag) {
            return Err(asked.bad(format!("custom_metadata are tags: {GRAMMAR}")));
        }
        Ok((key.to_string(), value))
    };
    given.iter().map(pair).collect()
}

fn write(asked: &Asked<'_>, exchange: &Exchange<'_>, path: &str, patch: bool) -> Result<Content, Error> {
    asked.as_bearer(exchange, "TagResource", |request| {
        if patch {
            merge_patch(asked)?;
        }
        if path.is_empty() || path.ends_with('/') {
            return Err(asked.bad("cannot write to a path ending in '/'"));
        }
        let (secret, body) = (secret(asked, path)?, Body::of(asked)?);
        unchanged(asked, &body, &[0])?;
        if body.get("metadata_cas").is_some() {
            return Err(asked.bad("metadata have no versions here, with which metadata_cas could be compared; leave it out"));
        }
        let given = match body.object(asked, "custom_metadata")? {
            Some(given) => Some(tags(asked, &given)?),
            None if body.has("custom_metadata") => Some(Vec::new()),
            None => None,
        };
        let says_some = given.is_some();
        let replaces = !patch || body.get("custom_metadata").is_none();
        let change = move |had: Vec<(String, String)>| {
            let Some(given) = given.clone() else { return had };
            let mut tags = if replaces { Vec::new() } else { had };
            for (key, value) in given {
                tags.retain(|(name, _)| *name != key);
                tags.extend(value.map(|value| (key, value)));
            }
            tags
        };
        let retagged = Retagged { secret, change: Box::new(change), create: !patch && says_some };
        match request.execute::<Retag>(Ok(retagged), Mode::Real) {
            Ok(()) => Ok(Content::Nothing),
            // Nothing was to be written, and there is nothing to write it to: nothing has happened, as the record says.
            Err(error @ Error::SecretNotFound) if !patch && !says_some => Err(asked.answers(Content::Nothing, error)),
            Err(error @ Error::LimitExceeded { .. }) => {
                Err(asked.say(400, format!("custom_metadata are tags: a secret has {MAX_TAGS} at most"), error))
            }
            Err(error) => Err(error),
        }
    })
}
