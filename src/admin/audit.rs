//! `bulla audit`: proof of an audit log, and the key that it needs.

use std::path::{Path, PathBuf};

use crate::admin::load;
use crate::admin::output::Output;
use crate::app::{Base, Failure, context};
use crate::audit;
use crate::cli::Audit;

/// Runs the command.
pub fn run(action: Audit) -> Result<Output, Failure> {
    match action {
        Audit::PublicKey { place } => {
            let base = Base::open(&load(&place)?)?;
            let key = base.token.public_key(&base.deployment.aud_key).map_err(context("token: AUD"))?;
            Ok(Output::Text("PublicKey", key.to_pem()))
        }
        Audit::Verify { files, public_key } => {
            let key = std::fs::read(&public_key).map_err(context(public_key.display()))?;
            verify(&files, &key)
        }
    }
}

fn verify(files: &[PathBuf], key: &[u8]) -> Result<Output, Failure> {
    let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let report = audit::verify_files(&paths, key).map_err(context("the log does not verify"))?;
    Ok(Output::one([
        ("Lines", report.lines.into()),
        ("Checkpoints", report.checkpoints.into()),
        ("LinesAfterLastCheckpoint", report.unproven.into()),
        ("FirstTime", report.first_time.into()),
        ("LastTime", report.last_time.into()),
    ]))
}
