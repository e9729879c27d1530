//! Tags on keys and secrets.
//!
//! Owns: the rows of tags. Must not know: limits on tags. Called by: keys, secrets.

use diesel::prelude::*;
use diesel::{delete, insert_into, update};

use crate::ids::{AccountId, KeyId, SecretId};
use crate::store::schema::tags;
use crate::store::{StoreError, Tx};

const TABLE: &str = "tags";

/// What carries a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tagged {
    /// A key.
    Key(KeyId),
    /// A secret.
    Secret(SecretId),
}

impl Tagged {
    fn bytes(&self) -> &[u8] {
        match self {
            Tagged::Key(id) => id.as_bytes(),
            Tagged::Secret(id) => id.as_bytes(),
        }
    }

    /// The number in resource_kind.
    fn kind(&self) -> i16 {
        match self {
            Tagged::Key(_) => 1,
            Tagged::Secret(_) => 2,
        }
    }
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = tags)]
pub struct TagRow {
    /// Its key; unique on what carries it.
    pub tag_key: String,
    /// Its value.
    pub tag_value: String,
}

impl Tx<'_> {
    /// Sets a tag, whatever its value was.
    ///
    /// # Errors
    /// As any write.
    pub fn tag_put(&mut self, account: &AccountId, on: Tagged, key: &str, value: &str) -> Result<(), StoreError> {
        let row = tags::table.find((on.bytes(), key));
        if self.changed(TABLE, |conn| update(row).set(tags::tag_value.eq(value)).execute(conn))? {
            return Ok(());
        }
        let values = (
            tags::resource_id.eq(on.bytes()),
            tags::tag_key.eq(key),
            tags::account_id.eq(account),
            tags::resource_kind.eq(on.kind()),
            tags::tag_value.eq(value),
        );
        self.run(TABLE, |conn| insert_into(tags::table).values(values).execute(conn)).map(drop)
    }

    /// The tags on a resource, by key.
    ///
    /// # Errors
    /// As any read.
    pub fn tags_of(&mut self, on: Tagged) -> Result<Vec<TagRow>, StoreError> {
        let query = tags::table.filter(tags::resource_id.eq(on.bytes())).order(tags::tag_key);
        self.run(TABLE, |conn| query.select(TagRow::as_select()).load(conn))
    }

    /// How many tags a resource has.
    ///
    /// # Errors
    /// As any read.
    pub fn tags_count(&mut self, on: Tagged) -> Result<i64, StoreError> {
        let query = tags::table.filter(tags::resource_id.eq(on.bytes()));
        self.run(TABLE, |conn| query.count().get_result(conn))
    }

    /// Removes all tags of a resource.
    ///
    /// # Errors
    /// As any write.
    pub fn tags_delete_of(&mut self, on: Tagged) -> Result<(), StoreError> {
        self.run(TABLE, |conn| delete(tags::table.filter(tags::resource_id.eq(on.bytes()))).execute(conn)).map(drop)
    }

    /// Removes a tag; false when there was none.
    ///
    /// # Errors
    /// As any write.
    pub fn tag_delete(&mut self, on: Tagged, key: &str) -> Result<bool, StoreError> {
        self.changed(TABLE, |conn| delete(tags::table.find((on.bytes(), key))).execute(conn))
    }
}
