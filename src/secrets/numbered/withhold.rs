//! Versions that are served no more, or again; and secrets that go at once.
//!
//! Owns: what deletion of single versions does. Must not know: labels, but that they follow. Called by: api::versions.

use super::current_of;
use crate::auth::Caller;
use crate::base::clock::Timestamp;
use crate::base::ids::{SecretRef, VersionId};
use crate::error::Error;
use crate::secrets::Secrets;
use crate::secrets::find::{find, only_generic, touch};
use crate::secrets::stages::{self, Place};
use crate::store::{Abort, SecretRow, Tx, expect_changed};

/// What becomes of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withheld {
    /// They are not served until they are undeleted.
    Deleted,
    /// They are served again, unless they are destroyed. A secret in its deletion window is restored if the current version is among them, or
    /// one that is withheld by itself.
    Undeleted,
    /// Their data keys and values go for ever.
    Destroyed,
}

/// Which versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The current one.
    Current,
    /// Those of these numbers; numbers that there are not mean nothing.
    Numbers(Vec<i64>),
}

/// The secret that a caller names; none where there is none. What is done then leaves its mark as if there were: it was done.
fn found(tx: &mut Tx<'_>, caller: &Caller, secret: &SecretRef, now: Timestamp) -> Result<Option<SecretRow>, Abort<Error>> {
    match find(tx, caller, secret, now) {
        Ok(found) => Ok(Some(found)),
        Err(Abort::App(Error::SecretNotFound)) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Secrets {
    /// Withholds versions of a secret that callers manage, or serves them again. Of a secret that is not there nothing is to be done.
    ///
    /// # Errors
    /// [`Error::UnsupportedOperation`] for a managed secret.
    pub fn withhold(&self, caller: &Caller, secret: &SecretRef, which: &Which, to: Withheld) -> Result<(), Error> {
        let now = caller.now();
        self.store.commit(&caller.effect, "secret_withhold", |tx| {
            let Some(found) = found(tx, caller, secret, now)? else { return Ok(()) };
            only_generic(&found)?;
            let heads = tx.versions_of(&found.id)?;
            let current = current_of(tx, &found.id)?;
            let numbers = match which {
                Which::Current => vec![current],
                Which::Numbers(numbers) => numbers.clone(),
            };
            let mut changed = false;
            for head in heads.iter().filter(|head| numbers.contains(&head.number)) {
                let (deleted_at, destroyed) = match to {
                    Withheld::Deleted if head.is_withheld() => continue,
                    Withheld::Undeleted if head.destroyed || head.deleted_at.is_none() => continue,
                    Withheld::Destroyed if head.destroyed => continue,
                    Withheld::Deleted => (Some(now), false),
                    Withheld::Undeleted => (None, false),
                    Withheld::Destroyed => (head.deleted_at, true),
                };
                let new = tx.version_withhold(head, deleted_at, destroyed)?;
                stages::follow(tx, &found.id, &Place::from(&new))?;
                changed = true;
            }
            if to == Withheld::Undeleted && found.delete_at.is_some() && (changed || numbers.contains(&current)) {
                let restored = SecretRow { updated_at: now, delete_at: None, ..found.clone() };
                return Ok(tx.secret_update(&found, &restored)?);
            }
            if changed { touch(tx, &found, now) } else { Ok(()) }
        })
    }

    /// Takes the data key and the value of a version out of the database for ever; one that is destroyed already stays so.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`], [`Error::SecretVersionNotFound`]; [`Error::UnsupportedOperation`] for a managed secret.
    pub fn destroy_version(&self, caller: &Caller, secret: &SecretRef, version: &VersionId) -> Result<(), Error> {
        let now = caller.now();
        self.store.commit(&caller.effect, "secret_version_destroy", |tx| {
            let found = find(tx, caller, secret, now)?;
            only_generic(&found)?;
            let head = tx.versions_of(&found.id)?.into_iter().find(|head| head.version_id == *version);
            let head = head.ok_or(Abort::App(Error::SecretVersionNotFound))?;
            if head.destroyed {
                return Ok(());
            }
            let new = tx.version_withhold(&head, head.deleted_at, true)?;
            stages::follow(tx, &found.id, &Place::from(&new))?;
            touch(tx, &found, now)
        })
    }

    /// Deletes a secret at once, if it is there.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn remove(&self, caller: &Caller, secret: &SecretRef) -> Result<(), Error> {
        let now = caller.now();
        self.store.commit(&caller.effect, "secret_remove", |tx| {
            if let Some(found) = found(tx, caller, secret, now)? {
                expect_changed(tx.secret_delete(&found)?, "secrets")?;
            }
            Ok(())
        })
    }
}
