//! Many secrets in one text: .env, JSON, a manifest of Kubernetes. Pure: texts and values in, texts and values out.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bulla_client::Value;
use serde_json::Value as Json;
use serde_json::value::RawValue;
use yaml_rust2::{Yaml, YamlLoader};
use zeroize::Zeroizing;

use crate::base::dotenv;
use crate::base::locale::t;
use crate::base::raw_json::{self, Members};
use crate::cli::Format;

/// The member of an object that stands for bytes.
const BINARY: &str = "$binary";

/// A secret: its name, its value, whether that is binary.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) value: Value,
    pub(super) binary: bool,
    /// Names and values.
    pub(super) tags: Vec<(String, String)>,
}

impl Entry {
    /// One of which no more is known.
    pub(super) fn of(name: String, value: Value, binary: bool) -> Self {
        Self { name, value, binary, tags: Vec::new() }
    }

    fn new(name: String, bytes: Vec<u8>) -> Self {
        let binary = std::str::from_utf8(&bytes).is_err();
        Self::of(name, Value::new(bytes), binary)
    }
}

/// What a text is, by its file's name and its first words.
pub(super) fn guess(file: &str, text: &str) -> Format {
    let begins = text.trim_start();
    let lower = file.to_lowercase();
    let yaml = lower.ends_with(".yaml") || lower.ends_with(".yml");
    if yaml || begins.lines().take(200).any(|line| line.starts_with("apiVersion:") || line.starts_with("kind:")) {
        return Format::K8s;
    }
    if !begins.starts_with('{') {
        return Format::Env;
    }
    let manifest = Members::of(begins).is_ok_and(|members| members.get("apiVersion").is_some());
    if manifest { Format::K8s } else { Format::Json }
}

/// Reads a text. Of two lines of a .env file with one name the later counts, as to a shell; of two members of one Secret, that of stringData,
/// as in Kubernetes.
///
/// # Errors
/// What is wrong with it, and where; never a value. Two members of one name in JSON, and in two documents of manifests, are wrong.
pub(super) fn read(format: Format, text: &str) -> Result<Vec<Entry>, String> {
    let entries = match format {
        Format::Env => dotenv::parse(text)?.into_iter().map(|(name, value)| Entry::new(name, value.into_bytes())).collect(),
        Format::Json => read_json(text)?,
        Format::K8s => read_manifest(text)?,
    };
    let mut last = BTreeMap::new();
    for (i, entry) in entries.iter().enumerate() {
        last.insert(entry.name.clone(), i);
    }
    Ok(entries.into_iter().enumerate().filter(|(i, entry)| last[&entry.name] == *i).map(|(_, entry)| entry).collect())
}

fn read_json(text: &str) -> Result<Vec<Entry>, String> {
    let all = Members::of(text)
        .map_err(|e| said(t!("no JSON object, line %{line}, column %{column}", line = e.line(), column = e.column())))?;
    if let Some((name, one, other)) = all.twice() {
        return Err(twice(name, &t!("member %{number}", number = one), &t!("member %{number}", number = other)));
    }
    let entry = |(name, value): (&str, &RawValue)| {
        if let Some(encoded) =
            Members::of(value.get()).ok().filter(|inner| inner.iter().count() == 1).and_then(|i| i.get(BINARY))
        {
            let text = raw_json::string(encoded).map(|text| Value::new(text.as_bytes().to_vec()));
            let value = text
                .and_then(|text| text.from_base64())
                .ok_or_else(|| said(t!("%{name} is no Base64", name = format!("{name}: {BINARY}"))))?;
            return Ok(Entry::of(name.to_owned(), value, true));
        }
        let no_text = || said(t!("%{name} is no text", name = format!("{name:?}")));
        Ok(Entry::new(name.to_owned(), raw_json::text(value).ok_or_else(no_text)?.as_bytes().to_vec()))
    };
    all.iter().map(entry).collect()
}

/// Two of one name, of which one would get lost.
fn twice(name: &str, one: &str, other: &str) -> String {
    said(t!("%{name} is there twice: %{one} and %{other}", name = name, one = one, other = other))
}

