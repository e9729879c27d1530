//! The steps of a rotation.
//!
//! Owns: what each does, and what follows when it fails. Called by: secrets::rotation.

use std::sync::Arc;

use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, AccountName, NodeId, SecretId, SecretVersionUuid, Stage, VersionId};
use crate::base::words::{DataType, SecretSubType};
use crate::effect::Effect;
use crate::error::Error;
use crate::keys::{self, AdmittedKey};
use crate::secrets::account::Account;
use crate::secrets::find::{Life, life, touch};
use crate::secrets::rotation::{HOLD_MS, LEFT_MS, ManagedSecret};
use crate::secrets::rotation_policy::rotation_of;
use crate::secrets::server_failure::server_failure;
use crate::secrets::stages::{self, Place};
use crate::secrets::{NewVersion, Secrets};
use crate::servers::{Server, ServerError};
use crate::store::{Abort, KeyRow, RotationRow, SecretRow, Tx};

/// Between the first failure and the next attempt, ms; then twice as long each time.
const BACK_OFF_MS: i64 = 10_000;

/// The longest wait while the server cannot be reached: the served password may be the one that it does not know any more.
const UNREACHABLE_MS: i64 = 60_000;

/// The longest wait while the server answers, and does not do it.
const REFUSED_MS: i64 = 3_600_000;

/// Rotations that the callers of an account may begin within an hour (RotateSecret).
const CALLS_PER_HOUR: i64 = 50;

const HOUR_MS: i64 = 3_600_000;

/// A rotation that this node holds, with its pending version.
struct HeldRotation {
    secret: SecretRow,
    key: KeyRow,
    rotation: RotationRow,
    pending: (VersionId, SecretVersionUuid),
}

/// Why a held rotation did not end.
enum RotationFailure {
    /// Something it needs is away, or what the server has is unknown.
    Unavailable(Error),
    /// The server has what it had, and does not take the change.
    Refused(Error),
}

impl From<Error> for RotationFailure {
    fn from(error: Error) -> Self {
        RotationFailure::Unavailable(error)
    }
}

impl Secrets {
    /// Rotates to a version of this name, or goes on with what is pending.
    pub(super) fn step(&self, effect: &Effect, state: ManagedSecret, version: &VersionId) -> Result<(), Error> {
        let before = state.rotation.clone();
        let result = match self.hold(effect, state, version) {
            Ok(mine) => self.carry_out(effect, &mine),
            // Somebody else is at it, which is no failure.
            Err(away @ (Error::Unavailable(_) | Error::Undecided)) => return Err(away),
            Err(error) if effect.is_service() => {
                self.failed(effect, &before, REFUSED_MS);
                Err(error)
            }
            // Nothing has begun; the caller knows.
            Err(error) => return Err(error),
        };
        self.rotations.count(&result);
        result
    }

    /// Refuses a rotation whose version is not the youngest, or is served already: its row was put back from the middle of a rotation that
    /// has ended, and to go on with it would make an old password valid again.
    fn is_still_pending(&self, secret: &SecretId, pending: &VersionId) -> Result<(), Error> {
        let (versions, current) = self
            .store
            .read_rows("rotation_pending", |tx| Ok((tx.versions_of(secret)?, tx.stage_by_name(secret, &Stage::current())?)))?;
        let youngest = versions.iter().max_by_key(|head| head.created_at).map(|head| &head.version_id);
        if youngest == Some(pending) && current.is_none_or(|current| current.version_id != *pending) {
            return Ok(());
        }
        Err(Error::Integrity(format!(
            "the rotation of secret {secret} says that version {pending} is still to come, and it is not"
        )))
    }

    /// Step 1, or taking over what has come so far.
    fn hold(&self, effect: &Effect, state: ManagedSecret, version: &VersionId) -> Result<HeldRotation, Error> {
        let ManagedSecret { secret, key, rotation, .. } = state;
        let (id, node) = (secret.id, effect.node());
        if let (Some(pending), Some(uuid)) = (rotation.pending_id.clone(), rotation.pending_uuid) {
            self.is_still_pending(&id, &pending)?;
            let rotation = self.store.write("rotation_hold", |tx| {
                let now = effect.now();
                unchanged(tx, &id, &rotation)?;
                let mine = hold(&rotation, node, now)?;
                tx.rotation_update(&rotation, &mine)?;
                Ok(mine)
            })?;
            return Ok(HeldRotation { secret, key, rotation, pending: (pending, uuid) });
        }
        let admitted = keys::admit_service(&secret.account_id, &key, effect.now())?;
        let name = self.target(&secret, &admitted, &rotation)?;
        let account = Account { name, password: self.account_password()? };
        let new = NewVersion { id: version.clone(), value: account.value(), data_type: DataType::Text };
        let youngest = self.store.read_row("rotation_age", |tx| tx.versions_of(&id))?;
        let youngest = youngest.last().map_or(secret.created_at, |head| head.created_at);
        let row = self.seal(&secret, &admitted, &new, effect.now().max(youngest.plus_ms(1)))?;
        let rotation = self.store.commit(effect, "rotation_prepare", |tx| {
            let now = effect.now();
            let live = tx.secret_by_id(&id)?.filter(|s| life(s, now) == Life::Live);
            live.ok_or(Abort::App(Error::SecretNotFound))?;
            unchanged(tx, &id, &rotation)?;
            admitted.still_usable(tx, now)?;
            if !effect.is_service() {
                count_call(tx, &secret.account_id, &row.uuid, now)?;
            }
            let row = stages::numbered(&row, &tx.versions_of(&id)?);
            tx.version_insert(&row)?;
            let pending = RotationRow {
                pending_id: Some(row.version_id.clone()),
                pending_uuid: Some(row.uuid),
                attempt_at: Some(now),
                ..hold(&rotation, node, now)?
            };
            tx.rotation_update(&rotation, &pending)?;
            Ok(pending)
        })?;
        Ok(HeldRotation { secret, key, rotation, pending: (row.version_id, row.uuid) })
    }

