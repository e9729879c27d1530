//! What clients ask of the server itself: whether it is there, what is mounted.
//!
//! Owns: the endpoints under `sys`. Must not know: policies. Called by: door.

use serde_json::{Map, Value, json};

use crate::api::Exchange;
use crate::dialects::vault::asked::Asked;
use crate::dialects::vault::capabilities::capabilities;
use crate::dialects::vault::reply::Content;
use crate::error::Error;
use crate::http::{Method, Reply};

/// What clients are told that this is: some refuse what is no semantic version.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "+bulla");

/// Health, seal status and leader: asked often, and without a token; nothing is recorded of them.
pub fn unrecorded(asked: &Asked<'_>) -> Option<Reply> {
    let sealed = (asked.settings.sealed)();
    let path = asked.path.trim_end_matches('/');
    let content = match (path, asked.call.method) {
        ("sys/health", Method::Get | Method::Head) => health(asked, sealed),
        ("sys/seal-status", Method::Get) => Content::Plain(
            200,
            json!({
                "type": "pkcs11", "initialized": true, "sealed": sealed, "t": 0, "n": 0, "progress": 0, "nonce": "",
                "version": VERSION, "build_date": "", "migration": false, "cluster_name": "", "cluster_id": "",
                "recovery_seal": false, "storage_type": "database",
            }),
        ),
        ("sys/leader", Method::Get) => Content::Plain(200, json!({ "ha_enabled": false })),
        ("sys/health" | "sys/seal-status" | "sys/leader", _) => Content::Plain(405, json!({ "errors": [] })),
        _ => return None,
    };
    Some(content.reply(&asked.call.request_id))
}

fn health(asked: &Asked<'_>, sealed: bool) -> Content {
    let code = |name: &str, usual: u16| {
        let given = asked.query(name).and_then(|code| code.parse().ok());
        given.filter(|code| (200..600).contains(code)).unwrap_or(usual)
    };
    let status = if sealed { code("sealedcode", 503) } else { code("activecode", 200) };
    let told = json!({
        "initialized": true, "sealed": sealed, "standby": false, "performance_standby": false,
        "replication_performance_mode": "disabled", "replication_dr_mode": "disabled",
        "server_time_utc": asked.call.arrival.at().0.div_euclid(1000),
        "version": VERSION, "cluster_name": "", "cluster_id": "",
    });
    Content::Plain(status, told)
}

/// The other endpoints under `sys`.
pub fn endpoint(asked: &Asked<'_>, exchange: &Exchange<'_>, path: &str) -> Result<Content, Error> {
    let method = asked.call.method;
    let writes = matches!(method, Method::Post | Method::Put);
    if let Some(of) = path.strip_prefix("internal/ui/mounts/").filter(|_| method == Method::Get) {
        return asked.for_bearer(exchange, "DescribeMount", || mount_of(asked, of));
    }
    match path.trim_end_matches('/') {
        "internal/ui/mounts" if method == Method::Get => {
            asked.for_bearer(exchange, "DescribeMounts", || Ok(Content::data(&json!({ "secret": mounts(asked), "auth": {} }))))
        }
        "mounts" if method == Method::Get => asked.for_bearer(exchange, "DescribeMounts", || {
            let mounts = mounts(asked);
            Ok(Content::beside(&Value::Object(mounts.clone()), mounts))
        }),
        "capabilities-self" if writes => capabilities(asked, exchange),
        path if path.starts_with("mounts/") || path.starts_with("wrapping/") || path.starts_with("leases/") => asked
            .for_bearer(exchange, "NoRoute", || {
                let text =
                    "unsupported operation: mounts cannot be changed here, and there are no leases and no wrapped answers";
                Err(asked.say(400, text, Error::UnsupportedOperation("mounts are those of the configuration")))
            }),
        _ => {
            asked.names(exchange, "NoRoute", None);
            Err(asked.no_route())
        }
    }
}

fn mount(kind: &str, description: &str, options: &Value) -> Value {
    json!({
        "accessor": format!("{kind}_bulla"), "config": { "default_lease_ttl": 0, "force_no_cache": false, "max_lease_ttl": 0 },
        "description": description, "external_entropy_access": false, "local": false, "options": options,
        "plugin_version": "", "running_plugin_version": "", "running_sha256": "", "seal_wrap": false, "type": kind, "uuid": "",
    })
}

fn mounts(asked: &Asked<'_>) -> Map<String, Value> {
    let kv = mount("kv", "secrets of the account", &json!({ "version": "2" }));
    let transit = mount("transit", "master keys of the account", &Value::Null);
    let named = |name: &str, mount| (format!("{name}/"), mount);
    [named(&asked.settings.kv_mount, kv), named(&asked.settings.transit_mount, transit)].into_iter().collect()
}

/// The mount that a path is under.
fn mount_of(asked: &Asked<'_>, path: &str) -> Result<Content, Error> {
    let name = path.split('/').next().unwrap_or_default();
    let Some(mut mount) = mounts(asked).remove(&format!("{name}/")) else {
        // Not 404, upon which clients take the mount for one of KV version 1.
        let shown = if path.ends_with('/') { path.to_owned() } else { format!("{path}/") };
        let text =
            format!("preflight capability check returned 403, please ensure client's policies grant access to path {shown:?}");
        return Err(asked.say(403, text, Error::PathNotFound));
    };
    mount["path"] = format!("{name}/").into();
    Ok(Content::data(&mount))
}