/// The Secrets of a manifest: NAME/KEY for each of their members. Documents of other kinds are none of ours.
fn read_manifest(text: &str) -> Result<Vec<Entry>, String> {
    let documents = YamlLoader::load_from_str(text).map_err(|e| said(t!("no YAML, line %{line}", line = e.marker().line())))?;
    let mut entries = Vec::new();
    let mut secrets = 0;
    // Where each entry stands.
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    for (i, document) in documents.iter().enumerate() {
        let items = match document["kind"].as_str() {
            Some("Secret") => std::slice::from_ref(document),
            Some("List") => document["items"].as_vec().map_or(&[][..], Vec::as_slice),
            _ => &[],
        };
        for (j, item) in items.iter().enumerate().filter(|(_, item)| item["kind"].as_str() == Some("Secret")) {
            secrets += 1;
            let name = item["metadata"]["name"].as_str().ok_or_else(|| said(t!("a Secret without metadata.name")))?;
            let place = match (item["metadata"]["namespace"].as_str(), items.len()) {
                (Some(namespace), _) => {
                    t!("%{space}/%{name} in document %{number}", space = namespace, name = name, number = i + 1)
                }
                (None, 1) => t!("document %{number}", number = i + 1),
                (None, _) => t!("item %{item} of document %{number}", item = j + 1, number = i + 1),
            };
            for member in ["data", "stringData"] {
                let Some(pairs) = item[member].as_hash() else { continue };
                for (key, value) in pairs {
                    let (Some(key), Yaml::String(text)) = (key.as_str(), value) else {
                        return Err(said(t!("%{name}: a member of %{member} is no text", name = name, member = member)));
                    };
                    let value = Value::new(text.as_bytes().to_vec());
                    let bytes = match member {
                        "data" => {
                            // Long ones are folded into lines.
                            let text: String = text.split_whitespace().collect();
                            let value = Value::new(text.into_bytes()).from_base64();
                            value.ok_or_else(|| said(t!("%{name} is no Base64", name = format!("{name}: data.{key}"))))?
                        }
                        _ => value,
                    };
                    let entry = Entry::new(format!("{name}/{key}"), bytes.expose().to_vec());
                    if let Some(other) = places.insert(entry.name.clone(), place.to_string()).filter(|other| *other != place) {
                        return Err(twice(&entry.name, &other, &place));
                    }
                    entries.push(entry);
                }
            }
        }
    }
    if secrets == 0 { Err(said(t!("no document of the kind Secret"))) } else { Ok(entries) }
}

/// Writes a text.
///
/// # Errors
/// Two secrets that would have one name there, one that would have none, and bytes where only texts can stand.
pub(super) fn write(format: Format, manifest: &str, entries: &[Entry]) -> Result<Zeroizing<String>, String> {
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    for entry in entries {
        let name = name_in(format, &entry.name);
        check(format, &name, &entry.name)?;
        if let Some(other) = names.insert(name.clone(), &entry.name) {
            return Err(said(t!("%{one} and %{other} would both be %{name}", one = entry.name, other = other, name = name)));
        }
    }
    let mut out =
        Zeroizing::new(String::with_capacity(entries.iter().map(|e| 2 * e.value.expose().len() + 256).sum::<usize>() + 256));
    match format {
        Format::Env => {
            for entry in entries {
                // A shell cannot have a NUL in a variable, and reads on without it.
                let text = entry.value.text().filter(|text| !entry.binary && !text.contains('\0'));
                let text = text
                    .ok_or_else(|| said(t!("%{name}: bytes cannot stand in a .env file; --format json", name = entry.name)))?;
                out.push_str(&dotenv::line(&name_in(format, &entry.name), text));
            }
        }
        Format::Json => {
            let members = entries.iter().map(|entry| {
                let value = match entry.value.text().filter(|_| !entry.binary) {
                    Some(text) => Json::from(text),
                    None => serde_json::json!({ BINARY: entry.value.to_base64().text().unwrap_or_default() }),
                };
                (entry.name.clone(), value)
            });
            let object = Json::Object(members.collect());
            out.push_str(&serde_json::to_string_pretty(&object).map_err(|e| e.to_string())?);
            out.push('\n');
        }
        Format::K8s => {
            out.push_str(&format!("apiVersion: v1\nkind: Secret\nmetadata:\n  name: {manifest:?}\ntype: Opaque\ndata:"));
            out.push_str(if entries.is_empty() { " {}\n" } else { "\n" });
            for entry in entries {
                let value = entry.value.to_base64();
                // A key could be read as a number, or as true.
                out.push_str(&format!("  {:?}: {}\n", name_in(format, &entry.name), value.text().unwrap_or_default()));
            }
        }
    }
    Ok(out)
}

