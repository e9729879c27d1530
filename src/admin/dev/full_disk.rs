//! Disks that are full: what fails on one says so in many ways, of which SoftHSM's name no disk.
//!
//! Owns: what a failure says then. Must not know: what failed. Called by: `run`.

use std::path::Path;

use super::config_file;
use crate::app::Failure;
use crate::base::disk::free_bytes;
use crate::base::failure::Class;
use crate::config::Config;

/// A disk with less is full, bytes: token, database and audit log of a first start take some 700,000.
const LITTLE: u64 = 2 << 20;

/// The same failure; where the disk of the folder or of its database is full, with that as its reason. What has another of its own keeps it.
pub(super) fn named(failure: Failure, data: &Path) -> Failure {
    if !matches!(failure.class, Class::Other | Class::Local | Class::Unavailable) {
        return failure;
    }
    // As this start or an earlier one was told; none where it failed before it wrote that down.
    let database = Config::load(&config_file(data)).and_then(|config| config.database.location()).ok();
    let database = database.as_deref().and_then(|url| Path::new(url.strip_prefix("sqlite:")?).parent());
    let mut free = [Some(data), database].into_iter().flatten().filter_map(|folder| Some((folder, free_bytes(folder)?)));
    let Some((folder, left)) = free.find(|(_, left)| *left < LITTLE) else { return failure };
    let reason = format!("{}: the disk is full, {left} bytes are left: {failure}", folder.display());
    Failure::local(reason).hint(format!("make room for {LITTLE} bytes and more, or name a folder elsewhere with --data"))
}
