//! The end of a master key: scheduled, called off, refused by protection, carried out.
//!
//! Owns: the deletion window, and the steps by which key and material go. Must not know: HTTP, what runs the sweep.
//! Called by: api, jobs.
//! Source of the rules: the pages of ScheduleKeyDeletion and SetDeletionProtection.
//!
//! When the window is over the key becomes `Deleted` with its aliases, tags, policy and rotation gone: from that transaction on no caller
//! finds it. Then the token objects of all versions are destroyed, each looked for again, then the rows of the versions go. The
//! key's own row stays while a secret names it, so that whoever reads the secret is told that its key is gone. A kill at any point
//! leaves `Deleted` with its time set, which the next sweep takes up.

use std::time::Instant;

use crate::auth::Caller;
use crate::base::clock::{Moment, Timestamp};
use crate::base::ids::KeyRef;
use crate::base::words::{KeyState, MaterialState, Origin};
use crate::error::{Error, Unchanged};
use crate::keys::Keys;
use crate::keys::find::find;
use crate::keys::rows::{editable, replace};
use crate::service_task::{TaskRecord, each};
use crate::store::{Abort, KeyRow, KeyVersionRow, Tagged, Tx};

impl Keys {
    /// Begins a key's deletion window of so many days.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`], [`Error::AliasNotAllowed`]; [`Error::UnsupportedOperation`] for a key that the service made;
    /// [`Error::KeyStateChange`] when deletion protection is on, or the window has begun.
    pub fn schedule_deletion(&self, caller: &Caller, key: &KeyRef, days: u32) -> Result<(), Error> {
        let at = caller.proved_now()?.plus_days(days);
        self.store.commit(&caller.effect, "key_schedule_deletion", |tx| {
            let key = find(tx, caller, key)?;
            if key.service {
                return Err(Abort::App(Error::UnsupportedOperation("the service made this key and needs it")));
            }
            match key.state {
                KeyState::Enabled | KeyState::Disabled | KeyState::PendingImport if key.deletion_protection.is_none() => {
                    let state = KeyState::PendingDeletion;
                    replace(tx, &key, KeyRow { state, delete_at: Some(at), ..key.clone() })
                }
                KeyState::Enabled | KeyState::Disabled | KeyState::PendingImport => {
                    Err(Abort::App(Error::KeyStateChange(Unchanged::Protected)))
                }
                KeyState::PendingDeletion | KeyState::Creating | KeyState::Deleted => {
                    Err(Abort::App(Error::KeyStateChange(Unchanged::PendingDeletion)))
                }
            }
        })
    }

    /// Takes a key out of its deletion window; it is Enabled then, or waits for its material as before.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`], [`Error::AliasNotAllowed`]; [`Error::KeyStateChange`] for a key that is not in its window.
    pub fn cancel_deletion(&self, caller: &Caller, key: &KeyRef) -> Result<(), Error> {
        self.store.commit(&caller.effect, "key_cancel_deletion", |tx| {
            let key = find(tx, caller, key)?;
            if key.state != KeyState::PendingDeletion {
                return Err(Abort::App(Error::KeyStateChange(Unchanged::NotPendingDeletion)));
            }
            let state = if has_material(tx, &key)? { KeyState::Enabled } else { KeyState::PendingImport };
            replace(tx, &key, KeyRow { state, delete_at: None, ..key.clone() })
        })
    }

    /// Turns deletion protection on, with a reason for people, or off.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`], [`Error::AliasNotAllowed`]; [`Error::KeyState`] in the deletion window.
    pub fn set_deletion_protection(&self, caller: &Caller, key: &KeyRef, on: bool, reason: &str) -> Result<(), Error> {
        self.store.commit(&caller.effect, "key_set_deletion_protection", |tx| {
            let key = find(tx, caller, key)?;
            editable(&key)?;
            let deletion_protection = on.then(|| reason.to_owned());
            replace(tx, &key, KeyRow { deletion_protection, ..key.clone() })
        })
    }

    /// Ends the windows that are over, up to `limit` keys, and goes on with what an earlier sweep did not end.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when token or database are away; what is left is due at the next sweep.
    pub fn deletions_sweep(&self, at: Moment, limit: i64) -> Result<(), Error> {
        let now = at.now();
        let due = self.store.read_rows("keys_due", |tx| tx.keys_due(now, limit))?;
        if !due.is_empty() {
            self.token.health()?;
        }
        // Their objects were made before that: no key in its window, or deleted, gets another.
        let since = Instant::now();
        each(due, |key| {
            if key.state != KeyState::PendingDeletion {
                return self.destroy(&key, since, at);
            }
            match self.end(&key, at)? {
                Some(ended) if ended.delete_at.is_some_and(|at| at <= now) => self.destroy(&ended, since, at),
                _ => Ok(()),
            }
        })
    }

