//! The life of a master key: made, listed, described, enabled, disabled.
//!
//! Owns: the steps of creation over database and token, and what may be changed in which state. Must not know: HTTP.
//! Called by: api, default_key. Its end is in `deletion`.
//!
//! Creation: row first (`Creating`, with its version's id) → object on the token under CKA_ID = that id, proved there → `Enabled`.
//! A kill at any point leaves rows that nobody sees; [`Keys::version_fail`] destroys what there is on the token, then the rows.

use crate::auth::Caller;
use crate::base::clock::Timestamp;
use crate::base::failpoint::{Step, reach};
use crate::base::ids::{AccountId, KeyId, KeyRef, KeyVersionId};
use crate::base::words::{KeySpec, KeyState, KeyUsage, Origin, ProtectionLevel};
use crate::errand::Author;
use crate::error::{Error, RejectedState};
use crate::keys::asymmetric::lost;
use crate::keys::{Keys, alias, policy, rotation, versions};
use crate::store::Sealed;
use crate::store::{
    Abort, KeyCondition, KeyRotationRow, KeyRow, KeyVersionRow, ResourcePolicyRow, StoreError, Tagged, Tx, held,
};
use crate::token::{Material, ObjectKind};

/// After this long a maker of a key or version that is not done is taken for dead, ms.
pub(super) const STALE_MS: i64 = 60_000;

/// What a key is to be.
pub struct NewKey {
    /// Its material.
    pub spec: KeySpec,
    /// Its use.
    pub usage: KeyUsage,
    /// Where its material comes from.
    pub origin: Origin,
    /// The level asked for.
    pub protection: ProtectionLevel,
    /// For people.
    pub description: String,
    /// Seconds between two versions; none without automatic rotation.
    pub rotation_s: Option<i64>,
    /// Key and value of each tag.
    pub tags: Vec<(String, String)>,
    /// A policy of its own, checked.
    pub policy: Option<String>,
}

/// What is known of a key.
pub struct Described {
    /// The key.
    pub key: KeyRow,
    /// When its primary version was made.
    pub rotated_at: Timestamp,
    /// Its rotation, where it has one.
    pub rotation: Option<KeyRotationRow>,
}

/// One page of an account's keys.
pub struct KeyPage {
    /// Keys on the page.
    pub keys: Vec<KeyRow>,
    /// Keys in all.
    pub total: i64,
}

impl Keys {
    /// Makes a key for a caller.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`], [`Error::Unavailable`].
    pub fn create(&self, caller: &Caller, new: &NewKey) -> Result<Described, Error> {
        if new.origin == Origin::External {
            return self.create_external(caller, new);
        }
        let (key, version) = rows(&caller.account, new, false, self.clock.now());
        self.store.write("key_begin", |tx| {
            self.check_quota(tx, &key.account_id)?;
            Ok::<_, Abort<Error>>(begin(tx, &key, &version)?)
        })?;
        self.finish(&key, &version, new, Author::Caller(caller))
    }

