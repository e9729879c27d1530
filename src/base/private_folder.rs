//! Folders that are made for one user.
//!
//! Owns: the mode that they get. Must not know: what they hold. Called by: whoever makes such a folder (audit, token, app, admin, remote).

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Makes a folder, and those above it that are not there, with mode 0700; leaves what is there as it is.
///
/// # Errors
/// What the file system says.
pub fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}
