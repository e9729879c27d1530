//! Files that the configuration names.
//!
//! Owns: where a relative path begins, which file holds a secret, and the error of a configuration. Called by: config.

use std::path::{Path, PathBuf};

use figment::Figment;
use figment::error::{Actual, Kind};

use crate::base::failure::{Class, Reason};

/// What is wrong with the configuration, for the administrator.
#[derive(Debug)]
pub struct ConfigError(pub String);

impl Reason for ConfigError {
    fn class(&self) -> Class {
        Class::Local
    }
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// What is wrong in the file or in a variable over it: where, and what was expected. Not what stands there where that may be the URL of a
/// database with its password: neither the line of a file that is no TOML, nor a text with `://` that is the value of any setting.
pub(super) fn told(file: &Path, figment: &Figment, error: figment::Error) -> ConfigError {
    let lines = error.into_iter().map(|error| {
        let from_environment = error.metadata.as_ref().is_some_and(|metadata| metadata.name.contains("environment"));
        let key = error.path.join(".");
        let found = match &error.kind {
            Kind::InvalidType(Actual::Str(text), _)
            | Kind::InvalidValue(Actual::Str(text), _)
            | Kind::UnknownVariant(text, _) => Some(text.clone()),
            _ => figment.find_value(&key).ok().and_then(|value| value.as_str().map(str::to_owned)),
        };
        let why = in_words(&without_source(&without(&error.kind.to_string(), found.as_deref())));
        match (from_environment, key.is_empty()) {
            (true, false) => format!("{}: {why}", variable(error.path.iter().map(String::as_str))),
            (_, true) => format!("{}: {why}", file.display()),
            (false, false) => format!("{}: {key}: {why}", file.display()),
        }
    });
    ConfigError(lines.collect::<Vec<_>>().join("; "))
}

/// What is wrong with settings that the reason names: in the variables that set them, of those that are set, or else in the file.
pub(super) fn blamed(file: &Path, set: &[String], why: &str) -> ConfigError {
    let words: Vec<&str> = why.split(|c: char| !(c.is_ascii_alphanumeric() || "._".contains(c))).collect();
    // "server.threads is 0", and "keys: stop_after_uses is more".
    let is_named = |path: &&String| {
        let of_section = |(section, name): (&str, &str)| words.first() == Some(&section) && words.contains(&name);
        words.contains(&path.as_str()) || path.rsplit_once('.').is_some_and(of_section)
    };
    let variables: Vec<_> = set.iter().filter(is_named).map(|path| variable(path.split('.'))).collect();
    match variables.as_slice() {
        [] => ConfigError(format!("{}: {why}", file.display())),
        variables => ConfigError(format!("{}: {why}", variables.join(", "))),
    }
}

/// The variable that sets this.
fn variable<'a>(path: impl Iterator<Item = &'a str>) -> String {
    format!("$BULLA_{}", path.collect::<Vec<_>>().join("__").to_uppercase())
}

/// A reason without the value that it is about, where that is a URL.
fn without(why: &str, found: Option<&str>) -> String {
    let Some(url) = found.filter(|text| text.contains("://")) else { return why.to_owned() };
    let quoted = format!("{url:?}");
    why.replace(&quoted, "a URL").replace(url, "a URL").replace(quoted.trim_matches('"'), "a URL")
}

/// What is expected, in words of people instead of the types of this program.
fn in_words(why: &str) -> String {
    const TYPES: [(&str, &str); 5] = [
        ("expected u64", "expected a whole number"),
        ("expected u32", "expected a whole number"),
        ("expected u16", "expected a whole number"),
        ("expected usize", "expected a whole number"),
        ("expected a nonzero u32", "expected a whole number of 1 or more"),
    ];
    TYPES.iter().fold(why.to_owned(), |why, (of_rust, of_people)| why.replace(of_rust, of_people))
}

/// What a parser of TOML says, without the line that it shows: where, and what it expected.
fn without_source(why: &str) -> String {
    let is_source =
        |line: &&str| line.trim_start_matches([' ', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']).starts_with('|');
    if !why.lines().any(|line| is_source(&line)) {
        return why.to_owned();
    }
    let said: Vec<&str> = why.lines().filter(|line| !is_source(line)).map(str::trim).filter(|line| !line.is_empty()).collect();
    match said.split_first() {
        Some((place, reasons)) => format!("{place}: {}", reasons.join(", ")),
        None => "no TOML".to_owned(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_set_what_is_wrong_is_told() {
        let set: Vec<String> = ["server.threads", "keys.stop_after_uses", "database.url"].map(str::to_owned).to_vec();
        for (why, place) in [
            ("server.threads is 0, and 1 at least", "$BULLA_SERVER__THREADS: server.threads"),
            ("server.max_body_bytes is 0", "/b.toml: server"),
            ("keys: rotate_after_uses is from 16 to 2^30, stop_after_uses is more", "$BULLA_KEYS__STOP_AFTER_USES: keys"),
            ("database: name url or url_file, one of them", "$BULLA_DATABASE__URL: database"),
            ("token: name label or serial", "/b.toml: token"),
        ] {
            let told = blamed(Path::new("/b.toml"), &set, why).to_string();
            assert!(told.starts_with(place), "{told}");
        }
    }
}
