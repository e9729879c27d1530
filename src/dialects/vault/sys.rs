//! What clients ask of the server itself: whether it is there, what is mounted.
//!
//! Owns: the endpoints under `sys`. Must not know: policies. Called by: door.

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::api::Exchange;
use crate::dialects::vault::asked::Asked;
use crate::dialects::vault::body::{Body, plain};
use crate::dialects::vault::capabilities::capabilities;
use crate::dialects::vault::kv::unsupported;
use crate::dialects::vault::reply::Content;
use crate::error::Error;
use crate::http::{Method, Reply};

/// What clients are told that this is: some refuse what is no semantic version.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "+bulla");

/// Health, seal status and leader: asked often, and without a token; nothing is recorded of them.
pub fn unrecorded(asked: &Asked<'_>) -> Option<Reply> {
    let sealed = (asked.settings.sealed)();
    let path = asked.path.trim_end_matches('/');
    let content = match (path, asked.method()) {
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
        ("sys/init", Method::Get) => Content::Plain(200, json!({ "initialized": true })),
        ("sys/health" | "sys/seal-status" | "sys/leader" | "sys/init", _) => Content::Plain(405, json!({ "errors": [] })),
        _ => return None,
    };
    Some(content.reply(&asked.call.request_id))
}

fn health(asked: &Asked<'_>, sealed: bool) -> Content {
    let code = |name: &str, usual: u16| match asked.query(name) {
        None => Some(usual),
        Some(code) => code.parse().ok().filter(|code| (200..600).contains(code)),
    };
    let (Some(active), Some(of_sealed)) = (code("activecode", 200), code("sealedcode", 503)) else {
        return Content::Plain(400, json!({ "errors": [] }));
    };
    let status = if sealed { of_sealed } else { active };
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
    let method = asked.method();
    let (reads, writes) = (method == Method::Get, matches!(method, Method::Post | Method::Put));
    let path = if path.starts_with("internal/ui/mounts/") { path } else { path.trim_end_matches('/') };
    match path.split('/').collect::<Vec<_>>().as_slice() {
        ["internal", "ui", "mounts"] | ["internal", "ui", "mounts", ""] if reads => {
            asked.for_bearer(exchange, "DescribeMounts", || Ok(Content::data(&json!({ "secret": mounts(asked), "auth": {} }))))
        }
        ["internal", "ui", "mounts", of @ ..] if reads => {
            asked.for_bearer(exchange, "DescribeMount", || mount_of(asked, &of.join("/")))
        }
        ["mounts"] if reads => asked.for_bearer(exchange, "DescribeMounts", || {
            let mounts = mounts(asked);
            Ok(Content::beside(&Value::Object(mounts.clone()), mounts))
        }),
        ["mounts", name] if reads => asked.for_bearer(exchange, "DescribeMount", || {
            let mount = mounts(asked).remove(&format!("{name}/")).ok_or_else(|| no_mount(asked, name))?;
            Ok(beside(mount))
        }),
        ["mounts", name, "tune"] if reads || writes => asked.for_bearer(exchange, "DescribeMount", || {
            let mount = mounts(asked).remove(&format!("{name}/")).ok_or_else(|| no_mount(asked, name))?;
            if writes { tuned(asked, &mount) } else { Ok(beside(tuning(&mount))) }
        }),
        ["capabilities-self"] if writes => capabilities(asked, exchange),
        ["internal", "ui", "mounts", ..] | ["mounts"] | ["capabilities-self"] => unsupported(asked, exchange),
        ["mounts" | "wrapping" | "leases", _, ..] => asked.for_bearer(exchange, "NoRoute", || Err(unchangeable(asked))),
        _ => asked.no_route(exchange),
    }
}

fn unchangeable(asked: &Asked<'_>) -> Error {
    let text = "unsupported operation: mounts cannot be changed here, and there are no leases and no wrapped answers";
    asked.say(400, text, Error::UnsupportedOperation("mounts are those of the configuration"))
}

fn no_mount(asked: &Asked<'_>, name: &str) -> Error {
    asked.bad(format!("No secret engine mount at {name}/"))
}

/// Members as data, and beside it.
fn beside(told: Value) -> Content {
    let members = told.as_object().cloned().unwrap_or_default();
    Content::beside(&told, members)
}

/// What can be set of a mount elsewhere.
fn tuning(mount: &Value) -> Value {
    let mut told = mount["config"].clone();
    told["description"] = mount["description"].clone();
    told["options"] = mount["options"].clone();
    told
}

/// Sets of a mount what it is already: clients make sure so that it is of KV version 2.
fn tuned(asked: &Asked<'_>, mount: &Value) -> Result<Content, Error> {
    let body = Body::of(asked)?;
    let options = body.object(asked, "options")?.unwrap_or_default();
    let is_set = |(name, value): (&Cow<'_, str>, &&RawValue)| mount["options"][name.as_ref()] == *plain(value.get());
    // Those of `bao kv enable-versioning`, which says nothing by them.
    let lasts = |name: &str| Ok::<_, Error>(body.duration_ms(asked, name)?.unwrap_or(0) != 0);
    let described = body.text(asked, "description")?.is_some_and(|text| !text.is_empty() && mount["description"] != *text);
    let changes = lasts("default_lease_ttl")?
        || lasts("max_lease_ttl")?
        || body.flag(asked, "force_no_cache")? == Some(true)
        || described
        || !options.iter().all(is_set);
    const KNOWN: [&str; 5] = ["options", "default_lease_ttl", "max_lease_ttl", "force_no_cache", "description"];
    let others = body.into_members().into_keys().any(|name| !KNOWN.contains(&&*name));
    if changes || others { Err(unchangeable(asked)) } else { Ok(Content::Nothing) }
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