    /// Steps 2 and 3.
    fn carry_out(&self, effect: &Effect, mine: &HeldRotation) -> Result<(), Error> {
        match self.change(effect, mine) {
            Ok(()) => self.finish(effect, mine),
            Err(RotationFailure::Unavailable(error)) => {
                self.failed(effect, &mine.rotation, UNREACHABLE_MS);
                Err(error)
            }
            Err(RotationFailure::Refused(error)) => {
                self.failed(effect, &mine.rotation, REFUSED_MS);
                Err(error)
            }
        }
    }

    /// Step 2: the account logs in with the pending password when this succeeds.
    fn change(&self, effect: &Effect, mine: &HeldRotation) -> Result<(), RotationFailure> {
        let HeldRotation { secret, key, rotation, pending } = mine;
        let server = self.server(secret, rotation)?;
        let admitted = keys::admit_service(&secret.account_id, key, effect.now())?;
        let next = self.account(secret, &admitted, &pending.0, &pending.1)?;
        if rotation.held_until.is_none_or(|until| until < effect.now().plus_ms(LEFT_MS)) {
            return Err(RotationFailure::Unavailable(Error::Unavailable("too little is left of the hold")));
        }
        let reason = |error: ServerError| {
            let told = server_failure(&rotation.instance, &error);
            match error {
                ServerError::Unreachable(_) => RotationFailure::Unavailable(told),
                ServerError::Refused(_) => RotationFailure::Refused(told),
            }
        };
        server.set_password(&next.name, &next.password).map_err(reason)?;
        if server.accepts(&next.name, &next.password).map_err(reason)? {
            return Ok(());
        }
        // The account may not log in at all; then the old password is at least what it was.
        let current = self.current(secret, &admitted)?;
        if current.name == next.name {
            server.set_password(&current.name, &current.password).map_err(reason)?;
        }
        let refused = ServerError::Refused(format!("{} does not log in with the password that it was given", next.name));
        Err(reason(refused))
    }

    /// Step 3.
    fn finish(&self, effect: &Effect, mine: &HeldRotation) -> Result<(), Error> {
        let (id, pending) = (mine.secret.id, &mine.pending);
        let finished = self.store.commit(effect, "rotation_finish", |tx| {
            let now = effect.now();
            let secret = tx.secret_by_id(&id)?.ok_or(Abort::App(Error::SecretNotFound))?;
            let rotation = rotation_of(tx, &secret)?;
            if !same_hold(&rotation, &mine.rotation) {
                return Ok(false);
            }
            let versions = tx.versions_of(&id)?;
            let pending = versions.iter().find(|head| head.version_id == pending.0 && head.uuid == pending.1);
            let place = pending.map(Place::from).ok_or(Abort::App(Error::SecretVersionNotFound))?;
            let labels = tx.stages_of(&id)?;
            stages::label_version(tx, &id, &labels, &place, &[Stage::current()], &versions)?;
            let next_at = rotation.interval_ms.map(|ms| now.plus_ms(ms));
            let done = RotationRow {
                last_at: Some(now),
                next_at,
                pending_id: None,
                pending_uuid: None,
                attempt_at: next_at,
                failures: 0,
                holder: None,
                held_until: None,
                ..rotation.clone()
            };
            tx.rotation_update(&rotation, &done)?;
            touch(tx, &secret, now)?;
            Ok(true)
        })?;
        if finished {
            return Ok(());
        }
        self.prove(effect, mine)?;
        Err(Error::Unavailable("another node took the rotation over"))
    }

    /// After this node has set a password that it could not finish: makes sure that what is served still logs in. What is pending
    /// now is for the node that holds it, which sets it after this.
    fn prove(&self, effect: &Effect, lost: &HeldRotation) -> Result<(), Error> {
        let admitted = keys::admit_service(&lost.secret.account_id, &lost.key, effect.now())?;
        let current = self.current(&lost.secret, &admitted)?;
        let server = self.server(&lost.secret, &lost.rotation)?;
        let told = |error: ServerError| server_failure(&lost.rotation.instance, &error);
        if !server.accepts(&current.name, &current.password).map_err(told)? {
            server.set_password(&current.name, &current.password).map_err(told)?;
        }
        Ok(())
    }

