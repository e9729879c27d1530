//! That one process at a time serves the folder of `bulla dev`.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::announce;
use crate::app::{Failure, context};

/// The file by which a process has a folder.
pub(super) fn file(folder: &Path) -> PathBuf {
    folder.join("dev.lock")
}

/// Takes the folder for this process alone, until the file is dropped or the process ends: of two that start on a new one each would make
/// a PIN and a token.
///
/// # Errors
/// `Conflict`, with the process that has it.
pub(super) fn hold(folder: &Path) -> Result<File, Failure> {
    let path = file(folder);
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(context(path.display()))?;
    match file.try_lock() {
        Ok(()) => {
            // Who it is, for whoever finds it held; a full disk is no reason not to start.
            let _ = file.set_len(0).and_then(|()| writeln!(&file, "{}", std::process::id()));
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => Err(served(folder, fs::read_to_string(&path).unwrap_or_default().trim())),
        Err(TryLockError::Error(e)) => Err(context(path.display())(e)),
    }
}

/// That another process serves the folder.
pub(super) fn served(folder: &Path, pid: &str) -> Failure {
    let failure = Failure::conflict(format!("another `bulla dev` (process {pid}) serves {}", folder.display()));
    failure.hint(announce::running(folder))
}
