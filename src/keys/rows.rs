//! Rows of keys and versions, as several operations need them.
//!
//! Owns: the rows of a version in the making, of the primary version and of a policy; a changed key in the place of another.
//! Must not know: tokens, callers. Called by: the other files of keys.

use crate::base::clock::Timestamp;
use crate::base::ids::{KeyId, KeyVersionId};
use crate::base::words::KeyState;
use crate::error::{Error, RejectedState};
use crate::store::{Abort, Each, KeyRow, KeyVersionRow, ResourcePolicyRow, Tx};

/// After this long, ms, whoever makes a key, a version or a pair, or moves material, and is not done is taken for dead.
pub(super) const STALE_MS: i64 = 60_000;

/// The row of a version in the making.
pub(super) fn version_row(key: &KeyRow, id: KeyVersionId, now: Timestamp) -> KeyVersionRow {
    KeyVersionRow { id, key_id: key.id, created_at: now, ready: false, uses: 0 }
}

/// The version that encrypts.
pub(super) fn primary(tx: &mut Tx<'_>, key: &KeyRow) -> Result<KeyVersionRow, Abort<Error>> {
    let missing = || Error::Integrity(format!("the primary version of key {} has no row", key.id));
    tx.key_version_by_id(&key.primary_version)?.ok_or_else(|| Abort::App(missing()))
}

/// Puts a changed key in the place of the one that was read in this transaction, or by whoever made it.
pub(super) fn replace(tx: &mut Tx<'_>, old: &KeyRow, new: KeyRow) -> Result<(), Abort<Error>> {
    Ok(tx.key_update(old, &new)?)
}

/// Whether what is said of a key may be changed: not in the deletion window.
pub(super) fn editable(key: &KeyRow) -> Result<(), Abort<Error>> {
    match key.state {
        KeyState::PendingDeletion => Err(Abort::App(Error::KeyState(RejectedState::PendingDeletion))),
        KeyState::Enabled | KeyState::Disabled | KeyState::PendingImport | KeyState::Creating | KeyState::Deleted => Ok(()),
    }
}

/// Each of these rows with its key, none where there is none. A key that does not verify is the failure of its row alone.
pub(super) fn with_keys<R>(tx: &mut Tx<'_>, rows: Each<R>, key_of: impl Fn(&R) -> KeyId) -> Each<(Option<KeyRow>, R)> {
    let mut with_key = |row: R| Ok((tx.apart(|tx| tx.key_by_id(&key_of(&row)))?, row));
    rows.into_iter().map(|row| row.and_then(&mut with_key)).collect()
}

/// Nothing that is in use is destroyed, whatever condemns it.
pub(super) fn condemned_in_use(id: &KeyVersionId) -> Error {
    Error::Integrity(format!("version {id} is condemned and in use; it is not destroyed"))
}

/// The row of the policy of a key, without what it says.
pub(super) fn policy_row(key: &KeyRow) -> ResourcePolicyRow {
    ResourcePolicyRow {
        account_id: key.account_id.clone(),
        resource: key.id.resource(),
        document: String::new(),
        updated_at: key.created_at,
    }
}
