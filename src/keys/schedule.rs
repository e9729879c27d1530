//! When the next version of a key is due.
//!
//! Owns: which keys rotate, and the row that says when. Must not know: how a version is made, what runs the sweep.
//! Called by: keys::{create, rotation, reserve, versions, default_key}.

use crate::base::clock::Timestamp;
use crate::base::ids::KeyId;
use crate::base::words::Origin;
use crate::error::Error;
use crate::store::{Abort, KeyRotationRow, KeyRow, Tx};

/// Seconds between two versions of a key that the service made for itself: 365 days (rotation page, default keys).
pub(super) const SERVICE_INTERVAL_S: i64 = 365 * 86_400;

/// Whether the service makes new versions of a key: of symmetric ones whose material is its own.
///
/// # Errors
/// [`Error::UnsupportedOperation`].
pub(super) fn rotates(key: &KeyRow) -> Result<(), Error> {
    match key.origin {
        Origin::Service if key.spec.is_symmetric() => Ok(()),
        Origin::Service | Origin::External => {
            Err(Error::UnsupportedOperation("only symmetric keys rotate whose material was made here"))
        }
    }
}

/// Sets the rotation of a key whose last version was made then.
pub(super) fn schedule(tx: &mut Tx<'_>, key: &KeyId, interval_s: Option<i64>, last: Timestamp) -> Result<(), Abort<Error>> {
    match interval_s {
        None => {
            tx.key_rotation_delete(key)?;
        }
        Some(seconds) => {
            let due_at = last.plus_ms(seconds.saturating_mul(1000));
            tx.key_rotation_put(&KeyRotationRow { key_id: *key, interval_s, due_at })?;
        }
    }
    Ok(())
}

/// Makes the next version of a key due, with or without an interval.
pub(super) fn due_now(tx: &mut Tx<'_>, key: &KeyId, now: Timestamp) -> Result<(), Abort<Error>> {
    let present = tx.key_rotation(key)?;
    if present.as_ref().is_some_and(|r| r.due_at <= now) {
        return Ok(());
    }
    let interval_s = present.and_then(|r| r.interval_s);
    Ok(tx.key_rotation_put(&KeyRotationRow { key_id: *key, interval_s, due_at: now })?)
}
