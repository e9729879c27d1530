//! KV version 2: values and their versions.
//!
//! Owns: the endpoints under `data`, `delete`, `undelete`, `destroy`, `subkeys` and `config`. Must not know: how versions are kept.
//! Called by: door.
//!
//! A value of this API is an object; the service keeps its JSON text. A value that came through another door and is none reads as
//! `{"value": …}`, as it came: bytes are Base64 there already.

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::api::versions::{
    DeleteVersions, DestroyVersions, MOST_VERSIONS, Numbered, NumberedValue, PatchVersion, Patched, ReadVersion,
    UndeleteVersions, VersionFacts, Versions, Which, WriteVersion, Written,
};
use crate::api::{Exchange, Mode, Operation, Request};
use crate::base::clock::Timestamp;
use crate::base::ids::SecretRef;
use crate::base::secret::{Plaintext, VALUE_BYTES};
use crate::dialects::vault::asked::{Asked, refusal};
use crate::dialects::vault::body::{Body, converting, whole};
use crate::dialects::vault::json;
use crate::dialects::vault::path::secret;
use crate::dialects::vault::reply::{Content, time, time_or_empty};
use crate::error::Error;
use crate::http::Method;

/// Bytes of a value at most, as through every door.
const LARGEST: usize = *VALUE_BYTES.end();

/// What Vault says of other paths of the mount, and of reading its root.
const NO_SUCH_PATH: &str =
    "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use.";
const NO_ROOT: &str = "Non-listing operations on the root of a K/V v2 mount are not supported.";

/// What it says where no versions are named, in its two spellings.
const NO_VERSIONS: &str = "No version number provided";
const NONE_TO_DESTROY: &str = "no version number provided";

/// An endpoint of the mount but for metadata.
pub fn endpoint(asked: &Asked<'_>, exchange: &Exchange<'_>, kind: &str, path: &str) -> Result<Content, Error> {
    let method = asked.method();
    let writes = matches!(method, Method::Post | Method::Put);
    let at_root = path.is_empty() && !asked.path.ends_with('/');
    match kind {
        "data" | "delete" | "undelete" | "destroy" | "subkeys" if at_root && method != Method::List => {
            nowhere(asked, exchange, NO_ROOT)
        }
        "data" => match method {
            Method::Get | Method::Head => read(asked, exchange, path),
            Method::Post | Method::Put => write(asked, exchange, path),
            Method::Patch => patch(asked, exchange, path),
            Method::Delete => withhold::<DeleteVersions>(asked, exchange, path, What::Current),
            Method::List => unsupported(asked, exchange),
        },
        "delete" if writes => withhold::<DeleteVersions>(asked, exchange, path, What::Listed(NO_VERSIONS)),
        "undelete" if writes => withhold::<UndeleteVersions>(asked, exchange, path, What::Listed(NO_VERSIONS)),
        "destroy" if writes => withhold::<DestroyVersions>(asked, exchange, path, What::Listed(NONE_TO_DESTROY)),
        "subkeys" if method == Method::Get => subkeys(asked, exchange, path),
        "config" if path.is_empty() => config(asked, exchange),
        "delete" | "undelete" | "destroy" | "subkeys" => unsupported(asked, exchange),
        _ => nowhere(asked, exchange, NO_SUCH_PATH),
    }
}

/// The refusal of a method.
pub fn unsupported(asked: &Asked<'_>, exchange: &Exchange<'_>) -> Result<Content, Error> {
    asked.for_bearer(exchange, "NoRoute", || Err(Error::MethodNotSupported))
}

/// The answer to a path that the mount does not have.
fn nowhere(asked: &Asked<'_>, exchange: &Exchange<'_>, warning: &str) -> Result<Content, Error> {
    asked.for_bearer(exchange, "NoRoute", || {
        let nothing = Content::secret_data(404, Zeroizing::new(b"null".to_vec()));
        Ok(nothing.warned(Some(warning.to_owned())))
    })
}

