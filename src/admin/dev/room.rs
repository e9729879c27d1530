//! Disks that are full: what fails on one says so in many ways, of which SoftHSM's name no disk.
//!
//! Owns: what a failure says then. Must not know: what failed. Called by: `run`.

use std::path::Path;

use crate::app::Failure;
use crate::audit::free_bytes;
use crate::base::failure::Class;

/// A disk with less is full, bytes: token, database and audit log of a first start take some 700,000.
const LITTLE: u64 = 2 << 20;

/// The same failure; where the disk of one of these folders is full, with that as its reason. What has another of its own keeps it.
pub(super) fn or_full(failure: Failure, folders: &[&Path]) -> Failure {
    if !matches!(failure.class, Class::Other | Class::Local | Class::Unavailable) {
        return failure;
    }
    let mut free = folders.iter().filter_map(|folder| Some((folder, free_bytes(folder)?)));
    let Some((folder, left)) = free.find(|(_, left)| *left < LITTLE) else { return failure };
    let reason = format!("{}: the disk is full, {left} bytes are left: {failure}", folder.display());
    Failure::local(reason).hint(format!("make room for {LITTLE} bytes and more, or name a folder elsewhere with --data"))
}
