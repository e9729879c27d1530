//! The program, started by a line of shell that sets something up first: limits, standard error.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::BULLA;

/// A script in this folder that runs the program with its arguments: `setup`, then `exec bulla "$@"` with these redirections.
pub fn wrapped(folder: &Path, setup: &str, redirections: &str) -> PathBuf {
    let script = folder.join("bulla.sh");
    std::fs::write(&script, format!("#!/bin/sh\n{setup}\nexec {BULLA} \"$@\" {redirections}\n")).expect("a temporary folder");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("our own file");
    script
}
