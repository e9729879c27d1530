//! Material of EXTERNAL keys: checked, brought to the token, taken off it.
//!
//! Owns: the states of material and the key's state that follows from them. Must not know: HTTP, PKCS#11. Called by: api, jobs.
//!
//! Row first: `Importing` → object on the token under CKA_ID = the version's id, proved there → `Present`, and with it, in one
//! transaction, the key `Enabled`. The other way: the key `PendingImport` and the material `Removing` → object destroyed →
//! `Absent`. Whoever is between the arrows has the material to itself; who takes longer than [`STALE_MS`] is taken for dead, and
//! the sweep takes off the token what there is.

use super::{external, pair};
use crate::auth::Caller;
use crate::base::clock::{Moment, Timestamp};
use crate::base::failpoint::{Step, reach};
use crate::base::field::Field;
use crate::base::ids::KeyRef;
use crate::base::words::{KeyState, MaterialState};
use crate::error::{Error, Unchanged};
use crate::keys::Keys;
use crate::keys::rows::STALE_MS;
use crate::service_task::{TaskRecord, each};
use crate::store::{Abort, ImportParametersRow, KeyMaterialRow, KeyRow, Tx};
use crate::token::{CheckValue, Incoming, TokenError};

/// What is to be done with material that was found good.
enum Next {
    /// It is on the token: only the expiry changes.
    Keep,
    /// It is not: this row says that we bring it.
    Bring(KeyMaterialRow),
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
                Next::Bring(row) => self.bring(caller, &key, &row, material, &check, expires_at),
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
                return Ok(Next::Bring(row));
            };
            if row.check_value.as_ref().is_some_and(|known| known != check) {
                return Err(Abort::App(Error::KeyMaterialInvalid));
            }
            match row.state {
                MaterialState::Present => Ok(Next::Keep),
                MaterialState::Absent => {
                    let claimed = next(MaterialState::Importing, row.check_value.clone());
                    update(tx, &row, &claimed)?;
                    Ok(Next::Bring(claimed))
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
        if brought.is_err()
            && let Err(left) = self.take_back(row, caller.now())
        {
            log::warn!("material of key {} stays on its way until the next sweep: {left:?}", key.id);
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
        removing.map_or(Ok(()), |row| self.finish_removal(&row, now))
    }

    /// Undoes an import that failed, unless it came to its end after all.
    fn take_back(&self, row: &KeyMaterialRow, now: Timestamp) -> Result<(), Error> {
        let removing = KeyMaterialRow { state: MaterialState::Removing, changed_at: now, ..row.clone() };
        let ours = self.store.write_rows("material_take_back", |tx| tx.key_material_update_if(row, &removing))?;
        if ours { self.finish_removal(&removing, now) } else { Ok(()) }
    }

    /// Destroys the object of material that is `Removing`.
    fn finish_removal(&self, row: &KeyMaterialRow, now: Timestamp) -> Result<(), Error> {
        self.token.destroy(&row.key_version_id)?;
        reach(Step::MaterialOff);
        let absent = KeyMaterialRow { state: MaterialState::Absent, changed_at: now, ..row.clone() };
        self.store.write("material_absent", |tx| {
            match &row.check_value {
                Some(_) => tx.key_material_update_if(row, &absent)?,
                // Nothing was ever in use: the key may get any material.
                None => tx.key_material_delete(&row.key_version_id)?,
            };
            Ok(())
        })
    }

    /// Takes expired material off the token, and finishes what others left on its way.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; what is left is tried again at the next sweep.
    pub fn materials_sweep(&self, at: Moment, limit: i64) -> Result<(), Error> {
        let over = self.expired_sweep(at, limit);
        // Whatever became of those: a key that does not verify must not keep the material of others on the token.
        over.and(self.moving_sweep(at.now(), limit))
    }

    fn expired_sweep(&self, at: Moment, limit: i64) -> Result<(), Error> {
        let expired = self.store.read_rows("keys_expired", |tx| tx.keys_expired(at.now(), limit))?;
        each(expired, |key| self.expire(&key, at))
    }

    fn moving_sweep(&self, now: Timestamp, limit: i64) -> Result<(), Error> {
        let before = now.plus_ms(-STALE_MS);
        let left = self.store.read_rows("materials_moving", |tx| tx.key_materials_moving_before(before, limit))?;
        each(left, |row| {
            let key = self.store.read_rows("key", |tx| tx.key_by_id(&row.key_id))?;
            // The key is enabled with the material, and waits for it from the moment that it goes: both by one transaction.
            if key.is_some_and(|key| matches!(key.state, KeyState::Enabled | KeyState::Disabled)) {
                let what = format!("material of key {} is said to be on its way, and the key is in use", row.key_id);
                return Err(Error::Integrity(what));
            }
            self.take_back(&row, now)?;
            log::warn!("material of key {} was left on its way and has been removed", row.key_id);
            Ok(())
        })
    }

    /// Takes the material of one key off the token, if it is still over.
    fn expire(&self, key: &KeyRow, at: Moment) -> Result<(), Error> {
        let (resource, version) = (format!("key/{}", key.id), key.primary_version.to_string());
        let task = TaskRecord {
            account: &key.account_id,
            action: "DeleteKeyMaterial",
            resource: &resource,
            version: Some(&version),
            reason: "the material has expired",
            at,
        };
        self.service_tasks.run(task, |effect| {
            let now = effect.now();
            let removing = self.store.commit(effect, "material_expire", |tx| match tx.key_by_id(&key.id)? {
                Some(key) if key.material_expires_at.is_some_and(|at| at <= now) => begin_removal(tx, &key, now),
                _ => Ok(None),
            })?;
            removing.map_or(Ok(()), |row| self.finish_removal(&row, now))
        })
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

/// Makes a key wait for material, and claims the material that is there; none if there is none.
fn begin_removal(tx: &mut Tx<'_>, key: &KeyRow, now: Timestamp) -> Result<Option<KeyMaterialRow>, Abort<Error>> {
    let state = match key.state {
        KeyState::PendingDeletion => KeyState::PendingDeletion,
        _ => KeyState::PendingImport,
    };
    let row = KeyRow { state, material_expires_at: None, ..key.clone() };
    if row != *key {
        tx.key_update(key, &row)?;
    }
    let Some(material) = tx.key_material_by_version(&key.primary_version)? else { return Ok(None) };
    match material.state {
        MaterialState::Absent => Ok(None),
        MaterialState::Present => {
            let removing = KeyMaterialRow { state: MaterialState::Removing, changed_at: now, ..material.clone() };
            update(tx, &material, &removing)?;
            Ok(Some(removing))
        }
        MaterialState::Importing | MaterialState::Removing => Err(Abort::App(Error::Unavailable("key material is on its way"))),
    }
}

fn update(tx: &mut Tx<'_>, old: &KeyMaterialRow, new: &KeyMaterialRow) -> Result<(), Abort<Error>> {
    match tx.key_material_update_if(old, new)? {
        true => Ok(()),
        // Taken for dead and swept, or the key is gone.
        false => Err(Abort::App(Error::Unavailable("key material was taken back while it was brought"))),
    }
}
