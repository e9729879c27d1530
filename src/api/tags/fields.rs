//! Parameters of tags: JSON text, or flattened with numbers.
//!
//! Owns: the grammar of tags, and how many a request may name. Must not know: what becomes of them. Used by: api's operations.
//! Sources: the pages of CreateSecret (the grammar), TagResource (10 tags), TagResources (20 tags, 50 resources).

use std::collections::HashSet;

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::api::json::{Object, from_text};
use crate::base::ids::{KeyRef, SecretRef};

/// What tags must be, for callers to read.
pub const GRAMMAR: &str = "keys of 1 to 128 and values of at most 128 letters, digits, spaces and /\\_-.+=:@; no key begins with \
                           acs: or aliyun";

const A_KEY: &str = "the key of a tag: 1 to 128 letters, digits, spaces and /\\_-.+=:@, not beginning acs: or aliyun";
const A_VALUE: &str = "the value of a tag: at most 128 letters, digits, spaces and /\\_-.+=:@";

/// The key of a tag: 1 to 128 characters, not beginning `aliyun` or `acs:`, which are the service's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct TagKey(pub String);

/// The value of a tag: at most 128 characters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct TagValue(pub String);

fn in_tag(text: &str) -> bool {
    text.chars().count() <= 128 && text.chars().all(|c| c.is_alphanumeric() || "/\\_-.+=:@ ".contains(c))
}

impl TryFrom<String> for TagKey {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let lower = text.to_lowercase();
        let reserved = lower.starts_with("aliyun") || lower.starts_with("acs:");
        if in_tag(&text) && !text.is_empty() && !reserved { Ok(Self(text)) } else { Err(A_KEY) }
    }
}

impl TryFrom<String> for TagValue {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if in_tag(&text) { Ok(Self(text)) } else { Err(A_VALUE) }
    }
}

/// Tags as JSON text, `[{"TagKey":"k","TagValue":"v"}]`: `MIN` to `MAX` of them, each key once.
#[derive(Debug, Default)]
pub struct TagsJson<const MIN: usize, const MAX: usize>(pub Vec<(String, String)>);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagJson {
    tag_key: TagKey,
    #[serde(default)]
    tag_value: TagValue,
}

impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for TagsJson<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let tags: Vec<Object<TagJson>> = from_text("a JSON list of tags", &text)?;
        let tags: Vec<TagJson> = tags.into_iter().map(|Object(tag)| tag).collect();
        if !(MIN..=MAX).contains(&tags.len()) || !all_different(tags.iter().map(|tag| &tag.tag_key)) {
            let count = if MIN == 0 { format!("at most {MAX}") } else { format!("{MIN} to {MAX}") };
            return Err(D::Error::custom(format_args!("{count} tags with different keys")));
        }
        Ok(Self(tags.into_iter().map(|tag| (tag.tag_key.0, tag.tag_value.0)).collect()))
    }
}

/// Keys of tags: a JSON list of texts, or texts between commas; 1 to 20.
#[derive(Debug)]
pub struct TagKeysText(pub Vec<String>);

impl<'de> Deserialize<'de> for TagKeysText {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let keys: Vec<TagKey> = if text.trim_start().starts_with('[') {
            from_text("a JSON list of keys", &text)?
        } else {
            let keys = text.split(',').map(|key| TagKey::try_from(key.to_owned()));
            keys.collect::<Result<_, _>>().map_err(D::Error::custom)?
        };
        if (1..=20).contains(&keys.len()) {
            Ok(Self(keys.into_iter().map(|key| key.0).collect()))
        } else {
            Err(D::Error::custom("1 to 20 keys"))
        }
    }
}

/// A list, flattened: 1 to `MAX` elements.
#[derive(Debug)]
pub struct Few<T, const MAX: usize>(pub Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Few<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let list = Vec::deserialize(d)?;
        if (1..=MAX).contains(&list.len()) {
            Ok(Self(list))
        } else {
            Err(D::Error::custom(format_args!("a list of 1 to {MAX} entries")))
        }
    }
}

/// A tag, flattened: `Tag.1.Key` and `Tag.1.Value`. Without a value it is the empty one when it is set, and any when it is sought.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagFlat {
    /// Its key.
    pub key: TagKey,
    /// Its value.
    pub value: Option<TagValue>,
}

/// Whether no key is there twice.
pub fn all_different<'a>(keys: impl Iterator<Item = &'a TagKey>) -> bool {
    let mut seen = HashSet::new();
    keys.into_iter().all(|key| seen.insert(key))
}

/// The name of a resource whose kind stands in another parameter: what it is as a key's name, and as a secret's.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct ResourceId {
    /// As a key's.
    pub as_key: Option<KeyRef>,
    /// As a secret's.
    pub as_secret: Option<SecretRef>,
}

impl TryFrom<String> for ResourceId {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (as_key, as_secret) = (KeyRef::try_from(text.clone()).ok(), SecretRef::try_from(text).ok());
        if as_key.is_none() && as_secret.is_none() {
            Err("the name of a key or a secret")
        } else {
            Ok(Self { as_key, as_secret })
        }
    }
}

/// Tags on creation: at most 20 (CreateSecret, CreateKey).
pub type NewTags = TagsJson<0, 20>;

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
        serde_json::from_value(text.into()).ok()
    }

    #[test]
    fn tags_have_their_grammar() {
        for (text, good) in [
            ("Project", true),
            ("a/b\\c_d-e.f+g=h:i@j k", true),
            ("项目", true),
            ("x".repeat(128).as_str(), true),
            ("x".repeat(129).as_str(), false),
            ("", false),
            ("a,b", false),
            ("aliyun-x", false),
            ("Aliyun", false),
            ("acs:x", false),
            ("ACS:x", false),
            ("acs", true),
        ] {
            assert_eq!(read::<TagKey>(text).is_some(), good, "{text}");
        }
        assert!(read::<TagValue>("").is_some() && read::<TagValue>("acs:x").is_some() && read::<TagValue>("<").is_none());
    }

    #[test]
    fn lists_are_counted_and_have_each_key_once() {
        let list = |n: usize| {
            let tags: Vec<_> = (0..n).map(|i| format!(r#"{{"TagKey":"k{i}","TagValue":""}}"#)).collect();
            format!("[{}]", tags.join(","))
        };
        assert!(read::<TagsJson<1, 10>>(&list(10)).is_some());
        assert!(read::<TagsJson<1, 10>>(&list(11)).is_none() && read::<TagsJson<1, 10>>("[]").is_none());
        assert!(read::<TagsJson<0, 20>>("[]").is_some() && read::<TagsJson<0, 20>>(&list(21)).is_none());
        assert!(read::<TagsJson<0, 20>>(r#"[{"TagKey":"a"},{"TagKey":"a","TagValue":"b"}]"#).is_none());
        assert!(read::<TagsJson<0, 20>>(r#"[{"TagKey":"a"},{"TagKey":"A"}]"#).is_some());
    }

    #[test]
    fn keys_come_in_two_forms() {
        let keys = |text: &str| read::<TagKeysText>(text).map(|keys| keys.0);
        let both = Some(vec!["a".to_owned(), "b c".to_owned()]);
        assert_eq!(keys(r#"["a","b c"]"#), both);
        assert_eq!(keys("a,b c"), both);
        for bad in ["", "[]", "a,", r#"["a",1]"#, r#"["acs:a"]"#, &vec!["k"; 21].join(",")] {
            assert_eq!(keys(bad), None, "{bad}");
        }
    }
}
