//! Finding the key that a caller names.
//!
//! Owns: what a key reference means, and which keys callers see. Must not know: HTTP, what the key is wanted for.
//! Called by: api (authorisation), and every operation on a key.
//! Source of the rules: the page of the KeyId parameter.

use crate::auth::Caller;
use crate::base::ids::{KeyId, KeyName, KeyRef};
use crate::base::words::KeyState;
use crate::error::Error;
use crate::keys::Keys;
use crate::store::{Abort, KeyRow, Tx};

impl Keys {
    /// The part of a key's ARN after the account, for authorisation. An alias needs the permission on its key, so it is followed;
    /// one that does not exist stays as it is, and a caller who may not use every key gets the same refusal for it.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn resource(&self, caller: &Caller, key: &KeyRef) -> Result<String, Error> {
        if let (KeyName::Alias(alias), true) = (&key.name, caller.at_home(key.home.as_ref())) {
            let found = self.store.read("alias", |tx| Ok::<_, Abort<Error>>(tx.alias_by_name(&caller.account, alias)?))?;
            if let Some(alias) = found {
                return Ok(format!("key/{}", alias.key_id));
            }
        }
        Ok(format!("key/{}", key.name))
    }

    /// The key that a caller names.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`], [`Error::AliasNotFound`].
    pub fn find(&self, caller: &Caller, key: &KeyRef) -> Result<KeyRow, Error> {
        match key.name {
            KeyName::Id(_) => self.store.read_one("key", |tx| find(tx, caller, key)),
            KeyName::Alias(_) => self.store.read("key", |tx| find(tx, caller, key)),
        }
    }
}

/// The key that a caller names, by id or by ARN of the id, inside a transaction.
///
/// # Errors
/// [`Error::AliasNotAllowed`] for an alias, else as [`find`].
pub(super) fn find_by_id(tx: &mut Tx<'_>, caller: &Caller, key: &KeyRef) -> Result<KeyRow, Abort<Error>> {
    match key.name {
        KeyName::Id(_) => find(tx, caller, key),
        KeyName::Alias(_) => Err(Abort::App(Error::AliasNotAllowed)),
    }
}

/// The key that a caller names, inside a transaction. Keys still being made, and those whose window is over, are not found.
pub(super) fn find(tx: &mut Tx<'_>, caller: &Caller, key: &KeyRef) -> Result<KeyRow, Abort<Error>> {
    let missing = match key.name {
        KeyName::Id(_) => Error::KeyNotFound,
        KeyName::Alias(_) => Error::AliasNotFound,
    };
    if !caller.at_home(key.home.as_ref()) {
        return Err(Abort::App(missing));
    }
    let id = match &key.name {
        KeyName::Id(id) => id.parse::<KeyId>().ok(),
        KeyName::Alias(alias) => tx.alias_by_name(&caller.account, alias)?.map(|a| a.key_id),
    };
    let Some(id) = id else { return Err(Abort::App(missing)) };
    let found = tx.key_by_id(&id)?;
    found.filter(|k| k.account_id == caller.account && is_shown(k)).ok_or(Abort::App(Error::KeyNotFound))
}

/// Whether callers see a key: not while it is made, nor once its window is over.
pub(super) fn is_shown(key: &KeyRow) -> bool {
    !matches!(key.state, KeyState::Creating | KeyState::Deleted)
}

/// Refuses aliases, for operations that take no alias.
pub(super) fn no_alias(keys: &[KeyRef]) -> Result<(), Error> {
    let is_alias = |key: &KeyRef| matches!(key.name, KeyName::Alias(_));
    if keys.iter().any(is_alias) { Err(Error::AliasNotAllowed) } else { Ok(()) }
}
