//! Paths: what stands behind `/v1/`.
//!
//! Owns: decoding and cleaning. Must not know: what is there. Called by: door.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::base::ids::{SecretName, SecretRef};
use crate::dialects::vault::asked::Asked;
use crate::error::Error;

/// What every path of this API begins with.
pub const ROOT: &str = "/v1/";

/// What cannot stand in a header as it is; what a path has encoded stays so.
const ENCODED: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// A path as it came.
pub enum Path {
    /// What stands behind `/v1/`, decoded.
    Clean(String),
    /// It has empty segments, or dots, as they are; where it leads without them, encoded.
    Elsewhere(String),
    /// It has them encoded: it leads nowhere, and these words say why.
    Refused(&'static str),
    /// It is no text.
    Unreadable,
}

fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

impl Path {
    /// Reads the path of a request. Dots are followed before anything is decoded: what is encoded is part of a name.
    pub fn of(raw: &str) -> Self {
        let Some(rest) = raw.strip_prefix(ROOT) else { return Path::Unreadable };
        if let Some(path) = moved(rest) {
            return Path::Elsewhere(path);
        }
        let Ok(decoded) = percent_decode_str(rest).decode_utf8() else { return Path::Unreadable };
        if decoded.split('/').any(is_dots) {
            return Path::Refused("relative paths not supported");
        }
        let (mut segments, decoded) = (decoded.split('/').rev(), &decoded);
        segments.next();
        if segments.any(str::is_empty) {
            return Path::Refused("paths with empty segments not supported");
        }
        Path::Clean(decoded.to_string())
    }
}

/// Where a path leads without empty segments and dots; nothing where it has none.
fn moved(rest: &str) -> Option<String> {
    let segments: Vec<&str> = rest.split('/').collect();
    let (last, before) = segments.split_last().expect("a split has a part");
    if !before.iter().any(|segment| segment.is_empty() || is_dots(segment)) && !is_dots(last) {
        return None;
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
    Some(utf8_percent_encode(&clean, ENCODED).to_string())
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
            Path::Refused(why) => why.to_owned(),
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
            ("/v1/../x%20y%2F", "-> /v1/x%20y%2F"),
            ("/v1/a%2F", "a/"),
            ("/v1/%2E%2E/x%20y", "relative paths not supported"),
            ("/v1/a/..%2Fb", "relative paths not supported"),
            ("/v1/a/b%2F..%2F..%2Fc", "relative paths not supported"),
            ("/v1/a/.%2Fb", "relative paths not supported"),
            ("/v1/a/b%2F.", "relative paths not supported"),
            // Decoded once, and no more.
            ("/v1/a/%252e%252e/b", "a/%2e%2e/b"),
            ("/v1/a%2F/b", "paths with empty segments not supported"),
            ("/v1/%2Fb", "paths with empty segments not supported"),
            ("/v1/a/%2F", "paths with empty segments not supported"),
            ("/v2/x", "?"),
            ("/v1/%FF", "?"),
        ] {
            assert_eq!(clean(raw), expected, "{raw}");
        }
    }
}
