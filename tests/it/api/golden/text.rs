//! Placeholders: `{name}` in requests stands for a kept value, in answers for what differs from run to run.
//!
//! Owns: both directions, and finding a field in a body.

use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Names and what they stand for, e.g. the account's id and what was kept of earlier answers.
#[derive(Debug, Clone, Default)]
pub struct Names(Vec<(String, String)>);

impl Names {
    /// Gives a value a name; the last one given counts.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// A parameter's value with every `{name}` replaced, `{x * 9}` by nine times x, and `{wrapped 32 KEY}` by 32 bytes encrypted to
    /// the public key (RSA-OAEP with SHA-256).
    pub fn fill(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.0 {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        while let Some((before, what, times, after)) = repetition(&text) {
            text = format!("{before}{}{after}", what.repeat(times));
        }
        wrapped(&text).unwrap_or(text)
    }

    /// A body with everything that differs from run to run replaced by a name.
    pub fn hide(&self, body: &str, random: &[String]) -> String {
        let mut text = body.to_owned();
        for field in random {
            text = without(&without(&text, &format!("\"{field}\":\""), '"'), &format!("<{field}>"), '<');
        }
        let mut names: Vec<_> = self.0.iter().filter(|(_, value)| !value.is_empty()).collect();
        names.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        for (name, value) in names {
            text = text.replace(value, &format!("{{{name}}}"));
        }
        let text = shaped(&text, "dddd-dd-ddTdd:dd:ddZ", "{time}");
        shaped(&text, "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh", "{uuid}")
    }
}

/// The text before and after the first `{x * 9}`, with x and 9.
fn repetition(text: &str) -> Option<(&str, &str, usize, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (inside, after) = rest.split_once('}')?;
    let (what, times) = inside.rsplit_once(" * ")?;
    Some((before, what, times.parse().ok()?, after))
}

/// What a whole text of the form `{wrapped LENGTH KEY}` stands for: so many bytes, encrypted, in Base64.
fn wrapped(text: &str) -> Option<String> {
    let (length, key) = text.strip_prefix("{wrapped ")?.strip_suffix('}')?.split_once(' ')?;
    let key = PublicEncryptingKey::from_der(&STANDARD.decode(key).ok()?).ok()?;
    let mut out = vec![0; key.key_size_bytes()];
    let key = OaepPublicEncryptingKey::new(key).ok()?;
    key.encrypt(&OAEP_SHA256_MGF1SHA256, &vec![7; length.parse().ok()?], &mut out, None).ok()?;
    Some(STANDARD.encode(out))
}

/// The first text field of this name in a body, JSON or XML.
pub fn field_of<'a>(body: &'a str, field: &str) -> Option<&'a str> {
    let between = |start: String, end: char| {
        let value = &body[body.find(&start)? + start.len()..];
        end_of(value, end).map(|at| &value[..at])
    };
    between(format!("\"{field}\":\""), '"').or_else(|| between(format!("<{field}>"), '<'))
}

/// Where a value ends: at the first `end` that no backslash escapes.
fn end_of(text: &str, end: char) -> Option<usize> {
    let mut escaped = false;
    let at = text.char_indices().find(|(_, c)| {
        let found = *c == end && !escaped;
        escaped = *c == '\\' && !escaped && end == '"';
        found
    });
    at.map(|(at, _)| at)
}

/// The text with `{random}` in the place of everything between a start and the next end.
fn without(text: &str, start: &str, end: char) -> String {
    let mut parts = text.split(start);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let after = end_of(part, end).map_or("", |at| &part[at..]);
        out.extend([start, "{random}", after]);
    }
    out
}

/// Replaces everything of a shape: `d` is a digit, `h` a hexadecimal digit, all else itself.
fn shaped(text: &str, shape: &str, name: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(c) = rest.chars().next() {
        if rest.get(..shape.len()).is_some_and(|head| has_shape(head, shape)) {
            out.push_str(name);
            rest = &rest[shape.len()..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

fn has_shape(text: &str, shape: &str) -> bool {
    text.bytes().zip(shape.bytes()).all(|(t, s)| match s {
        b'd' => t.is_ascii_digit(),
        b'h' => t.is_ascii_hexdigit(),
        _ => t == s,
    })
}

#[test]
fn what_is_hidden_ends_where_it_ends() {
    let names = Names::default();
    let random = ["A".to_owned()];
    assert_eq!(names.hide(r#"{"A":"x\"y\\","B":"A"}"#, &random), r#"{"A":"{random}","B":"A"}"#);
    assert_eq!(names.hide("<A>x\\&lt;</A><A>y</A>", &random), "<A>{random}</A><A>{random}</A>");
    assert_eq!(field_of(r#"{"A":"x\"y","B":1}"#, "A"), Some(r#"x\"y"#));
    assert_eq!(names.fill("{x * 3}{none}"), "xxx{none}");
    assert_eq!(names.hide("2026-01-02T03:04:05Z 01234567-89ab-4def-8123-456789abcdef", &[]), "{time} {uuid}");
}
