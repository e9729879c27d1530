//! What a token may do on a path, as Vault calls it.
//!
//! Owns: which permissions the methods of an endpoint need. Must not know: policies. Called by: sys.

use serde_json::{Map, Value, json};

use crate::api::tokens::{Capability, DescribeCapabilities, Need, Paths, Use};
use crate::api::{Exchange, Mode};
use crate::base::ids::{KeyRef, SecretRef};
use crate::dialects::vault::asked::Asked;
use crate::dialects::vault::body::Body;
use crate::dialects::vault::path::secret;
use crate::dialects::vault::reply::Content;
use crate::dialects::vault::transit;
use crate::error::Error;

/// `capabilities-self`
pub fn capabilities(asked: &Asked<'_>, exchange: &Exchange<'_>) -> Result<Content, Error> {
    asked.as_bearer(exchange, "DescribeCapabilities", |request| {
        let body = Body::of(asked)?;
        let list = |name: &str| match body.get(name) {
            None => Ok(Vec::new()),
            Some(text) if text.starts_with('[') => {
                serde_json::from_str::<Vec<String>>(text).map_err(|_| asked.bad("paths must be texts"))
            }
            // Several in one text, with commas.
            Some(_) => {
                let text = body.text(asked, name)?.unwrap_or_default();
                Ok(text.split(',').map(str::trim).filter(|path| !path.is_empty()).map(str::to_owned).collect())
            }
        };
        let (mut paths, more) = (list("paths")?, list("path")?);
        paths.extend(more);
        if paths.is_empty() {
            return Err(asked.bad("paths must be supplied"));
        }
        let wanted = Paths(paths.iter().map(|path| (path.clone(), on(asked, path))).collect());
        let found = request.execute::<DescribeCapabilities>(Ok(wanted), Mode::Real)?;
        let mut told: Map<String, Value> = found.iter().map(|(path, names)| (path.clone(), json!(names))).collect();
        if let [(_, only)] = found.as_slice() {
            told.insert("capabilities".to_owned(), json!(only));
        }
        Ok(Content::beside(&Value::Object(told.clone()), told))
    })
}

/// What may be done on a path, and what that needs. Nothing where there is no endpoint.
fn on(asked: &Asked<'_>, path: &str) -> Vec<Capability> {
    let path = path.trim_start_matches('/');
    let (mount, rest) = path.split_once('/').unwrap_or((path, ""));
    let (kind, below) = rest.split_once('/').unwrap_or((rest, ""));
    match mount {
        "sys" | "auth" => to_everybody(path.trim_end_matches('/')),
        _ if mount == asked.settings.kv_mount => in_kv(asked, kind, below),
        _ if mount == asked.settings.transit_mount => in_transit(asked, kind, below),
        _ => Vec::new(),
    }
}

fn capability(name: &'static str, needs: impl Into<Vec<Need>>) -> Capability {
    Capability { name, needs: needs.into() }
}

/// What a token is enough for.
fn to_everybody(path: &str) -> Vec<Capability> {
    let names: &[&'static str] = match path {
        "auth/token/lookup-self" => &["read", "update"],
        "auth/token/renew-self" | "auth/token/revoke-self" | "auth/token/create" | "sys/capabilities-self" => &["update"],
        "sys/health" | "sys/seal-status" | "sys/leader" | "sys/mounts" | "sys/internal/ui/mounts" => &["read"],
        _ if path.starts_with("sys/mounts/") && path.ends_with("/tune") => &["read", "update"],
        _ if path.starts_with("sys/internal/ui/mounts/") || path.starts_with("sys/mounts/") => &["read"],
        _ => &[],
    };
    names.iter().map(|name| capability(name, [])).collect()
}

fn in_kv(asked: &Asked<'_>, kind: &str, name: &str) -> Vec<Capability> {
    let list = || capability("list", [Need::Secrets("kms:ListSecrets")]);
    match (kind, name) {
        ("config", "") => return vec![capability("read", []), capability("update", [])],
        ("metadata", "") => return vec![list()],
        _ => {}
    }
    // Under other names there is nothing.
    let Ok(named) = secret(asked, name) else { return Vec::new() };
    let one = |name, action| capability(name, [Need::Secret(action, SecretRef::clone(&named))]);
    match kind {
        "data" => vec![
            capability("create", [Need::Secrets("kms:CreateSecret")]),
            one("delete", "kms:DeleteSecret"),
            one("patch", "kms:PutSecretValue"),
            one("read", "kms:GetSecretValue"),
            one("update", "kms:PutSecretValue"),
        ],
        "metadata" => vec![
            one("delete", "kms:DeleteSecret"),
            list(),
            one("patch", "kms:TagResource"),
            one("read", "kms:DescribeSecret"),
            one("update", "kms:TagResource"),
        ],
        "delete" | "destroy" => vec![one("update", "kms:DeleteSecret")],
        "undelete" => vec![one("update", "kms:RestoreSecret")],
        "subkeys" => vec![one("read", "kms:GetSecretValue")],
        _ => Vec::new(),
    }
}

fn in_transit(asked: &Asked<'_>, kind: &str, name: &str) -> Vec<Capability> {
    let (kind, name) = match (kind, name.split_once('/')) {
        ("datakey", Some((way @ ("plaintext" | "wrapped"), name))) => (way, name),
        ("datakey", _) => return Vec::new(),
        ("sign" | "verify" | "hmac", _) => (kind, transit::without_hash(name).0),
        _ => (kind, name),
    };
    let Ok(key) = transit::key(asked, name) else { return Vec::new() };
    let to_use = |purpose| Need::ToUse(purpose, KeyRef::clone(&key));
    let update = |purpose| capability("update", [to_use(purpose)]);
    match kind {
        "keys" => vec![capability("read", [Need::Key("kms:DescribeKey", KeyRef::clone(&key))])],
        "encrypt" => vec![update(Use::Encrypt)],
        "decrypt" => vec![update(Use::Decrypt)],
        "rewrap" => vec![capability("update", [to_use(Use::ReEncryptFrom), to_use(Use::ReEncryptTo)])],
        "plaintext" => vec![update(Use::GenerateDataKey)],
        "wrapped" => vec![update(Use::GenerateDataKeyWithoutPlaintext)],
        "sign" => vec![update(Use::AsymmetricSign)],
        "verify" => vec![update(Use::AsymmetricVerify), update(Use::VerifyMac)],
        "hmac" => vec![update(Use::GenerateMac)],
        _ => Vec::new(),
    }
}
