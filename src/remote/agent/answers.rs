//! Reads of Vault's API as the agent's socket answers them, from values that are kept for a while (`bulla_client::Cache`).
//!
//! Owns: what is served, to whom, and in which form. Must not know: sockets. Called by: socket.

use bulla_client::{Cache, Error, SecretValue, Selector};
use serde::Serialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use zeroize::Zeroizing;

/// What is served, and to whom.
pub(super) struct Served {
    /// The values.
    pub(super) cache: Cache,
    /// User ids, beside root's and the agent's own.
    pub(super) users: Vec<u32>,
    /// Names; those that end with * are beginnings.
    pub(super) names: Vec<String>,
}

/// An answer: status and body.
pub(super) type Answer = (u16, Zeroizing<Vec<u8>>);

/// What a request for this target is answered with.
pub(super) fn answer(method: &str, target: &str, user: u32, served: &Served) -> Answer {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8();
    let Some(path) = decoded.ok().and_then(|path| path.strip_prefix("/v1/").map(str::to_owned)) else {
        return refusal(404, "no such path");
    };
    if method != "GET" && method != "HEAD" {
        return refusal(405, "this socket is for reading");
    }
    if path == "sys/health" {
        return (
            200,
            json_bytes(&json!({"initialized": true, "sealed": false, "standby": false, "version": env!("CARGO_PKG_VERSION")})),
        );
    }
    if let Some(below) = path.strip_prefix("sys/internal/ui/mounts/") {
        // What clients ask to learn which version of KV it is.
        return match below == "secret" || below.starts_with("secret/") {
            true => wrapped(&json!({"path": "secret/", "type": "kv", "options": {"version": "2"}})),
            false => refusal(403, "permission denied"),
        };
    }
    let Some(name) = path.strip_prefix("secret/data/") else { return refusal(404, "no such path: secret/data/NAME is served") };
    if !query.is_empty() {
        return refusal(400, "only the current version is served here");
    }
    if !served.names.iter().any(|known| covers(known, name)) {
        log::warn!("the user {user} asks for {name}, which is none of the socket's secrets");
        return refusal(403, "permission denied");
    }
    match served.cache.secret_value(name, &Selector::Current) {
        Ok(value) => shown(&value),
        // What is deleted is not there, as the server's own door says it.
        Err(Error::Refused(refused)) if refused.status == 404 || refused.code == "Rejected.ResourceInDeleteWindow" => {
            refusal(404, "")
        }
        Err(Error::Refused(refused)) if refused.status == 400 => refusal(400, &refused.to_string()),
        Err(Error::Refused(refused)) if refused.status == 403 => refusal(403, &format!("permission denied: {refused}")),
        Err(error) => refusal(503, &error.to_string()),
    }
}

/// Whether a pattern of the configuration means this name.
fn covers(known: &str, name: &str) -> bool {
    known.strip_suffix('*').map_or(known == name, |beginning| name.starts_with(beginning))
}

#[derive(Serialize)]
struct Shown<'a> {
    data: Box<RawValue>,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    created_time: &'a str,
    custom_metadata: Option<()>,
    deletion_time: &'a str,
    destroyed: bool,
    /// The API has ids of versions, and no numbers: 0 is none.
    version: u32,
    version_id: &'a str,
}

/// A value as the server's own second door shows it: an object as it was written, all else as its member `value`, bytes in Base64.
fn shown(value: &SecretValue) -> Answer {
    let text = value.data.text().filter(|_| !value.binary);
    let object = text.filter(|text| text.trim_start().starts_with('{'));
    let data = object.and_then(|text| serde_json::from_str::<Box<RawValue>>(text).ok());
    let other = || match text {
        Some(text) => to_raw_value(&json!({ "value": text })),
        None => to_raw_value(&json!({ "value": value.data.to_base64().text() })),
    };
    let Ok(data) = data.map_or_else(other, Ok) else { return refusal(500, "the value cannot be shown") };
    let metadata = Metadata {
        created_time: &value.created,
        custom_metadata: None,
        deletion_time: "",
        destroyed: false,
        version: 0,
        version_id: &value.version,
    };
    wrapped(&Shown { data, metadata })
}

/// An answer as Vault's API puts it.
fn wrapped(data: &impl Serialize) -> Answer {
    #[derive(Serialize)]
    struct Wrapped<'a, T> {
        request_id: String,
        lease_id: &'a str,
        renewable: bool,
        lease_duration: u32,
        data: &'a T,
        wrap_info: Option<()>,
        warnings: Option<()>,
        auth: Option<()>,
    }
    let request_id = uuid::Uuid::new_v4().to_string();
    let whole = Wrapped {
        request_id,
        lease_id: "",
        renewable: false,
        lease_duration: 0,
        data,
        wrap_info: None,
        warnings: None,
        auth: None,
    };
    (200, json_bytes(&whole))
}

/// A refusal, as Vault's API puts it.
pub(super) fn refusal(status: u16, reason: &str) -> Answer {
    let errors: Vec<&str> = if reason.is_empty() { Vec::new() } else { vec![reason] };
    (status, json_bytes(&json!({ "errors": errors })))
}

fn json_bytes(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    // What is serialised here has texts as keys, so it cannot fail.
    Zeroizing::new(serde_json::to_vec(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use bulla_client::Value;

    use super::*;

    fn value(data: &[u8], binary: bool) -> SecretValue {
        let created = "2026-01-01T00:00:00Z".to_owned();
        SecretValue {
            name: "n".into(),
            version: "v7".into(),
            stages: Vec::new(),
            data: Value::new(data.to_vec()),
            binary,
            created,
        }
    }

    #[test]
    fn values_are_shown_as_by_the_servers_door() {
        let data = |data: &[u8], binary| {
            let (status, body) = shown(&value(data, binary));
            assert_eq!(status, 200);
            let text = String::from_utf8(body.to_vec()).expect("text");
            text.split("\"data\":{\"data\":").nth(1).and_then(|rest| rest.split(",\"metadata\"").next()).map(str::to_owned)
        };
        assert_eq!(data(br#"{"a":1e3,"b":"x"}"#, false).as_deref(), Some(r#"{"a":1e3,"b":"x"}"#));
        assert_eq!(data(b"{no object", false).as_deref(), Some(r#"{"value":"{no object"}"#));
        assert_eq!(data(b"[1]", false).as_deref(), Some(r#"{"value":"[1]"}"#));
        assert_eq!(data(b"\x00\xff", true).as_deref(), Some(r#"{"value":"AP8="}"#));
    }

    #[test]
    fn names_and_beginnings() {
        for (known, name, expected) in [
            ("app/db", "app/db", true),
            ("app/db", "app/db2", false),
            ("app/*", "app/db", true),
            ("app/*", "application", false),
            ("*", "x", true),
        ] {
            assert_eq!(covers(known, name), expected, "{known} {name}");
        }
    }
}
