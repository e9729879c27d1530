//! What is known of keys.
//!
//! Owns: the description of one, the pages of an account's. Must not know: HTTP, tokens. Called by: api, keys::create.

use crate::auth::Caller;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, KeyRef};
use crate::error::Error;
use crate::keys::find::find;
use crate::keys::{Keys, rows};
use crate::store::{Abort, KeyCondition, KeyRotationRow, KeyRow, Tx};

/// What is known of a key.
pub struct KeyDescription {
    /// The key.
    pub key: KeyRow,
    /// When its primary version was made.
    pub rotated_at: Timestamp,
    /// Its rotation, where it has one.
    pub rotation: Option<KeyRotationRow>,
}

/// One page of an account's keys.
pub struct KeyPage {
    /// Keys on the page.
    pub keys: Vec<KeyRow>,
    /// Keys in all.
    pub total: i64,
}

impl Keys {
    /// A page of the account's keys that fit every condition, oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn list(&self, account: &AccountId, conditions: &[KeyCondition], offset: i64, limit: i64) -> Result<KeyPage, Error> {
        self.store.read("keys_page", |tx| {
            let total = tx.key_count(account, conditions)?;
            Ok(KeyPage { total, keys: tx.keys_page(account, conditions, offset, limit)? })
        })
    }

    /// What is known of a key.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`], [`Error::AliasNotFound`].
    pub fn describe(&self, caller: &Caller, key: &KeyRef) -> Result<KeyDescription, Error> {
        self.store.read("key_describe", |tx| {
            let key = find(tx, caller, key)?;
            describe(tx, key)
        })
    }
}

/// What is known of a key that was read in this transaction.
pub(super) fn describe(tx: &mut Tx<'_>, key: KeyRow) -> Result<KeyDescription, Abort<Error>> {
    let rotated_at = rows::primary(tx, &key)?.created_at;
    let rotation = tx.key_rotation(&key.id)?;
    Ok(KeyDescription { key, rotated_at, rotation })
}
