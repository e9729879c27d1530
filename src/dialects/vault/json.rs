//! JSON that holds secrets: written in one form, merged, and shown without its values; no copy of a value is left behind.
//!
//! Owns: those three. Must not know: what is in it. Called by: kv, body.
//!
//! Values are looked at as text: a number comes back as it was written, whatever its size. Objects are written without blanks, their
//! members in the order of their names; of a name that stands twice, the last counts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// How deep values may be nested.
pub const DEEPEST: usize = 64;

/// The members of an object.
pub type Members<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// Why a value is not taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is nested too deep.
    TooDeep,
    /// A name or a text in it is none: half of a surrogate pair stands in it alone.
    NoText,
}

impl Unfit {
    /// What would be right.
    pub fn why(&self) -> String {
        match self {
            Unfit::TooDeep => format!("the value is nested too deep: more than {DEEPEST} levels"),
            Unfit::NoText => "a name or a text is none: it has half of a surrogate pair (\\ud800 to \\udfff) alone".to_owned(),
        }
    }
}

/// The members of an object; none for another value, and where a name is no text.
pub fn members(text: &str) -> Option<Members<'_>> {
    serde_json::from_str(text).ok()
}

/// The text of a value in the one form.
///
/// # Errors
/// [`Unfit`].
pub fn normal(text: &str) -> Result<Zeroizing<Vec<u8>>, Unfit> {
    let mut out = buffer(text.len());
    write(&mut out, text, 0)?;
    Ok(out)
}

/// A target as a merge patch changes it (RFC 7396).
///
/// # Errors
/// [`Unfit`].
pub fn merged(target: &str, patch: &str) -> Result<Zeroizing<Vec<u8>>, Unfit> {
    let mut out = buffer(target.len() + patch.len());
    merge(&mut out, Some(target), patch, 0)?;
    Ok(out)
}

/// An object with null in the place of each value that is no object, and of each object deeper than `depth`, if that is not 0.
///
/// # Errors
/// [`Unfit`].
pub fn subkeys(text: &str, depth: u64) -> Result<Zeroizing<Vec<u8>>, Unfit> {
    let mut out = buffer(2 * text.len() + 4);
    keys(&mut out, text, depth, 1)?;
    Ok(out)
}

/// A text as JSON writes it.
pub fn quoted(text: &str) -> Zeroizing<Vec<u8>> {
    // The most that a byte becomes is \u00XX.
    let mut out = buffer(6 * text.len() + 2);
    quote(&mut out, text);
    out
}

/// Nothing that is written moves it: what moves leaves a copy behind.
fn buffer(length: usize) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(length + 64))
}

fn quote(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a text is JSON and memory takes it");
}

/// The members of what begins as an object.
fn named(text: &str) -> Result<Members<'_>, Unfit> {
    members(text).ok_or(Unfit::NoText)
}

fn write(out: &mut Vec<u8>, text: &str, depth: usize) -> Result<(), Unfit> {
    if depth > DEEPEST {
        return Err(Unfit::TooDeep);
    }
    let text = text.trim_ascii();
    if text.starts_with('{') {
        return object(out, named(text)?.iter(), |out, (_, value)| write(out, value.get(), depth + 1));
    }
    if text.starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| Unfit::NoText)?;
        out.push(b'[');
        for (n, item) in items.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            write(out, item.get(), depth + 1)?;
        }
        out.push(b']');
        return Ok(());
    }
    // Who reads it may refuse all of the answer for it.
    if text.starts_with('"') && text.contains("\\u") {
        serde_json::from_str::<String>(text).map(Zeroizing::new).map_err(|_| Unfit::NoText)?;
    }
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn object<'m, 'a: 'm>(
    out: &mut Vec<u8>,
    members: impl Iterator<Item = (&'m Cow<'a, str>, &'m &'a RawValue)>,
    mut value: impl FnMut(&mut Vec<u8>, (&'m Cow<'a, str>, &'m &'a RawValue)) -> Result<(), Unfit>,
) -> Result<(), Unfit> {
    out.push(b'{');
    for (n, member) in members.enumerate() {
        if n > 0 {
            out.push(b',');
        }
        quote(out, member.0);
        out.push(b':');
        value(out, member)?;
    }
    out.push(b'}');
    Ok(())
}