/// What is told of a version.
pub fn facts(version: &VersionFacts, tags: &Value, gone_at: Option<Timestamp>) -> Value {
    json!({
        "created_time": time(version.created_at),
        "custom_metadata": tags,
        "deletion_time": time_or_empty(version.deleted_at.or(gone_at)),
        "destroyed": version.destroyed,
        "version": version.number,
    })
}

/// Tags as custom metadata: null where there is none.
pub fn custom(tags: impl IntoIterator<Item = (String, String)>) -> Value {
    let tags: Map<String, Value> = tags.into_iter().map(|(key, value)| (key, Value::String(value))).collect();
    if tags.is_empty() { Value::Null } else { Value::Object(tags) }
}

/// The secret that is read, and which version: that of the query, the current one where it says none.
fn numbered(asked: &Asked<'_>, path: &str) -> Result<Numbered, Error> {
    let number = match asked.query("version").as_deref() {
        None | Some("") => None,
        Some(text) => {
            let number = text.parse::<i64>();
            let wrong = |_| {
                asked.bad(
                    "Field validation failed: error converting input for field \"version\": '' cannot parse value as 'int': \
                     strconv.ParseInt: invalid syntax",
                )
            };
            Some(number.map_err(wrong)?).filter(|number| *number > 0)
        }
    };
    Ok(Numbered { secret: secret(asked, path)?, number })
}

fn find(request: &Request<'_>, numbered: Numbered) -> Result<NumberedValue, Error> {
    let found = request.execute::<ReadVersion>(Ok(numbered), Mode::Real)?;
    // A secret that only has a name yet.
    if found.version.number == 0 { Err(Error::SecretNotFound) } else { Ok(found) }
}

/// The value as JSON of an object.
///
/// # Errors
/// [`Error::Internal`] for bytes that are no text, which no door takes.
fn as_object(value: &Plaintext) -> Result<Zeroizing<Vec<u8>>, Error> {
    let no_text = |_| Error::Internal("a value that is no text".to_owned());
    let text = std::str::from_utf8(value.expose()).map_err(no_text)?;
    Ok(if text.trim_ascii_start().starts_with('{') && json::members(text).is_some() {
        Zeroizing::new(text.trim_ascii().as_bytes().to_vec())
    } else {
        around(b"{\"value\":", &json::quoted(text), b"}")
    })
}

fn around(before: &[u8], middle: &[u8], behind: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(before.len() + middle.len() + behind.len()));
    for part in [before, middle, behind] {
        out.extend_from_slice(part);
    }
    out
}

fn read(asked: &Asked<'_>, exchange: &Exchange<'_>, path: &str) -> Result<Content, Error> {
    asked.as_bearer(exchange, "GetSecretValue", |request| {
        let mut found = find(request, numbered(asked, path)?)?;
        let metadata = facts(&found.version, &custom(std::mem::take(&mut found.tags)), found.gone_at).to_string();
        let behind = format!(",\"metadata\":{metadata}}}");
        let told = |status, data: &[u8]| Content::secret_data(status, around(b"{\"data\":", data, behind.as_bytes()));
        match &found.value {
            Some(value) => Ok(told(200, &as_object(value)?)),
            None => Err(asked.answers(told(404, b"null"), found.withheld())),
        }
    })
}

fn subkeys(asked: &Asked<'_>, exchange: &Exchange<'_>, path: &str) -> Result<Content, Error> {
    asked.as_bearer(exchange, "GetSecretValue", |request| {
        let depth = asked.query("depth").unwrap_or_default();
        let depth = if depth.is_empty() { Ok(0) } else { depth.parse::<u64>() };
        let depth = depth.map_err(|_| asked.bad("depth must be a whole number"))?;
        let mut found = find(request, numbered(asked, path)?)?;
        let metadata = facts(&found.version, &custom(std::mem::take(&mut found.tags)), found.gone_at).to_string();
        let before = format!("{{\"metadata\":{metadata},\"subkeys\":");
        let told = |status, keys: &[u8]| Content::secret_data(status, around(before.as_bytes(), keys, b"}"));
        match &found.value {
            Some(value) => {
                let object = as_object(value)?;
                let text = std::str::from_utf8(&object).map_err(|_| Error::Internal("JSON that is no text".to_owned()))?;
                Ok(told(200, &json::subkeys(text, depth).map_err(|unfit| asked.bad(unfit.why()))?))
            }
            None => Err(asked.answers(told(404, b"null"), found.withheld())),
        }
    })
}

