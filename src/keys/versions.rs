//! Versions of a key: the primary one encrypts, older ones only decrypt.
//!
//! Owns: the steps that make a version, over database and token. Must not know: HTTP, when versions are due (`schedule`).
//! Called by: api, rotation, jobs.
//! Source of the rules: the page of CreateKeyVersion.
//!
//! Row first (not ready) → object on the token under CKA_ID = its id, proved there → ready and primary, in one transaction. Of a
//! key one version at a time is in the making: the database refuses another, so of many nodes one makes it. A kill at any point
//! leaves a row that is not ready; a sweep removes it and condemns the object, which goes when its quarantine is over (`keys::condemned`).

use crate::auth::Caller;
use crate::base::clock::Timestamp;
use crate::base::failpoint::{Step, reach};
use crate::base::ids::{KeyRef, KeyVersionId};
use crate::base::words::{KeyState, Origin};
use crate::effect::Effect;
use crate::error::Error;
use crate::keys::find::find;
use crate::keys::rows::{replace, version_row};
use crate::keys::schedule::schedule;
use crate::keys::token_failure::token_failure;
use crate::keys::{Keys, admit};
use crate::store::{Abort, KeyRow, KeyVersionRow, StoreError, Tx};
use crate::token::{Material, ObjectKind};

/// Versions of one key at most (CreateKeyVersion).
pub(super) const MAX_VERSIONS: i64 = 50;

/// Days from one version to the next at least, when a caller asks for it (CreateKeyVersion).
const LEAST_AGE_DAYS: u32 = 7;

/// One page of a key's versions.
pub struct VersionPage {
    /// Versions on the page.
    pub versions: Vec<KeyVersionRow>,
    /// Versions in all.
    pub total: i64,
}

impl Keys {
    /// Makes a new version of a key, which becomes its primary one.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`], [`Error::AliasNotAllowed`]; [`Error::KeyState`] unless the key is Enabled;
    /// [`Error::UnsupportedOperation`] where no version can be made; [`Error::LimitExceeded`] for the 51st version;
    /// [`Error::KeyVersionTooSoon`] within seven days of the last; [`Error::Unavailable`], also while another is in the making.
    pub fn version_create(&self, caller: &Caller, key: &KeyRef) -> Result<KeyVersionRow, Error> {
        let now = caller.now();
        let (key, version) = self.store.write("key_version_begin", |tx| {
            let key = find(tx, caller, key)?;
            admit::usable(key.state_at(now)).map_err(Abort::App)?;
            has_versions(&key).map_err(Abort::App)?;
            let versions = tx.key_versions_of(&key.id)?;
            if versions.iter().filter(|version| version.ready).count() as i64 >= MAX_VERSIONS {
                return Err(Abort::App(Error::LimitExceeded { most: MAX_VERSIONS, of: "versions of a key" }));
            }
            if versions.iter().any(|version| !version.ready) {
                return Err(Abort::App(Error::Unavailable("another version of the key is in the making")));
            }
            if versions.iter().any(|version| now < version.created_at.plus_days(LEAST_AGE_DAYS)) {
                return Err(Abort::App(Error::KeyVersionTooSoon));
            }
            self.check_room(tx, key.spec.objects())?;
            let version = begin(tx, &key, now)?;
            Ok((key, version))
        })?;
        self.version_finish(&key, &version, &caller.effect)
    }

    /// One version of a key.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`], [`Error::KeyVersionNotFound`], [`Error::AliasNotAllowed`].
    pub fn version(&self, caller: &Caller, key: &KeyRef, version: &str) -> Result<KeyVersionRow, Error> {
        self.store.read("key_version", |tx| {
            let key = find(tx, caller, key)?;
            let missing = || Abort::App(Error::KeyVersionNotFound);
            let id: KeyVersionId = version.parse().map_err(|_| missing())?;
            tx.key_version_by_id(&id)?.filter(|v| v.key_id == key.id && v.ready).ok_or_else(missing)
        })
    }

    /// A page of a key's versions, oldest first.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`], [`Error::AliasNotAllowed`].
    pub fn versions(&self, caller: &Caller, key: &KeyRef, offset: i64, limit: i64) -> Result<VersionPage, Error> {
        self.store.read("key_versions_page", |tx| {
            let key = find(tx, caller, key)?;
            let total = tx.key_version_count(&key.id)?;
            Ok(VersionPage { versions: tx.key_versions_page(&key.id, offset, limit)?, total })
        })
    }

    /// Makes what [`begin`] has inserted a row for.
    pub(super) fn version_finish(
        &self,
        key: &KeyRow,
        version: &KeyVersionRow,
        effect: &Effect,
    ) -> Result<KeyVersionRow, Error> {
        self.make(key, version, effect, || self.store.commit(effect, "key_version_ready", |tx| ready(tx, key, version)))
    }