    /// Whether the token's user may destroy keys, as far as the last attempt told.
    pub fn may_be_destroyed(&self) -> bool {
        self.token.destroys_keys()
    }

    /// Ends a key's window; none when its deletion was called off, or another node was faster. Its material stays on the token for
    /// the quarantine: a row of a deletion that was called off, put back, would end a window too.
    fn end(&self, key: &KeyRow, at: Moment) -> Result<Option<KeyRow>, Error> {
        let resource = key.id.resource();
        let reason = "the deletion window is over";
        let destroy_at = at.now().plus_ms(self.limits.quarantine_ms);
        let task = TaskRecord { account: &key.account_id, action: "DeleteKey", resource: &resource, version: None, reason, at };
        self.service_tasks.run(task, |effect| self.store.commit(effect, "key_delete", |tx| end_window(tx, key, destroy_at)))
    }

    /// Destroys the material of a key that is deleted, and removes what need not stay of its rows.
    fn destroy(&self, key: &KeyRow, since: Instant, at: Moment) -> Result<(), Error> {
        let resource = key.id.resource();
        let reason = "the key is deleted";
        let task = TaskRecord {
            account: &key.account_id,
            action: "DestroyKeyMaterial",
            resource: &resource,
            version: None,
            reason,
            at,
        };
        self.service_tasks.run(task, |effect| {
            let (versions, pairs) = self
                .store
                .read("key_versions", |tx| Ok((deleted_versions(tx, key)?, tx.import_parameters_of_key(&key.id)?)))?;
            versions.iter().try_for_each(|version| self.destroy_version(version, since))?;
            let on_token = pairs.iter().filter(|pair| pair.wrapped.is_none());
            on_token.map(|pair| pair.id).try_for_each(|pair| self.token.destroy(&pair, since))?;
            self.store.commit(effect, "key_destroyed", |tx| forget(tx, key))
        })
    }

    /// Destroys a version's object, and looks again, on another session, that it is gone.
    fn destroy_version(&self, version: &KeyVersionRow, since: Instant) -> Result<(), Error> {
        self.token.destroy(&version.id, since)?;
        if self.token.exists(&version.id)? {
            return Err(Error::Internal(format!("key version {} is on the token after its destruction", version.id)));
        }
        Ok(())
    }
}

/// Whether there is material of the key on the token: made there, or imported.
fn has_material(tx: &mut Tx<'_>, key: &KeyRow) -> Result<bool, Abort<Error>> {
    match key.origin {
        Origin::Service => Ok(true),
        Origin::External => {
            let material = tx.key_material_by_version(&key.primary_version)?;
            Ok(material.is_some_and(|material| material.state == MaterialState::Present))
        }
    }
}

/// The versions of a key that is still as it was when it was due.
fn deleted_versions(tx: &mut Tx<'_>, key: &KeyRow) -> Result<Vec<KeyVersionRow>, Abort<Error>> {
    match tx.key_by_id(&key.id)? {
        Some(found) if found == *key && found.state == KeyState::Deleted => Ok(tx.key_versions_of(&key.id)?),
        _ => Err(Abort::App(Error::Unavailable("the key is another one than it was"))),
    }
}

/// Makes a key Deleted, to be destroyed later; none when its deletion was called off, or another node was faster.
fn end_window(tx: &mut Tx<'_>, key: &KeyRow, destroy_at: Timestamp) -> Result<Option<KeyRow>, Abort<Error>> {
    if tx.key_by_id(&key.id)?.is_none_or(|k| k != *key) {
        return Ok(None);
    }
    tx.aliases_delete_of_key(&key.id)?;
    tx.tags_delete(Tagged::Key(key.id))?;
    tx.resource_policy_delete(&key.account_id, &key.id.resource())?;
    tx.key_rotation_delete(&key.id)?;
    let ended = KeyRow { state: KeyState::Deleted, delete_at: Some(destroy_at), material_expires_at: None, ..key.clone() };
    replace(tx, key, ended.clone())?;
    Ok(Some(ended))
}

/// Removes the rows of a key whose material is gone; its own only if no secret names it.
fn forget(tx: &mut Tx<'_>, key: &KeyRow) -> Result<(), Abort<Error>> {
    for pair in tx.import_parameters_of_key(&key.id)? {
        tx.import_parameters_delete(&pair.id)?;
    }
    for version in tx.key_versions_of(&key.id)? {
        tx.key_version_delete(&version.id)?;
    }
    tx.key_materials_delete(&key.id)?;
    match tx.key_by_id(&key.id)? {
        Some(key) if tx.secrets_under(&key.id)? => replace(tx, &key, KeyRow { delete_at: None, ..key.clone() }),
        Some(key) => tx.key_delete(&key.id).map(drop).map_err(Abort::from),
        None => Ok(()),
    }
}
