//! The life of a master key: made, enabled, disabled, described.
//!
//! Owns: the steps of creation over database and token, and key states. Must not know: HTTP. Called by: api, jobs, default_key.
//!
//! Creation: row first (`Creating`, with its version's id) → object on the token under CKA_ID = that id, proved there → `Enabled`.
//! A kill at any point leaves a row that nobody sees; [`Keys::creation_fail`] destroys what there is on the token, then the row.

use crate::auth::Caller;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::failpoint::{Step, reach};
use crate::ids::{AccountId, KeyId, KeyRef, KeyVersionId};
use crate::integrity::Sealed;
use crate::keys::asymmetric::lost;
use crate::keys::{Keys, alias, policy};
use crate::kinds::{KeySpec, KeyState, KeyUsage, Origin, ProtectionLevel};
use crate::store::{Abort, KeyRow, KeyVersionRow, ResourcePolicyRow, StoreError, Tagged, Tx, held};
use crate::token::{Material, ObjectKind};

/// After this long in `Creating` a key's maker is taken for dead, ms.
const STALE_MS: i64 = 60_000;

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
    /// Key and value of each tag.
    pub tags: Vec<(String, String)>,
    /// A policy of its own, checked.
    pub policy: Option<String>,
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
    pub fn create(&self, caller: &Caller, new: &NewKey) -> Result<KeyRow, Error> {
        if new.origin == Origin::External {
            return self.create_external(caller, new);
        }
        let (key, version) = rows(&caller.account, new, false, self.clock.now());
        self.store.write("key_begin", |tx| {
            self.check_quota(tx, &key.account_id)?;
            Ok::<_, Abort<Error>>(begin(tx, &key, &version)?)
        })?;
        self.finish(&key, new, Some(caller))
    }

    /// A page of the account's keys, oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn list(&self, account: &AccountId, offset: i64, limit: i64) -> Result<KeyPage, Error> {
        self.store.read("keys_page", |tx| {
            Ok::<_, Abort<Error>>(KeyPage { total: tx.key_count(account)?, keys: tx.keys_page(account, offset, limit)? })
        })
    }

    /// Enables or disables a key; to the state that it is in already is success.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`]; [`Error::KeyStateChange`] in the deletion window; [`Error::AliasNotAllowed`] for an alias.
    pub fn set_enabled(&self, caller: &Caller, key: &KeyRef, enabled: bool) -> Result<(), Error> {
        if matches!(key.name, crate::ids::KeyName::Alias(_)) {
            return Err(Error::AliasNotAllowed);
        }
        let state = if enabled { KeyState::Enabled } else { KeyState::Disabled };
        caller.commit(&self.store, "key_set_enabled", |tx| {
            let key = alias::find(tx, caller, key)?;
            match key.state_at(self.clock.now()) {
                KeyState::Enabled | KeyState::Disabled if key.state == state => Ok(()),
                KeyState::Enabled | KeyState::Disabled => {
                    Ok(held(tx.key_update(&key, &KeyRow { state, ..key.clone() })?, KeyRow::TABLE)?)
                }
                KeyState::PendingDeletion | KeyState::PendingImport | KeyState::Creating => {
                    Err(Abort::App(Error::KeyStateChange))
                }
            }
        })
    }

    /// Makes what `begin` has inserted rows for. `caller` is given when the key is the effect of its request; the last step then
    /// uses up its nonce.
    pub(super) fn finish(&self, key: &KeyRow, new: &NewKey, caller: Option<&Caller>) -> Result<KeyRow, Error> {
        reach(Step::KeyBegun);
        let made = Material::of(new.spec, new.usage)
            .and_then(|material| self.token.create(&key.primary_version, ObjectKind::Cmk(material)))
            .map_err(lost)
            .and_then(|()| {
                reach(Step::KeyOnToken);
                self.enable_new(key, new, caller)
            });
        if made.is_err()
            && let Err(left) = self.creation_fail(key)
        {
            log::warn!("key {} stays in Creating until the next sweep: {left:?}", key.id);
        }
        made
    }

    pub(super) fn check_quota(&self, tx: &mut Tx<'_>, account: &AccountId) -> Result<(), Abort<Error>> {
        match self.quotas.keys {
            Some(most) if tx.key_count(account)? >= i64::from(most) => Err(Abort::App(Error::LimitExceeded)),
            _ => Ok(()),
        }
    }

    fn enable_new(&self, key: &KeyRow, new: &NewKey, caller: Option<&Caller>) -> Result<KeyRow, Error> {
        let step = |tx: &mut Tx<'_>| {
            if !key.service {
                self.check_quota(tx, &key.account_id)?;
            }
            let enabled = KeyRow { state: KeyState::Enabled, ..key.clone() };
            if !tx.key_update(key, &enabled)? {
                return Err(Abort::App(Error::Unavailable("key was given up while it was made")));
            }
            for (tag_key, tag_value) in &new.tags {
                tx.tag_put(&key.account_id, Tagged::Key(key.id), tag_key, tag_value)?;
            }
            if let Some(document) = &new.policy {
                tx.resource_policy_put(&ResourcePolicyRow { document: document.clone(), ..policy::row(key) })?;
            }
            Ok(enabled)
        };
        match caller {
            Some(caller) => caller.commit(&self.store, "key_enable_new", step),
            None => self.store.write("key_enable_new", step),
        }
    }

    /// Gives up every key whose making began too long ago. Returns how many there were.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when token or database are away; what is left is tried again at the next sweep.
    pub fn creations_sweep(&self) -> Result<usize, Error> {
        let before = self.clock.now().plus_ms(-STALE_MS);
        let stale = self.store.read("keys_creating", |tx| Ok::<_, Abort<Error>>(tx.keys_creating_before(before)?))?;
        for key in &stale {
            self.creation_fail(key)?;
            log::warn!("key {} was never finished and has been removed", key.id);
        }
        Ok(stale.len())
    }

    /// Undoes a creation: first the object on the token, then the row, so that no object is left without a row.
    pub(super) fn creation_fail(&self, key: &KeyRow) -> Result<(), Error> {
        self.token.destroy(&key.primary_version)?;
        self.store.write("key_creation_fail", |tx| {
            let still = tx.key_by_id(&key.id)?.is_some_and(|k| k.state == KeyState::Creating);
            if still {
                if key.service {
                    tx.default_key_delete(&key.account_id, &key.id)?;
                }
                tx.key_delete(&key.id)?;
            }
            Ok::<_, Abort<Error>>(())
        })
    }
}

/// Inserts the rows of a key that is about to be made.
pub(super) fn begin(tx: &mut Tx<'_>, key: &KeyRow, version: &KeyVersionRow) -> Result<(), StoreError> {
    tx.key_insert(key)?;
    tx.key_version_insert(version)
}

/// The rows of a new key.
pub(super) fn rows(account: &AccountId, new: &NewKey, service: bool, now: Timestamp) -> (KeyRow, KeyVersionRow) {
    let key = KeyId::new();
    let version = KeyVersionRow { id: KeyVersionId::new(), key_id: key, created_at: now };
    let key = KeyRow {
        id: key,
        account_id: account.clone(),
        spec: new.spec,
        usage: new.usage,
        origin: new.origin,
        protection: new.protection,
        state: KeyState::Creating,
        service,
        description: new.description.clone(),
        primary_version: version.id,
        created_at: now,
        delete_at: None,
        material_expires_at: None,
    };
    (key, version)
}
