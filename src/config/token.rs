//! `[token]`: the PKCS#11 token and its PIN.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::files::{ConfigError, anchor, secret_file};
use crate::base::hidden;
use crate::base::regular;
use crate::base::secret::Pin;

/// `[token]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The vendor's PKCS#11 module.
    pub module: PathBuf,
    /// The token's label; this, `serial`, or both.
    pub label: Option<String>,
    /// The token's serial number; this, `label`, or both.
    pub serial: Option<String>,
    /// File with the user PIN, one line.
    pub pin_file: Option<PathBuf>,
    /// Name of a systemd credential with the user PIN.
    pub pin_credential: Option<String>,
    /// A Unix socket on which a server takes the PIN from `bulla unlock`. Without `pin_file` and `pin_credential` it waits there at the
    /// start; in any case it takes another PIN there when one was refused.
    pub unlock_socket: Option<PathBuf>,
    /// Sessions that do the work; the token's own limit applies too.
    #[serde(default = "Token::default_sessions")]
    pub sessions: usize,
    /// Longest wait for a free session, ms.
    #[serde(default = "Token::default_session_wait_ms")]
    pub session_wait_ms: u64,
}

impl Token {
    fn default_sessions() -> usize {
        8
    }

    fn default_session_wait_ms() -> u64 {
        2_000
    }

    /// The file of the PIN, where one is named.
    ///
    /// # Errors
    /// When both ways are named, or systemd gave no credentials.
    pub fn pin_path(&self) -> Result<Option<PathBuf>, ConfigError> {
        secret_file("token.pin", self.pin_file.as_deref(), self.pin_credential.as_deref())
    }

    pub(super) fn anchor(&mut self, folder: &Path) {
        // A name without a slash is for the loader to find.
        if self.module.components().count() > 1 {
            anchor(&mut self.module, folder);
        }
        self.pin_file.iter_mut().chain(&mut self.unlock_socket).for_each(|file| anchor(file, folder));
    }

    /// Reads the PIN: from its file, from the systemd credential, or by asking at the terminal where neither is named.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn pin(&self) -> Result<Pin, ConfigError> {
        let Some(path) = self.pin_path()? else {
            let mut pin = hidden::ask("PIN of the token: ")
                .map_err(|e| ConfigError(format!("token: no pin_file, no pin_credential, and no terminal to ask at: {e}")))?;
            return Pin::of_text(std::mem::take(&mut *pin))
                .map_err(|why| ConfigError(format!("token: the PIN {why}; the token was not asked")));
        };
        Self::pin_in(&path)
    }

    /// Reads the PIN in a file.
    ///
    /// # Errors
    /// When it cannot be read, or is no PIN.
    pub fn pin_in(path: &Path) -> Result<Pin, ConfigError> {
        let text = regular::read_text(path).map_err(|e| ConfigError(format!("PIN file {e}")))?;
        let refused = |why| ConfigError(format!("PIN file {}: it {why}; the token was not asked", path.display()));
        Pin::of_text(text).map_err(refused)
    }
}
