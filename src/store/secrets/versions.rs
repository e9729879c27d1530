//! Versions of secrets: the encrypted values.
//!
//! Owns: the rows of secret_versions; they carry no MAC, as their encryption binds the columns, and the content of the secret what the
//! encryption does not: number, deletion, destruction. Must not know: how to open them, when a version is withheld. Called by: secrets.

use diesel::prelude::*;
use diesel::{delete, insert_into, update};

use crate::base::canonical::{Canonical, Purpose};
use crate::base::clock::Timestamp;
use crate::base::ids::{KeyVersionId, SecretId, SecretVersionUuid, VersionId};
use crate::base::words::{DataType, Suite};
use crate::store::engine::connection::per_backend;
use crate::store::engine::digest::Digest;
use crate::store::engine::schema::secret_versions;
use crate::store::engine::scope::Child;
use crate::store::engine::statements::change;
use crate::store::engine::tx::ANOTHER_QUESTION;
use crate::store::{StoreError, Tx, expect_changed};

pub(in crate::store) const TABLE: &str = "secret_versions";

/// A version of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = secret_versions, treat_none_as_default_value = false)]
pub struct VersionRow {
    /// The secret.
    pub secret_id: SecretId,
    /// Its name; unique in the secret.
    pub version_id: VersionId,
    /// Its id; never recurs.
    pub uuid: SecretVersionUuid,
    /// Its number: 1 for the first of the secret, and never used again.
    pub number: i64,
    /// Since when it is not served, until it is undeleted.
    pub deleted_at: Option<Timestamp>,
    /// Whether its data key and its value are gone.
    pub destroyed: bool,
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
    /// Its number.
    pub number: i64,
    /// Since when it is not served.
    pub deleted_at: Option<Timestamp>,
    /// Whether its data key and its value are gone.
    pub destroyed: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

impl VersionHead {
    /// Whether its value is not to be served.
    pub fn is_withheld(&self) -> bool {
        self.deleted_at.is_some() || self.destroyed
    }
}

impl VersionRow {
    /// What lists tell of it.
    pub fn head(&self) -> VersionHead {
        VersionHead {
            secret_id: self.secret_id,
            version_id: self.version_id.clone(),
            uuid: self.uuid,
            number: self.number,
            deleted_at: self.deleted_at,
            destroyed: self.destroyed,
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
        change!(self, TABLE, false, insert_into(secret_versions::table).values(row.clone()))?;
        let element = self.version_element(row);
        self.count_child(row.secret_id, Child::Version, element, true);
        Ok(())
    }

    /// What a secret's content counts for a version.
    pub(in crate::store) fn version_element(&self, row: &VersionRow) -> Digest {
        self.head_element(&row.head())
    }

    /// The same of what lists tell: the encryption of the value binds the rest to the uuid, which never recurs.
    pub(in crate::store) fn head_element(&self, head: &VersionHead) -> Digest {
        let bound = Canonical::new(Purpose::Row)
            .field(head.secret_id.as_bytes())
            .text(head.version_id.as_str())
            .field(head.uuid.as_bytes())
            .integer(head.created_at.0)
            .integer(head.number)
            .optional_integer(head.deleted_at.map(|at| at.0))
            .integer(head.destroyed.into());
        self.seals().element(TABLE, bound.as_bytes(), &[])
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
        if head.cloned() == found.map(VersionRow::head) {
            return Ok(());
        }
        Err(self.corrupt(TABLE, format!("{version} of secret {secret}: {ANOTHER_QUESTION}")))
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
        let sum = found.iter().fold(Digest::default(), |sum, row| sum.plus(self.head_element(row)));
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
        let there =
            secret_versions::table.find((head.secret_id, head.version_id.clone())).filter(secret_versions::uuid.eq(head.uuid));
        let deleted = change!(self, TABLE, true, delete(there))? > 0;
        if deleted {
            let element = self.head_element(head);
            self.count_child(head.secret_id, Child::Version, element, false);
        }
        Ok(deleted)
    }

    /// Withholds a version that was read in this transaction, or serves it again. One that is destroyed loses its wrapped data key and all
    /// that was encrypted under that, for ever.
    ///
    /// # Errors
    /// `Fault` when the row is not `old` any more.
    pub fn version_withhold(
        &mut self,
        old: &VersionHead,
        deleted_at: Option<Timestamp>,
        destroyed: bool,
    ) -> Result<VersionHead, StoreError> {
        let new = VersionHead { deleted_at, destroyed, ..old.clone() };
        let there = secret_versions::table
            .find((&old.secret_id, &old.version_id))
            .filter(secret_versions::uuid.eq(&old.uuid))
            .filter(secret_versions::destroyed.eq(old.destroyed));
        let heads = (secret_versions::deleted_at.eq(deleted_at), secret_versions::destroyed.eq(destroyed));
        let shredded = (
            secret_versions::wrapped.eq(Vec::new()),
            secret_versions::commitment.eq(Vec::new()),
            secret_versions::nonce.eq(Vec::new()),
            secret_versions::ciphertext.eq(Vec::new()),
        );
        let changed = if destroyed {
            self.changed(TABLE, per_backend!(|conn| update(there).set((heads, shredded)).execute(conn)))?
        } else {
            self.changed(TABLE, per_backend!(|conn| update(there).set(heads).execute(conn)))?
        };
        expect_changed(changed, TABLE)?;
        for (head, came) in [(old, false), (&new, true)] {
            let element = self.head_element(head);
            self.count_child(old.secret_id, Child::Version, element, came);
        }
        Ok(new)
    }
}
