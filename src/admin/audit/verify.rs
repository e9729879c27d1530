//! `bulla audit verify`: what each log proves, from which line to which.

use super::{Proof, fingerprint};
use crate::app::Failure;
use crate::audit::{Log, Report};
use crate::output::{Output, Row};

/// Runs the command: one report for each log, then the first thing that does not hold, if any.
pub(super) fn run(proof: &Proof, json: bool) -> Result<Output, Failure> {
    let (reports, flaws) = proof.check();
    let output = Output::Each(shown(&reports, &proof.keys.public));
    if flaws.is_empty() {
        return Ok(output);
    }
    output.print(json)?;
    let hint = "keep these files and those that were shipped elsewhere; what stands before that line is as it was written";
    Err(Failure::new(format!("a log does not verify: {}", flaws.join("; "))).hint(hint))
}

/// What reports say, for people and programs. The line of `bulla init` says whose key it is that proves all of them.
pub(super) fn shown(reports: &[(&Log, Report)], key: &[u8]) -> Vec<Row> {
    let deployment = reports.iter().find_map(|(_, report)| report.deployment.as_deref());
    reports.iter().map(|(log, report)| row(log, report, deployment, key)).collect()
}

fn row(log: &Log, report: &Report, deployment: Option<&str>, key: &[u8]) -> Row {
    let proved = report.lines - report.unproven;
    let complete = report.first_seq == 1;
    let from = if complete {
        "its first line on".to_owned()
    } else {
        format!("line {} on; what was before is not here", report.first_seq)
    };
    Output::row([
        ("Log", log.name.as_str().into()),
        ("Node", log.node.as_str().into()),
        ("Deployment", deployment.map(str::to_owned).into()),
        ("Files", log.files.len().into()),
        ("Verdict", format!("proved {proved} of {} lines, from {from}", report.lines).into()),
        ("Complete", complete.into()),
        ("Lines", report.lines.into()),
        ("FirstLine", report.first_seq.into()),
        ("LastLine", report.last_seq.into()),
        ("LastProvedLine", report.proved.into()),
        ("LinesAfterLastCheckpoint", report.unproven.into()),
        ("Checkpoints", report.checkpoints.into()),
        ("Recoveries", report.recoveries.into()),
        ("TornBytes", report.torn_bytes.into()),
        ("Closed", report.closed.into()),
        ("FirstTime", report.first_time.as_str().into()),
        ("LastTime", report.last_time.as_str().into()),
        ("KeyFingerprint", fingerprint(key).into()),
    ])
}
