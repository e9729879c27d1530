//! Half-made versions that nobody finishes: given up, and condemned; and what is condemned, imported material and wrapping pairs too
//! (`keys::import`), destroyed on the token when its quarantine is over.
//!
//! Owns: what must speak for a destruction. Must not know: how a version is made. Called by: jobs.
//!
//! Nothing brings a destroyed key back, and a row proves only that it was written once: an old row of a version in the making, put
//! back, would ask for the destruction of a key in use. So a row that anything contradicts is an alarm, and one that nothing
//! contradicts still waits: what was condemned wrongly can be saved for so long (docs/operations.md).

use std::time::Instant;

use crate::base::clock::{Moment, Timestamp};
use crate::base::words::{KeyState, Origin};
use crate::error::Error;
use crate::keys::Keys;
use crate::keys::import::material::{gone, take_condemned};
use crate::keys::rows::{STALE_MS, condemned_in_use, with_keys};
use crate::keys::versions::delete_unmade;
use crate::service_task::{TaskRecord, each};
use crate::store::{Abort, CondemnedRow, KeyMaterialRow, KeyRow, KeyVersionRow, Tx};

/// How many objects are destroyed in one round.
const BATCH: i64 = 500;

impl Keys {
    /// Gives up every version, and every key with its first version, whose making began too long ago; then destroys what has been
    /// condemned long enough.
    ///
    /// # Errors
    /// [`Error::Integrity`] for a row that is contradicted; [`Error::Unavailable`] when token or database are away. What is left is
    /// tried again at the next sweep.
    pub fn creations_sweep(&self, at: Moment) -> Result<(), Error> {
        let before = at.now().plus_ms(-STALE_MS);
        let stale = self.store.read("key_versions_unready", |tx| {
            let stale = tx.key_versions_unready_before(before)?;
            Ok::<_, Abort<Error>>(with_keys(tx, stale, |row| row.key_id))
        })?;
        let given_up = each(stale, |(key, version)| match key {
            Some(key) => self.give_up(&key, &version, at),
            None => Err(Error::Integrity(format!("version {} has no key", version.id))),
        });
        given_up.and(self.condemned_sweep(at))
    }

    /// Gives up one version, and its key if that was made with it, unless anything speaks against it.
    pub(super) fn give_up(&self, key: &KeyRow, version: &KeyVersionRow, at: Moment) -> Result<(), Error> {
        let (resource, id) = (key.id.resource(), version.id.to_string());
        let reason = "its making was never finished";
        let task = TaskRecord {
            account: &key.account_id,
            action: "CondemnKeyVersion",
            resource: &resource,
            version: Some(&id),
            reason,
            at,
        };
        let gone = self
            .service_tasks
            .run(task, |effect| self.store.commit(effect, "key_version_condemn", |tx| give_up(tx, version, effect.now())))?;
        if gone {
            log::warn!("version {id} of key {} was never finished and has been removed", key.id);
        }
        Ok(())
    }

    /// Destroys what was condemned so long ago that its quarantine is over, and that nothing needs.
    fn condemned_sweep(&self, at: Moment) -> Result<(), Error> {
        let until = at.now().plus_ms(-self.limits.quarantine_ms);
        let due = self.store.read_rows("condemned", |tx| tx.condemned_until(until, BATCH))?;
        let since = Instant::now();
        each(due, |row| {
            let (resource, id) = (row.key_id.resource(), row.id.to_string());
            let task = TaskRecord {
                account: &row.account_id,
                action: "DestroyKeyMaterial",
                resource: &resource,
                version: Some(&id),
                reason: "it was condemned, and its quarantine is over",
                at,
            };
            self.service_tasks.run(task, |effect| {
                let material = self.store.write("condemned_take", |tx| take(tx, &row, effect.now()))?;
                self.token.destroy(&row.id, since)?;
                self.store.commit(effect, "condemned_destroyed", |tx| {
                    material.iter().try_for_each(|material| gone(tx, material, effect.now()))?;
                    Ok(tx.condemned_delete(&row.id).map(drop)?)
                })
            })
        })
    }
}

/// That nothing needs a condemned object, and nobody brings it back while it goes; the material that it is, if it is that.
fn take(tx: &mut Tx<'_>, row: &CondemnedRow, now: Timestamp) -> Result<Option<KeyMaterialRow>, Abort<Error>> {
    if let Some(version) = tx.key_version_by_id(&row.id)?
        && let Some(key) = tx.key_by_id(&version.key_id)?
        && key.origin == Origin::External
    {
        return take_condemned(tx, &key, row, now);
    }
    let needed = tx.import_parameters_by_id(&row.id)?.is_some() || tx.key_version_is_needed(&row.id)?;
    if needed { Err(Abort::App(condemned_in_use(&row.id))) } else { Ok(None) }
}

/// Removes the row of a version in the making, and of its key if that was made with it, and condemns the object; false when it became
/// ready meanwhile or is gone. A maker who lives finds its row gone, and destroys what it made itself.
fn give_up(tx: &mut Tx<'_>, version: &KeyVersionRow, now: Timestamp) -> Result<bool, Abort<Error>> {
    if tx.key_version_by_id(&version.id)?.is_none_or(|row| row != *version) {
        return Ok(false);
    }
    let key = tx.key_by_id(&version.key_id)?;
    let Some(key) = key else { return Err(Abort::App(Error::Integrity(format!("version {} has no key", version.id)))) };
    if let Some(why) = contradicted(tx, &key, version)? {
        let what = format!("version {} of key {} is said to be in the making, and {why}", version.id, key.id);
        return Err(Abort::App(Error::Integrity(what)));
    }
    let (id, key_id, account_id) = (version.id, key.id, key.account_id.clone());
    tx.condemn(&CondemnedRow { id, key_id, account_id, condemned_at: now })?;
    delete_unmade(tx, version)?;
    Ok(true)
}

/// What speaks against a version's being in the making.
fn contradicted(tx: &mut Tx<'_>, key: &KeyRow, version: &KeyVersionRow) -> Result<Option<&'static str>, Abort<Error>> {
    if key.state != KeyState::Creating && key.primary_version == version.id {
        return Ok(Some("its key encrypts with it"));
    }
    // Of a key, one version at a time is in the making, and none is begun before that one's fate is known.
    let later = |other: &KeyVersionRow| other.id != version.id && other.created_at > version.created_at;
    if tx.key_versions_of(&key.id)?.iter().any(later) {
        return Ok(Some("its key has a later one"));
    }
    if version.uses > 0 {
        return Ok(Some("it has encrypted"));
    }
    Ok(tx.key_version_wraps(&version.id)?.then_some("a secret is under it"))
}
