//! Tags on keys and secrets.
//!
//! Owns: the rows of tags, and the form of a place in a list of them. Must not know: limits on tags. Called by: tags, keys, secrets,
//! auth.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::base::ids::{AccountId, KeyId, SecretId};
use crate::base::words::ResourceType;
use crate::store::engine::connection::per_backend;
use crate::store::engine::digest::Digest;
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::tags;
use crate::store::engine::scope::{Child, Counted, Scope};
use crate::store::engine::statements::{delete, insert, one, replace};
use crate::store::{StoreError, Tx, expect_changed};

/// What carries a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tagged {
    /// A key.
    Key(KeyId),
    /// A secret.
    Secret(SecretId),
}

impl Tagged {
    fn new(kind: ResourceType, id: [u8; 16]) -> Self {
        match kind {
            ResourceType::Key => Tagged::Key(KeyId::from_bytes(id)),
            ResourceType::Secret => Tagged::Secret(SecretId::from_bytes(id)),
        }
    }

    /// The bytes of its id.
    pub fn bytes(&self) -> &[u8; 16] {
        match self {
            Tagged::Key(id) => id.as_bytes(),
            Tagged::Secret(id) => id.as_bytes(),
        }
    }

    fn kind(&self) -> ResourceType {
        match self {
            Tagged::Key(_) => ResourceType::Key,
            Tagged::Secret(_) => ResourceType::Secret,
        }
    }
}

/// The number in resource_kind.
pub(in crate::store) fn number(kind: ResourceType) -> i16 {
    match kind {
        ResourceType::Key => 1,
        ResourceType::Secret => 2,
    }
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRow {
    /// Its key; unique on what carries it.
    pub tag_key: String,
    /// Its value.
    pub tag_value: String,
}

/// A tag with all its columns.
#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = tags, treat_none_as_default_value = false)]
#[diesel(primary_key(resource_id, tag_key))]
pub(in crate::store) struct TagRecord {
    resource_id: Vec<u8>,
    tag_key: String,
    account_id: AccountId,
    resource_kind: i16,
    tag_value: String,
}

impl TagRecord {
    /// What finds it.
    pub(in crate::store) fn key(&self) -> (&[u8], &str) {
        (&self.resource_id, &self.tag_key)
    }

    /// What carries it; none for a kind that there is not.
    pub(in crate::store) fn on(&self) -> Option<Tagged> {
        let kind = [ResourceType::Key, ResourceType::Secret].into_iter().find(|kind| number(*kind) == self.resource_kind)?;
        Some(Tagged::new(kind, self.resource_id.as_slice().try_into().ok()?))
    }
}

impl Sealed for TagRecord {
    const TABLE: &'static str = "tags";

    fn name(&self) -> String {
        format!("{} on {}", self.tag_key, hex::encode(&self.resource_id))
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.field(&self.resource_id)
            .text(&self.tag_key)
            .text(self.account_id.as_str())
            .integer(self.resource_kind.into())
            .text(&self.tag_value)
    }

    fn counted(&self) -> Counted {
        match self.on() {
            Some(Tagged::Key(id)) => Counted::In(Scope::Key(id)),
            Some(Tagged::Secret(id)) => Counted::Child(id, Child::Tag),
            None => Counted::Nowhere,
        }
    }
}

/// The last resource of a page of tagged resources. No row, but sealed like one: callers carry it to the next page.
struct Place<'a> {
    question: &'a [u8],
    on: Tagged,
}

impl Sealed for Place<'_> {
    const TABLE: &'static str = "tags, by pages";

    fn name(&self) -> String {
        "a place in a list".to_owned()
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.field(self.question).integer(number(self.on.kind()).into()).field(self.on.bytes())
    }

    fn counted(&self) -> Counted {
        Counted::Nowhere
    }
}

