//! `bulla inventory`: every key version, as database and token know it, signed for auditors.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::admin::{check, signed};
use crate::app::{Base, Failure, Steps, context, system_keys};
use crate::audit;
use crate::base::clock::Clock;
use crate::base::ids::KeyVersionId;
use crate::base::regular;
use crate::base::whole_file::{self, Access};
use crate::cli::{Inventory, InventoryAction};
use crate::config::Config;
use crate::output::{Output, Row};
use crate::store::HeldVersion;

/// What the signature names the document.
const KIND: &str = "inventory";

/// Runs the command.
pub(super) fn run(asked: &Inventory, json: bool) -> Result<Output, Failure> {
    match (&asked.action, &asked.to) {
        (Some(InventoryAction::Verify { file, public_key }), _) => verify(file, public_key),
        (None, to) => {
            let config = crate::admin::load(&asked.place)?;
            let base = Base::open(&config)?;
            base.require_freshness(&config)?;
            let versions = versions(&config, &base)?;
            let document = document(&base, &versions)?;
            if let Some(file) = to {
                write_whole(file, &signed::sign(&base, KIND, &document)?).map_err(Failure::of_file(file))?;
                let count = versions.len();
                return Ok(Output::one([("File", file.display().to_string().into()), ("KeyVersions", count.into())]));
            }
            if json {
                return Ok(Output::Text("", signed::sign(&base, KIND, &document)?.trim_end().to_owned()));
            }
            Ok(Output::List(versions.iter().map(short).collect()))
        }
    }
}

/// Whole or not at all; what stood there stays until then. What is no file, as /dev/stdout, is written to where it stands.
fn write_whole(file: &Path, text: &str) -> std::io::Result<()> {
    if std::fs::metadata(file).is_ok_and(|there| !there.is_file()) {
        return std::fs::write(file, text);
    }
    let target = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    // As a file that is written anew: an auditor of another user reads it.
    whole_file::write(&target, text.as_bytes(), &Access::of_mode(0o644)).map(drop)
}

/// Every version of every key, and the objects that the token shows for it.
fn versions(config: &Config, base: &Base) -> Result<Vec<Value>, Failure> {
    let held: Vec<HeldVersion> = base.store.read_rows("inventory", |tx| tx.held_versions()).map_err(context("database"))?;
    let stop = i64::from(config.keys.stop_after_uses);
    held.iter().map(|version| told(base, version, stop)).collect()
}

fn told(base: &Base, held: &HeldVersion, stop: i64) -> Result<Value, Failure> {
    let HeldVersion { key, version, aliases, secrets, .. } = held;
    let objects = objects(base, &version.id)?;
    Ok(json!({
        "KeyVersionId": version.id.to_string(),
        "KeyId": key.id.to_string(),
        "Account": key.account_id.to_string(),
        "Spec": key.spec.to_string(),
        "Usage": key.usage.to_string(),
        "Origin": key.origin.to_string(),
        "State": key.state_at(Clock::System.now()).to_string(),
        "Primary": key.primary_version == version.id,
        "CreatedAt": version.created_at.with_ms(),
        "Uses": version.uses,
        "UsesLeft": (stop - version.uses).max(0),
        "Aliases": aliases,
        "Secrets": secrets,
        "OnToken": !objects.is_empty(),
        "Objects": objects,
    }))
}

/// The attributes of an object, as the token shows them.
fn objects(base: &Base, id: &KeyVersionId) -> Result<Vec<BTreeMap<String, String>>, Failure> {
    let objects = base.token.inspect(id).map_err(context(format!("token: {id}")))?;
    Ok(objects.into_iter().map(|object| object.attributes).collect())
}

/// The whole of it, on one line.
fn document(base: &Base, versions: &[Value]) -> Result<String, Failure> {
    let token = base.token.description().map_err(context("token"))?.token;
    let row = &base.deployment;
    let system: Result<Vec<Value>, Failure> = system_keys(row)
        .into_iter()
        .map(|(role, id, _)| Ok(json!({"Role": role, "Id": id.to_string(), "Objects": objects(base, &id)?})))
        .collect();
    let mut document = json!({
        "Kind": "bulla inventory 1",
        "Time": Clock::System.now().with_ms(),
        "Program": concat!("bulla ", env!("CARGO_PKG_VERSION")),
        "Deployment": row.id.to_string(),
        "Region": row.region.to_string(),
        "Token": {"Label": token.label, "Serial": token.serial, "Manufacturer": token.manufacturer, "Model": token.model},
        "SystemKeys": system?,
        "KeyVersions": versions,
    });
    if let Value::Object(members) = &mut document {
        let steps = check::told(&Steps::of(&base.token, row)?);
        members.extend(steps.into_iter().map(|(name, told)| (name.to_owned(), told)));
    }
    Ok(serde_json::to_string(&document)?)
}

/// A line for people.
fn short(version: &Value) -> Row {
    let member = |name: &str| version[name].clone();
    Output::row([
        ("KeyVersionId", member("KeyVersionId")),
        ("KeyId", member("KeyId")),
        ("Spec", member("Spec")),
        ("Origin", member("Origin")),
        ("State", member("State")),
        ("OnToken", member("OnToken")),
        ("UsesLeft", member("UsesLeft")),
        ("Secrets", member("Secrets")),
        ("Aliases", member("Aliases")),
    ])
}

fn verify(file: &Path, public_key: &Path) -> Result<Output, Failure> {
    let pem = regular::read(public_key).map_err(|e| Failure::local(e.to_string()).hint_of_file(public_key, e.kind()))?;
    let key = audit::public_key(&pem).ok_or_else(|| {
        let failure = Failure::local("the public key is no PEM text of a P-256 or RSA key");
        failure.hint("`bulla audit public-key` prints the one that proves inventories")
    })?;
    let signed = signed::read(file)?;
    let document: Value = serde_json::from_str(signed::prove(&signed, KIND, &key)?)?;
    let count = document["KeyVersions"].as_array().map_or(0, Vec::len);
    Ok(Output::one([
        ("Verdict", "signed by this key, and not changed since".into()),
        ("Deployment", document["Deployment"].clone()),
        ("Time", document["Time"].clone()),
        ("KeyVersions", count.into()),
        ("KeyFingerprint", crate::admin::audit::fingerprint(&pem).into()),
    ]))
}