/// A reason, of what language it may be.
fn said(reason: Cow<'_, str>) -> String {
    reason.into_owned()
}

/// Refuses names that nobody could read back.
fn check(format: Format, name: &str, secret: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err(if secret.is_empty() {
            said(t!("one secret is called as the prefix is, and would have no name"))
        } else {
            said(t!("%{name} would have no name", name = secret))
        });
    }
    // ConfigMap and Secret, keys (Kubernetes, IsConfigMapKey).
    if format == Format::K8s && (name.len() > 253 || name == "." || name.starts_with("..")) {
        return Err(said(t!(
            "%{secret} would be the key %{name}, which no manifest can have: 1 to 253 characters, not beginning ..",
            secret = secret,
            name = format!("{name:?}")
        )));
    }
    Ok(())
}

/// What a secret is called there: variables have letters, digits and _, keys of manifests . and - too.
fn name_in(format: Format, name: &str) -> String {
    match format {
        Format::Json => name.to_owned(),
        Format::Env => dotenv::name(name),
        Format::K8s => {
            let key = |c: char| match c {
                c if c.is_ascii_alphanumeric() || "-._".contains(c) => c,
                '/' => '.',
                _ => '_',
            };
            name.chars().map(key).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(entries: &[Entry]) -> Vec<(String, Vec<u8>, bool)> {
        entries.iter().map(|e| (e.name.clone(), e.value.expose().to_vec(), e.binary)).collect()
    }

    #[test]
    fn every_format_is_read_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        let entries = [
            Entry::new("a_b".into(), b"plain".to_vec()),
            Entry::new("quote".into(), b"it's \"x\" $HOME\nline".to_vec()),
            Entry::new("json".into(), br#"{"user":"u"}"#.to_vec()),
        ];
        for format in [Format::Env, Format::Json, Format::K8s] {
            let text = write(format, "m", &entries).expect("writable");
            let read = read(format, &text).expect("readable");
            let prefix = if format == Format::K8s { "m/" } else { "" };
            let expected: Vec<_> = shown(&entries).into_iter().map(|(n, v, b)| (format!("{prefix}{n}"), v, b)).collect();
            let mut found = shown(&read);
            found.sort();
            let mut sorted = expected.clone();
            sorted.sort();
            assert_eq!(found, sorted, "{format:?}\n{}", *text);
            assert_eq!(guess("x", &text), format);
        }
        let binary = [Entry::new("b".into(), bytes)];
        for format in [Format::Json, Format::K8s] {
            let text = write(format, "m", &binary).expect("writable");
            assert_eq!(read(format, &text).expect("readable")[0].value.expose(), binary[0].value.expose());
        }
        assert!(write(Format::Env, "m", &binary).is_err_and(|reason| reason.contains("b: bytes")));
    }

    #[test]
    fn manifests_as_people_write_them() {
        let text = "apiVersion: v1\nkind: ConfigMap\ndata: {a: b}\n---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: app\n\
                    data:\n  user: dQ==\nstringData:\n  password: \"p w\"\n";
        let found = shown(&read(Format::K8s, text).expect("sound"));
        let expected = [("app/user", b"u".to_vec()), ("app/password", b"p w".to_vec())];
        assert_eq!(found, expected.map(|(n, v)| (n.to_owned(), v, false)));
        for (wrong, reason) in [
            ("kind: ConfigMap\n", "no document of the kind Secret"),
            ("kind: Secret\nmetadata: {name: a}\ndata: {k: '%s3cret'}\n", "a: data.k is no Base64"),
            ("kind: Secret\nmetadata: {name: a}\nstringData: {k: 1}\n", "a: a member of stringData is no text"),
        ] {
            assert_eq!(read(Format::K8s, wrong).map(|_| ()), Err(reason.to_owned()));
        }
    }

    #[test]
    fn of_two_of_one_name_none_gets_lost() {
        let secret = |metadata: &str, key: &str| format!("kind: Secret\nmetadata: {{{metadata}}}\nstringData: {{{key}: v}}\n");
        let pair =
            |one: &str, other: &str| read(Format::K8s, &format!("{one}---\n{other}")).map(|entries| shown(&entries).len());
        let (prod, test) = (secret("name: app, namespace: prod", "k"), secret("name: app, namespace: test", "k"));
        assert_eq!(
            pair(&prod, &test),
            Err("app/k is there twice: prod/app in document 1 and test/app in document 2".to_owned())
        );
        let plain = secret("name: app", "k");
        assert_eq!(pair(&plain, &plain), Err("app/k is there twice: document 1 and document 2".to_owned()));
        assert_eq!(pair(&plain, &secret("name: app", "other")), Ok(2));
        let item = "{kind: Secret, metadata: {name: app}, stringData: {k: v}}";
        let list = read(Format::K8s, &format!("kind: List\nitems: [{item}, {item}]\n")).map(drop);
        assert_eq!(list, Err("app/k is there twice: item 1 of document 1 and item 2 of document 1".to_owned()));
        let both = "kind: Secret\nmetadata: {name: a}\nstringData: {k: later}\ndata: {k: dQ==}\n";
        assert_eq!(shown(&read(Format::K8s, both).expect("sound")), [("a/k".to_owned(), b"later".to_vec(), false)]);
        let json = read(Format::Json, r#"{"a":"1","b":"2","a":"3"}"#).map(drop);
        assert_eq!(json, Err("a is there twice: member 1 and member 3".to_owned()));
    }

    #[test]
    fn a_nul_is_no_text_to_a_shell() {
        let entries = [Entry::new("n".into(), b"a\0b".to_vec())];
        assert!(write(Format::Env, "m", &entries).is_err_and(|reason| reason.contains("n: bytes")));
        for format in [Format::Json, Format::K8s] {
            let text = write(format, "m", &entries).expect("writable");
            assert_eq!(read(format, &text).expect("readable")[0].value.expose(), b"a\0b");
        }
    }

    #[test]
    fn names_that_nobody_could_read_back_are_refused() {
        for format in [Format::Env, Format::Json, Format::K8s] {
            let refused = write(format, "m", &[Entry::new(String::new(), b"v".to_vec())]).map(drop);
            assert!(refused.is_err_and(|reason| reason.contains("would have no name")), "{format:?}");
        }
        for name in [".", "..", "../x", &"x".repeat(254)] {
            assert!(write(Format::K8s, "m", &[Entry::new(name.to_owned(), b"v".to_vec())]).is_err(), "{name}");
        }
        for manifest in ["007", "true", "1e3", "null"] {
            let text = write(Format::K8s, manifest, &[Entry::new("k".into(), b"v".to_vec())]).expect("writable");
            assert_eq!(read(Format::K8s, &text).map(|e| e[0].name.clone()), Ok(format!("{manifest}/k")));
        }
    }

    #[test]
    fn json_of_any_size_and_order_stays_as_it_was_written() {
        let text = r#"{"id": 98765432109876543210, "o": {"z": 0.10, "a": [1e3, "x y"]}, "b": {"$binary": "AP8="}}"#;
        let expected = [
            ("id", b"98765432109876543210".to_vec(), false),
            ("o", br#"{"z":0.10,"a":[1e3,"x y"]}"#.to_vec(), false),
            ("b", vec![0, 255], true),
        ];
        let found = shown(&read(Format::Json, text).expect("sound"));
        assert_eq!(found, expected.map(|(name, value, binary)| (name.to_owned(), value, binary)));
        let wrong = read(Format::Json, r#"{"b":{"$binary":"s3cret!"}}"#).map(drop);
        assert_eq!(wrong, Err("b: $binary is no Base64".to_owned()));
    }

    #[test]
    fn names_that_fall_together() {
        let entries = [Entry::new("a/b".into(), b"1".to_vec()), Entry::new("a-b".into(), b"2".to_vec())];
        assert_eq!(write(Format::Env, "m", &entries).map(drop), Err("a-b and a/b would both be a_b".to_owned()));
        assert_eq!(read(Format::Env, "A=1\nB=2\nA=3\n").map(|e| shown(&e).len()), Ok(2));
    }
}
