//! Disks: how much is left where a folder is.
//!
//! Owns: that question. Must not know: how much is enough. Called by: whoever writes files, and figures.

use std::path::Path;

/// Bytes that the file system of a folder has left for this service; none where it cannot be asked.
pub fn free_bytes(dir: &Path) -> Option<u64> {
    rustix::fs::statvfs(dir).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}
