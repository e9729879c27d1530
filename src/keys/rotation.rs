//! Automatic rotation: a key gets a new version on time, whatever number of nodes there are.
//!
//! Owns: setting the policy, and the sweep that makes what is due. Must not know: how a version is made (`versions`), what runs the
//! sweep.
//! Called by: api (UpdateRotationPolicy), jobs.
//! Source of the rules: the pages of UpdateRotationPolicy and CreateKey.

use crate::auth::Caller;
use crate::base::clock::{Moment, Timestamp};
use crate::base::ids::KeyRef;
use crate::error::Error;
use crate::keys::find::find;
use crate::keys::schedule::{rotates, schedule};
use crate::keys::{Keys, admit, rows, versions};
use crate::service_task::{TaskRecord, each};
use crate::store::{Abort, KeyRow, KeyVersionRow};

impl Keys {
    /// When the next version of a key is due, of whatever account; none where no key rotates by itself.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn next_rotation(&self) -> Result<Option<Timestamp>, Error> {
        Ok(self.store.read_row("next_key_rotation", |tx| tx.next_key_rotation())?)
    }

    /// Whether the token's user may make keys, as far as the last attempt told.
    pub fn may_be_made(&self) -> bool {
        self.token.makes_keys()
    }

    /// Turns a key's automatic rotation on, with this interval in seconds, or off. The next version is due one interval after the
    /// last; at once where that is past.
    ///
    /// # Errors
    /// [`Error::UnsupportedOperation`] for keys that do not rotate and those that the service made; [`Error::KeyState`] unless the
    /// key is Enabled; [`Error::KeyNotFound`]; [`Error::AliasNotAllowed`].
    pub fn set_rotation(&self, caller: &Caller, key: &KeyRef, interval_s: Option<i64>) -> Result<(), Error> {
        self.store.commit(&caller.effect, "key_set_rotation", |tx| {
            let key = find(tx, caller, key)?;
            admit::usable(key.state_at(caller.now())).map_err(Abort::App)?;
            if key.service {
                return Err(Abort::App(Error::UnsupportedOperation("the service made this key and rotates it")));
            }
            rotates(&key).map_err(Abort::App)?;
            let last = rows::primary(tx, &key)?;
            schedule(tx, &key.id, interval_s, last.created_at)
        })
    }

    /// Gives every Enabled key whose time has come a new version, up to `limit` keys.
    ///
    /// # Errors
    /// [`Error::TokenFull`] where the deployment has as many objects as it may: what is left waits for room.
    /// [`Error::Unavailable`] when token or database are away; what is left is due at the next sweep.
    pub fn rotations_sweep(&self, at: Moment, limit: i64) -> Result<(), Error> {
        let now = at.now();
        let due = self.store.read_rows("keys_to_rotate", |tx| tx.keys_to_rotate(now, limit))?;
        if !due.is_empty() {
            self.token.health()?;
        }
        each(due, |key| {
            // One refusal is enough: what is left is for a node whose user may make keys.
            if !self.may_be_made() {
                return Ok(());
            }
            let Some((key, version)) = self.rotation_begin(&key, at.now())? else { return Ok(()) };
            let (resource, id) = (key.id.resource(), version.id.to_string());
            let task = TaskRecord {
                account: &key.account_id,
                action: "CreateKeyVersion",
                resource: &resource,
                version: Some(&id),
                reason: "rotation is due",
                at,
            };
            self.service_tasks.run(task, |effect| self.version_finish(&key, &version, effect)).map(drop)
        })
    }

    /// Inserts the row of the version that is due; none where the key has changed or another node is at it.
    fn rotation_begin(&self, key: &KeyRow, now: Timestamp) -> Result<Option<(KeyRow, KeyVersionRow)>, Error> {
        self.store.write("key_rotation_begin", |tx| {
            let still = tx.key_by_id(&key.id)?.filter(|k| admit::usable(k.state).is_ok() && rotates(k).is_ok());
            let due = tx.key_rotation(&key.id)?.filter(|r| r.due_at <= now);
            let (Some(key), Some(due)) = (still, due) else { return Ok(None) };
            let all = tx.key_versions_of(&key.id)?;
            if all.iter().any(|v| !v.ready) {
                return Ok(None);
            }
            if due.interval_s.is_some() && all.len() as i64 >= versions::MAX_VERSIONS {
                log::warn!("key {} has {} versions and is not rotated any more", key.id, versions::MAX_VERSIONS);
                tx.key_rotation_delete(&key.id)?;
                return Ok(None);
            }
            self.check_room(tx, key.spec.objects())?;
            let version = versions::begin(tx, &key, now)?;
            Ok(Some((key, version)))
        })
    }
}
