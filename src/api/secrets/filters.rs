//! The filters of ListSecrets: JSON text `[{"Key":"SecretName","Values":["a","b"]}]`.
//!
//! Owns: their form and limits. Must not know: SQL. Called by: list_secrets.
//! Source: the page of ListSecrets; up to ten keys with up to ten values each. The values of a key are alternatives, all keys must
//! fit, and a value fits as a whole. A key without values says nothing.

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::api::json::{Object, from_text};
use crate::base::ids::{SecretName, SecretNamePrefix};
use crate::base::words::SecretType;
use crate::store::SecretFilter;

/// Keys, and values of each.
const MAX_FILTERS: usize = 10;

/// Characters of a description, a tag's key or a tag's value.
const MAX_VALUE_CHARACTERS: usize = 256;

/// What a list is limited to.
#[derive(Debug, Default)]
pub struct Filters(pub SecretFilter);

/// A key and its values, as sent.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Pair {
    key: By,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Deserialize)]
enum By {
    #[serde(rename = "SecretName")]
    Name,
    /// Ours: the API has no search by a part of a name.
    #[serde(rename = "SecretNamePrefix")]
    NamePrefix,
    Description,
    TagKey,
    TagValue,
    #[serde(rename = "SecretType")]
    Type,
    #[serde(rename = "DKMSInstanceId")]
    Instance,
    Creator,
}

impl<'de> Deserialize<'de> for Filters {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let pairs: Vec<Object<Pair>> = from_text("a JSON list of filters", &text)?;
        let wrong = || D::Error::custom("at most 10 filters, each of at most 10 values that its Key can have");
        if pairs.len() > MAX_FILTERS {
            return Err(wrong());
        }
        let mut filter = SecretFilter::default();
        for Object(pair) in pairs {
            pair.add_to(&mut filter).ok_or_else(wrong)?;
        }
        Ok(Self(filter))
    }
}

impl Pair {
    /// Limits `filter` further; none when a value does not fit its key.
    fn add_to(self, filter: &mut SecretFilter) -> Option<()> {
        let values = self.values;
        if values.len() > MAX_FILTERS {
            return None;
        }
        if values.is_empty() {
            return Some(());
        }
        match self.key {
            By::Name => {
                let names = values.into_iter().map(|text| SecretName::try_from(text).ok());
                extend(&mut filter.names, names.collect::<Option<_>>()?);
            }
            By::NamePrefix => {
                let prefixes = values.into_iter().map(|text| SecretNamePrefix::try_from(text).ok());
                extend(&mut filter.name_prefixes, prefixes.collect::<Option<_>>()?);
            }
            By::Description => extend(&mut filter.descriptions, texts(values)?),
            By::TagKey => extend(&mut filter.tag_keys, texts(values)?),
            By::TagValue => extend(&mut filter.tag_values, texts(values)?),
            // Any letter case, as the page writes RDS for Rds. No secret here has a type that is not known here.
            By::Type => extend(&mut filter.types, values.iter().filter_map(|text| secret_type(text)).collect()),
            By::Instance => {
                extend(&mut filter.kms_instances, values.into_iter().filter_map(|text| text.try_into().ok()).collect());
            }
            // No secret here was made by another service.
            By::Creator => filter.nothing = true,
        }
        Some(())
    }
}

fn texts(values: Vec<String>) -> Option<Vec<String>> {
    values.iter().all(|text| (1..=MAX_VALUE_CHARACTERS).contains(&text.chars().count())).then_some(values)
}

fn secret_type(text: &str) -> Option<SecretType> {
    SecretType::ALL.iter().find(|known| known.as_str().eq_ignore_ascii_case(text)).copied()
}

fn extend<T>(alternatives: &mut Option<Vec<T>>, more: Vec<T>) {
    alternatives.get_or_insert_default().extend(more);
}
