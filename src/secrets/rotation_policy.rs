//! When a managed secret is rotated by itself, as callers set it and answers tell it.
//!
//! Owns: the rules of UpdateSecretRotationPolicy. Must not know: how a rotation goes (see `rotation`). Called by: api, and
//! secrets::{create, describe, value, rotation}.

use crate::auth::Caller;
use crate::base::clock::Timestamp;
use crate::base::ids::SecretRef;
use crate::base::words::AutomaticRotation;
use crate::error::Error;
use crate::secrets::Secrets;
use crate::secrets::extended_config::extended_config;
use crate::secrets::find::{find_live, touch};
use crate::store::{Abort, RotationRow, SecretRow, Tx};

/// How a managed secret is rotated, as answers tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// Whether by itself.
    pub automatic: AutomaticRotation,
    /// From one rotation to the next, s.
    pub interval_s: Option<i64>,
    /// The last one.
    pub last: Option<Timestamp>,
    /// The next one.
    pub next: Option<Timestamp>,
    /// ExtendedConfig as JSON.
    pub extended_config: String,
}

impl Rotation {
    pub(super) fn of(row: &RotationRow) -> Result<Self, Error> {
        let automatic = match (row.failures, row.interval_ms) {
            (1.., _) => AutomaticRotation::Invalid,
            (_, Some(_)) => AutomaticRotation::Enabled,
            (_, None) => AutomaticRotation::Disabled,
        };
        Ok(Self {
            automatic,
            interval_s: row.interval_ms.map(|ms| ms / 1000),
            last: row.last_at,
            next: row.next_at,
            extended_config: extended_config(row)?,
        })
    }
}

impl Secrets {
    /// Turns the rotation of a managed secret by itself on or off. The first one comes an interval after the last, or after the
    /// secret was made.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`], [`Error::SecretInDeleteWindow`]; [`Error::UnsupportedOperation`] for a Generic secret.
    pub fn rotation_policy_set(&self, caller: &Caller, secret: &SecretRef, interval_ms: Option<i64>) -> Result<(), Error> {
        self.store.commit(&caller.effect, "rotation_policy_set", |tx| {
            let now = caller.now();
            let secret = find_live(tx, caller, secret, now)?;
            let old = rotation_of(tx, &secret)?;
            let next_at = interval_ms.map(|ms| old.last_at.unwrap_or(secret.created_at).plus_ms(ms));
            // What is begun is ended, on or off; what failed to begin waits for its next attempt only while it is on.
            let waits = old.pending_id.is_some() || (old.failures > 0 && interval_ms.is_some());
            let (attempt_at, failures) = if waits { (old.attempt_at, old.failures) } else { (next_at, 0) };
            let new = RotationRow { interval_ms, next_at, attempt_at, failures, ..old.clone() };
            tx.rotation_update(&old, &new)?;
            touch(tx, &secret, now)
        })
    }
}

/// How a managed secret is rotated.
///
/// # Errors
/// [`Error::UnsupportedOperation`] for a secret that is not managed.
pub(super) fn rotation_of(tx: &mut Tx<'_>, secret: &SecretRow) -> Result<RotationRow, Abort<Error>> {
    tx.rotation_of(&secret.id)?
        .ok_or(Abort::App(Error::UnsupportedOperation("only managed secrets are rotated; this one is Generic")))
}
