//! `bulla check`: what a start would refuse, and what will be wrong soon.

use serde_json::json;

use crate::app::{Base, context};
use crate::app::{Failure, Finding, MAKING_KEYS, Verdict, check};
use crate::base::ids::KeyVersionId;
use crate::config::Config;
use crate::keys::Mismatch;
use crate::output::{Output, Row};
use crate::token::{CanaryKey, ObjectKind};

/// Runs the command: takes every check, whatever the ones before found, and fails if any does.
pub fn run(config: &Config, json: bool) -> Result<Output, Failure> {
    let (findings, compared) = check(config);
    let count = |verdict| findings.iter().filter(|f| f.verdict == verdict).count();
    let (failed, warned) = (count(Verdict::Fail), count(Verdict::Warn));
    let mut row = Output::row([
        ("Passed", (failed == 0).into()),
        ("Failed", failed.into()),
        ("Warnings", warned.into()),
        ("Checks", findings.iter().map(shown).collect::<Vec<_>>().into()),
    ]);
    if let Some((base, mismatch)) = &compared {
        let Mismatch { without_row, without_object, half_made } = mismatch;
        row.extend(Output::row([
            ("Deployment", base.deployment.id.to_string().into()),
            ("Region", base.deployment.region.to_string().into()),
            ("ObjectsWithoutRow", list(without_row)),
            ("VersionsWithoutObject", list(without_object)),
            ("HalfMade", list(half_made)),
        ]));
        let makes = findings.iter().any(|f| f.name == MAKING_KEYS && f.verdict == Verdict::Ok);
        row.extend(token(base, makes)?);
    }
    let output = Output::Report { text: text(&findings), row };
    if failed == 0 {
        return Ok(output);
    }
    output.print(json)?;
    let first = findings.iter().find(|f| f.verdict == Verdict::Fail);
    let reason = match (failed, first) {
        (1, Some(first)) if first.found.starts_with(&format!("{}:", first.name)) => first.found.clone(),
        (1, Some(first)) => format!("{}: {}", first.name, first.found),
        _ => format!("{failed} of {} checks failed", findings.len()),
    };
    let failure = Failure::new(reason);
    Err(match first.and_then(|f| f.hint.clone()) {
        Some(hint) => failure.hint(hint),
        None => failure,
    })
}

/// What the token is like.
fn token(base: &Base, makes_keys: bool) -> Result<Row, Failure> {
    let steps = system_keys(base)?;
    let described = base.token.description().map_err(context("token"))?;
    Ok(Output::row([
        ("TokenMakesKeys", makes_keys.into()),
        ("TokenObjects", described.objects.into()),
        ("TokenFreePrivateBytes", described.token.free_private.into()),
        ("TokenFreePublicBytes", described.token.free_public.into()),
        ("Suite", base.deployment.suite.name().into()),
        ("RowMacRoot", steps.root.into()),
        ("AuditSignature", steps.audit.into()),
        ("SelfTestKey", steps.canary.into()),
        ("AttributesLeftOut", described.left_out.clone().into()),
    ]))
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Warn => "warn",
        Verdict::Fail => "FAIL",
        Verdict::Skipped => "-",
    }
}

fn shown(finding: &Finding) -> serde_json::Value {
    let Finding { name, verdict, found, hint } = finding;
    json!({ "Check": name, "Verdict": word(*verdict).to_ascii_lowercase().replace('-', "skipped"), "Found": found, "Hint": hint })
}

/// One line for each, and what to do below those that need it.
fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|f| f.name.len()).max().unwrap_or_default();
    let lines = findings.iter().map(|Finding { name, verdict, found, hint }| {
        let line = format!("{:<4}  {name:<width$}  {found}", word(*verdict));
        match hint {
            Some(hint) => format!("{line}\n      {:width$}  -> {hint}", ""),
            None => line,
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Which step of what it may be each part of the deployment stands on; docs/security.md says what the steps mean.
pub(super) struct Steps {
    pub(super) root: String,
    pub(super) audit: String,
    pub(super) canary: &'static str,
}

/// Proves the system keys by their attributes and labels, and says what they are.
pub(super) fn system_keys(base: &Base) -> Result<Steps, Failure> {
    let row = &base.deployment;
    let of = |name: &str, id: &KeyVersionId, kind| {
        let found = base.token.prove_system_key(id, kind).and_then(|()| base.token.inspect(id));
        let objects = found.map_err(context(format!("token: system key {name} ({id})")))?;
        let key_type = objects.iter().find_map(|object| object.attributes.get("CKA_KEY_TYPE").cloned());
        Ok::<_, Failure>(key_type.unwrap_or_default())
    };
    of("SYS", &row.sys_key, ObjectKind::Sys)?;
    let canary = match base.token.description().map_err(context("token"))?.canary {
        CanaryKey::Session => "a key of the session",
        CanaryKey::Object => "an object of its own",
        CanaryKey::SystemKey => "SYS: this user makes no keys",
    };
    of("INT", &row.int_key, ObjectKind::Int)?;
    Ok(Steps { root: of("ROW", &row.row_key, ObjectKind::Row)?, audit: of("AUD", &row.aud_key, ObjectKind::Aud)?, canary })
}

fn list(ids: &[KeyVersionId]) -> serde_json::Value {
    ids.iter().map(KeyVersionId::to_string).collect::<Vec<_>>().into()
}
