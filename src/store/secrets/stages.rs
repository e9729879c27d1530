//! Stage labels: each stands on one version of a secret, and says which value is served.
//!
//! Owns: the rows of version_stages. Must not know: the rules by which labels move. Called by: secrets.

use diesel::prelude::*;
use diesel::{delete, insert_into, update};

use crate::base::canonical::Canonical;
use crate::base::ids::{SecretId, SecretVersionUuid, Stage, VersionId};
use crate::store::engine::connection::either;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::version_stages;
use crate::store::{StoreError, Tx};

/// A label on a version.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = version_stages)]
#[diesel(primary_key(secret_id, stage))]
pub struct StageRow {
    /// The secret.
    pub secret_id: SecretId,
    /// The label.
    pub stage: Stage,
    /// The version, by its name.
    pub version_id: VersionId,
    /// The version, so that another one made later under the same name is not meant.
    pub version_uuid: SecretVersionUuid,
}

impl Sealed for StageRow {
    const TABLE: &'static str = "version_stages";

    fn fields(&self, row: Canonical) -> Canonical {
        row.field(self.secret_id.as_bytes())
            .text(self.stage.as_str())
            .text(self.version_id.as_str())
            .field(self.version_uuid.as_bytes())
    }
}

impl Tx<'_> {
    /// Puts a label that the secret does not have yet on a version.
    ///
    /// # Errors
    /// `Conflict` when the secret has it, or there is no such version.
    pub fn stage_insert(&mut self, row: &StageRow) -> Result<(), StoreError> {
        let mac = self.mac(row);
        self.run(
            StageRow::TABLE,
            either!(|conn| {
                insert_into(version_stages::table).values((row, version_stages::mac.eq(&mac[..]))).execute(conn)
            }),
        )?;
        Ok(())
    }

    /// Where a label of a secret stands.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn stage_by_name(&mut self, secret: &SecretId, stage: &Stage) -> Result<Option<StageRow>, StoreError> {
        let query = version_stages::table.find((secret, stage));
        self.one(either!(|conn| query.select((StageRow::as_select(), version_stages::mac)).get_result(conn).optional()))
    }

    /// All labels of a secret, by name.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn stages_of(&mut self, secret: &SecretId) -> Result<Vec<StageRow>, StoreError> {
        let query = version_stages::table.filter(version_stages::secret_id.eq(secret)).order(version_stages::stage);
        self.all(either!(|conn| query.select((StageRow::as_select(), version_stages::mac)).load(conn)))
    }

    /// The labels on a version, by name.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn stages_of_version(&mut self, secret: &SecretId, version: &VersionId) -> Result<Vec<StageRow>, StoreError> {
        let query = version_stages::table
            .filter(version_stages::secret_id.eq(secret))
            .filter(version_stages::version_id.eq(version))
            .order(version_stages::stage);
        self.all(either!(|conn| query.select((StageRow::as_select(), version_stages::mac)).load(conn)))
    }

    /// Moves a label from where `old` says to where `new` says; false when it does not stand there any more.
    ///
    /// # Errors
    /// `Conflict` when a unique column would have the same value twice.
    pub fn stage_update(&mut self, old: &StageRow, new: &StageRow) -> Result<bool, StoreError> {
        let (was, mac) = (self.mac(old), self.mac(new));
        let row = version_stages::table
            .filter(version_stages::secret_id.eq(&old.secret_id))
            .filter(version_stages::stage.eq(&old.stage))
            .filter(version_stages::mac.eq(&was[..]));
        let changed = self
            .changed(StageRow::TABLE, either!(|conn| update(row).set((new, version_stages::mac.eq(&mac[..]))).execute(conn)))?;
        Ok(changed)
    }

    /// Takes a label away; false when it does not stand there any more.
    ///
    /// # Errors
    /// As any write.
    pub fn stage_delete(&mut self, row: &StageRow) -> Result<bool, StoreError> {
        let was = self.mac(row);
        let row = version_stages::table.find((&row.secret_id, &row.stage)).filter(version_stages::mac.eq(&was[..]));
        self.changed(StageRow::TABLE, either!(|conn| delete(row).execute(conn)))
    }
}
