//! Which version of a secret carries which label, and which version goes when there are too many.
//!
//! Owns: the rules below, and carrying them out in a transaction. Must not know: HTTP, encryption, who may do it.
//! Called by: secrets::{create, put, stage}.
//!
//! - A label stands on one version; a version may carry many.
//! - ACSCurrent always stands somewhere. Where it leaves a version, ACSPrevious comes; so ACSPrevious stands in one place or none.
//! - At most [`MOST_LABELS`] labels and [`MOST_VERSIONS`] versions. A label too many is refused; of versions the oldest one without
//!   a label goes. There always is one, as eight labels stand on eight versions at most.
//!
//! Source: the pages of PutSecretValue and UpdateSecretVersionStage.

use std::collections::BTreeMap;

use crate::base::ids::{SecretId, SecretVersionUuid, Stage, VersionId};
use crate::error::Error;
use crate::store::Sealed;
use crate::store::{Abort, SecretRow, StageRow, StoreError, Tx, VersionHead, VersionRow, expect_changed};

/// Versions of one secret.
pub const MOST_VERSIONS: usize = 10;

/// Different labels of one secret.
pub const MOST_LABELS: usize = 8;

/// A version that can carry labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub version: VersionId,
    /// Its id, so that another version made later under the same name is not meant.
    pub uuid: SecretVersionUuid,
    /// Its number.
    pub number: i64,
    /// Whether it is not to be served.
    pub withheld: bool,
}

impl From<&VersionHead> for Place {
    fn from(head: &VersionHead) -> Self {
        Self { version: head.version_id.clone(), uuid: head.uuid, number: head.number, withheld: head.is_withheld() }
    }
}

impl From<&VersionRow> for Place {
    fn from(row: &VersionRow) -> Self {
        Self::from(&row.head())
    }
}

/// The labels of one secret and where they stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels(BTreeMap<Stage, Place>);

impl Labels {
    /// The labels that these rows are.
    pub fn of(rows: &[StageRow]) -> Self {
        let place = |row: &StageRow| Place {
            version: row.version_id.clone(),
            uuid: row.version_uuid,
            number: row.number,
            withheld: row.withheld,
        };
        Self(rows.iter().map(|row| (row.stage.clone(), place(row))).collect())
    }

    /// The labels on a version, by name.
    pub fn on(&self, version: &VersionId) -> Vec<Stage> {
        self.0.iter().filter(|(_, place)| place.version == *version).map(|(stage, _)| stage.clone()).collect()
    }

    /// Whether every label stands on one of these versions.
    pub fn stand_on(&self, versions: &[VersionHead]) -> bool {
        self.0.values().all(|place| versions.iter().any(|head| head.uuid == place.uuid && head.version_id == place.version))
    }

    /// Puts a label on a version, from wherever it stands.
    pub fn put(&mut self, stage: &Stage, on: &Place) {
        let left = self.0.insert(stage.clone(), on.clone());
        if let Some(left) = left
            && left != *on
            && stage.as_str() == Stage::CURRENT
        {
            self.0.insert(Stage::previous(), left);
        }
    }

    /// Puts labels on a version; ACSCurrent first, so that a place named for ACSPrevious stands against what ACSCurrent leaves.
    pub fn put_all(&mut self, stages: &[Stage], on: &Place) {
        let (current, others): (Vec<_>, Vec<_>) = stages.iter().partition(|stage| stage.as_str() == Stage::CURRENT);
        current.into_iter().chain(others).for_each(|stage| self.put(stage, on));
    }

    /// Takes a label away. Not for the built-in ones.
    pub fn take(&mut self, stage: &Stage) {
        self.0.remove(stage);
    }

    /// Refuses more labels than a secret may have.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`].
    pub fn check(&self) -> Result<(), Error> {
        if self.0.len() <= MOST_LABELS {
            Ok(())
        } else {
            Err(Error::LimitExceeded { most: MOST_LABELS as i64, of: "labels on the versions of a secret" })
        }
    }

    /// Of versions that are too many, those that go: the oldest without a label. `versions` are in order of age.
    pub fn surplus<'v>(&self, versions: &'v [VersionHead]) -> impl Iterator<Item = &'v VersionHead> {
        let bare = move |head: &&VersionHead| !self.0.values().any(|place| place.uuid == head.uuid);
        let found: Vec<_> = versions.iter().filter(bare).take(versions.len().saturating_sub(MOST_VERSIONS)).collect();
        found.into_iter()
    }
}

