//! `bulla audit`: proof of an audit log, and the key that it needs.

use std::path::{Path, PathBuf};

use crate::admin::output::Output;
use crate::admin::{load, output};
use crate::app::{Base, Failure, context};
use crate::audit;
use crate::cli::Audit;

/// Runs the command.
pub fn run(action: Audit) -> Result<(), Failure> {
    match action {
        Audit::PublicKey { place } => {
            let base = Base::open(&load(&place)?)?;
            let key = base.token.public_key(&base.deployment.aud_key).map_err(context("token: AUD"))?;
            output::line(key.to_pem().trim_end())
        }
        Audit::Verify { files, public_key, json } => {
            let key = std::fs::read(&public_key).map_err(context(public_key.display()))?;
            verify(&files, &key)?.print(json)
        }
    }
}

fn verify(files: &[PathBuf], key: &[u8]) -> Result<Output, Failure> {
    let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let report = audit::verify_files(&paths, key).map_err(context("the log does not verify"))?;
    Ok(Output::one([
        ("Lines", report.lines.to_string()),
        ("Checkpoints", report.checkpoints.to_string()),
        ("LinesAfterLastCheckpoint", report.unproven.to_string()),
        ("FirstTime", report.first_time),
        ("LastTime", report.last_time),
    ]))
}
