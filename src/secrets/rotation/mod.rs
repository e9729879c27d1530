//! Rotation: a new password on the server, and a new version of the secret that tells it.
//!
//! Owns: the steps, and that they are safe to be killed between. Must not know: HTTP, SQL, what a server speaks.
//! Called by: api::secrets::rotate_secret, jobs.
//!
//! # Steps
//! 1. *prepare*: a version with the new password is sealed and stored, without a label; the rotation's row names it as pending, and
//!    this node as the one that holds the rotation.
//! 2. *change*: the server gives the account the pending password, and proves it by a login.
//! 3. *finish*: one transaction moves ACSCurrent to the pending version (and ACSPrevious to the one before).
//!
//! Whoever finds a pending version, after a failure or a kill, goes on at 2: setting the same password again changes nothing. So
//! the password on the server is always that of a stored version, and ACSCurrent moves only after a login with what it will serve.
//!
//! With two accounts (DoubleUsers) step 2 changes the one that is not served: what was read last stays good until the rotation
//! after next begins. With one (SingleUser) the served password stops to work in step 2, until step 3 has committed and the
//! reader has read again: some milliseconds, unless the node dies in between. Then the same node goes on as soon as it is back, and
//! any other once the hold has run out. When the server does not let the new password in, the old one is set again.
//!
//! # One at a time
//! A thread takes the secret's turn in its process; the process holds the rotation's row against other nodes for [`HOLD_MS`], and
//! begins to set a password only while [`LEFT_MS`] of that are left. A process that was stopped just there for longer finds, when
//! it cannot finish, that it may have undone the work of another node: it then proves what is served, and sets it again if need be.

mod steps;
pub(super) mod under_way;

use crate::auth::Caller;
use crate::base::clock::{Moment, Timestamp};
use crate::base::ids::{NodeId, SecretRef, VersionId};
use crate::error::Error;
use crate::secrets::Secrets;
use crate::secrets::find::find_live;
use crate::secrets::rotation_policy::rotation_of;
use crate::service_task::TaskRecord;
use crate::store::{Abort, Each, KeyRow, RotationRow, SecretRow, Tx};

/// How long a node holds a rotation, ms: twice what its calls to the server can take.
const HOLD_MS: i64 = 90_000;

/// What must be left of it when a password begins to be set, ms.
const LEFT_MS: i64 = 50_000;

/// How often a call that finds another rotation pending goes on with it before its own.
const MAX_TURNS: u32 = 3;

/// A rotation whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The secret.
    pub secret: SecretRow,
    /// The version that it makes, or that is pending.
    pub version: VersionId,
    rotation: RotationRow,
}

/// A managed secret as a step finds it.
struct ManagedSecret {
    secret: SecretRow,
    key: KeyRow,
    rotation: RotationRow,
    /// Whether there is a version of the name that was asked for.
    exists: bool,
}

impl ManagedSecret {
    fn read(tx: &mut Tx<'_>, secret: SecretRow, version: &VersionId) -> Result<Self, Abort<Error>> {
        let rotation = rotation_of(tx, &secret)?;
        let key = tx.key_by_id(&secret.key_id)?.ok_or(Abort::App(Error::KeyNotFound))?;
        let exists = tx.versions_of(&secret.id)?.iter().any(|head| head.version_id == *version);
        Ok(Self { secret, key, rotation, exists })
    }
}

impl Secrets {
    /// Rotates a managed secret now. The version's name makes the call repeatable: where there is a version of that name, nothing
    /// happens; where that version is pending, its rotation goes on.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`], [`Error::SecretInDeleteWindow`]; [`Error::UnsupportedOperation`] for a Generic secret;
    /// [`Error::KeyState`]; [`Error::Unavailable`] when the server does not do it, or the secret is being rotated elsewhere. What
    /// has begun then goes on by itself.
    pub fn rotate(&self, caller: &Caller, secret: &SecretRef, version: &VersionId) -> Result<(), Error> {
        let effect = &caller.effect;
        let read = |tx: &mut Tx<'_>| {
            let secret = find_live(tx, caller, secret, caller.now())?;
            ManagedSecret::read(tx, secret, version)
        };
        let found = self.store.read("rotation_begin", read)?;
        let _turn = self.rotations.turn(found.secret.id)?;
        for _ in 0..MAX_TURNS {
            let state = self.store.read("rotation_begin", read)?;
            let pending = state.rotation.pending_id.clone();
            if pending.is_none() && state.exists {
                // Used up all the same: it must not begin a rotation when it comes again after that version has gone.
                return self.store.commit(effect, "rotation_again", |_| Ok(()));
            }
            self.step(effect, state, version)?;
            if pending.is_none_or(|pending| pending == *version) {
                return Ok(());
            }
        }
        Err(Error::Unavailable("other rotations of the secret"))
    }

    /// Up to `limit` rotations whose time has come, those of other nodes left out.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; [`Error::Integrity`].
    pub fn rotations_due(&self, node: &NodeId, now: Timestamp, limit: i64) -> Result<Each<Due>, Error> {
        let due = self.store.read_rows("rotations_due", |tx| tx.rotations_due(node, now, limit))?;
        let named = |(secret, rotation): (_, RotationRow)| {
            let version = rotation.pending_id.clone().unwrap_or_else(VersionId::random);
            Due { secret, version, rotation }
        };
        Ok(due.into_iter().map(|due| due.map(named)).collect())
    }

    /// Carries out a rotation whose time has come; a failure is recorded and remembered, and the next attempt waits.
    ///
    /// # Errors
    /// As [`Secrets::rotate`].
    pub fn rotate_due(&self, due: &Due, at: Moment) -> Result<(), Error> {
        let task = TaskRecord {
            account: &due.secret.account_id,
            action: "RotateSecret",
            resource: &due.secret.name.resource(),
            version: Some(due.version.as_str()),
            reason: "rotation is due",
            at,
        };
        self.service_tasks.run_or("RotationFailed", task, |effect| {
            let _turn = self.rotations.turn(due.secret.id)?;
            let state = self.store.read("rotation_begin", |tx| {
                let secret = tx.secret_by_id(&due.secret.id)?.ok_or(Abort::App(Error::SecretNotFound))?;
                ManagedSecret::read(tx, secret, &due.version)
            })?;
            if state.rotation != due.rotation {
                return Err(Error::Unavailable("the rotation has changed since it was due"));
            }
            self.step(effect, state, &due.version)
        })
    }

    /// Rotations since the start: done, and failed attempts.
    pub fn rotation_counts(&self) -> (u64, u64) {
        self.rotations.counts()
    }

    /// Secrets of which the last attempt failed.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn rotations_failing(&self) -> Result<i64, Error> {
        Ok(self.store.read_row("rotations_failing", |tx| tx.rotations_failing())?)
    }
}
