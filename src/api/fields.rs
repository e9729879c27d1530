//! Parameters with rules of their own, shared by operations.
//!
//! Owns: the bounds of values that are no ids. Must not know: what operations do with them. Used by: api's operations.
//! A value that breaks its rule does not deserialise; the caller is told the parameter's name.

use std::str::FromStr;

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::api::json::from_text;
use crate::base::ids::{InstanceId, Malformed, Stage};
use crate::base::secret::Plaintext;
use crate::base::words::SecretSubType;
use crate::error::Error;
use crate::secrets::{LONGEST_CONFIG, MOST_ENTRIES};

/// SecretData: 1 to 30,720 bytes (CreateSecret).
pub struct SecretData(pub Plaintext);

impl<'de> Deserialize<'de> for SecretData {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = Plaintext::deserialize(d)?;
        if (1..=30_720).contains(&value.expose().len()) { Ok(Self(value)) } else { Err(D::Error::custom("1 to 30720 bytes")) }
    }
}

/// VersionStages: JSON text, `["a","b"]` or `{"VersionStage":["a","b"]}`, of at least one label; ACSCurrent where nothing is said
/// (PutSecretValue, by the command line's page and by the parameter's).
#[derive(Debug)]
pub struct VersionStages(pub Vec<Stage>);

impl Default for VersionStages {
    fn default() -> Self {
        Self(vec![Stage::current()])
    }
}

impl<'de> Deserialize<'de> for VersionStages {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            List(Vec<Stage>),
            #[serde(rename_all = "PascalCase")]
            Wrapped {
                version_stage: Vec<Stage>,
            },
        }
        let text = String::deserialize(d)?;
        let (Form::List(stages) | Form::Wrapped { version_stage: stages }) = from_text("a JSON list of labels", &text)?;
        if stages.is_empty() { Err(D::Error::custom("at least one label")) } else { Ok(Self(stages)) }
    }
}

/// A text of the API's. An empty one is none: SDKs send what their caller left out.
#[derive(Debug)]
pub struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        if text.is_empty() { Err(D::Error::custom("a text")) } else { Ok(Self(text)) }
    }
}

/// A description: at most 8,192 characters (CreateKey; the pages of secrets give no limit).
#[derive(Debug, Default)]
pub struct Description(pub String);

impl<'de> Deserialize<'de> for Description {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        if text.chars().count() <= 8192 { Ok(Self(text)) } else { Err(D::Error::custom("at most 8192 characters")) }
    }
}

/// A whole number from `MIN` to `MAX`, in decimal text.
#[derive(Debug, Clone, Copy)]
pub struct Bounded<const MIN: u32, const MAX: u32>(pub u32);

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Bounded<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(d)?;
        if (MIN..=MAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(D::Error::custom(format_args!("a number from {MIN} to {MAX}")))
        }
    }
}

/// PageNumber: from 1.
pub type PageNumber = Bounded<1, { i32::MAX as u32 }>;

/// PageSize: 1 to 100.
pub type PageSize = Bounded<1, 100>;

/// A page of a list, as asked for.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// From 1.
    pub number: u32,
    /// Rows on a page.
    pub size: u32,
}

impl Page {
    /// The page asked for; the first, of `size_unsaid` rows, where nothing was said.
    pub fn new(number: Option<PageNumber>, size: Option<PageSize>, size_unsaid: u32) -> Self {
        Self { number: number.map_or(1, |n| n.0), size: size.map_or(size_unsaid, |s| s.0) }
    }

    /// Rows before the page.
    pub fn offset(self) -> i64 {
        i64::from(self.number - 1) * i64::from(self.size)
    }

    /// How the answer says which page it is, of so many rows in all.
    pub fn frame(self, total: i64) -> PageFrame {
        PageFrame { page_number: self.number, page_size: self.size, total_count: total }
    }

    /// The page of rows that are at hand as a whole.
    pub fn of<T>(self, rows: Vec<T>) -> impl Iterator<Item = T> {
        let before = usize::try_from(self.offset()).unwrap_or(usize::MAX);
        rows.into_iter().skip(before).take(self.size as usize)
    }
}

/// Which page of a list an answer holds, behind its rows.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PageFrame {
    page_number: u32,
    page_size: u32,
    total_count: i64,
}

/// For `#[serde(serialize_with = "plaintext")]`: the one way in which a secret value becomes part of an answer.
///
/// # Errors
/// If the value is not UTF-8; values come in as text, so this is a fault of the service.
pub fn plaintext<S: Serializer>(value: &Plaintext, serializer: S) -> Result<S::Ok, S::Error> {
    match std::str::from_utf8(value.expose()) {
        Ok(text) => serializer.serialize_str(text),
        Err(_) => Err(serde::ser::Error::custom("a value that is not UTF-8")),
    }
}

/// Tags on creation: at most 20 (CreateSecret, CreateKey).
pub type NewTags = crate::api::tags::fields::TagsJson<0, 20>;

