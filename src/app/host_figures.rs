//! Figures of what the service stands on at this host: certificates, the disk of the audit log.
//!
//! Owns: reading them, at each scrape. Called by: app::figures.

use std::path::{Path, PathBuf};

use crate::base::certificate;
use crate::config::Config;

/// What was read; none where it cannot be told.
#[derive(Default)]
pub(super) struct HostFigures {
    /// When the first certificate of the listener ends, Unix time, seconds.
    pub certificate_end: Option<i64>,
    /// Bytes of the files of the audit folder.
    pub audit_bytes: Option<u64>,
    /// Bytes that its file system has left.
    pub audit_free: Option<u64>,
}

/// Where to look.
pub(super) struct Host {
    certificate: Option<PathBuf>,
    audit: PathBuf,
}

impl Host {
    pub(super) fn new(config: &Config) -> Self {
        let certificate = config.server.tls.as_ref().map(|tls| tls.certificate_file.clone());
        Self { certificate, audit: config.audit.directory.clone() }
    }

    pub(super) fn figures(&self) -> HostFigures {
        HostFigures {
            certificate_end: self
                .certificate
                .as_deref()
                .and_then(|file| certificate::first_end(file).ok())
                .map(|end| end.0 / 1000),
            audit_bytes: bytes_in(&self.audit),
            audit_free: rustix::fs::statvfs(&self.audit).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
        }
    }
}

fn bytes_in(folder: &Path) -> Option<u64> {
    let files = std::fs::read_dir(folder).ok()?;
    Some(files.filter_map(|file| file.ok()?.metadata().ok()).filter(|m| m.is_file()).map(|m| m.len()).sum())
}