    /// A page of the account's keys that fit every condition, oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn list(&self, account: &AccountId, conditions: &[KeyCondition], offset: i64, limit: i64) -> Result<KeyPage, Error> {
        self.store.read("keys_page", |tx| {
            let total = tx.key_count(account, conditions)?;
            Ok::<_, Abort<Error>>(KeyPage { total, keys: tx.keys_page(account, conditions, offset, limit)? })
        })
    }

    /// What is known of a key.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`], [`Error::AliasNotFound`].
    pub fn describe(&self, caller: &Caller, key: &KeyRef) -> Result<Described, Error> {
        self.store.read("key_describe", |tx| {
            let key = alias::find(tx, caller, key)?;
            describe(tx, key)
        })
    }

    /// Enables or disables a key; to the state that it is in already is success.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`]; [`Error::KeyStateChange`] in the deletion window; [`Error::AliasNotAllowed`] for an alias.
    pub fn set_enabled(&self, caller: &Caller, key: &KeyRef, enabled: bool) -> Result<(), Error> {
        let state = if enabled { KeyState::Enabled } else { KeyState::Disabled };
        caller.commit(&self.store, "key_set_enabled", |tx| {
            let key = alias::find_by_id(tx, caller, key)?;
            match key.state_at(self.clock.now()) {
                KeyState::Enabled | KeyState::Disabled if key.state == state => Ok(()),
                KeyState::Enabled | KeyState::Disabled => replace(tx, &key, KeyRow { state, ..key.clone() }),
                KeyState::PendingDeletion | KeyState::PendingImport | KeyState::Creating | KeyState::Deleted => {
                    Err(Abort::App(Error::KeyStateChange))
                }
            }
        })
    }

    /// Describes a key anew, for people.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`], [`Error::AliasNotAllowed`]; [`Error::KeyState`] in the deletion window.
    pub fn set_description(&self, caller: &Caller, key: &KeyRef, description: &str) -> Result<(), Error> {
        caller.commit(&self.store, "key_set_description", |tx| {
            let key = alias::find_by_id(tx, caller, key)?;
            editable(&key)?;
            replace(tx, &key, KeyRow { description: description.to_owned(), ..key.clone() })
        })
    }

    /// Makes what `begin` has inserted rows for; the last step is the effect of `author`.
    pub(super) fn finish(
        &self,
        key: &KeyRow,
        version: &KeyVersionRow,
        new: &NewKey,
        author: Author<'_>,
    ) -> Result<Described, Error> {
        reach(Step::KeyBegun);
        let made = Material::of(new.spec, new.usage)
            .and_then(|material| self.token.create(&version.id, ObjectKind::Cmk(material)))
            .map_err(lost)
            .and_then(|()| {
                reach(Step::KeyOnToken);
                author.commit(&self.store, "key_enable_new", |tx| self.enable_new(tx, key, version, new))
            });
        if made.is_err()
            && let Err(left) = self.version_fail(version)
        {
            log::warn!("key {} stays in Creating until the next sweep: {left:?}", key.id);
        }
        made
    }

    pub(super) fn check_quota(&self, tx: &mut Tx<'_>, account: &AccountId) -> Result<(), Abort<Error>> {
        match self.limits.keys {
            Some(most) if tx.key_count(account, &[])? >= i64::from(most) => Err(Abort::App(Error::LimitExceeded)),
            _ => Ok(()),
        }
    }

    fn enable_new(
        &self,
        tx: &mut Tx<'_>,
        key: &KeyRow,
        version: &KeyVersionRow,
        new: &NewKey,
    ) -> Result<Described, Abort<Error>> {
        if !key.service {
            self.check_quota(tx, &key.account_id)?;
        }
        versions::mark_ready(tx, version)?;
        let enabled = KeyRow { state: KeyState::Enabled, ..key.clone() };
        replace(tx, key, enabled.clone())?;
        rotation::schedule(tx, &key.id, new.rotation_s, version.created_at)?;
        furnish(tx, enabled, new)
    }
}

/// Inserts the rows of a key that is about to be made.
pub(super) fn begin(tx: &mut Tx<'_>, key: &KeyRow, version: &KeyVersionRow) -> Result<(), StoreError> {
    tx.key_insert(key)?;
    tx.key_version_insert(version)
}

/// The rows of a new key.
pub(super) fn rows(account: &AccountId, new: &NewKey, service: bool, now: Timestamp) -> (KeyRow, KeyVersionRow) {
    let key = KeyRow {
        id: KeyId::new(),
        account_id: account.clone(),
        spec: new.spec,
        usage: new.usage,
        origin: new.origin,
        protection: new.protection,
        state: KeyState::Creating,
        service,
        description: new.description.clone(),
        primary_version: KeyVersionId::new(),
        created_at: now,
        delete_at: None,
        material_expires_at: None,
        deletion_protection: false,
        deletion_protection_description: String::new(),
    };
    let version = versions::row(&key, key.primary_version, now);
    (key, version)
}

/// The last step of a new key: its tags and policy.
pub(super) fn furnish(tx: &mut Tx<'_>, key: KeyRow, new: &NewKey) -> Result<Described, Abort<Error>> {
    for (tag_key, tag_value) in &new.tags {
        tx.tag_put(&key.account_id, Tagged::Key(key.id), tag_key, tag_value)?;
    }
    if let Some(document) = &new.policy {
        tx.resource_policy_put(&ResourcePolicyRow { document: document.clone(), ..policy::row(&key) })?;
    }
    describe(tx, key)
}

/// Puts a changed key in the place of the one that was read in this transaction, or by whoever made it.
pub(super) fn replace(tx: &mut Tx<'_>, old: &KeyRow, new: KeyRow) -> Result<(), Abort<Error>> {
    Ok(held(tx.key_update(old, &new)?, KeyRow::TABLE)?)
}

/// Whether what is said of a key may be changed: not in the deletion window.
pub(super) fn editable(key: &KeyRow) -> Result<(), Abort<Error>> {
    match key.state {
        KeyState::PendingDeletion => Err(Abort::App(Error::KeyState(RejectedState::PendingDeletion))),
        KeyState::Enabled | KeyState::Disabled | KeyState::PendingImport | KeyState::Creating | KeyState::Deleted => Ok(()),
    }
}

fn describe(tx: &mut Tx<'_>, key: KeyRow) -> Result<Described, Abort<Error>> {
    let rotated_at = versions::primary(tx, &key)?.created_at;
    let rotation = tx.key_rotation(&key.id)?;
    Ok(Described { key, rotated_at, rotation })
}
