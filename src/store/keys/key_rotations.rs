//! When keys get their next version.
//!
//! Owns: the rows of key_rotations. Must not know: how a version is made. Called by: keys, jobs.

use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::KeyId;
use crate::base::words::KeyState;
use crate::store::engine::connection::{Conn, per_backend};
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::{key_rotations, keys};
use crate::store::engine::scope::{Counted, Scope};
use crate::store::engine::statements::{delete, insert, load_each, replace};
use crate::store::{Each, KeyRow, StoreError, Tx, expect_changed};

/// The rotation of one key.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = key_rotations, treat_none_as_default_value = false, treat_none_as_null = true)]
#[diesel(primary_key(key_id))]
pub struct KeyRotationRow {
    /// The key.
    pub key_id: KeyId,
    /// Seconds between two versions; none where rotation is off and one more version is due all the same.
    pub interval_s: Option<i64>,
    /// When the next version is due.
    pub due_at: Timestamp,
}

impl Sealed for KeyRotationRow {
    const TABLE: &'static str = "key_rotations";

    fn name(&self) -> String {
        self.key_id.to_string()
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.field(self.key_id.as_bytes()).optional_integer(self.interval_s).integer(self.due_at.0)
    }

    fn counted(&self) -> Counted {
        Counted::In(Scope::Key(self.key_id))
    }
}

impl Tx<'_> {
    /// The rotation of a key; none where it is off.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify, or is missing.
    pub fn key_rotation(&mut self, key: &KeyId) -> Result<Option<KeyRotationRow>, StoreError> {
        let query = key_rotations::table.find(key);
        let found = self.all_of(
            &Scope::Key(*key),
            |row: &KeyRotationRow| row.key_id == *key,
            per_backend!(|conn| query.select((KeyRotationRow::as_select(), key_rotations::mac)).load(conn)),
        )?;
        Ok(found.into_iter().next())
    }

    /// Sets a key's rotation, whatever it was.
    ///
    /// # Errors
    /// `Conflict` when there is no such key.
    pub fn key_rotation_put(&mut self, row: &KeyRotationRow) -> Result<(), StoreError> {
        match self.key_rotation(&row.key_id)? {
            None => insert!(self, key_rotations, row),
            Some(old) => expect_changed(
                replace!(self, key_rotations, &old => row, key_rotations::key_id.eq(&row.key_id))?,
                KeyRotationRow::TABLE,
            ),
        }
    }

    /// Ends a key's rotation; false when there was none.
    ///
    /// # Errors
    /// As any write.
    pub fn key_rotation_delete(&mut self, key: &KeyId) -> Result<bool, StoreError> {
        let row = key_rotations::key_id.eq(key);
        Ok(delete!(self, key_rotations: KeyRotationRow, row, |row| row.key_id == *key)? > 0)
    }

    /// When the next version of an enabled key is due; none where no key rotates by itself.
    ///
    /// # Errors
    /// As any read. The row is not verified: this is for people to look at.
    pub fn next_key_rotation(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let query = key_rotations::table
            .inner_join(keys::table)
            .filter(keys::state.eq(KeyState::Enabled))
            .order(key_rotations::due_at)
            .select(key_rotations::due_at)
            .limit(1);
        self.run(KeyRotationRow::TABLE, per_backend!(|conn| query.get_result::<Timestamp>(conn).optional()))
    }

    /// Enabled keys whose next version is due, the longest due first.
    ///
    /// # Errors
    /// As any read; of a row, `Corrupt` when it does not verify.
    pub fn keys_to_rotate(&mut self, now: Timestamp, limit: i64) -> Result<Each<KeyRow>, StoreError> {
        type Found = (KeyRow, Vec<u8>, KeyRotationRow, Vec<u8>);
        let page = |conn: &mut Conn, offset: i64| -> QueryResult<Vec<QueryResult<Found>>> {
            let query = key_rotations::table
                .inner_join(keys::table)
                .filter(key_rotations::due_at.le(now))
                .filter(keys::state.eq(KeyState::Enabled))
                .order((key_rotations::due_at, keys::id))
                .offset(offset)
                .limit(limit);
            let load =
                load_each!(query.select((KeyRow::as_select(), keys::mac, KeyRotationRow::as_select(), key_rotations::mac)));
            load(conn)
        };
        self.each_due(KeyRotationRow::TABLE, limit, page, |tx, (key, key_mac, rotation, rotation_mac)| {
            let rotation = tx.verified((rotation, rotation_mac), |row: &KeyRotationRow| row.due_at <= now)?;
            tx.verified((key, key_mac), |row: &KeyRow| row.id == rotation.key_id && row.state == KeyState::Enabled)
        })
    }
}