/// Changes the labels of a secret.
///
/// # Errors
/// [`Error::LimitExceeded`], and what `change` refuses.
pub fn change(
    tx: &mut Tx<'_>,
    secret: &SecretId,
    change: impl FnOnce(&mut Labels) -> Result<(), Error>,
) -> Result<Labels, Abort<Error>> {
    let before = tx.stages_of(secret)?;
    change_from(tx, secret, &before, change)
}

/// The same of labels that are known.
fn change_from(
    tx: &mut Tx<'_>,
    secret: &SecretId,
    before: &[StageRow],
    change: impl FnOnce(&mut Labels) -> Result<(), Error>,
) -> Result<Labels, Abort<Error>> {
    let mut labels = Labels::of(before);
    change(&mut labels).and_then(|()| labels.check()).map_err(Abort::App)?;
    for old in before {
        match labels.0.get(&old.stage) {
            None => expect_changed(tx.stage_delete(old)?, StageRow::TABLE)?,
            Some(place) => {
                let new = row(secret, &old.stage, place);
                if new != *old {
                    tx.stage_update(old, &new)?;
                }
            }
        }
    }
    for (stage, place) in labels.0.iter().filter(|(stage, _)| !before.iter().any(|old| old.stage == **stage)) {
        tx.stage_insert(&row(secret, stage, place))?;
    }
    Ok(labels)
}

/// Stores a new secret with its first version, which is ACSCurrent.
///
/// # Errors
/// As any write.
pub fn store_first(tx: &mut Tx<'_>, secret: &SecretRow, version: &VersionRow) -> Result<(), StoreError> {
    let label = row(&version.secret_id, &Stage::current(), &Place::from(version));
    tx.secret_insert_with(secret, version, &label)?;
    tx.version_insert(version)?;
    tx.stage_insert(&label)
}

/// Stores a sealed version beside `others`, all that the secret has, under these labels, of those that it has, and removes what is too many
/// then. Gives the version's labels.
///
/// # Errors
/// [`Error::LimitExceeded`].
pub fn store_version(
    tx: &mut Tx<'_>,
    version: &VersionRow,
    others: Vec<VersionHead>,
    before: &[StageRow],
    stages: &[Stage],
) -> Result<Vec<Stage>, Abort<Error>> {
    let version = &numbered(version, &others);
    tx.version_insert(version)?;
    let mut versions = others;
    versions.push(version.head());
    versions.sort_by(|a, b| (a.created_at, a.version_id.as_str()).cmp(&(b.created_at, b.version_id.as_str())));
    label_version(tx, &version.secret_id, before, &Place::from(version), stages, &versions)
}

/// A sealed version with the number after all others of its secret. The youngest is never removed as one too many, so that no number
/// comes again.
pub fn numbered(version: &VersionRow, others: &[VersionHead]) -> VersionRow {
    let last = others.iter().map(|head| head.number).max().unwrap_or(0);
    VersionRow { number: last + 1, ..version.clone() }
}

/// Says on the labels of a version what has become of it.
///
/// # Errors
/// As any write.
pub fn follow(tx: &mut Tx<'_>, secret: &SecretId, place: &Place) -> Result<(), Abort<Error>> {
    change(tx, secret, |labels| {
        labels.0.values_mut().filter(|stands| stands.uuid == place.uuid).for_each(|stands| *stands = place.clone());
        Ok(())
    })
    .map(drop)
}

/// Puts labels on a stored version, from where they stood before, and removes those of a secret's versions, oldest first, that are too many then. Gives the version's
/// labels.
///
/// # Errors
/// [`Error::LimitExceeded`].
pub fn label_version(
    tx: &mut Tx<'_>,
    secret: &SecretId,
    before: &[StageRow],
    place: &Place,
    stages: &[Stage],
    versions: &[VersionHead],
) -> Result<Vec<Stage>, Abort<Error>> {
    let labels = change_from(tx, secret, before, |labels| {
        labels.put_all(stages, place);
        Ok(())
    })?;
    for surplus in labels.surplus(versions) {
        expect_changed(tx.version_delete(surplus)?, "secret_versions")?;
    }
    Ok(labels.on(&place.version))
}

fn row(secret: &SecretId, stage: &Stage, place: &Place) -> StageRow {
    StageRow {
        secret_id: *secret,
        stage: stage.clone(),
        version_id: place.version.clone(),
        version_uuid: place.uuid,
        number: place.number,
        withheld: place.withheld,
    }
}

#[cfg(test)]
mod tests;
