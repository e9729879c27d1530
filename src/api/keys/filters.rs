//! Filters of ListKeys.
//!
//! Owns: their JSON and their names. Must not know: queries. Used by: ListKeys.
//! Source: the page of ListKeys. Different names narrow the list, values of one name widen it, and so do repeated entries of it.

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::api::json::{Object, from_text};
use crate::api::keys::SERVICE_CREATOR;
use crate::auth::Caller;
use crate::base::ids::{Alias, KeyId};
use crate::store::KeyCondition;

/// Entries at most, and values of an entry.
const MAX_FILTERS: usize = 10;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Entry {
    key: By,
    #[serde(default)]
    values: Vec<String>,
}

/// What keys can be filtered by; the letter case is the API's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum By {
    KeyState,
    KeySpec,
    KeyUsage,
    ProtectionLevel,
    CreatorType,
    DKMSInstanceId,
    #[serde(rename = "keyId", alias = "KeyId")]
    KeyId,
    AliasName,
    Creator,
    TagKey,
    TagValue,
}

impl By {
    const ALL: [By; 11] = [
        By::KeyState,
        By::KeySpec,
        By::KeyUsage,
        By::ProtectionLevel,
        By::CreatorType,
        By::DKMSInstanceId,
        By::KeyId,
        By::AliasName,
        By::Creator,
        By::TagKey,
        By::TagValue,
    ];
}

/// The filters of a request. Values that no key can have are no mistake: nothing fits them.
#[derive(Debug, Default)]
pub struct KeyFilters(Vec<Entry>);

impl<'de> Deserialize<'de> for KeyFilters {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        if text.is_empty() {
            return Ok(Self::default());
        }
        let entries: Vec<Object<Entry>> = from_text("a JSON list of filters", &text)?;
        let entries: Vec<Entry> = entries.into_iter().map(|Object(entry)| entry).collect();
        if entries.len() > MAX_FILTERS || entries.iter().any(|entry| entry.values.len() > MAX_FILTERS) {
            return Err(D::Error::custom("at most 10 filters of at most 10 values"));
        }
        Ok(Self(entries))
    }
}

impl KeyFilters {
    /// What the filters ask of the caller's keys.
    pub fn conditions(&self, caller: &Caller) -> Vec<KeyCondition> {
        let given = |name| {
            let values: Vec<String> =
                self.0.iter().filter(|entry| entry.key == name).flat_map(|entry| entry.values.clone()).collect();
            (!values.is_empty()).then_some(values)
        };
        let tag = match (given(By::TagKey), given(By::TagValue)) {
            (Some(keys), Some(values)) => Some(KeyCondition::Tag(keys, values)),
            (Some(keys), None) => Some(KeyCondition::TagKey(keys)),
            (None, Some(values)) => Some(KeyCondition::TagValue(values)),
            (None, None) => None,
        };
        let others = By::ALL.iter().filter_map(|name| condition(*name, given(*name)?, caller));
        others.chain(tag).collect()
    }
}

/// One filter as a condition; those on tags are made together.
fn condition(name: By, values: Vec<String>, caller: &Caller) -> Option<KeyCondition> {
    let account = caller.account.as_str();
    Some(match name {
        By::KeyState => KeyCondition::State(values, caller.now()),
        By::KeySpec => KeyCondition::Spec(values),
        By::KeyUsage => KeyCondition::Usage(values),
        By::ProtectionLevel => KeyCondition::Protection(values),
        By::CreatorType => KeyCondition::Service(parsed(&values, |v| match v {
            "User" => Some(false),
            "Service" => Some(true),
            _ => None,
        })),
        By::Creator => KeyCondition::Service(parsed(&values, |v| match v {
            SERVICE_CREATOR => Some(true),
            v if v == account => Some(false),
            _ => None,
        })),
        By::DKMSInstanceId => KeyCondition::KmsInstance(values),
        By::KeyId => KeyCondition::Id(parsed(&values, |v| v.parse::<KeyId>().ok())),
        By::AliasName => KeyCondition::Alias(parsed(&values, |v| v.parse::<Alias>().ok())),
        By::TagKey | By::TagValue => return None,
    })
}

fn parsed<T>(values: &[String], parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
    values.iter().filter_map(|value| parse(value)).collect()
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StrDeserializer};

    use super::*;

    fn read(text: &str) -> Result<KeyFilters, Error> {
        let text: StrDeserializer<'_, Error> = text.into_deserializer();
        KeyFilters::deserialize(text)
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for good in ["", "[]", r#"[{"Key":"KeyState","Values":["Enabled","Disabled"]},{"Key":"keyId","Values":[]}]"#] {
            assert!(read(good).is_ok(), "{good}");
        }
        for bad in [
            " ",
            "{}",
            "x",
            r#"[{"Key":"State","Values":["Enabled"]}]"#,
            r#"[{"Key":"KeyState","Values":"Enabled"}]"#,
            r#"[{"Key":"KeyState","Values":[],"Not":true}]"#,
            r#"[{"Values":["Enabled"]}]"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let entry = r#"{"Key":"KeyState","Values":["Enabled"]}"#;
        assert!(read(&format!("[{}]", [entry; 10].join(","))).is_ok());
        assert!(read(&format!("[{}]", [entry; 11].join(","))).is_err());
        let values = format!("[{{\"Key\":\"KeyState\",\"Values\":[{}]}}]", ["\"x\""; 11].join(","));
        assert!(read(&values).is_err());
    }
}