/// The member `data` of a body, an object, and the compare-and-set beside it.
fn sent<'a>(asked: &Asked<'a>, body: &Body<'a>) -> Result<(&'a str, Option<i64>), Error> {
    let data = body.get("data").ok_or_else(|| asked.bad("no data provided"))?;
    if !data.starts_with('{') {
        return Err(converting(asked, "data", "map[string]interface {}", data));
    }
    let options = body.object(asked, "options")?.unwrap_or_default();
    // One that is there and says nothing, as null does, is 0: a write that wants no secret to be there must not replace one.
    let cas = options.get("cas").map(|value| if value.get() == "null" { Ok(None) } else { whole(value.get()) });
    let cas = cas.transpose().map_err(|()| asked.bad("error parsing check-and-set parameter"))?;
    Ok((data, cas.map(Option::unwrap_or_default)))
}

/// A value that was sent, in the one form, where it can be stored.
fn stored(value: Result<Zeroizing<Vec<u8>>, json::Unfit>) -> Result<Zeroizing<Vec<u8>>, Error> {
    let value = value.map_err(|unfit| refusal(unfit.why()))?;
    match value.len() {
        ..=LARGEST => Ok(value),
        length => Err(refusal(format!("the data is {length} bytes of JSON; at most {LARGEST} are stored"))),
    }
}

/// What a patch makes of a value, where it can be stored. The refusal says nothing of the value, which who patches need not be able to read:
/// a length would tell by how much a patch makes it longer.
fn patched(present: &str, changes: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    // What is wrong with the patch itself is told.
    json::normal(changes).map_err(|unfit| refusal(unfit.why()))?;
    let next = json::merged(present, changes).ok().filter(|next| next.len() <= LARGEST);
    next.ok_or_else(|| {
        refusal(format!(
            "what the patch makes of the data cannot be stored: at most {LARGEST} bytes of JSON and {} levels are, with names that are texts",
            json::DEEPEST
        ))
    })
}

/// The path of what is written.
fn written(asked: &Asked<'_>, path: &str) -> Result<SecretRef, Error> {
    if path.is_empty() || path.ends_with('/') {
        return Err(asked.bad("cannot write to a path ending in '/'"));
    }
    secret(asked, path)
}

/// The path of what is deleted: with a `/` behind it, it is the same.
pub fn removed(asked: &Asked<'_>, path: &str) -> Result<SecretRef, Error> {
    secret(asked, path.strip_suffix('/').unwrap_or(path))
}

fn write(asked: &Asked<'_>, exchange: &Exchange<'_>, path: &str) -> Result<Content, Error> {
    asked.as_bearer(exchange, "PutSecretValue", |request| {
        let (secret, body) = (written(asked, path)?, Body::of(asked)?);
        let (data, expected) = sent(asked, &body)?;
        let value = stored(json::normal(data))?;
        let value = Box::new(move || Plaintext::new(value.to_vec()));
        let added = request.execute::<WriteVersion>(Ok(Written { secret, value, expected }), Mode::Real)?;
        let told = facts(&added.version, &custom(added.tags), None);
        Ok(Content::data(&told).warned(body.ignored(&["data", "options", "version"])))
    })
}

