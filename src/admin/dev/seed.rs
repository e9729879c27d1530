//! `--seed`: the secrets of a file, as applications have them before they have a secret store.
//!
//! A JSON object of texts, or lines `NAME=VALUE` as in a .env file.

use std::collections::HashSet;
use std::path::Path;

use crate::app::Failure;
use crate::base::dotenv;
use crate::base::ids::SecretName;
use crate::base::raw_json::{self, Members};
use crate::base::secret::VALUE_BYTES;
use crate::base::text;

/// Names and values, in order.
pub(super) type Seed = Vec<(String, String)>;

/// Reads a file.
///
/// # Errors
/// When it cannot be read, or a line is not of this form; which, never its value.
pub(super) fn read(file: &Path) -> Result<Seed, Failure> {
    let named = |e: &dyn std::fmt::Display| Failure::local(format!("{}: {e}", file.display()));
    let text = text::of_file(file).map_err(|e| named(&e))?;
    let seed = parse(&text).map_err(|reason| named(&reason).hint("NAME=VALUE lines, or a JSON object of texts"))?;
    let mut names = HashSet::new();
    for (name, value) in &seed {
        if !names.insert(name) {
            return Err(named(&format!("{name}: it is there twice")));
        }
        name.parse::<SecretName>().map_err(|e| named(&format!("{name:?} is no name of a secret: {e}")))?;
        if !VALUE_BYTES.contains(&value.len()) {
            let (length, least, most) = (value.len(), VALUE_BYTES.start(), VALUE_BYTES.end());
            return Err(named(&format!("{name}: the value has {length} bytes, and a secret's has {least} to {most}")));
        }
    }
    Ok(seed)
}

fn parse(text: &str) -> Result<Seed, String> {
    if text.trim_start().starts_with('{') {
        let members = Members::of(text).map_err(|e| format!("not valid JSON, line {}, column {}", e.line(), e.column()))?;
        if let Some((name, ..)) = members.twice() {
            return Err(format!("{name}: it is there twice"));
        }
        // What is no string is kept as the JSON that it is.
        let entry = |(name, value)| {
            let text =
                raw_json::text(value).ok_or_else(|| format!("{name}: it has half a surrogate pair, which is no text"))?;
            Ok((String::from(name), text.to_string()))
        };
        return members.iter().map(entry).collect();
    }
    dotenv::parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_no_secret_can_have_are_named_at_once() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let longest = "x".repeat(*VALUE_BYTES.end());
        for (text, reason) in [
            ("A=1\nB=\n".to_owned(), Some("B: the value has 0 bytes, and a secret's has 1 to 30720")),
            (format!("A={longest}y\n"), Some("A: the value has 30721 bytes, and a secret's has 1 to 30720")),
            (format!("A={longest}\n"), None),
            ("A=1\nA=2\n".to_owned(), Some("A: it is there twice")),
            (r#"{"A": "1", "B": "x", "A": "2"}"#.to_owned(), Some("A: it is there twice")),
        ] {
            std::fs::write(file.path(), text).expect("written");
            let expected = reason.map(|reason| format!("{}: {reason}", file.path().display()));
            assert_eq!(read(file.path()).err().map(|failure| failure.reason), expected);
        }
    }

    #[test]
    fn both_forms() {
        let env = "# c\n\nexport A=1\nB=\"x\\n\\\"y\\\"\" # why\nC='a # b'\napp/db=p=q # note\n";
        let pairs = |list: &[(&str, &str)]| list.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Seed>();
        assert_eq!(parse(env), Ok(pairs(&[("A", "1"), ("B", "x\n\"y\""), ("C", "a # b"), ("app/db", "p=q")])));
        let json = r#"{"app/db": "x", "n": {"user": "u", "id": 98765432109876543210, "a": 0.10}}"#;
        assert_eq!(parse(json), Ok(pairs(&[("app/db", "x"), ("n", r#"{"user":"u","id":98765432109876543210,"a":0.10}"#)])));
        for (wrong, reason) in [
            ("A", "line 1: no NAME=VALUE"),
            ("A=\"s3cret", "line 1: a quote does not end"),
            ("{", "not valid JSON, line 1, column 1"),
        ] {
            assert_eq!(parse(wrong), Err(reason.to_owned()));
        }
    }
}
