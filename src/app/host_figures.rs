//! Figures of what the service stands on at this host: certificates, the disk of the audit log.
//!
//! Owns: reading them, at each scrape; of certificates, those that are offered. Called by: app::figures.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::disk::free_bytes;
use crate::config::Config;
use crate::http::Tls;

/// What was read; none where it cannot be told.
#[derive(Default)]
pub(super) struct HostFigures {
    /// When the first certificate that the listener offers ends, Unix time, seconds.
    pub certificate_end: Option<i64>,
    /// Bytes of the files of the audit folder.
    pub audit_bytes: Option<u64>,
    /// Bytes that its file system has left.
    pub audit_free: Option<u64>,
}

/// Where to look.
pub(super) struct Host {
    tls: Option<Arc<Tls>>,
    audit: PathBuf,
}

impl Host {
    pub(super) fn new(config: &Config, tls: Option<Arc<Tls>>) -> Self {
        Self { tls, audit: config.audit.directory.clone() }
    }

    pub(super) fn figures(&self) -> HostFigures {
        HostFigures {
            certificate_end: self.tls.as_ref().and_then(|tls| tls.certificate_end()).map(|end| end.0 / 1000),
            audit_bytes: bytes_in(&self.audit),
            audit_free: free_bytes(&self.audit),
        }
    }
}

fn bytes_in(folder: &Path) -> Option<u64> {
    let files = std::fs::read_dir(folder).ok()?;
    Some(files.filter_map(|file| file.ok()?.metadata().ok()).filter(|m| m.is_file()).map(|m| m.len()).sum())
}
