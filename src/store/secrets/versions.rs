//! Versions of secrets: the encrypted values.
//!
//! Owns: the rows of secret_versions; they carry no MAC, as their encryption binds the columns. Must not know: how to open them.
//! Called by: secrets.

use diesel::prelude::*;
use diesel::{delete, insert_into};

use crate::base::clock::Timestamp;
use crate::base::ids::{KeyVersionId, SecretId, SecretVersionUuid, VersionId};
use crate::base::words::{DataType, Suite};
use crate::store::engine::connection::per_backend;
use crate::store::engine::schema::secret_versions;
use crate::store::{StoreError, Tx};

pub(in crate::store) const TABLE: &str = "secret_versions";

/// A version of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = secret_versions)]
pub struct VersionRow {
    /// The secret.
    pub secret_id: SecretId,
    /// Its name; unique in the secret.
    pub version_id: VersionId,
    /// Its id; never recurs.
    pub uuid: SecretVersionUuid,
    /// What the value is.
    pub data_type: DataType,
    /// When it was made.
    pub created_at: Timestamp,
    /// The key version that wrapped the data key.
    pub key_version_id: KeyVersionId,
    /// How it is wrapped.
    pub suite: Suite,
    /// The data key, wrapped.
    pub wrapped: Vec<u8>,
    /// What the value's key must derive to.
    pub commitment: Vec<u8>,
    /// The nonce of the value.
    pub nonce: Vec<u8>,
    /// The value, encrypted, with its tag.
    pub ciphertext: Vec<u8>,
}

/// What lists tell of a version.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = secret_versions)]
pub struct VersionHead {
    /// The secret.
    pub secret_id: SecretId,
    /// Its name; unique in the secret.
    pub version_id: VersionId,
    /// Its id; never recurs.
    pub uuid: SecretVersionUuid,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Tx<'_> {
    /// Inserts a version.
    ///
    /// # Errors
    /// `Conflict` when the secret has one of this name, or there is no such secret.
    pub fn version_insert(&mut self, row: &VersionRow) -> Result<(), StoreError> {
        self.run(TABLE, per_backend!(|conn| insert_into(secret_versions::table).values(row).execute(conn))).map(drop)
    }

    /// The version of a secret with this name.
    ///
    /// # Errors
    /// As any read.
    pub fn version_by_id(&mut self, secret: &SecretId, version: &VersionId) -> Result<Option<VersionRow>, StoreError> {
        let query = secret_versions::table.find((secret, version));
        let found = self.run(TABLE, per_backend!(|conn| query.select(VersionRow::as_select()).get_result(conn).optional()))?;
        found.map(|row| self.fitting(TABLE, row, |row| row.secret_id == *secret && row.version_id == *version)).transpose()
    }

    /// All versions of a secret, oldest first.
    ///
    /// # Errors
    /// As any read.
    pub fn versions_of(&mut self, secret: &SecretId) -> Result<Vec<VersionHead>, StoreError> {
        let query = secret_versions::table
            .filter(secret_versions::secret_id.eq(secret))
            .order((secret_versions::created_at, secret_versions::version_id));
        let found: Vec<VersionHead> =
            self.run(TABLE, per_backend!(|conn| query.select(VersionHead::as_select()).load(conn)))?;
        found.into_iter().map(|row| self.fitting(TABLE, row, |row| row.secret_id == *secret)).collect()
    }

    /// Deletes a version; false when there is none.
    ///
    /// # Errors
    /// `Conflict` while it carries a label.
    pub fn version_delete(&mut self, secret: &SecretId, version: &VersionId) -> Result<bool, StoreError> {
        self.changed(TABLE, per_backend!(|conn| delete(secret_versions::table.find((secret, version))).execute(conn)))
    }
}
