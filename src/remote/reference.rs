//! `bulla://NAME[#FIELD][@VERSION]`: a secret's value, or a part of it, named in a text.
//!
//! VERSION is a version's id; one that begins with `ACS`, a label. What stands in a name or a field and would end it is written as in
//! addresses: `%40` for @, `%23` for #.

use bulla_client::Selector;

use crate::base::locale::t;

/// What a reference begins with.
pub const SCHEME: &str = "bulla://";

/// Which value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The secret.
    pub name: String,
    /// One field of it.
    pub field: Option<String>,
    /// Which version.
    pub which: Selector,
}

/// A version by its id, or by a label of the service.
pub fn selector(version: &str) -> Selector {
    if version == "ACSCurrent" {
        Selector::Current
    } else if version.starts_with("ACS") {
        Selector::Stage(version.to_owned())
    } else {
        Selector::Version(version.to_owned())
    }
}

impl Reference {
    /// Reads one, with or without the scheme.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix(SCHEME).unwrap_or(text);
        let (rest, version) = match rest.rsplit_once('@') {
            Some((rest, version)) => (rest, Some(version)),
            None => (rest, None),
        };
        let (name, field) = match rest.split_once('#') {
            Some((name, field)) => (name, Some(field)),
            None => (rest, None),
        };
        let decoded = |part: &str, what: &str| match decode(part) {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(t!("%{text} has no %{part}: bulla://NAME[#FIELD][@VERSION]", text = format!("{text:?}"), part = what)
                .into_owned()),
        };
        Ok(Self {
            name: decoded(name, &t!("name"))?,
            field: field.map(|field| decoded(field, &t!("field"))).transpose()?,
            which: version
                .map(|version| decoded(version, &t!("version")))
                .transpose()?
                .map_or(Selector::Current, |v| selector(&v)),
        })
    }
}

/// A text as people name the value.
impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        if let Some(field) = &self.field {
            write!(f, "#{field}")?;
        }
        match &self.which {
            Selector::Current => Ok(()),
            Selector::Stage(version) | Selector::Version(version) => write!(f, "@{version}"),
        }
    }
}

fn decode(text: &str) -> Option<String> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let of = |name: &str, field: Option<&str>, which| Reference {
            name: name.to_owned(),
            field: field.map(str::to_owned),
            which,
        };
        for (text, expected) in [
            ("bulla://app/db", of("app/db", None, Selector::Current)),
            ("bulla://app/db#password", of("app/db", Some("password"), Selector::Current)),
            ("app/db#a.b@v1", of("app/db", Some("a.b"), Selector::Version("v1".to_owned()))),
            ("bulla://app/db@ACSPrevious", of("app/db", None, Selector::Stage("ACSPrevious".to_owned()))),
            ("bulla://a%40b%23c#d%40e", of("a@b#c", Some("d@e"), Selector::Current)),
            ("a@ACSCurrent", of("a", None, Selector::Current)),
            ("a#f#g", of("a", Some("f#g"), Selector::Current)),
        ] {
            assert_eq!(Reference::parse(text), Ok(expected), "{text}");
        }
        for wrong in ["", "bulla://", "bulla://#f", "bulla://a#", "bulla://a@", "a%ff"] {
            assert!(Reference::parse(wrong).is_err(), "{wrong}");
        }
    }
}
