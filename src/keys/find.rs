//! Finding the key that a caller names.
//!
//! Owns: what a key reference means, and which keys callers see. Must not know: HTTP, what the key is wanted for.
//! Called by: api (authorisation), and every operation on a key.
//! Source of the rules: the page of the KeyId parameter.

use crate::auth::Caller;
use crate::base::ids::{Alias, Home, KeyId, KeyName, KeyRef};
use crate::base::words::KeyState;
use crate::error::Error;
use crate::keys::Keys;
use crate::store::{Abort, KeyRow, Tx};

impl Keys {
    /// The key that an alias of the caller's account names, whatever became of the key.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Integrity`].
    pub fn named_by(&self, caller: &Caller, alias: &Alias) -> Result<Option<KeyId>, Error> {
        let row = self.store.read_row("alias", |tx| tx.alias_by_name(&caller.account, alias))?;
        Ok(row.map(|row| row.key_id))
    }

    /// Looks up the key that a caller names, before it is asked whether the caller may use it. An alias needs the permission on its key,
    /// so it is followed; one that does not exist stays as it is, and a caller who may not use every key gets the same refusal for it.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Integrity`] when it cannot be told what an alias names.
    pub fn look_up(&self, caller: &Caller, key: &KeyRef) -> Result<FoundKey, Error> {
        let (relative, row) = match &key.name {
            KeyName::Alias(alias) if caller.at_home(key.home.as_ref()) => self.store.read_rows("key", |tx| {
                let Some(alias) = tx.alias_by_name(&caller.account, alias)? else {
                    return Ok((format!("key/{alias}"), Err(Error::AliasNotFound)));
                };
                let row = shown(tx.key_by_id(&alias.key_id)?, caller).ok_or(Error::KeyNotFound);
                Ok((alias.key_id.resource(), row))
            })?,
            KeyName::Alias(_) => (format!("key/{}", key.name), Err(Error::AliasNotFound)),
            KeyName::Id(_) => (format!("key/{}", key.name), self.store.read_one("key", |tx| find(tx, caller, key))),
        };
        Ok(FoundKey { home: key.home.clone(), relative, row })
    }
}

/// What a caller's reference to a key led to. Says nothing to the caller before it is authorised ([`FoundKey::authorise`]).
pub struct FoundKey {
    pub(super) home: Option<Home>,
    /// What policies call it: the key's id where one was found, else the name that was given.
    pub(super) relative: String,
    pub(super) row: Result<KeyRow, Error>,
}

impl FoundKey {
    /// The part of its ARN after the account.
    pub fn relative(&self) -> &str {
        &self.relative
    }

    /// Whether there is such a key.
    pub fn is_there(&self) -> bool {
        self.row.is_ok()
    }
}

/// The key that a caller names, by id or by ARN of the id, inside a transaction. Keys still being made, and those whose window is over,
/// are not found.
///
/// # Errors
/// [`Error::AliasNotAllowed`] for an alias, [`Error::KeyNotFound`].
pub(super) fn find(tx: &mut Tx<'_>, caller: &Caller, key: &KeyRef) -> Result<KeyRow, Abort<Error>> {
    let KeyName::Id(id) = &key.name else { return Err(Abort::App(Error::AliasNotAllowed)) };
    let found = match id.parse::<KeyId>() {
        Ok(id) if caller.at_home(key.home.as_ref()) => shown(tx.key_by_id(&id)?, caller),
        Ok(_) | Err(_) => None,
    };
    found.ok_or(Abort::App(Error::KeyNotFound))
}

/// A key that this caller's account sees.
fn shown(key: Option<KeyRow>, caller: &Caller) -> Option<KeyRow> {
    key.filter(|key| key.account_id == caller.account && is_shown(key))
}

/// Whether callers see a key: not while it is made, nor once its window is over.
pub(super) fn is_shown(key: &KeyRow) -> bool {
    !matches!(key.state, KeyState::Creating | KeyState::Deleted)
}
