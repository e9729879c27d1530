//! Stage labels: each stands on one version of a secret, and says which value is served.
//!
//! Owns: the rows of version_stages. Must not know: the rules by which labels move. Called by: secrets.

use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::base::ids::{SecretId, SecretVersionUuid, Stage, VersionId};
use crate::store::engine::connection::per_backend;
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::version_stages;
use crate::store::engine::scope::{Child, Counted};
use crate::store::engine::statements::{delete, exchange, insert, remove};
use crate::store::{StoreError, Tx, expect_changed};

/// A label on a version.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = version_stages, treat_none_as_default_value = false)]
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
    /// The version's number.
    pub number: i64,
    /// Whether the version is not to be served: deleted or destroyed.
    pub withheld: bool,
}

impl Sealed for StageRow {
    const TABLE: &'static str = "version_stages";

    fn name(&self) -> String {
        format!("{} of secret {}", self.stage, self.secret_id)
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.field(self.secret_id.as_bytes())
            .text(self.stage.as_str())
            .text(self.version_id.as_str())
            .field(self.version_uuid.as_bytes())
            .integer(self.number)
            .integer(self.withheld.into())
    }

    fn counted(&self) -> Counted {
        Counted::Child(self.secret_id, Child::Label)
    }
}

impl Tx<'_> {
    /// Puts a label that the secret does not have yet on a version.
    ///
    /// # Errors
    /// `Conflict` when the secret has it, or there is no such version.
    pub fn stage_insert(&mut self, row: &StageRow) -> Result<(), StoreError> {
        insert!(self, version_stages, row)
    }

    /// Where a label of a secret stands.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn stage_by_name(&mut self, secret: &SecretId, stage: &Stage) -> Result<Option<StageRow>, StoreError> {
        Ok(self.stages_of(secret)?.into_iter().find(|row| row.stage == *stage))
    }

    /// All labels of a secret, by name.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn stages_of(&mut self, secret: &SecretId) -> Result<Vec<StageRow>, StoreError> {
        let query = version_stages::table.filter(version_stages::secret_id.eq(secret)).order(version_stages::stage);
        self.children(
            secret,
            Child::Label,
            per_backend!(|conn| query.select((StageRow::as_select(), version_stages::mac)).load(conn)),
        )
    }

    /// Moves a label from where `old` says, which was read in this transaction, to where `new` says.
    ///
    /// # Errors
    /// `Fault` when the row is not `old` any more; `Conflict` when a unique column would have the same value twice.
    pub fn stage_update(&mut self, old: &StageRow, new: &StageRow) -> Result<(), StoreError> {
        expect_changed(
            exchange!(self, version_stages, old => new, version_stages::secret_id.eq(old.secret_id).and(version_stages::stage.eq(old.stage.clone())))?,
            StageRow::TABLE,
        )
    }

    /// Takes all labels of a secret away.
    ///
    /// # Errors
    /// As any write.
    pub(in crate::store) fn stages_delete(&mut self, id: &SecretId) -> Result<(), StoreError> {
        delete!(self, version_stages: StageRow, version_stages::secret_id.eq(id), |row| row.secret_id == *id).map(drop)
    }

    /// Takes a label away; false when it does not stand there any more.
    ///
    /// # Errors
    /// As any write.
    pub fn stage_delete(&mut self, row: &StageRow) -> Result<bool, StoreError> {
        remove!(
            self,
            version_stages,
            row,
            version_stages::secret_id.eq(&row.secret_id).and(version_stages::stage.eq(&row.stage))
        )
    }
}
