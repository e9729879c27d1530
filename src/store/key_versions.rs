//! Versions of master keys: each is one object on the token.
//!
//! Owns: the rows of key_versions. Must not know: the token. Called by: keys, jobs.

use diesel::insert_into;
use diesel::prelude::*;

use crate::canonical::Canonical;
use crate::clock::Timestamp;
use crate::ids::{KeyId, KeyVersionId};
use crate::integrity::Sealed;
use crate::store::schema::key_versions;
use crate::store::{StoreError, Tx};

/// A version of a key.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = key_versions)]
pub struct KeyVersionRow {
    /// Its id; CKA_ID on the token.
    pub id: KeyVersionId,
    /// The key.
    pub key_id: KeyId,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Sealed for KeyVersionRow {
    const TABLE: &'static str = "key_versions";

    fn fields(&self, row: Canonical) -> Canonical {
        row.field(self.id.as_bytes()).field(self.key_id.as_bytes()).integer(self.created_at.0)
    }
}

impl Tx<'_> {
    /// Inserts a version.
    ///
    /// # Errors
    /// `Conflict` when its id is taken, or there is no such key.
    pub fn key_version_insert(&mut self, row: &KeyVersionRow) -> Result<(), StoreError> {
        let mac = self.mac(row);
        self.run(KeyVersionRow::TABLE, |conn| {
            insert_into(key_versions::table).values((row, key_versions::mac.eq(&mac[..]))).execute(conn)
        })?;
        Ok(())
    }

    /// The version with this id.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn key_version_by_id(&mut self, id: &KeyVersionId) -> Result<Option<KeyVersionRow>, StoreError> {
        let query = key_versions::table.find(id);
        self.one(|conn| query.select((KeyVersionRow::as_select(), key_versions::mac)).get_result(conn).optional())
    }

    /// The versions of a key, oldest first.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn key_versions_of(&mut self, key: &KeyId) -> Result<Vec<KeyVersionRow>, StoreError> {
        let query =
            key_versions::table.filter(key_versions::key_id.eq(key)).order((key_versions::created_at, key_versions::id));
        self.all(|conn| query.select((KeyVersionRow::as_select(), key_versions::mac)).load(conn))
    }
}
