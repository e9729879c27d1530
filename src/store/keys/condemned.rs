//! Token objects that are to be destroyed, and since when: nothing is destroyed before its quarantine is over.
//!
//! Owns: the rows of condemned. Must not know: how long a quarantine is. Called by: keys.

use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, KeyId, KeyVersionId};
use crate::store::engine::connection::per_backend;
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::{condemned, key_versions, secret_versions};
use crate::store::engine::scope::{Counted, Scope};
use crate::store::engine::statements::{delete, each_due, insert, one};
use crate::store::{Each, StoreError, Tx};

/// An object of a key's that is to be destroyed: a version that was given up, imported material, a wrapping pair.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = condemned, treat_none_as_default_value = false)]
pub struct CondemnedRow {
    /// CKA_ID of the object.
    pub id: KeyVersionId,
    /// The key that it was made for.
    pub key_id: KeyId,
    /// Whose.
    pub account_id: AccountId,
    /// When it was condemned.
    pub condemned_at: Timestamp,
}

impl Sealed for CondemnedRow {
    const TABLE: &'static str = "condemned";

    fn name(&self) -> String {
        self.id.to_string()
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.field(self.id.as_bytes()).field(self.key_id.as_bytes()).text(self.account_id.as_str()).integer(self.condemned_at.0)
    }

    fn counted(&self) -> Counted {
        Counted::In(Scope::Key(self.key_id))
    }
}

impl Tx<'_> {
    /// Condemns an object; one that is condemned keeps its time.
    ///
    /// # Errors
    /// As any write.
    pub fn condemn(&mut self, row: &CondemnedRow) -> Result<(), StoreError> {
        match one!(self, condemned: CondemnedRow, condemned::table.find(row.id), |found| found.id == row.id)? {
            Some(_) => Ok(()),
            None => insert!(self, condemned, row),
        }
    }

    /// Objects that were condemned before this time or then, oldest first.
    ///
    /// # Errors
    /// As any read; of a row, `Corrupt` when it does not verify.
    pub fn condemned_until(&mut self, time: Timestamp, limit: i64) -> Result<Each<CondemnedRow>, StoreError> {
        let due = || condemned::table.filter(condemned::condemned_at.le(time));
        let page = |offset: i64| due().order((condemned::condemned_at, condemned::id)).offset(offset);
        each_due!(self, condemned: CondemnedRow, limit, page, |row| row.condemned_at <= time)
    }

    /// The ids of all condemned objects.
    ///
    /// # Errors
    /// As any read.
    pub fn condemned_ids(&mut self) -> Result<Vec<KeyVersionId>, StoreError> {
        self.run(CondemnedRow::TABLE, per_backend!(|conn| condemned::table.select(condemned::id).load(conn)))
    }

    /// How many objects are condemned.
    ///
    /// # Errors
    /// As any read.
    pub fn condemned_count(&mut self) -> Result<i64, StoreError> {
        self.run(CondemnedRow::TABLE, per_backend!(|conn| condemned::table.count().get_result(conn)))
    }

    /// Forgets that an object was condemned; false when it was not.
    ///
    /// # Errors
    /// As any write.
    pub fn condemned_delete(&mut self, id: &KeyVersionId) -> Result<bool, StoreError> {
        Ok(delete!(self, condemned: CondemnedRow, condemned::id.eq(id), |row| row.id == *id)? > 0)
    }

    /// Whether anything needs the object of a key version: a version of a key, or a secret's data key. Reads all versions of
    /// secrets.
    ///
    /// # Errors
    /// As any read.
    pub fn key_version_is_needed(&mut self, id: &KeyVersionId) -> Result<bool, StoreError> {
        let versions = key_versions::table.filter(key_versions::id.eq(id)).count();
        let versions: i64 = self.run("key_versions", per_backend!(|conn| versions.get_result(conn)))?;
        Ok(versions > 0 || self.key_version_wraps(id)?)
    }

    /// Whether a secret's data key is under a key version. Reads all versions of secrets.
    ///
    /// # Errors
    /// As any read.
    pub fn key_version_wraps(&mut self, id: &KeyVersionId) -> Result<bool, StoreError> {
        let under =
            secret_versions::table.filter(secret_versions::key_version_id.eq(id)).filter(secret_versions::destroyed.eq(false));
        let wrapped = under.select(secret_versions::uuid).limit(1);
        let wrapped: Vec<Vec<u8>> = self.run("secret_versions", per_backend!(|conn| wrapped.load(conn)))?;
        Ok(!wrapped.is_empty())
    }
}
