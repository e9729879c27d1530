//! Paths: what stands behind `/v1/`.
//!
//! Owns: decoding and cleaning. Must not know: what is there. Called by: door.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::base::ids::{SecretName, SecretRef};
use crate::dialects::vault::asked::Asked;
use crate::error::Error;

/// What every path of this API begins with.
pub const ROOT: &str = "/v1/";

/// What a path may hold as it is.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/').remove(b'=');

/// A path as it came.
pub enum Path {
    /// What stands behind `/v1/`, decoded.
    Clean(String),
    /// It has empty segments, or dots; where it leads without them, encoded.
    Elsewhere(String),
    /// It is no text.
    Unreadable,
}

impl Path {
    /// Reads the path of a request.
    pub fn of(raw: &str) -> Self {
        let Ok(decoded) = percent_decode_str(raw).decode_utf8() else { return Path::Unreadable };
        let Some(rest) = decoded.strip_prefix(ROOT) else { return Path::Unreadable };
        let odd = |segment: &str| matches!(segment, "" | "." | "..");
        let segments: Vec<&str> = rest.split('/').collect();
        let (last, before) = segments.split_last().expect("a split has a part");
        if !before.iter().any(|segment| odd(segment)) && !matches!(*last, "." | "..") {
            return Path::Clean(rest.to_owned());
        }
        let mut kept: Vec<&str> = Vec::new();
        for segment in &segments {
            match *segment {
                "" | "." => {}
                ".." => drop(kept.pop()),
                other => kept.push(other),
            }
        }
        let mut clean = format!("{ROOT}{}", kept.join("/"));
        if last.is_empty() && !kept.is_empty() {
            clean.push('/');
        }
        Path::Elsewhere(utf8_percent_encode(&clean, KEPT).to_string())
    }
}

/// The secret that a path of the KV mount names.
pub fn secret(asked: &Asked<'_>, path: &str) -> Result<SecretRef, Error> {
    let name = path.parse::<SecretName>();
    name.map(|name| SecretRef { home: None, name })
        .map_err(|rule| asked.bad(format!("the path of a secret must be {}; this one is not", rule.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_as_they_come() {
        let clean = |raw: &str| match Path::of(raw) {
            Path::Clean(path) => path,
            Path::Elsewhere(path) => format!("-> {path}"),
            Path::Unreadable => "?".to_owned(),
        };
        for (raw, expected) in [
            ("/v1/", ""),
            ("/v1/a", "a"),
            ("/v1/a/", "a/"),
            ("/v1/a%2Fb", "a/b"),
            ("/v1/a+b%20c", "a+b c"),
            ("/v1/m%C3%BC", "mü"),
            ("/v1/a//b", "-> /v1/a/b"),
            ("/v1//a/", "-> /v1/a/"),
            ("/v1/a/../b", "-> /v1/b"),
            ("/v1/a/.", "-> /v1/a"),
            ("/v1/../../etc", "-> /v1/etc"),
            ("/v1/%2E%2E/x%20y", "-> /v1/x%20y"),
            ("/v1/%FF", "?"),
        ] {
            assert_eq!(clean(raw), expected, "{raw}");
        }
    }
}
