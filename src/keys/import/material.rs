//! Material of EXTERNAL keys: checked, brought to the token, taken off it.
//!
//! Owns: the states of material and the key's state that follows from them. Must not know: HTTP, PKCS#11. Called by: api, jobs.
//!
//! Row first: `Importing` → object on the token under CKA_ID = the version's id, proved there → `Present`, and with it, in one
//! transaction, the key `Enabled`. The other way: the key `PendingImport` and the material `Removing` → object destroyed →
//! `Absent`. Whoever is between the arrows has the material to itself; who takes longer than [`STALE_MS`] is taken for dead.
//!
//! A caller's own DeleteKeyMaterial destroys at once. What has expired, or was left on its way, is unusable at once, `Absent` and
//! condemned: the object goes when its quarantine is over (`keys::condemned`), unless an import takes its place before.

use std::time::Instant;

use super::{external, pair};
use crate::auth::Caller;
use crate::base::clock::{Moment, Timestamp};
use crate::base::failpoint::{Step, reach};
use crate::base::field::Field;
use crate::base::ids::{KeyRef, KeyVersionId};
use crate::base::words::{KeyState, MaterialState};
use crate::error::{Error, Unchanged};
use crate::keys::Keys;
use crate::keys::rows::{STALE_MS, condemned_in_use, with_keys};
use crate::service_task::{TaskRecord, each};
use crate::store::{Abort, CondemnedRow, ImportParametersRow, KeyMaterialRow, KeyRow, StoreError, Tx};
use crate::token::{CheckValue, Incoming, TokenError};

/// What is to be done with material that was found good.
enum Next {
    /// It is on the token: only the expiry changes.
    Keep,
    /// It is not: this row says that we bring it.
    Bring(KeyMaterialRow, Before),
}

/// What is on the token under the id of material that comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Nothing.
    Nothing,
    /// What was condemned, and is not any more: what comes takes its place.
    Condemned,
}

impl Before {
    /// Takes the version out of its quarantine.
    fn of(tx: &mut Tx<'_>, version: &KeyVersionId) -> Result<Self, StoreError> {
        Ok(if tx.condemned_delete(version)? { Before::Condemned } else { Before::Nothing })
    }
}

impl Keys {
    /// Brings material to a key, or the same material again. `expires_at` is when it ceases to be usable.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`], [`Error::AliasNotAllowed`], [`Error::OriginNotSupported`]; [`Error::KeyStateChange`] in the deletion
    /// window; [`Error::Invalid`] for an expiry that has passed; [`Error::ImportTokenInvalid`],
    /// [`Error::ImportTokenExpired`]; [`Error::KeyMaterialInvalid`]; [`Error::Unavailable`].
    pub fn import_material(
        &self,
        caller: &Caller,
        key: &KeyRef,
        token: &str,
        wrapped: &[u8],
        expires_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        let key = self.store.read("import_key", |tx| importable(tx, caller, key))?;
        if expires_at.is_some_and(|at| at <= caller.now()) {
            return Err(Error::invalid_since(Field::KeyMaterialExpireUnix, "It must be in the future, in seconds since 1970."));
        }
        let parameters = self.parameters_of(&key, token, caller.now())?;
        let weighed = self.with_material(&parameters, wrapped, |material| {
            let check = self.token.check_value(material, &key.primary_version, key.spec).map_err(|e| match e {
                TokenError::Tampered => Error::KeyMaterialInvalid,
                other => other.into(),
            })?;
            match self.claim(&key, &check, caller.now())? {
                Next::Keep => {
                    self.store.commit(&caller.effect, "import_again", |tx| set_expiry(tx, &key, expires_at, caller.now()))
                }
                Next::Bring(row, before) => {
                    if before == Before::Condemned
                        && let Err(error) = self.token.destroy(&row.key_version_id, Instant::now())
                    {
                        self.take_back_or_leave(&row, caller.now());
                        return Err(error.into());
                    }
                    self.bring(caller, &key, &row, material, &check, expires_at)
                }
            }
        });
        if weighed == Err(Error::KeyMaterialInvalid) {
            self.import_failed(&parameters)?;
        }
        weighed
    }

