//! Parameters with rules of their own, shared by operations.
//!
//! Owns: the bounds of values that are no ids. Must not know: what operations do with them. Used by: api's operations.
//! A value that breaks its rule does not deserialise; the caller is told the parameter's name.

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::secret::Plaintext;

/// SecretData: 1 to 30,720 bytes (CreateSecret).
pub struct SecretData(pub Plaintext);

impl<'de> Deserialize<'de> for SecretData {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let value = Plaintext::deserialize(d)?;
        if (1..=30_720).contains(&value.expose().len()) { Ok(Self(value)) } else { Err(D::Error::custom("1 to 30720 bytes")) }
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
    /// The page asked for; the first, of ten rows, where nothing was said (ListSecrets, ListKeys).
    pub fn new(number: Option<PageNumber>, size: Option<PageSize>) -> Self {
        Self { number: number.map_or(1, |n| n.0), size: size.map_or(10, |s| s.0) }
    }

    /// Rows before the page.
    pub fn offset(self) -> i64 {
        i64::from(self.number - 1) * i64::from(self.size)
    }
}

/// Tags on creation: at most 20 (CreateSecret, CreateKey).
pub type NewTags = crate::api::tags::fields::TagsJson<0, 20>;

/// Filters of a list. Only "no filter" is served yet: a filter that is not understood must not give a longer list.
#[derive(Debug)]
pub struct NoFilters;

impl<'de> Deserialize<'de> for NoFilters {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        if matches!(text.trim(), "" | "[]") { Ok(Self) } else { Err(D::Error::custom("no filters")) }
    }
}
