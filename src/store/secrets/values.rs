//! The read behind GetSecretValue: a secret, its key and one version, by one query; and all versions with their secrets, in turn.
//!
//! Owns: those joins. Must not know: encryption, states. Called by: secrets, `bulla verify`.

use diesel::prelude::*;

use crate::base::ids::{AccountId, SecretId, SecretName, Stage, VersionId};
use crate::store::engine::connection::per_backend;
use crate::store::engine::digest::Digest;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::{keys, secret_versions, secrets, version_stages};
use crate::store::engine::scope::Child;
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

/// Which version of a secret.
#[derive(Clone, Copy)]
enum Asked<'a> {
    /// That which carries a label.
    Stage(&'a Stage),
    /// That of a name.
    Version(&'a VersionId),
}

/// One row of the join: a secret comes once for each of its labels (one or two, as a rule).
type Joined = (SecretRow, Vec<u8>, Option<KeyRow>, Option<Vec<u8>>, Option<StageRow>, Option<Vec<u8>>, Option<VersionRow>);

/// Loads, of a join, the rows of the secret of this name, as [`Joined`]. A macro, as the type of a join is too long to be written.
macro_rules! joined {
    ($join:expr, $account:expr, $name:expr) => {
        per_backend!(|conn| $join
            .filter(secrets::account_id.eq($account))
            .filter(secrets::name.eq($name))
            .select((
                SecretRow::as_select(),
                secrets::mac,
                Option::<KeyRow>::as_select(),
                keys::mac.nullable(),
                Option::<StageRow>::as_select(),
                version_stages::mac.nullable(),
                Option::<VersionRow>::as_select(),
            ))
            .load(conn))
    };
}

/// Whether a label says of a version what the version says of itself.
fn carries(label: &StageRow, row: &VersionRow) -> bool {
    let head = row.head();
    (&label.version_id, label.version_uuid, label.number, label.withheld)
        == (&head.version_id, head.uuid, head.number, head.is_withheld())
}

impl Tx<'_> {
    /// A secret with the version that carries a label; none when there is no such secret. Fit for [`crate::store::Store::read_one`].
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify, a label of the secret is missing or an old one, or the label stands on a version that is not
    /// there.
    pub fn value_by_stage(
        &mut self,
        account: &AccountId,
        name: &SecretName,
        stage: &Stage,
    ) -> Result<Option<ValueRow>, StoreError> {
        // Cloned, as diesel wants what stands in a join to borrow nothing. Only the row of the label has the version: it may be long.
        let version = secret_versions::secret_id
            .eq(secrets::id)
            .and(secret_versions::version_id.eq(version_stages::version_id))
            .and(version_stages::stage.eq(stage.clone()));
        let join = secrets::table
            .left_join(keys::table.on(keys::id.eq(secrets::key_id)))
            .left_join(version_stages::table.on(version_stages::secret_id.eq(secrets::id)))
            .left_join(secret_versions::table.on(version));
        let joined: Vec<Joined> = self.run(SecretRow::TABLE, joined!(join, account, name))?;
        self.value(joined, account, name, Asked::Stage(stage))
    }

    /// A secret with the version of this name; none when there is no such secret. Fit for [`crate::store::Store::read_one`].
    ///
    /// # Errors
    /// As [`Tx::value_by_stage`]; also when the version is missing, or one that the secret does not have any more.
    pub fn value_by_version(
        &mut self,
        account: &AccountId,
        name: &SecretName,
        version: &VersionId,
    ) -> Result<Option<ValueRow>, StoreError> {
        // Cloned, as diesel wants what stands in a join to borrow nothing.
        let looked_for = secret_versions::secret_id.eq(secrets::id).and(secret_versions::version_id.eq(version.clone()));
        let join = secrets::table
            .left_join(keys::table.on(keys::id.eq(secrets::key_id)))
            .left_join(version_stages::table.on(version_stages::secret_id.eq(secrets::id)))
            .left_join(secret_versions::table.on(looked_for));
        let joined: Vec<Joined> = self.run(SecretRow::TABLE, joined!(join, account, name))?;
        self.value(joined, account, name, Asked::Version(version))
    }

    /// The first `limit` versions behind one, by secret and name, each with its secret; without one whose row does not verify. For a
    /// look at all of them beside a proof of all rows, which names that.
    ///
    /// # Errors
    /// As any read.
    pub fn versions_behind(
        &mut self,
        last: Option<&(SecretId, VersionId)>,
        limit: i64,
    ) -> Result<Vec<(Option<SecretRow>, VersionRow)>, StoreError> {
        let mut query =
            secret_versions::table.inner_join(secrets::table.on(secrets::id.eq(secret_versions::secret_id))).into_boxed();
        if let Some((secret, version)) = last {
            let behind = secret_versions::secret_id.gt(secret).or(secret_versions::version_id.gt(version));
            query = query.filter(secret_versions::secret_id.ge(secret)).filter(behind);
        }
        let query = query.order((secret_versions::secret_id, secret_versions::version_id)).limit(limit);
        let columns = (SecretRow::as_select(), secrets::mac, VersionRow::as_select());
        let found: Vec<(SecretRow, Vec<u8>, VersionRow)> =
            self.run(versions::TABLE, |conn| query.select(columns).load(conn))?;
        let seals = self.seals();
        let proved = |secret, mac: Vec<u8>| Some(secret).filter(|secret| seals.verify(secret, &mac));
        Ok(found.into_iter().map(|(secret, mac, version)| (proved(secret, mac), version)).collect())
    }

    /// How many versions there are of all secrets.
    ///
    /// # Errors
    /// As any read.
    pub fn versions_in_all(&mut self) -> Result<u64, StoreError> {
        let count: i64 = self.run(versions::TABLE, per_backend!(|conn| secret_versions::table.count().get_result(conn)))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    fn value(
        &mut self,
        joined: Vec<Joined>,
        account: &AccountId,
        name: &SecretName,
        asked: Asked<'_>,
    ) -> Result<Option<ValueRow>, StoreError> {
        let mut rows = joined.into_iter();
        let Some((secret, secret_mac, key, key_mac, label, label_mac, version)) = rows.next() else { return Ok(None) };
        let secret: SecretRow =
            self.verified((secret, secret_mac), |row: &SecretRow| row.account_id == *account && row.name == *name)?;
        let secret = self.noted(secret)?;
        let Some(key) = key.zip(key_mac) else {
            return Err(self.corrupt(KeyRow::TABLE, format!("the key of secret {} is not there", secret.name)));
        };
        let key = self.verified(key, |row: &KeyRow| row.id == secret.key_id)?;
        let (mut labels, mut sum, mut version) = (Vec::new(), Digest::default(), version);
        for (label, its) in std::iter::once((label.zip(label_mac), None)).chain(rows.map(|row| (row.4.zip(row.5), row.6))) {
            version = version.or(its);
            if let Some((label, mac)) = label {
                sum = sum.plus(self.child_element(&label, &mac));
                labels.push(self.verified_alone((label, mac), |row: &StageRow| row.secret_id == secret.id)?);
            }
        }
        self.belongs(&secret.id, Child::Label, sum)?;
        let its = |row: &VersionRow| row.secret_id == secret.id;
        let version = version.map(|row| self.fitting(versions::TABLE, row, its)).transpose()?;
        let place = match asked {
            Asked::Stage(stage) => labels.iter().find(|label| label.stage == *stage),
            Asked::Version(id) => labels.iter().find(|label| label.version_id == *id),
        };
        match (place, &version, asked) {
            // The labels are those of now, and each names its version.
            (Some(label), Some(row), _) if carries(label, row) => {}
            (Some(_), ..) => return Err(self.corrupt(StageRow::TABLE, "a label on a version that is not there")),
            (None, None, Asked::Stage(_)) => {}
            (None, Some(_), Asked::Stage(_)) => {
                return Err(self.corrupt(StageRow::TABLE, "the version that was given for a label does not carry it"));
            }
            (None, found, Asked::Version(id)) => self.version_proved(&secret.id, id, found.as_ref())?,
        }
        let on_it = |label: &StageRow| version.as_ref().is_some_and(|row| row.version_id == label.version_id);
        let mut stages: Vec<Stage> = labels.into_iter().filter(on_it).map(|label| label.stage).collect();
        stages.sort();
        Ok(Some(ValueRow { secret, key, version, stages }))
    }
}
