//! Parameters with rules of their own, shared by operations.
//!
//! Owns: the bounds of values that are no ids. Must not know: what operations do with them. Used by: api's operations.
//! A value that breaks its rule does not deserialise; the caller is told the parameter's name.

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::ids::Stage;
use crate::secret::Plaintext;

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
        let (Form::List(stages) | Form::Wrapped { version_stage: stages }) =
            serde_json::from_str(&text).map_err(|_| D::Error::custom("a JSON list of labels"))?;
        if stages.is_empty() { Err(D::Error::custom("at least one label")) } else { Ok(Self(stages)) }
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
        if (MIN..=MAX).contains(&number) { Ok(Self(number)) } else { Err(D::Error::custom("out of range")) }
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

    /// The page of rows that are at hand as a whole.
    pub fn of<T>(self, rows: Vec<T>) -> impl Iterator<Item = T> {
        let before = usize::try_from(self.offset()).unwrap_or(usize::MAX);
        rows.into_iter().skip(before).take(self.size as usize)
    }
}

/// Tags on creation: at most 20 (CreateSecret, CreateKey).
pub type NewTags = crate::api::tags::fields::TagsJson<0, 20>;
