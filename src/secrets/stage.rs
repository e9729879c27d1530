//! UpdateSecretVersionStage and ListSecretVersionIds: the versions of a secret and their labels.
//!
//! Owns: what a call means for labels; the rules by which they move are in `stages`. Must not know: HTTP, SQL, values.
//! Called by: api. Source of the rules: the pages of the two operations.

use crate::auth::Caller;
use crate::base::clock::Timestamp;
use crate::base::field::Field;
use crate::base::ids::{SecretRef, Stage, VersionId};
use crate::error::Error;
use crate::secrets::Secrets;
use crate::secrets::find::{find, find_live, only_generic, touch};
use crate::secrets::stages::{Labels, Place, change};
use crate::store::{Abort, VersionHead};

/// One label's move: onto a version, off a version, or from one to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The label.
    pub stage: Stage,
    /// The version that must carry it now.
    pub from: Option<VersionId>,
    /// The version that carries it then; none takes it away.
    pub to: Option<VersionId>,
}

/// A version as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedVersion {
    /// Its name.
    pub version: VersionId,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its labels, by name.
    pub stages: Vec<Stage>,
}

impl Secrets {
    /// Moves a label of a secret that the caller manages.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`]; [`Error::SecretVersionNotFound`] for a version that is not there or has no value (any more);
    /// [`Error::SecretInDeleteWindow`], [`Error::SecretVersionDeleted`] where the label would stand on what is not served;
    /// [`Error::Invalid`] when the label is not where it is to be taken from; [`Error::LimitExceeded`] for a label too
    /// many; [`Error::UnsupportedOperation`] for a managed secret.
    pub fn move_stage(&self, caller: &Caller, secret: &SecretRef, step: &Move) -> Result<(), Error> {
        let now = caller.now();
        self.store.commit(&caller.effect, "secret_stage_move", |tx| {
            let found = find_live(tx, caller, secret, now)?;
            only_generic(&found)?;
            let versions = tx.versions_of(&found.id)?;
            let head = |name: &Option<VersionId>| name.as_ref().map(|name| named(&versions, name)).transpose();
            head(&step.from)?;
            let to = head(&step.to)?.map(servable).transpose()?;
            change(tx, &found.id, |labels| {
                if step.from.as_ref().is_some_and(|from| !labels.on(from).contains(&step.stage)) {
                    return Err(Error::invalid_since(Field::RemoveFromVersion, "The label must be on that version."));
                }
                match &to {
                    Some(to) => labels.put(&step.stage, to),
                    None => labels.take(&step.stage),
                }
                Ok(())
            })?;
            touch(tx, &found, now)
        })
    }

    /// The versions of a secret, oldest first; those without a label only where they are asked for.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`]; [`Error::Integrity`] for a label on a version that is not there.
    pub fn versions(&self, caller: &Caller, secret: &SecretRef, with_deprecated: bool) -> Result<Vec<ListedVersion>, Error> {
        let now = caller.now();
        self.store.read("secret_versions", |tx| {
            let found = find(tx, caller, secret, now)?;
            let heads = tx.versions_of(&found.id)?;
            let labels = Labels::of(&tx.stages_of(&found.id)?);
            if !labels.stand_on(&heads) {
                let what = format!("a label of secret {} stands on a version that is not there", found.name);
                return Err(Abort::App(Error::Integrity(what)));
            }
            let listed = heads.into_iter().map(|head| {
                let stages = labels.on(&head.version_id);
                ListedVersion { version: head.version_id, created_at: head.created_at, stages }
            });
            Ok(listed.filter(|version| with_deprecated || !version.stages.is_empty()).collect())
        })
    }
}

/// The version of this name.
fn named<'v>(versions: &'v [VersionHead], name: &VersionId) -> Result<&'v VersionHead, Abort<Error>> {
    versions.iter().find(|head| head.version_id == *name).ok_or(Abort::App(Error::SecretVersionNotFound))
}

/// A place for a label: a version that readers of the label are served, and not the error that they would get there.
fn servable(head: &VersionHead) -> Result<Place, Abort<Error>> {
    match (head.destroyed, head.deleted_at) {
        (true, _) => Err(Abort::App(Error::SecretVersionNotFound)),
        (false, Some(_)) => Err(Abort::App(Error::SecretVersionDeleted)),
        (false, None) => Ok(head.into()),
    }
}