    /// Makes the object of a version whose row is there, then takes the last step; what fails is undone.
    pub(super) fn make<T>(
        &self,
        key: &KeyRow,
        version: &KeyVersionRow,
        effect: &Effect,
        last: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        reach(Step::KeyBegun);
        let made = Material::of(key.spec, key.usage)
            .and_then(|material| self.token.create(&version.id, ObjectKind::Cmk(material)))
            .map_err(token_failure)
            .and_then(|()| {
                reach(Step::KeyOnToken);
                last()
            });
        if made.is_err()
            && let Err(left) = self.version_fail(version, effect.now())
        {
            log::warn!("version {} of key {} stays in the making until the next sweep: {left:?}", version.id, key.id);
        }
        made
    }

    /// Undoes the making of a version that this call began, and of its key if that was made with it: first the row is taken over, so that
    /// its maker, if it lives, cannot make it ready any more; then the object is destroyed, then the row deleted, so that no object is
    /// left without one. What became ready stays.
    pub(super) fn version_fail(&self, version: &KeyVersionRow, now: Timestamp) -> Result<(), Error> {
        if !self.store.write("key_version_take_over", |tx| take_over(tx, &version.id, now))? {
            return Ok(());
        }
        self.token.destroy_own(&version.id)?;
        self.store.write("key_version_fail", |tx| Ok(delete_unmade(tx, version)?))
    }
}

/// Deletes the row of a version that was not made, and its key's if that was made with it.
pub(super) fn delete_unmade(tx: &mut Tx<'_>, version: &KeyVersionRow) -> Result<(), StoreError> {
    tx.key_version_delete(&version.id)?;
    if let Some(key) = tx.key_by_id(&version.key_id)?.filter(|key| key.state == KeyState::Creating) {
        if key.service {
            tx.default_key_delete(&key.account_id, &key.id)?;
        }
        tx.key_delete(&key.id)?;
    }
    Ok(())
}

/// Whether a key can have more versions than one: not with material from outside, nor where no caller can name a version, as with
/// MACs.
///
/// # Errors
/// [`Error::UnsupportedOperation`].
fn has_versions(key: &KeyRow) -> Result<(), Error> {
    match key.origin {
        Origin::Service if key.spec.mac_algorithm().is_none() => Ok(()),
        Origin::Service | Origin::External => {
            Err(Error::UnsupportedOperation("keys for MACs and keys with imported material have one version"))
        }
    }
}

/// Inserts the row of a version that is about to be made.
pub(super) fn begin(tx: &mut Tx<'_>, key: &KeyRow, now: Timestamp) -> Result<KeyVersionRow, StoreError> {
    let version = version_row(key, KeyVersionId::new(), now);
    tx.key_version_insert(&version)?;
    Ok(version)
}

/// Marks a version as ready, unless it was given up.
pub(super) fn mark_ready(tx: &mut Tx<'_>, version: &KeyVersionRow) -> Result<KeyVersionRow, Abort<Error>> {
    let ready = KeyVersionRow { ready: true, ..version.clone() };
    if tx.key_version_update_if(version, &ready)? {
        Ok(ready)
    } else {
        Err(Abort::App(Error::Unavailable("the key version was given up while it was made")))
    }
}

/// The last step: the version is ready and primary, the next one is due an interval later.
fn ready(tx: &mut Tx<'_>, key: &KeyRow, version: &KeyVersionRow) -> Result<KeyVersionRow, Abort<Error>> {
    let key = tx.key_by_id(&key.id)?.ok_or(Abort::App(Error::KeyNotFound))?;
    admit::usable(key.state).map_err(Abort::App)?;
    let ready = mark_ready(tx, version)?;
    replace(tx, &key, KeyRow { primary_version: version.id, ..key.clone() })?;
    let interval_s = tx.key_rotation(&key.id)?.and_then(|r| r.interval_s);
    schedule(tx, &key.id, interval_s, version.created_at)?;
    Ok(ready)
}

/// Makes the row of a version in the making another than its maker knows; false when it became ready meanwhile.
pub(super) fn take_over(tx: &mut Tx<'_>, id: &KeyVersionId, now: Timestamp) -> Result<bool, Abort<Error>> {
    match tx.key_version_by_id(id)? {
        // Its key was deleted under its maker; what remains is the object.
        None => Ok(true),
        Some(row) if row.ready => Ok(false),
        Some(row) => Ok(tx.key_version_update_if(&row, &KeyVersionRow { created_at: now, ..row.clone() })?),
    }
}
