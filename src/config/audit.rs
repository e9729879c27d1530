//! `[audit]`: this node's log.

use std::path::PathBuf;

use serde::Deserialize;

use crate::audit::Receiver;

/// `[audit]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Folder of this node's audit files; no other node's.
    pub directory: PathBuf,
    /// A file that has grown so large is closed and the next begun, bytes.
    #[serde(default = "Audit::default_max_file_bytes")]
    pub max_file_bytes: u64,
    /// Refusals of unknown callers are not recorded one by one while the folder's file system has fewer bytes left: what is left is for
    /// those who are known.
    #[serde(default = "Audit::default_min_free_bytes")]
    pub min_free_bytes: u64,
    /// Where each line goes as well: `syslog`, or `unix:/PATH` of a stream socket. A receiver that is away costs nothing but delay.
    pub ship: Option<Receiver>,
}

impl Audit {
    fn default_max_file_bytes() -> u64 {
        256 * 1024 * 1024
    }

    fn default_min_free_bytes() -> u64 {
        64 * 1024 * 1024
    }
}
