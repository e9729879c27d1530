//! `bulla check`: what a start would refuse, and what will be wrong soon.

use serde_json::json;

use crate::app::{Base, context};
use crate::app::{Compared, Failure, Finding, MAKING_KEYS, Steps, Verdict, check};
use crate::base::ids::KeyVersionId;
use crate::config::Config;
use crate::keys::Mismatch;
use crate::output::{Output, Row};

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
    if let Some(Compared { base, mismatch, steps }) = &compared {
        let Mismatch { without_row, without_object, half_made } = mismatch;
        row.extend(Output::row([
            ("Deployment", base.deployment.id.to_string().into()),
            ("Region", base.deployment.region.to_string().into()),
            ("ObjectsWithoutRow", list(without_row)),
            ("VersionsWithoutObject", list(without_object)),
            ("HalfMade", list(half_made)),
        ]));
        let makes = findings.iter().any(|f| f.name == MAKING_KEYS && f.verdict == Verdict::Ok);
        row.extend(token(base, steps, makes)?);
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
fn token(base: &Base, steps: &Steps, makes_keys: bool) -> Result<Row, Failure> {
    let described = base.token.description().map_err(context("token"))?;
    let mut row = Output::row([
        ("TokenMakesKeys", makes_keys.into()),
        ("TokenObjects", described.objects.into()),
        ("TokenFreePrivateBytes", described.token.free_private.into()),
        ("TokenFreePublicBytes", described.token.free_public.into()),
    ]);
    row.extend(told(steps));
    Ok(row)
}

/// The steps that a deployment stands on, as `check` and `inventory` name them.
pub(super) fn told(steps: &Steps) -> Row {
    Output::row([
        ("Suite", steps.suite.into()),
        ("RowMacRoot", steps.root.clone().into()),
        ("AuditSignature", steps.audit.clone().into()),
        ("SelfTestKey", steps.canary.into()),
        ("AttributesLeftOut", steps.left_out.clone().into()),
        ("AttributesRefused", steps.refused.clone().into()),
    ])
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

fn list(ids: &[KeyVersionId]) -> serde_json::Value {
    ids.iter().map(KeyVersionId::to_string).collect::<Vec<_>>().into()
}
