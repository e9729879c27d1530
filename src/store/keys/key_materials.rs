//! Imported material: where it is, and the value that tells it from other material.
//!
//! Owns: the rows of key_materials. Must not know: the token, how a check value is made. Called by: keys.

use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::{KeyId, KeyVersionId};
use crate::base::words::MaterialState;
use crate::store::engine::connection::per_backend;
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::key_materials;
use crate::store::engine::scope::{Counted, Scope};
use crate::store::engine::statements::{delete, each_due, insert, one, replace};
use crate::store::{Each, StoreError, Tx};

/// What the version of an EXTERNAL key was given.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = key_materials, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct KeyMaterialRow {
    /// The version; CKA_ID of the object.
    pub key_version_id: KeyVersionId,
    /// Its key.
    pub key_id: KeyId,
    /// Where the material is.
    pub state: MaterialState,
    /// What the same material gives again; none until an import succeeded.
    pub check_value: Option<Vec<u8>>,
    /// When the state changed.
    pub changed_at: Timestamp,
}

impl Sealed for KeyMaterialRow {
    const TABLE: &'static str = "key_materials";

    fn name(&self) -> String {
        self.key_version_id.to_string()
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.field(self.key_version_id.as_bytes())
            .field(self.key_id.as_bytes())
            .text(self.state.as_str())
            .optional(self.check_value.as_deref())
            .integer(self.changed_at.0)
    }

    fn counted(&self) -> Counted {
        Counted::In(Scope::Key(self.key_id))
    }
}

impl Tx<'_> {
    /// Inserts the row of a version's first import.
    ///
    /// # Errors
    /// `Conflict` when the version has one, or there is no such key.
    pub fn key_material_insert(&mut self, row: &KeyMaterialRow) -> Result<(), StoreError> {
        insert!(self, key_materials, row)
    }

    /// What a version was given; none if nothing ever was.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn key_material_by_version(&mut self, version: &KeyVersionId) -> Result<Option<KeyMaterialRow>, StoreError> {
        let query = key_materials::table.find(version);
        one!(self, key_materials: KeyMaterialRow, query, |row| row.key_version_id == *version)
    }

    /// Material that has been on its way to or off the token since before this time, oldest first.
    ///
    /// # Errors
    /// As any read; of a row, `Corrupt` when it does not verify.
    pub fn key_materials_moving_before(&mut self, time: Timestamp, limit: i64) -> Result<Each<KeyMaterialRow>, StoreError> {
        let page = |offset: i64| {
            key_materials::table
                .filter(key_materials::state.eq_any([MaterialState::Importing, MaterialState::Removing]))
                .filter(key_materials::changed_at.lt(time))
                .order((key_materials::changed_at, key_materials::key_version_id))
                .offset(offset)
        };
        each_due!(self, key_materials: KeyMaterialRow, limit, page, |row| row.changed_at < time && [MaterialState::Importing, MaterialState::Removing].contains(&row.state))
    }

    /// The versions whose material is on its way to or off the token.
    ///
    /// # Errors
    /// As any read.
    pub fn key_materials_moving_ids(&mut self) -> Result<Vec<KeyVersionId>, StoreError> {
        let query = key_materials::table
            .filter(key_materials::state.eq_any([MaterialState::Importing, MaterialState::Removing]))
            .select(key_materials::key_version_id);
        self.run(KeyMaterialRow::TABLE, per_backend!(|conn| query.load(conn)))
    }

    /// Puts `new` in the place of `old`, which has the same key; false when the row is not `old` any more.
    ///
    /// # Errors
    /// As any write.
    pub fn key_material_update_if(&mut self, old: &KeyMaterialRow, new: &KeyMaterialRow) -> Result<bool, StoreError> {
        replace!(self, key_materials, old => new, key_materials::key_version_id.eq(&old.key_version_id))
    }

    /// Deletes the row of a version, as if nothing had ever been imported; false when there is none.
    ///
    /// # Errors
    /// As any write.
    pub fn key_material_delete(&mut self, version: &KeyVersionId) -> Result<bool, StoreError> {
        let row = key_materials::key_version_id.eq(version);
        Ok(delete!(self, key_materials: KeyMaterialRow, row, |row| row.key_version_id == *version)? > 0)
    }

    /// Deletes what is known of a key's material.
    ///
    /// # Errors
    /// As any write.
    pub fn key_materials_delete(&mut self, key: &KeyId) -> Result<(), StoreError> {
        delete!(self, key_materials: KeyMaterialRow, key_materials::key_id.eq(key), |row| row.key_id == *key).map(drop)
    }
}
