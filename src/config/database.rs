//! `[database]`: where everything but the keys is.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::files::{ConfigError, anchor};
use crate::base::regular;
use crate::base::text::without_mark;

/// `[database]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `sqlite:PATH` or `postgresql://…`; this or `url_file`. As it is written; [`Database::location`] gives it as it is meant.
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
    /// Where relative paths begin.
    #[serde(skip)]
    folder: PathBuf,
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
        self.folder = folder.to_owned();
    }

    /// The URL as it is meant: one of PostgreSQL says so where plain connections were chosen, and the path of a file begins at the root.
    fn whole(&self, url: &str) -> String {
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            if !self.plain || url.contains("sslmode=") {
                return url.to_owned();
            }
            let and = if url.contains('?') { '&' } else { '?' };
            return format!("{url}{and}sslmode=disable");
        }
        // What is no path is for the store to refuse, as it stands.
        match url.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path)) {
            Some(path) if !path.is_empty() && !path.starts_with(':') => format!("sqlite:{}", self.folder.join(path).display()),
            _ => url.to_owned(),
        }
    }

    /// Whether the configuration itself holds a password, in its `url`.
    pub fn holds_password(&self) -> bool {
        let Some(rest) = self.url.as_deref().and_then(|url| Some(url.split_once("://")?.1)) else { return false };
        let user = rest.split_once('@').map_or("", |(user, _)| user);
        user.contains(':') || rest.contains("password=")
    }

    /// The database's URL.
    ///
    /// # Errors
    /// When none is named or its file cannot be read.
    pub fn location(&self) -> Result<String, ConfigError> {
        match (&self.url, &self.url_file) {
            (Some(url), None) => {
                is_url(url).map_err(|why| ConfigError(format!("database.url: {why}")))?;
                Ok(self.whole(url))
            }
            (None, Some(file)) => {
                let text = regular::read_text(file).map_err(|e| ConfigError(format!("database.url_file {e}")))?;
                let url = without_mark(&text).trim();
                is_url(url).map_err(|why| ConfigError(format!("database.url_file {}: {why}", file.display())))?;
                Ok(self.whole(url))
            }
            _ => Err(ConfigError("database: name url or url_file, one of them".into())),
        }
    }
}

/// Refuses what would otherwise be part of a file's name: SQLite would make a second database there.
fn is_url(url: &str) -> Result<(), &'static str> {
    if url.contains(['\r', '\n']) {
        return Err("it has more than one line, or control characters");
    }
    if url.chars().any(char::is_control) {
        return Err("it has control characters");
    }
    if url.trim() != url {
        return Err("it has a blank before or behind it");
    }
    if url.starts_with("sqlite:") && url.contains('?') {
        return Err("sqlite: takes no parameters, and a ? would be part of the file's name");
    }
    Ok(())
}
