//! Versions of master keys: each is one object on the token.
//!
//! Owns: the rows of key_versions. Must not know: the token, how many uses are too many. Called by: keys, jobs.

use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::{KeyId, KeyVersionId};
use crate::base::words::{KeySpec, KeyState, Origin};
use crate::store::engine::connection::per_backend;
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::{key_versions, keys};
use crate::store::engine::scope::{Counted, Scope};
use crate::store::engine::statements::{delete, each, insert, one, replace};
use crate::store::{Each, StoreError, Tx, expect_changed};

/// A version of a key.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = key_versions, treat_none_as_default_value = false)]
pub struct KeyVersionRow {
    /// Its id; CKA_ID on the token.
    pub id: KeyVersionId,
    /// The key.
    pub key_id: KeyId,
    /// When its making began.
    pub created_at: Timestamp,
    /// Whether its object on the token is proved. Of a key, one version at a time is not.
    pub ready: bool,
    /// Encryptions under it that the nodes have reserved; never fewer than there were.
    pub uses: i64,
}

impl Sealed for KeyVersionRow {
    const TABLE: &'static str = "key_versions";

    fn name(&self) -> String {
        self.id.to_string()
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.field(self.id.as_bytes())
            .field(self.key_id.as_bytes())
            .integer(self.created_at.0)
            .integer(self.ready.into())
            .integer(self.uses)
    }

    fn counted(&self) -> Counted {
        Counted::In(Scope::Key(self.key_id))
    }
}

impl Tx<'_> {
    /// Inserts a version.
    ///
    /// # Errors
    /// `Conflict` when its id is taken, there is no such key, or the key has another version in the making.
    pub fn key_version_insert(&mut self, row: &KeyVersionRow) -> Result<(), StoreError> {
        insert!(self, key_versions, row)
    }

    /// The version with this id, ready or not.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn key_version_by_id(&mut self, id: &KeyVersionId) -> Result<Option<KeyVersionRow>, StoreError> {
        let query = key_versions::table.find(id);
        one!(self, key_versions: KeyVersionRow, query, |row| row.id == *id)
    }

    /// All versions of a key, oldest first, with the one in the making.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn key_versions_of(&mut self, key: &KeyId) -> Result<Vec<KeyVersionRow>, StoreError> {
        let query =
            key_versions::table.filter(key_versions::key_id.eq(key)).order((key_versions::created_at, key_versions::id));
        self.all_of(
            &Scope::Key(*key),
            |row: &KeyVersionRow| row.key_id == *key,
            per_backend!(|conn| query.select((KeyVersionRow::as_select(), key_versions::mac)).load(conn)),
        )
    }

    /// A page of the ready versions of a key, oldest first.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn key_versions_page(&mut self, key: &KeyId, offset: i64, limit: i64) -> Result<Vec<KeyVersionRow>, StoreError> {
        let ready = self.key_versions_of(key)?.into_iter().filter(|row| row.ready);
        let count = |n: i64| usize::try_from(n).unwrap_or(0);
        Ok(ready.skip(count(offset)).take(count(limit)).collect())
    }

    /// How many ready versions a key has.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify, or one is missing.
    pub fn key_version_count(&mut self, key: &KeyId) -> Result<i64, StoreError> {
        Ok(self.key_versions_of(key)?.iter().filter(|row| row.ready).count() as i64)
    }

    /// Versions whose making began before this time and did not end, oldest first.
    ///
    /// # Errors
    /// As any read; of a row, `Corrupt` when it does not verify.
    pub fn key_versions_unready_before(&mut self, time: Timestamp) -> Result<Each<KeyVersionRow>, StoreError> {
        let query = key_versions::table
            .filter(key_versions::ready.eq(false))
            .filter(key_versions::created_at.lt(time))
            .order((key_versions::created_at, key_versions::id));
        each!(self, key_versions: KeyVersionRow, query, |row| !row.ready && row.created_at < time)
    }

    /// How many versions there are of keys with these specs, of all accounts.
    ///
    /// # Errors
    /// As any read.
    pub fn key_versions_of_specs(&mut self, specs: &[KeySpec]) -> Result<i64, StoreError> {
        let query = key_versions::table.inner_join(keys::table).filter(keys::spec.eq_any(specs));
        self.run(KeyVersionRow::TABLE, per_backend!(|conn| query.count().get_result(conn)))
    }

    /// Every version of every key: its id, whether it is ready, the state and the origin of its key.
    ///
    /// # Errors
    /// As any read.
    pub fn key_version_ids(&mut self) -> Result<Vec<(KeyVersionId, bool, KeyState, Origin)>, StoreError> {
        let all = key_versions::table.inner_join(keys::table);
        let columns = (key_versions::id, key_versions::ready, keys::state, keys::origin);
        self.run(KeyVersionRow::TABLE, per_backend!(|conn| all.select(columns).load(conn)))
    }

    /// Puts `new` in the place of `old`, which has the same key; false when the row is not `old` any more.
    ///
    /// # Errors
    /// As any write.
    pub fn key_version_update_if(&mut self, old: &KeyVersionRow, new: &KeyVersionRow) -> Result<bool, StoreError> {
        replace!(self, key_versions, old => new, key_versions::id.eq(&old.id))
    }

    /// Puts `new` in the place of `old`, which was read in this transaction and has the same key.
    ///
    /// # Errors
    /// `Fault` when the row is not `old` any more.
    pub fn key_version_update(&mut self, old: &KeyVersionRow, new: &KeyVersionRow) -> Result<(), StoreError> {
        expect_changed(self.key_version_update_if(old, new)?, KeyVersionRow::TABLE)
    }

    /// Deletes a version; false when there is none.
    ///
    /// # Errors
    /// As any write.
    pub fn key_version_delete(&mut self, id: &KeyVersionId) -> Result<bool, StoreError> {
        Ok(delete!(self, key_versions: KeyVersionRow, key_versions::id.eq(id), |row| row.id == *id)? > 0)
    }
}
