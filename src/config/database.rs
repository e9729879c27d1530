//! `[database]`: where everything but the keys is.

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::files::{ConfigError, anchor};

/// `[database]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `sqlite:PATH` or `postgresql://…`; this or `url_file`.
    pub url: Option<String>,
    /// File that holds the URL, where the URL holds a password.
    pub url_file: Option<PathBuf>,
    /// Connections for reading (SQLite: beside the one that writes; PostgreSQL: connections in all).
    #[serde(default = "Database::default_connections")]
    pub connections: u32,
    /// Longest wait for a connection, ms.
    #[serde(default = "Database::default_wait_ms")]
    pub wait_ms: u64,
    /// Plain connections to PostgreSQL over a network, where nobody else is on the way; as `sslmode=disable` in the URL.
    #[serde(default)]
    pub plain: bool,
    /// The share of a core, per cent, that comparing the secrets with their digests may take; 100 at most.
    #[serde(default = "Database::default_check_percent")]
    pub check_percent: NonZeroU32,
    /// Whether every read of a secret is compared with its digest: about 60 bytes of memory a secret, and two more queries a read.
    #[serde(default)]
    pub exact_secrets: bool,
    /// Whether `bulla serve` applies new migrations by itself; otherwise it refuses to start until `bulla migrate` has.
    #[serde(default)]
    pub migrate_at_start: bool,
}

impl Database {
    fn default_connections() -> u32 {
        8
    }

    fn default_wait_ms() -> u64 {
        2_000
    }

    fn default_check_percent() -> NonZeroU32 {
        const { NonZeroU32::new(5).expect("not zero") }
    }

    pub(super) fn anchor(&mut self, folder: &Path) {
        self.url_file.iter_mut().for_each(|file| anchor(file, folder));
        if let Some(path) = self.url.as_deref().and_then(|url| url.strip_prefix("sqlite:")).filter(|path| !path.is_empty()) {
            let mut path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            anchor(&mut path, folder);
            self.url = path.to_str().map(|path| format!("sqlite:{path}"));
        }
    }

    /// The URL, which says so where plain connections were chosen.
    fn with_plain(&self, url: &str) -> String {
        if !self.plain || !url.starts_with("postgres") || url.contains("sslmode=") {
            return url.to_owned();
        }
        let and = if url.contains('?') { '&' } else { '?' };
        format!("{url}{and}sslmode=disable")
    }

    /// The database's URL.
    ///
    /// # Errors
    /// When none is named or its file cannot be read.
    pub fn location(&self) -> Result<String, ConfigError> {
        match (&self.url, &self.url_file) {
            (Some(url), None) => Ok(self.with_plain(url)),
            (None, Some(file)) => fs::read_to_string(file)
                .map(|text| self.with_plain(text.trim()))
                .map_err(|e| ConfigError(format!("database.url_file {}: {e}", file.display()))),
            _ => Err(ConfigError("database: name url or url_file, one of them".into())),
        }
    }
}
