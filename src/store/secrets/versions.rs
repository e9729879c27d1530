//! Versions of secrets: the encrypted values.
//!
//! Owns: the rows of secret_versions; they carry no MAC, as their encryption binds the columns. Must not know: how to open them.
//! Called by: secrets.

use diesel::prelude::*;
use diesel::{delete, insert_into};

use crate::base::canonical::{Canonical, Purpose};
use crate::base::clock::Timestamp;
use crate::base::ids::{KeyVersionId, SecretId, SecretVersionUuid, VersionId};
use crate::base::words::{DataType, Suite};
use crate::store::engine::connection::per_backend;
use crate::store::engine::digest::Digest;
use crate::store::engine::schema::secret_versions;
use crate::store::engine::scope::Child;
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

impl VersionRow {
    /// What lists tell of it.
    pub fn head(&self) -> VersionHead {
        VersionHead {
            secret_id: self.secret_id,
            version_id: self.version_id.clone(),
            uuid: self.uuid,
            created_at: self.created_at,
        }
    }
}

impl Tx<'_> {
    /// Inserts a version.
    ///
    /// # Errors
    /// `Conflict` when the secret has one of this name, or there is no such secret.
    pub fn version_insert(&mut self, row: &VersionRow) -> Result<(), StoreError> {
        self.run(TABLE, per_backend!(|conn| insert_into(secret_versions::table).values(row).execute(conn)))?;
        let element = self.version_element(row);
        self.count_child(row.secret_id, Child::Version, element, true);
        Ok(())
    }

    /// What a secret's content counts for a version.
    pub(in crate::store) fn version_element(&self, row: &VersionRow) -> Digest {
        self.head_element(&row.secret_id, &row.version_id, &row.uuid, row.created_at)
    }

    /// The same of what lists tell: the encryption of the value binds the rest to the uuid, which never recurs.
    pub(in crate::store) fn head_element(
        &self,
        secret: &SecretId,
        version: &VersionId,
        uuid: &SecretVersionUuid,
        created_at: Timestamp,
    ) -> Digest {
        let bound = Canonical::new(Purpose::Row).field(secret.as_bytes()).text(version.as_str()).field(uuid.as_bytes());
        self.seals().element(TABLE, bound.integer(created_at.0).as_bytes(), &[])
    }

    /// The version of a secret with this name.
    ///
    /// # Errors
    /// `Corrupt` when the secret's versions are not those that it has had.
    pub fn version_by_id(&mut self, secret: &SecretId, version: &VersionId) -> Result<Option<VersionRow>, StoreError> {
        self.in_snapshot()?;
        let head = self.versions_of(secret)?.into_iter().find(|head| head.version_id == *version);
        head.map(|head| self.version(&head)).transpose()
    }

    /// The version of which [`Tx::versions_of`] has told in this transaction.
    ///
    /// # Errors
    /// `Corrupt` when it is not there.
    pub fn version(&mut self, head: &VersionHead) -> Result<VersionRow, StoreError> {
        let query = secret_versions::table.find((head.secret_id, &head.version_id));
        let found = self.run(TABLE, per_backend!(|conn| query.select(VersionRow::as_select()).get_result(conn).optional()))?;
        let Some(found) = found else { return Err(self.corrupt(TABLE, "a version that is listed is not there")) };
        self.fitting(TABLE, found, |row: &VersionRow| row.head() == *head)
    }

    /// Proves that a version is one that the secret has, or that it has none of this name.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(in crate::store) fn version_proved(
        &mut self,
        secret: &SecretId,
        version: &VersionId,
        found: Option<&VersionRow>,
    ) -> Result<(), StoreError> {
        self.in_snapshot()?;
        let heads = self.versions_of(secret)?;
        let head = heads.iter().find(|head| head.version_id == *version);
        if head.map(|head| (head.uuid, head.created_at)) == found.map(|row| (row.uuid, row.created_at)) {
            return Ok(());
        }
        Err(self.corrupt(TABLE, "the database gave it as the answer to another question"))
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
        let element = |row: &VersionHead| self.head_element(&row.secret_id, &row.version_id, &row.uuid, row.created_at);
        let sum = found.iter().fold(Digest::default(), |sum, row| sum.plus(element(row)));
        let rows: Result<Vec<_>, _> =
            found.into_iter().map(|row| self.fitting(TABLE, row, |row| row.secret_id == *secret)).collect();
        let rows = rows?;
        self.belongs(secret, Child::Version, sum)?;
        Ok(rows)
    }

    /// Deletes a version of which [`Tx::versions_of`] has told in this transaction; false when it is not there.
    ///
    /// # Errors
    /// `Conflict` while it carries a label.
    pub fn version_delete(&mut self, head: &VersionHead) -> Result<bool, StoreError> {
        let there = secret_versions::table.find((head.secret_id, &head.version_id)).filter(secret_versions::uuid.eq(head.uuid));
        let deleted = self.changed(TABLE, per_backend!(|conn| delete(there).execute(conn)))?;
        if deleted {
            let element = self.head_element(&head.secret_id, &head.version_id, &head.uuid, head.created_at);
            self.count_child(head.secret_id, Child::Version, element, false);
        }
        Ok(deleted)
    }
}