fn patch(asked: &Asked<'_>, exchange: &Exchange<'_>, path: &str) -> Result<Content, Error> {
    asked.as_bearer(exchange, "PutSecretValue", |request| {
        merge_patch(asked)?;
        let (secret, body) = (written(asked, path)?, Body::of(asked)?);
        let (changes, expected) = sent(asked, &body)?;
        let changes = Zeroizing::new(changes.to_owned());
        let change = move |value: &Plaintext| {
            let present = as_object(value)?;
            let text = std::str::from_utf8(&present).map_err(|_| Error::Internal("JSON that is no text".to_owned()))?;
            Ok(Plaintext::new(patched(text, &changes)?.to_vec()))
        };
        let patched = Patched { secret, change: Box::new(change), expected };
        let added = request.execute::<PatchVersion>(Ok(patched), Mode::Real)?;
        let told = facts(&added.version, &custom(added.tags), None);
        Ok(Content::data(&told).warned(body.ignored(&["data", "options", "version"])))
    })
}

/// Refuses a patch in another form than the one that is served.
pub fn merge_patch(asked: &Asked<'_>) -> Result<(), Error> {
    const FORM: &str = "application/merge-patch+json";
    let given = asked.call.header("content-type").unwrap_or_default();
    let media = given.split(';').next().unwrap_or_default().trim();
    match media {
        "" => Err(asked.bad("mime: no media type")),
        media if media.eq_ignore_ascii_case(FORM) => Ok(()),
        media => {
            let text = format!("PATCH requires Content-Type of {FORM}, provided {media}");
            Err(asked.say(415, text.clone(), asked.bad(text)))
        }
    }
}

/// Of which versions an endpoint is.
enum What {
    /// The current one; a `/` behind the path means nothing.
    Current,
    /// Those that the body lists; what is said where it lists none.
    Listed(&'static str),
}

fn withhold<O>(asked: &Asked<'_>, exchange: &Exchange<'_>, path: &str, what: What) -> Result<Content, Error>
where
    O: Operation<Input = Versions, Response = ()>,
{
    asked.as_bearer(exchange, O::NAME, |request| {
        let versions = match what {
            What::Current => Versions { secret: removed(asked, path)?, which: Which::Current },
            What::Listed(without) => {
                let secret = written(asked, path)?;
                let numbers = Body::of(asked)?.numbers(asked, "versions")?;
                if numbers.is_empty() {
                    return Err(asked.bad(without));
                }
                Versions { secret, which: Which::Numbers(numbers) }
            }
        };
        request.execute::<O>(Ok(versions), Mode::Real)?;
        Ok(Content::Nothing)
    })
}

fn config(asked: &Asked<'_>, exchange: &Exchange<'_>) -> Result<Content, Error> {
    match asked.method() {
        Method::Get => asked.for_bearer(exchange, "DescribeMount", || {
            Ok(Content::data(&json!({"cas_required": false, "delete_version_after": "0s", "max_versions": MOST_VERSIONS})))
        }),
        Method::Post | Method::Put => asked.for_bearer(exchange, "ConfigureMount", || {
            // 0 is Vault's default, which is the same.
            unchanged(asked, &Body::of(asked)?, &[MOST_VERSIONS as i64, 0])?;
            Ok(Content::Nothing)
        }),
        _ => unsupported(asked, exchange),
    }
}

/// Refuses to set what cannot be set, unless it is set to what it is; `max_versions` are the numbers that mean it.
pub fn unchanged(asked: &Asked<'_>, body: &Body<'_>, max_versions: &[i64]) -> Result<(), Error> {
    if body.flag(asked, "cas_required")? == Some(true) || body.flag(asked, "metadata_cas_required")? == Some(true) {
        return Err(asked.bad("check-and-set cannot be required here; give cas with each write that needs it"));
    }
    if body.duration_ms(asked, "delete_version_after")?.is_some_and(|ms| ms != 0) {
        return Err(asked.bad("versions are not deleted after a time here"));
    }
    if body.number(asked, "max_versions")?.is_some_and(|most| !max_versions.contains(&most)) {
        let is = max_versions.first().copied().unwrap_or_default();
        let text = format!("{MOST_VERSIONS} versions of a secret are kept; max_versions must be {is} here, or absent");
        return Err(asked.bad(text));
    }
    Ok(())
}
