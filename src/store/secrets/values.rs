//! The read behind GetSecretValue: a secret, its key and one version, by one query.
//!
//! Owns: that join. Must not know: encryption, states. Called by: secrets.

use diesel::alias;
use diesel::prelude::*;
use diesel::query_source::AliasedField;

use crate::base::ids::{AccountId, SecretId, SecretName, SecretVersionUuid, Stage, VersionId};
use crate::store::engine::connection::per_backend;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::{keys, secret_versions, secrets, version_stages};
use crate::store::secrets::versions;
use crate::store::{KeyRow, SecretRow, StageRow, StoreError, Tx, VersionRow};

/// A secret and what is needed to open one of its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueRow {
    /// The secret.
    pub secret: SecretRow,
    /// The key that protects it.
    pub key: KeyRow,
    /// The version; none when the secret has no such version or label.
    pub version: Option<VersionRow>,
    /// The labels on the version, by name.
    pub stages: Vec<Stage>,
}

// The labels of the version that was found, beside the label that was looked for.
alias!(version_stages as labels: Labels);

/// A [`StageRow`] and its MAC under the other name.
#[derive(Queryable, Selectable)]
struct Label {
    #[diesel(select_expression = labels.field(version_stages::secret_id))]
    #[diesel(select_expression_type = AliasedField<Labels, version_stages::secret_id>)]
    secret_id: SecretId,
    #[diesel(select_expression = labels.field(version_stages::stage))]
    #[diesel(select_expression_type = AliasedField<Labels, version_stages::stage>)]
    stage: Stage,
    #[diesel(select_expression = labels.field(version_stages::version_id))]
    #[diesel(select_expression_type = AliasedField<Labels, version_stages::version_id>)]
    version_id: VersionId,
    #[diesel(select_expression = labels.field(version_stages::version_uuid))]
    #[diesel(select_expression_type = AliasedField<Labels, version_stages::version_uuid>)]
    version_uuid: SecretVersionUuid,
    #[diesel(select_expression = labels.field(version_stages::mac))]
    #[diesel(select_expression_type = AliasedField<Labels, version_stages::mac>)]
    mac: Vec<u8>,
}

/// Which version of a secret.
#[derive(Clone, Copy)]
enum Asked<'a> {
    /// That which carries a label.
    Stage(&'a Stage),
    /// That of a name.
    Version(&'a VersionId),
}

/// One row of the join: a version comes once for each of its labels (one or two, as a rule).
type Joined = (SecretRow, Vec<u8>, KeyRow, Vec<u8>, Option<VersionRow>, Option<Label>);

/// Loads, of a join, the rows of the secret of this name, as [`Joined`]. A macro, as the type of a join is too long to be written.
macro_rules! joined {
    ($join:expr, $account:expr, $name:expr) => {
        per_backend!(|conn| $join
            .filter(secrets::account_id.eq($account))
            .filter(secrets::name.eq($name))
            .select((
                SecretRow::as_select(),
                secrets::mac,
                KeyRow::as_select(),
                keys::mac,
                Option::<VersionRow>::as_select(),
                Option::<Label>::as_select(),
            ))
            .load::<Joined>(conn))
    };
}

impl Tx<'_> {
    /// A secret with the version that carries a label; none when there is no such secret. Fit for [`crate::store::Store::read_one`].
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify, or the label stands on a version that is not there.
    pub fn value_by_stage(
        &mut self,
        account: &AccountId,
        name: &SecretName,
        stage: &Stage,
    ) -> Result<Option<ValueRow>, StoreError> {
        // Cloned, as diesel wants what stands in a join to borrow nothing.
        let looked_for = version_stages::secret_id.eq(secrets::id).and(version_stages::stage.eq(stage.clone()));
        let version =
            secret_versions::secret_id.eq(secrets::id).and(secret_versions::version_id.eq(version_stages::version_id));
        let on_it = labels
            .field(version_stages::secret_id)
            .eq(secrets::id)
            .and(labels.field(version_stages::version_id).eq(version_stages::version_id));
        let join = secrets::table
            .inner_join(keys::table.on(keys::id.eq(secrets::key_id)))
            .left_join(version_stages::table.on(looked_for))
            .left_join(secret_versions::table.on(version))
            .left_join(labels.on(on_it));
        let joined = self.run(SecretRow::TABLE, joined!(join, account, name))?;
        self.value(joined, account, name, Asked::Stage(stage))
    }

    /// A secret with the version of this name; none when there is no such secret. Fit for [`crate::store::Store::read_one`].
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn value_by_version(
        &mut self,
        account: &AccountId,
        name: &SecretName,
        version: &VersionId,
    ) -> Result<Option<ValueRow>, StoreError> {
        // Cloned, as diesel wants what stands in a join to borrow nothing.
        let looked_for = secret_versions::secret_id.eq(secrets::id).and(secret_versions::version_id.eq(version.clone()));
        let on_it = labels
            .field(version_stages::secret_id)
            .eq(secrets::id)
            .and(labels.field(version_stages::version_id).eq(secret_versions::version_id));
        let join = secrets::table
            .inner_join(keys::table.on(keys::id.eq(secrets::key_id)))
            .left_join(secret_versions::table.on(looked_for))
            .left_join(labels.on(on_it));
        let joined = self.run(SecretRow::TABLE, joined!(join, account, name))?;
        self.value(joined, account, name, Asked::Version(version))
    }

    fn value(
        &mut self,
        joined: Vec<Joined>,
        account: &AccountId,
        name: &SecretName,
        asked: Asked<'_>,
    ) -> Result<Option<ValueRow>, StoreError> {
        let mut rows = joined.into_iter();
        let Some((secret, secret_mac, key, key_mac, version, label)) = rows.next() else { return Ok(None) };
        let secret: SecretRow =
            self.verified((secret, secret_mac), |row: &SecretRow| row.account_id == *account && row.name == *name)?;
        let key = self.verified((key, key_mac), |row: &KeyRow| row.id == secret.key_id)?;
        let its = |row: &VersionRow| {
            row.secret_id == secret.id
                && match asked {
                    Asked::Version(id) => row.version_id == *id,
                    // Which version it is says the label.
                    Asked::Stage(_) => true,
                }
        };
        let version = version.map(|row| self.fitting(versions::TABLE, row, its)).transpose()?;
        let mut stages = Vec::new();
        for label in label.into_iter().chain(rows.filter_map(|row| row.5)) {
            let Label { secret_id, stage, version_id, version_uuid, mac } = label;
            let row = StageRow { secret_id, stage, version_id, version_uuid };
            let label = self.verified((row, mac), |row| row.secret_id == secret.id)?;
            let on_it = |row: &VersionRow| row.version_id == label.version_id && row.uuid == label.version_uuid;
            if !version.as_ref().is_some_and(on_it) {
                return Err(self.corrupt(StageRow::TABLE, "a label on a version that is not there"));
            }
            stages.push(label.stage);
        }
        if let Asked::Stage(stage) = asked
            && version.is_some()
            && !stages.contains(stage)
        {
            return Err(self.corrupt(StageRow::TABLE, "the version that was given for a label does not carry it"));
        }
        stages.sort();
        Ok(Some(ValueRow { secret, key, version, stages }))
    }
}