impl Tx<'_> {
    /// Sets a tag, whatever its value was.
    ///
    /// # Errors
    /// As any write.
    pub fn tag_put(&mut self, account: &AccountId, on: Tagged, key: &str, value: &str) -> Result<(), StoreError> {
        let row = TagRecord {
            resource_id: on.bytes().to_vec(),
            tag_key: key.to_owned(),
            account_id: account.clone(),
            resource_kind: number(on.kind()),
            tag_value: value.to_owned(),
        };
        let query = tags::table.find((on.bytes().as_slice(), key));
        let there = tags::resource_id.eq(on.bytes().as_slice()).and(tags::tag_key.eq(key));
        match one!(self, tags: TagRecord, query, |found| found.on() == Some(on) && found.tag_key == key)? {
            None => insert!(self, tags, &row),
            Some(old) => expect_changed(replace!(self, tags, &old => &row, there)?, TagRecord::TABLE),
        }
    }

    /// The tags on a resource, by key.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn tags_of(&mut self, on: Tagged) -> Result<Vec<TagRow>, StoreError> {
        let query = tags::table.filter(tags::resource_id.eq(on.bytes().as_slice())).order(tags::tag_key);
        let load = per_backend!(|conn| query.select((TagRecord::as_select(), tags::mac)).load(conn));
        let rows: Vec<TagRecord> = match on {
            Tagged::Key(id) => self.all_of(&Scope::Key(id), |row: &TagRecord| row.on() == Some(on), load)?,
            Tagged::Secret(id) => self.children(&id, Child::Tag, load)?,
        };
        Ok(rows.into_iter().map(|row| TagRow { tag_key: row.tag_key, tag_value: row.tag_value }).collect())
    }

    /// The tags on these secrets, by secret and key.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn tags_of_secrets(&mut self, secrets: &[SecretId]) -> Result<Vec<(SecretId, TagRow)>, StoreError> {
        let query = tags::table.filter(tags::resource_id.eq_any(secrets)).order((tags::resource_id, tags::tag_key));
        let found: Vec<(TagRecord, Vec<u8>)> =
            self.run(TagRecord::TABLE, per_backend!(|conn| query.select((TagRecord::as_select(), tags::mac)).load(conn)))?;
        let mut sums: HashMap<SecretId, Digest> = secrets.iter().map(|id| (*id, Digest::default())).collect();
        let mut rows = Vec::with_capacity(found.len());
        for (row, mac) in found {
            if let Some(Tagged::Secret(id)) = row.on()
                && let Some(sum) = sums.get_mut(&id)
            {
                *sum = sum.plus(self.child_element(&row, &mac));
            }
            let of_one = |row: &TagRecord| secrets.iter().any(|id| row.on() == Some(Tagged::Secret(*id)));
            rows.push(self.verified((row, mac), of_one)?);
        }
        for (id, sum) in sums {
            self.belongs(&id, Child::Tag, sum)?;
        }
        let tagged = rows.into_iter().filter_map(|row| match row.on() {
            Some(Tagged::Secret(id)) => Some((id, TagRow { tag_key: row.tag_key, tag_value: row.tag_value })),
            _ => None,
        });
        Ok(tagged.collect())
    }

    /// How many tags a resource has.
    ///
    /// # Errors
    /// As any read.
    pub fn tags_count(&mut self, on: Tagged) -> Result<i64, StoreError> {
        let query = tags::table.filter(tags::resource_id.eq(on.bytes().as_slice()));
        self.run(TagRecord::TABLE, per_backend!(|conn| query.count().get_result(conn)))
    }

    /// The resources of an account and kind that have a tag of this key, with this value where one is given. A row that would not
    /// verify is among them; [`Tx::tags_of`] finds that out.
    ///
    /// # Errors
    /// As any read.
    pub fn tagged_with(
        &mut self,
        account: &AccountId,
        kind: ResourceType,
        key: &str,
        value: Option<&str>,
    ) -> Result<Vec<Tagged>, StoreError> {
        let with_key = tags::table
            .filter(tags::account_id.eq(account))
            .filter(tags::resource_kind.eq(number(kind)))
            .filter(tags::tag_key.eq(key))
            .select(tags::resource_id);
        let ids: Vec<Vec<u8>> = self.run(
            TagRecord::TABLE,
            per_backend!(|conn| match value {
                None => with_key.load(conn),
                Some(value) => with_key.filter(tags::tag_value.eq(value)).load(conn),
            }),
        )?;
        Ok(ids.into_iter().filter_map(|id| id.try_into().ok()).map(|id| Tagged::new(kind, id)).collect())
    }

    /// Removes a tag; false when there was none.
    ///
    /// # Errors
    /// As any write.
    pub fn tag_delete(&mut self, on: Tagged, key: &str) -> Result<bool, StoreError> {
        let tag = tags::resource_id.eq(on.bytes().as_slice()).and(tags::tag_key.eq(key));
        Ok(delete!(self, tags: TagRecord, tag, |row| row.on() == Some(on) && row.tag_key == key)? > 0)
    }

    /// Removes all tags of a resource.
    ///
    /// # Errors
    /// As any write.
    pub fn tags_delete(&mut self, on: Tagged) -> Result<(), StoreError> {
        delete!(self, tags: TagRecord, tags::resource_id.eq(on.bytes().as_slice()), |row| row.on() == Some(on)).map(drop)
    }

    /// The text that stands for a place in a list of tagged resources, right behind one of them; `question` is what was asked, whose it
    /// is among it.
    pub fn tag_place_seal(&self, question: &[u8], on: Tagged) -> String {
        let mac = self.mac(&Place { question, on });
        URL_SAFE_NO_PAD.encode([on.bytes().as_slice(), mac.as_slice()].concat())
    }

    /// The resource behind which the list goes on; none if no answer to this question, of this kind, gave that text.
    pub fn tag_place_open(&self, question: &[u8], kind: ResourceType, text: &str) -> Option<Tagged> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (id, mac) = bytes.split_first_chunk::<16>()?;
        let on = Tagged::new(kind, *id);
        self.seals().verify(&Place { question, on }, mac).then_some(on)
    }
}
