//! Finding the secret that a caller names, and where it stands in its life.
//!
//! Owns: which secrets callers see, and what a change leaves on the row. Must not know: HTTP, values.
//! Called by: the other files of secrets.

use crate::auth::Caller;
use crate::base::clock::Timestamp;
use crate::base::ids::SecretRef;
use crate::base::words::SecretType;
use crate::error::Error;
use crate::store::{Abort, SecretRow, Tx};

/// Where a secret stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// In use.
    Live,
    /// Deleted, and can be restored until this time.
    Window(Timestamp),
    /// Its window is over; the row is only waiting to be removed.
    Gone,
}

pub(super) fn life(secret: &SecretRow, now: Timestamp) -> Life {
    match secret.delete_at {
        None => Life::Live,
        Some(at) if at > now => Life::Window(at),
        Some(_) => Life::Gone,
    }
}

/// The secret that a caller names, in its window or not.
pub(super) fn find(tx: &mut Tx<'_>, caller: &Caller, secret: &SecretRef, now: Timestamp) -> Result<SecretRow, Abort<Error>> {
    if !caller.at_home(secret.home.as_ref()) {
        return Err(Abort::App(Error::SecretNotFound));
    }
    let found = tx.secret_by_name(&caller.account, &secret.name)?;
    found.filter(|s| life(s, now) != Life::Gone).ok_or(Abort::App(Error::SecretNotFound))
}

/// The secret that a caller names, if it is in use.
pub(super) fn find_live(
    tx: &mut Tx<'_>,
    caller: &Caller,
    secret: &SecretRef,
    now: Timestamp,
) -> Result<SecretRow, Abort<Error>> {
    let found = find(tx, caller, secret, now)?;
    if life(&found, now) == Life::Live { Ok(found) } else { Err(Abort::App(Error::SecretInDeleteWindow)) }
}

/// Refuses secrets whose versions and labels the service manages.
pub(super) fn only_generic(secret: &SecretRow) -> Result<(), Abort<Error>> {
    match secret.secret_type {
        SecretType::Generic => Ok(()),
        _ => Err(Abort::App(Error::UnsupportedOperation(
            "the service makes the versions of a managed secret, and moves its labels",
        ))),
    }
}

/// Records that a secret has changed now.
pub(super) fn touch(tx: &mut Tx<'_>, secret: &SecretRow, now: Timestamp) -> Result<(), Abort<Error>> {
    let changed = SecretRow { updated_at: now, ..secret.clone() };
    Ok(tx.secret_update(secret, &changed)?)
}
