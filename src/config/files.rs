//! Files that the configuration names.
//!
//! Owns: where a relative path begins, which file holds a secret, and the error of a configuration. Called by: config.

use std::path::{Path, PathBuf};

/// What is wrong with the configuration, for the administrator.
#[derive(Debug)]
pub struct ConfigError(pub String);

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// What is wrong in the file or in a variable over it: where, and what was expected.
pub(super) fn told(file: &Path, error: figment::Error) -> ConfigError {
    let lines = error.into_iter().map(|error| {
        let from_environment = error.metadata.as_ref().is_some_and(|metadata| metadata.name.contains("environment"));
        let key = error.path.join(".");
        match (from_environment, key.is_empty()) {
            (true, false) => format!("$BULLA_{}: {}", error.path.join("__").to_uppercase(), error.kind),
            (_, true) => format!("{}: {}", file.display(), error.kind),
            (false, false) => format!("{}: {key}: {}", file.display(), error.kind),
        }
    });
    ConfigError(lines.collect::<Vec<_>>().join("; "))
}

/// Lets a path begin in a folder, unless it begins at the root.
pub(super) fn anchor(path: &mut PathBuf, folder: &Path) {
    if path.is_relative() {
        *path = folder.join(&*path);
    }
}

/// The file of a secret that the settings `NAME_file` and `NAME_credential` (of systemd) tell, if one does; of both, the
/// credential where systemd gives it.
pub(super) fn secret_file(name: &str, file: Option<&Path>, credential: Option<&str>) -> Result<Option<PathBuf>, ConfigError> {
    match (file, credential) {
        // The service has the credential; a command on the same configuration reads the file.
        (Some(file), Some(credential)) => {
            let given = std::env::var_os("CREDENTIALS_DIRECTORY").map(|folder| Path::new(&folder).join(credential));
            Ok(Some(given.filter(|path| path.exists()).unwrap_or_else(|| file.to_owned())))
        }
        (Some(file), None) => Ok(Some(file.to_owned())),
        (None, Some(credential)) => match std::env::var_os("CREDENTIALS_DIRECTORY") {
            Some(folder) => Ok(Some(Path::new(&folder).join(credential))),
            None => Err(ConfigError(format!("{name}_credential: systemd gave no credentials ($CREDENTIALS_DIRECTORY)"))),
        },
        (None, None) => Ok(None),
    }
}