/// True or false: in a JSON text as such or as text (BatchGetSecretValue), elsewhere as text; letter case does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag(pub bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Flag;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true or false")
            }

            fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Flag, E> {
                Ok(Flag(value))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Flag, E> {
                match text {
                    yes if yes.eq_ignore_ascii_case("true") => Ok(Flag(true)),
                    no if no.eq_ignore_ascii_case("false") => Ok(Flag(false)),
                    _ => Err(E::custom("true or false")),
                }
            }
        }
        d.deserialize_any(Either)
    }
}

/// Refuses an answer that only an attested enclave could read; giving it in the clear would be less than was asked for (Recipient).
///
/// # Errors
/// [`Error::Lacking`] where there is one.
pub fn no_recipient(recipient: Option<&String>) -> Result<(), Error> {
    match recipient {
        Some(text) if !text.is_empty() => Err(Error::Lacking("attestation of enclaves (Recipient)".into())),
        _ => Ok(()),
    }
}

/// Seconds of an hour.
pub const HOUR_S: i64 = 3600;

/// The seconds of an interval: a whole number and its unit, d, h, m or s.
pub fn interval_s(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "d" => 24 * HOUR_S,
        "h" => HOUR_S,
        "m" => 60,
        "s" => 1,
        _ => return None,
    };
    let digits = Some(number).filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
    digits?.parse::<i64>().ok()?.checked_mul(unit)
}

/// RotationInterval of secrets: 6 hours to 8,760 hours.
#[derive(Debug, Clone, Copy)]
pub struct RotationInterval {
    /// Milliseconds.
    pub ms: i64,
}

impl FromStr for RotationInterval {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let seconds = interval_s(text).filter(|s| (6 * HOUR_S..=8760 * HOUR_S).contains(s));
        seconds.map(|s| Self { ms: s * 1000 }).ok_or(Malformed("6h to 8760h"))
    }
}

/// ExtendedConfig of an Rds secret: JSON text of at most 1,024 characters. Members that it does not need are dropped.
#[derive(Debug)]
pub struct ExtendedConfig {
    /// Between how many accounts.
    pub sub_type: SecretSubType,
    /// The server.
    pub instance: InstanceId,
    /// CustomData: a JSON object of at most ten pairs.
    pub custom_data: String,
}

impl FromStr for ExtendedConfig {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Given {
            secret_sub_type: SecretSubType,
            #[serde(rename = "DBInstanceId")]
            instance: InstanceId,
            #[serde(default)]
            custom_data: serde_json::Map<String, serde_json::Value>,
        }
        let given =
            Some(text).filter(|t| t.chars().count() <= LONGEST_CONFIG).and_then(|t| serde_json::from_str::<Given>(t).ok());
        let given = given.filter(|given| given.custom_data.len() <= MOST_ENTRIES);
        let given = given.ok_or(Malformed("SecretSubType, DBInstanceId and at most ten pairs of CustomData"))?;
        let custom_data = serde_json::Value::Object(given.custom_data).to_string();
        Ok(Self { sub_type: given.secret_sub_type, instance: given.instance, custom_data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        let ms = |text: &str| text.parse::<RotationInterval>().map(|i| i.ms).ok();
        assert_eq!(ms("6h"), Some(21_600_000));
        assert_eq!(ms("21600s"), ms("360m"));
        assert_eq!(ms("365d"), ms("8760h"));
        for wrong in
            ["", "h", "6", "5h", "8761h", "366d", "-6h", "+6h", "6 h", "6H", "6.5h", "6h6h", "9223372036854775807d", "6時"]
        {
            assert_eq!(ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn extended_configs() {
        let config: ExtendedConfig = r#"{"SecretSubType":"DoubleUsers","DBInstanceId":"pg-1","CustomData":{"b":"1","a":{}},"More":1}"#.parse().expect("whole");
        assert_eq!((config.sub_type, config.instance.as_str()), (SecretSubType::DoubleUsers, "pg-1"));
        assert_eq!(config.custom_data, r#"{"a":{},"b":"1"}"#);
        let long =
            format!(r#"{{"SecretSubType":"SingleUser","DBInstanceId":"pg-1","CustomData":{{"a":"{}"}}}}"#, "x".repeat(1000));
        let many = format!(
            r#"{{"SecretSubType":"SingleUser","DBInstanceId":"pg-1","CustomData":{{{}}}}}"#,
            (0..11).map(|n| format!(r#""{n}":"""#)).collect::<Vec<_>>().join(",")
        );
        for wrong in
            ["", "{}", r#"{"SecretSubType":"SingleUser"}"#, r#"{"SecretSubType":"Other","DBInstanceId":"pg-1"}"#, &long, &many]
        {
            assert!(wrong.parse::<ExtendedConfig>().is_err(), "{wrong}");
        }
    }
}