    /// Runs a step with the material as the token takes it.
    fn with_material(
        &self,
        parameters: &ImportParametersRow,
        wrapped: &[u8],
        step: impl FnOnce(&Incoming<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self.open_pair(parameters)? {
            None => step(&Incoming::Wrapped { pair: &parameters.id, algorithm: parameters.algorithm, bytes: wrapped }),
            Some(private) => {
                let material = pair::unwrap(&private, parameters.algorithm, wrapped)?.ok_or(Error::KeyMaterialInvalid)?;
                step(&Incoming::Clear(&material))
            }
        }
    }

    /// Decides what becomes of good material, and claims the version if it is to be brought to the token.
    fn claim(&self, key: &KeyRow, check: &CheckValue, now: Timestamp) -> Result<Next, Error> {
        let next = |state, check_value| KeyMaterialRow {
            key_version_id: key.primary_version,
            key_id: key.id,
            state,
            check_value,
            changed_at: now,
        };
        self.store.write("material_claim", |tx| {
            let Some(row) = tx.key_material_by_version(&key.primary_version)? else {
                let row = next(MaterialState::Importing, None);
                tx.key_material_insert(&row)?;
                return Ok(Next::Bring(row, Before::of(tx, &key.primary_version)?));
            };
            if row.check_value.as_ref().is_some_and(|known| known != check) {
                return Err(Abort::App(Error::KeyMaterialInvalid));
            }
            match row.state {
                MaterialState::Present => Ok(Next::Keep),
                MaterialState::Absent => {
                    let claimed = next(MaterialState::Importing, row.check_value.clone());
                    update(tx, &row, &claimed)?;
                    Ok(Next::Bring(claimed, Before::of(tx, &key.primary_version)?))
                }
                MaterialState::Importing | MaterialState::Removing => {
                    Err(Abort::App(Error::Unavailable("key material is on its way")))
                }
            }
        })
    }

    /// Makes the object and enables the key.
    fn bring(
        &self,
        caller: &Caller,
        key: &KeyRow,
        row: &KeyMaterialRow,
        material: &Incoming<'_>,
        check: &CheckValue,
        expires_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        let present = KeyMaterialRow {
            state: MaterialState::Present,
            check_value: Some(check.to_vec()),
            changed_at: caller.now(),
            ..row.clone()
        };
        reach(Step::MaterialClaimed);
        let brought = self.token.import(material, &key.primary_version, key.spec, check).map_err(Error::from).and_then(|()| {
            reach(Step::MaterialOnToken);
            self.store.commit(&caller.effect, "material_present", |tx| {
                update(tx, row, &present)?;
                set_expiry(tx, key, expires_at, caller.now())
            })
        });
        if brought.is_err() {
            self.take_back_or_leave(row, caller.now());
        }
        brought
    }

    /// Takes a key's material off the token. None there is success.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`], [`Error::AliasNotAllowed`], [`Error::OriginNotSupported`]; [`Error::Unavailable`] also while the
    /// material is on its way. The key is unusable from the moment that this is committed, even if the token is away then.
    pub fn delete_material(&self, caller: &Caller, key: &KeyRef) -> Result<(), Error> {
        let now = caller.now();
        let removing = self.store.commit(&caller.effect, "material_delete", |tx| {
            let key = external(tx, caller, key)?;
            begin_removal(tx, &key, now)
        })?;
        removing.map_or(Ok(()), |row| {
            self.token.destroy(&row.key_version_id, Instant::now())?;
            self.finish_removal(&row, now)
        })
    }

    fn take_back_or_leave(&self, row: &KeyMaterialRow, now: Timestamp) {
        if let Err(left) = self.take_back(row, now) {
            log::warn!("material of key {} stays on its way until a sweep gives it up: {left:?}", row.key_id);
        }
    }

    /// Undoes an import of this caller's that failed, unless it came to its end after all.
    fn take_back(&self, row: &KeyMaterialRow, now: Timestamp) -> Result<(), Error> {
        let removing = KeyMaterialRow { state: MaterialState::Removing, changed_at: now, ..row.clone() };
        let ours = self.store.write_rows("material_take_back", |tx| tx.key_material_update_if(row, &removing))?;
        if !ours {
            return Ok(());
        }
        self.token.destroy_own(&row.key_version_id)?;
        self.finish_removal(&removing, now)
    }

    /// The object of material that is `Removing` is gone.
    fn finish_removal(&self, row: &KeyMaterialRow, now: Timestamp) -> Result<(), Error> {
        reach(Step::MaterialOff);
        self.store.write("material_absent", |tx| Ok(gone(tx, row, now)?))
    }

    /// Condemns material that has expired, and what others left on its way.
    ///
    /// # Errors
    /// [`Error::Integrity`] for a row that is contradicted; [`Error::Unavailable`]. What is left is tried again at the next sweep.
    pub fn materials_sweep(&self, at: Moment, limit: i64) -> Result<(), Error> {
        let over = self.expired_sweep(at, limit);
        // Whatever became of those: a key that does not verify must not keep the material of others on the token.
        over.and(self.moving_sweep(at, limit))
    }

    fn expired_sweep(&self, at: Moment, limit: i64) -> Result<(), Error> {
        let expired = self.store.read_rows("keys_expired", |tx| tx.keys_expired(at.now(), limit))?;
        each(expired, |key| {
            self.give_up_material(&key, "the material has expired", at, |tx, now| match tx.key_by_id(&key.id)? {
                Some(key) if key.material_expires_at.is_some_and(|at| at <= now) => expire(tx, &key, now),
                _ => Ok(()),
            })
        })
    }

    fn moving_sweep(&self, at: Moment, limit: i64) -> Result<(), Error> {
        let before = at.now().plus_ms(-STALE_MS);
        let left = self.store.read("materials_moving", |tx| {
            let left = tx.key_materials_moving_before(before, limit)?;
            Ok::<_, Abort<Error>>(with_keys(tx, left, |row| row.key_id))
        })?;
        each(left, |(key, row)| {
            let Some(key) = key else { return Err(Error::Integrity(format!("material {} has no key", row.key_version_id))) };
            self.give_up_material(&key, "its import or removal was never finished", at, |tx, now| abandon(tx, &row, now))?;
            log::warn!("material of key {} was left on its way and has been condemned", row.key_id);
            Ok(())
        })
    }

    /// An act of the service that ends in the quarantine of a key's material.
    fn give_up_material(
        &self,
        key: &KeyRow,
        reason: &'static str,
        at: Moment,
        work: impl Fn(&mut Tx<'_>, Timestamp) -> Result<(), Abort<Error>>,
    ) -> Result<(), Error> {
        let (resource, version) = (key.id.resource(), key.primary_version.to_string());
        let (account, version) = (&key.account_id, Some(&*version));
        let task = TaskRecord { account, action: "DeleteKeyMaterial", resource: &resource, version, reason, at };
        self.service_tasks.run(task, |effect| self.store.commit(effect, "material_condemn", |tx| work(tx, effect.now())))
    }
}

/// The key that material may be brought to.
fn importable(tx: &mut Tx<'_>, caller: &Caller, key: &KeyRef) -> Result<KeyRow, Abort<Error>> {
    let key = external(tx, caller, key)?;
    if key.state == KeyState::PendingDeletion {
        Err(Abort::App(Error::KeyStateChange(Unchanged::PendingDeletion)))
    } else {
        Ok(key)
    }
}

/// Sets a new expiry, and enables a key that waits for material now, whether or not somebody has noticed that the old has expired.
fn set_expiry(tx: &mut Tx<'_>, key: &KeyRow, expires_at: Option<Timestamp>, now: Timestamp) -> Result<(), Abort<Error>> {
    let key = tx.key_by_id(&key.id)?.ok_or(Abort::App(Error::KeyNotFound))?;
    let state = match key.state_at(now) {
        KeyState::PendingImport => KeyState::Enabled,
        KeyState::Enabled | KeyState::Disabled => key.state,
        KeyState::PendingDeletion | KeyState::Creating | KeyState::Deleted => {
            return Err(Abort::App(Error::KeyStateChange(Unchanged::PendingDeletion)));
        }
    };
    let row = KeyRow { state, material_expires_at: expires_at, ..key.clone() };
    Ok(tx.key_update(&key, &row)?)
}

/// Makes a key wait for material, and claims the material that is there, also what is condemned; none if there is none.
fn begin_removal(tx: &mut Tx<'_>, key: &KeyRow, now: Timestamp) -> Result<Option<KeyMaterialRow>, Abort<Error>> {
    wait_for_material(tx, key)?;
    let before = Before::of(tx, &key.primary_version)?;
    let Some(material) = tx.key_material_by_version(&key.primary_version)? else { return Ok(None) };
    match material.state {
        MaterialState::Absent if before == Before::Nothing => Ok(None),
        MaterialState::Absent | MaterialState::Present => {
            let removing = KeyMaterialRow { state: MaterialState::Removing, changed_at: now, ..material.clone() };
            update(tx, &material, &removing)?;
            Ok(Some(removing))
        }
        MaterialState::Importing | MaterialState::Removing => Err(Abort::App(Error::Unavailable("key material is on its way"))),
    }
}

/// Makes a key wait for material, and condemns the material that is there.
fn expire(tx: &mut Tx<'_>, key: &KeyRow, now: Timestamp) -> Result<(), Abort<Error>> {
    wait_for_material(tx, key)?;
    let Some(material) = tx.key_material_by_version(&key.primary_version)? else { return Ok(()) };
    match material.state {
        MaterialState::Absent => Ok(()),
        MaterialState::Present => condemn(tx, key, &material, now),
        MaterialState::Importing | MaterialState::Removing => Err(Abort::App(Error::Unavailable("key material is on its way"))),
    }
}

/// Condemns material that was left on its way, if it still is.
fn abandon(tx: &mut Tx<'_>, row: &KeyMaterialRow, now: Timestamp) -> Result<(), Abort<Error>> {
    if tx.key_material_by_version(&row.key_version_id)?.as_ref() != Some(row) {
        return Ok(());
    }
    let Some(key) = tx.key_by_id(&row.key_id)? else { return Ok(()) };
    // The key is enabled with the material, and waits for it from the moment that it goes: both by one transaction.
    if matches!(key.state, KeyState::Enabled | KeyState::Disabled) {
        let what = format!("material of key {} is said to be on its way, and the key is in use", row.key_id);
        return Err(Abort::App(Error::Integrity(what)));
    }
    condemn(tx, &key, row, now)
}

fn wait_for_material(tx: &mut Tx<'_>, key: &KeyRow) -> Result<(), Abort<Error>> {
    let state = match key.state {
        KeyState::PendingDeletion => KeyState::PendingDeletion,
        _ => KeyState::PendingImport,
    };
    let row = KeyRow { state, material_expires_at: None, ..key.clone() };
    if row != *key {
        tx.key_update(key, &row)?;
    }
    Ok(())
}

fn condemn(tx: &mut Tx<'_>, key: &KeyRow, material: &KeyMaterialRow, now: Timestamp) -> Result<(), Abort<Error>> {
    update(tx, material, &KeyMaterialRow { state: MaterialState::Absent, changed_at: now, ..material.clone() })?;
    let (id, key_id, account_id) = (material.key_version_id, key.id, key.account_id.clone());
    Ok(tx.condemn(&CondemnedRow { id, key_id, account_id, condemned_at: now })?)
}

/// Takes condemned material to be destroyed, so that nobody brings it back meanwhile; none where nothing is known of it any more.
pub(in crate::keys) fn take_condemned(
    tx: &mut Tx<'_>,
    key: &KeyRow,
    condemned: &CondemnedRow,
    now: Timestamp,
) -> Result<Option<KeyMaterialRow>, Abort<Error>> {
    let material = tx.key_material_by_version(&condemned.id)?;
    let in_use = matches!(key.state, KeyState::Enabled | KeyState::Disabled);
    match material {
        Some(material) if in_use || matches!(material.state, MaterialState::Present | MaterialState::Importing) => {
            Err(Abort::App(condemned_in_use(&condemned.id)))
        }
        Some(material) => {
            let removing = KeyMaterialRow { state: MaterialState::Removing, changed_at: now, ..material.clone() };
            update(tx, &material, &removing)?;
            Ok(Some(removing))
        }
        None => Ok(None),
    }
}

/// Says that the object of material is gone.
pub(in crate::keys) fn gone(tx: &mut Tx<'_>, row: &KeyMaterialRow, now: Timestamp) -> Result<(), StoreError> {
    let absent = KeyMaterialRow { state: MaterialState::Absent, changed_at: now, ..row.clone() };
    match &row.check_value {
        Some(_) => tx.key_material_update_if(row, &absent).map(drop),
        // Nothing was ever in use: the key may get any material.
        None => tx.key_material_delete(&row.key_version_id).map(drop),
    }
}

fn update(tx: &mut Tx<'_>, old: &KeyMaterialRow, new: &KeyMaterialRow) -> Result<(), Abort<Error>> {
    match tx.key_material_update_if(old, new)? {
        true => Ok(()),
        // Taken for dead and swept, or the key is gone.
        false => Err(Abort::App(Error::Unavailable("key material was taken back while it was brought"))),
    }
}
