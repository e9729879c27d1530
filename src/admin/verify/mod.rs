//! `bulla verify`: proof of the whole store, beside a running service or on a copy.

mod values;

use std::time::Instant;

use crate::admin::audit;
use crate::app::{Base, Failure, context};
use crate::base::ids::KeyVersionId;
use crate::base::words::Origin;
use crate::config::Config;
use crate::error::Error;
use crate::keys::{Mismatch, mismatch};
use crate::output::Output;
use crate::output::progress::Progress;
use crate::store::{HeldVersion, Proof, Store, StoreError, StoreOptions};
use crate::token::{Material, ObjectKind, TokenError};

/// The most flaws that are listed; all are counted.
const LISTED: usize = 1000;

/// What is said of an object that looks like ours and has no row.
fn stranger(id: &KeyVersionId, label: &str) -> String {
    let system = ["bulla sys", "bulla int", "bulla aud", "bulla row"].into_iter().find(|role| label.starts_with(role));
    match system {
        Some(role) => {
            format!(
                "token: object {id} is a \"{role}\" and not this deployment's: another's, left by a `bulla init` that was killed \
                 (docs/operations.md, First start), or made to be taken for it"
            )
        }
        None => format!("token: object {id} looks like ours and has no row"),
    }
}

/// The CKA_LABEL of an object.
fn label(base: &Base, id: &KeyVersionId) -> Result<String, Failure> {
    let shown = base.token.inspect(id).map_err(context(format!("token: {id}")))?;
    Ok(shown.first().and_then(|object| object.attributes.get("CKA_LABEL")).cloned().unwrap_or_default())
}

/// The key versions whose object is not what it must be: made on the token, locked in, for its one use.
fn attributes(base: &Base) -> Result<Vec<String>, Failure> {
    let held = match base.store.read_rows("held", |tx| tx.held_versions()) {
        Ok(held) => held,
        // Which, the proof of the rows says.
        Err(StoreError::Corrupt { table, detail }) => {
            return Ok(vec![format!(
                "token: what keys are made of is not looked at, as a row of {table} does not verify: {detail}"
            )]);
        }
        Err(error) => return Err(context("database")(error)),
    };
    let mut flaws = Vec::new();
    for HeldVersion { key, version, .. } in held.into_iter().filter(HeldVersion::needs_object) {
        if key.origin == Origin::External {
            flaws.extend(imported(base, &version.id)?);
            continue;
        }
        let subject = || format!("token: key version {}", version.id);
        let material = Material::of(key.spec, key.usage).map_err(context(subject()))?;
        match base.token.prove_system_key(&version.id, ObjectKind::Cmk(material)) {
            // That it is not there is said already.
            Ok(()) | Err(TokenError::NoSuchKey(_)) => {}
            Err(error @ (TokenError::Unsupported(_) | TokenError::Duplicate(_))) => {
                flaws.push(format!("{}: {error}", subject()))
            }
            Err(error) => return Err(context(subject())(error)),
        }
    }
    Ok(flaws)
}

/// What is wrong with the object of imported material. It was outside before, so it is looked at from now on alone: that it is there, and
/// does not come out again.
fn imported(base: &Base, version: &KeyVersionId) -> Result<Vec<String>, Failure> {
    let subject = format!("token: imported material of key version {version}");
    let shown = base.token.inspect(version).map_err(context(&subject))?;
    if shown.is_empty() {
        return Ok(vec![format!("{subject} is gone")]);
    }
    let locked_in = [("CKA_EXTRACTABLE", "false"), ("CKA_SENSITIVE", "true")];
    let wrong = shown.iter().flat_map(|object| {
        locked_in.into_iter().filter(|(name, must)| object.attributes.get(*name).map(String::as_str) != Some(*must))
    });
    Ok(wrong.map(|(name, must)| format!("{subject}: {name} is not {must}")).collect())
}

/// How the database is opened for a proof.
pub(super) fn options(config: &Config) -> Result<StoreOptions, Failure> {
    Ok(StoreOptions::new(config.database.location()?))
}

/// Proves all rows, and says on the way how far it is.
pub(super) fn proof(store: &Store, options: &StoreOptions) -> Result<Proof, Failure> {
    let progress = Progress::new("proved", 0);
    let proof = store.prove(options, &mut |rows, all| progress.at(rows, all)).map_err(context("database"));
    progress.end();
    proof
}

/// Runs the command, and prints what it found. Every flaw is found, not the first.
pub fn run(config: &Config, open_data_keys: bool, json: bool) -> Result<(), Failure> {
    // Opening proves the system keys by attributes and label, and the deployment's row.
    let base = Base::open(config)?;
    let begun = Instant::now();
    let options = options(config)?;
    let proof = proof(&base.store, &options)?;
    let mut flaws: Vec<String> = proof.flaws.iter().map(ToString::to_string).collect();
    match base.contradiction(config) {
        Ok(why) => flaws.extend(why.map(|why| format!("freshness: {why}"))),
        Err(failure) => flaws.push(format!("freshness: it is not looked at: {}", failure.reason)),
    }
    match base.marks_beside_logs(config) {
        Ok(found) => flaws.extend(found),
        Err(failure) => flaws.push(format!("marks of writes: they are not looked at: {}", failure.reason)),
    }
    let objects = match mismatch(&base.token, &base.store, &base.deployment.objects()) {
        Ok(objects) => objects,
        Err(Error::Integrity(why)) => {
            flaws.push(format!("token: it is not compared with the database: {why}"));
            Mismatch::default()
        }
        Err(error) => return Err(Failure::new(format!("token and database cannot be compared: {error:?}"))),
    };
    flaws.extend(objects.without_object.iter().map(|id| format!("token: key version {id} has no object")));
    for id in &objects.without_row {
        let label = label(&base, id)?;
        // What a crash, or a restoration, has left of the key that is made anew.
        if !label.starts_with("bulla head") || base.token.prove_system_key(id, ObjectKind::Head).is_err() {
            flaws.push(stranger(id, &label));
        }
    }
    flaws.extend(attributes(&base)?);
    let opened =
        if open_data_keys { Some(values::open_all(&base, &objects.without_object, config.token.sessions)?) } else { None };
    flaws.extend(opened.iter().flat_map(|opened| opened.flaws.iter().cloned()));
    let mut lines: u64 = 0;
    match audit::Proof::of_deployment(config, &base) {
        Ok(logs) => {
            let (reports, broken) = logs.check();
            lines = reports.iter().map(|(_, report)| report.lines).sum();
            flaws.extend(broken.into_iter().map(|flaw| format!("audit: {flaw}")));
        }
        Err(failure) => flaws.push(format!("audit: {}", failure.reason)),
    }
    let count = flaws.len();
    flaws.truncate(LISTED);
    let mut found = Output::row([("Rows", proof.rows.into()), ("AuditLines", lines.into())]);
    if let Some(opened) = opened {
        found.extend([("OpenedValues", opened.opened.into()), ("ValuesWithoutMaterial", opened.without_material.into())]);
    }
    let seconds = begun.elapsed().as_secs();
    found.extend([("Seconds", seconds.into()), ("FlawCount", count.into()), ("Flaws", flaws.into())]);
    Output::One(found).print(json)?;
    match count {
        0 => Ok(()),
        count => Err(Failure::new(format!("the store does not verify; flaws: {count}"))),
    }
}