fn merge(out: &mut Vec<u8>, target: Option<&str>, patch: &str, depth: usize) -> Result<(), Unfit> {
    if depth > DEEPEST {
        return Err(Unfit::TooDeep);
    }
    let is_object = |text: &&str| text.trim_ascii().starts_with('{');
    if !is_object(&patch) {
        return write(out, patch, depth);
    }
    let changes = named(patch)?;
    let old = target.filter(is_object).map(named).transpose()?.unwrap_or_default();
    let stays = |value: &RawValue| value.get().trim_ascii() != "null";
    let kept = old.iter().filter(|(name, _)| !changes.contains_key(*name));
    let mut all: Members<'_> = kept.map(|(name, value)| (name.clone(), *value)).collect();
    all.extend(changes.iter().filter(|(_, value)| stays(value)).map(|(name, value)| (name.clone(), *value)));
    object(out, all.iter(), |out, (name, value)| {
        if changes.contains_key(name) {
            merge(out, old.get(name).map(|value| value.get()), value.get(), depth + 1)
        } else {
            write(out, value.get(), depth + 1)
        }
    })
}

fn keys(out: &mut Vec<u8>, text: &str, depth: u64, level: u64) -> Result<(), Unfit> {
    if level > DEEPEST as u64 {
        return Err(Unfit::TooDeep);
    }
    object(out, named(text)?.iter(), |out, (_, value)| {
        let inner = value.get().trim_ascii();
        let deeper = inner.starts_with('{') && inner != "{}" && (depth == 0 || level < depth);
        if deeper {
            return keys(out, inner, depth, level + 1);
        }
        out.extend_from_slice(b"null");
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: Result<Zeroizing<Vec<u8>>, Unfit>) -> String {
        String::from_utf8(bytes.expect("not too deep").to_vec()).expect("UTF-8")
    }

    #[test]
    fn one_form() {
        for (given, expected) in [
            (" { } ", "{}"),
            (r#"{"b" : 1e3, "a":[ 1 , {"y":1.10,"x":null} ], "b":2}"#, r#"{"a":[1,{"x":null,"y":1.10}],"b":2}"#),
            (r#"{"\u00fc":"\ud83d\ude00 \/"}"#, r#"{"ü":"\ud83d\ude00 \/"}"#),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
        ] {
            assert_eq!(text(normal(given)), expected, "{given}");
        }
        let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
        assert_eq!(normal(&deep), Err(Unfit::TooDeep));
    }

    /// What is not written as it was given is not written: nothing is left out.
    #[test]
    fn names_and_texts_that_are_none() {
        let whole = r#"{"a":{"\ud800":1,"pw":"keep"},"b":2}"#;
        for given in [r#"{"\ud800":"v","b":1}"#, whole, r#"{"a":[{"\udc00x":1}]}"#] {
            assert_eq!(normal(given), Err(Unfit::NoText), "{given}");
            assert_eq!(merged("{}", given), Err(Unfit::NoText), "{given}");
        }
        for (target, patch) in
            [(r#"{"user":"root"}"#, r#"{"note\ud83d":"x"}"#), (whole, r#"{"a":{"new":1}}"#), (whole, r#"{"c":1}"#)]
        {
            assert_eq!(merged(target, patch), Err(Unfit::NoText), "{target} {patch}");
        }
        assert_eq!(text(merged(whole, r#"{"a":1}"#)), r#"{"a":1,"b":2}"#, "it goes");
        assert_eq!(subkeys(whole, 0), Err(Unfit::NoText));
        for whole_pair in [r#"{"\ud83d\ude00":"\ud83d\ude00"}"#, r#"{"\ud83d\ude00":"\\ud83d"}"#] {
            assert!(normal(whole_pair).is_ok(), "{whole_pair}");
        }
        for half in [r#"{"a":"\ud800"}"#, r#"{"a":["x\udc00y"]}"#] {
            assert_eq!(normal(half), Err(Unfit::NoText), "{half}");
        }
    }

    /// The examples of RFC 7396, appendix A, but for those whose target or patch is no object.
    #[test]
    fn merge_patches() {
        for (target, patch, expected) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#),
            (r#"[1,2]"#, r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            (r#"{}"#, r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            assert_eq!(text(merged(target, patch)), expected, "{target} {patch}");
        }
    }

    #[test]
    fn keys_without_values() {
        let value = r#"{"a":{"b":{"c":1}},"d":"secret","e":[1],"f":{}}"#;
        assert_eq!(text(subkeys(value, 0)), r#"{"a":{"b":{"c":null}},"d":null,"e":null,"f":null}"#);
        assert_eq!(text(subkeys(value, 1)), r#"{"a":null,"d":null,"e":null,"f":null}"#);
        assert_eq!(text(subkeys(value, 2)), r#"{"a":{"b":null},"d":null,"e":null,"f":null}"#);
    }
}