    /// Remembers a failure, and lets the rotation go, if it still stands as this node left it.
    fn failed(&self, effect: &Effect, left: &RotationRow, longest_ms: i64) {
        let done = self.store.write_rows("rotation_failed", |tx| {
            let Some(rotation) = tx.rotation_of(&left.secret_id)?.filter(|now| same_hold(now, left)) else { return Ok(()) };
            let wait = BACK_OFF_MS.saturating_mul(1 << rotation.failures.clamp(0, 20)).min(longest_ms);
            let failed = RotationRow {
                failures: rotation.failures + 1,
                attempt_at: Some(effect.now().plus_ms(wait)),
                holder: None,
                held_until: None,
                ..rotation.clone()
            };
            tx.rotation_update(&rotation, &failed)
        });
        if let Err(error) = done {
            // The hold runs out by itself.
            log::warn!("a failed rotation was not recorded: {error:?}");
        }
    }

    /// The account that gets the next password: the only one, or the one that is not served.
    fn target(&self, secret: &SecretRow, key: &AdmittedKey, rotation: &RotationRow) -> Result<AccountName, Error> {
        let accounts = self.store.read_row("rotation_accounts", |tx| tx.rotation_accounts_of(&secret.id))?;
        let current = match rotation.sub_type {
            SecretSubType::SingleUser => None,
            SecretSubType::DoubleUsers => Some(self.current(secret, key)?.name),
        };
        let other = accounts.into_iter().map(|row| row.name).find(|name| Some(name) != current.as_ref());
        other.ok_or_else(|| Error::Integrity(format!("secret {} has lost an account", secret.name)))
    }

    fn server(&self, secret: &SecretRow, rotation: &RotationRow) -> Result<Arc<Server>, Error> {
        self.servers.find(&rotation.instance, &secret.account_id).ok_or_else(|| {
            log::warn!("managed server {} is not configured, or not for account {}", rotation.instance, secret.account_id);
            Error::Unavailable("managed server")
        })
    }

    /// The account that is served.
    fn current(&self, secret: &SecretRow, key: &AdmittedKey) -> Result<Account, Error> {
        let stage = self.store.read_row("rotation_current", |tx| tx.stage_by_name(&secret.id, &Stage::current()))?;
        let missing = || Error::Integrity(format!("secret {} has no current version", secret.name));
        let stage = stage.ok_or_else(missing)?;
        self.account(secret, key, &stage.version_id, &stage.version_uuid)
    }

    /// The account that a version holds.
    fn account(
        &self,
        secret: &SecretRow,
        key: &AdmittedKey,
        version: &VersionId,
        uuid: &SecretVersionUuid,
    ) -> Result<Account, Error> {
        let row = self.store.read_row("rotation_version", |tx| tx.version_by_id(&secret.id, version))?;
        let missing = || Error::Integrity(format!("version {version} of secret {} is not there", secret.name));
        let row = row.filter(|row| row.uuid == *uuid).ok_or_else(missing)?;
        Account::stored(&self.open(secret, key, &row)?)
    }
}

/// Refuses a caller's rotation when the account has begun too many within the hour, on whatever node.
fn count_call(tx: &mut Tx<'_>, account: &AccountId, begun: &SecretVersionUuid, now: Timestamp) -> Result<(), Abort<Error>> {
    let counted = tx.rotation_call_insert(account, begun, now, now.plus_ms(-HOUR_MS), CALLS_PER_HOUR)?;
    if counted { Ok(()) } else { Err(Abort::App(Error::Throttled)) }
}

/// Refuses a rotation that is not any more as it was read.
fn unchanged(tx: &mut Tx<'_>, secret: &SecretId, read: &RotationRow) -> Result<(), Abort<Error>> {
    match tx.rotation_of(secret)? {
        Some(now) if now == *read => Ok(()),
        Some(_) => Err(Abort::App(Error::Unavailable("the rotation has changed"))),
        None => Err(Abort::App(Error::SecretNotFound)),
    }
}

/// A rotation, held by this node from now on.
fn hold(rotation: &RotationRow, node: NodeId, now: Timestamp) -> Result<RotationRow, Abort<Error>> {
    let other = rotation.holder.is_some_and(|holder| holder != node) && rotation.held_until.is_some_and(|until| until > now);
    if other {
        return Err(Abort::App(Error::Unavailable("another node rotates the secret")));
    }
    Ok(RotationRow { holder: Some(node), held_until: Some(now.plus_ms(HOLD_MS)), ..rotation.clone() })
}

/// Whether nobody took a rotation over: the policy may have changed meanwhile.
fn same_hold(a: &RotationRow, b: &RotationRow) -> bool {
    (a.holder, a.held_until, &a.pending_id, a.pending_uuid) == (b.holder, b.held_until, &b.pending_id, b.pending_uuid)
}
