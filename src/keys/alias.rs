//! Aliases, and finding the key that a caller names.
//!
//! Owns: names of keys. Must not know: HTTP. Called by: api (aliases, every operation on a key), secrets.
//! Source of the rules: the pages of the alias operations and of the KeyId parameter.

use crate::auth::Caller;
use crate::base::ids::{AccountId, Alias, KeyId, KeyName, KeyRef};
use crate::base::words::KeyState;
use crate::error::Error;
use crate::keys::{Keys, lifecycle};
use crate::store::{Abort, AliasRow, KeyRow, StoreError, Tx};

/// One page of aliases.
pub struct AliasPage {
    /// Aliases on the page.
    pub aliases: Vec<AliasRow>,
    /// Aliases in all.
    pub total: i64,
}

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

    /// Gives a key another name.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for names beginning `alias/acs`, [`Error::AliasNotAllowed`] where the key is named by an alias,
    /// [`Error::AliasExists`], [`Error::KeyNotFound`],
    /// [`Error::KeyStateChange`] for a key that is pending deletion, [`Error::LimitExceeded`].
    pub fn alias_create(&self, caller: &Caller, alias: &Alias, key: &KeyRef) -> Result<(), Error> {
        if alias.as_str().to_ascii_lowercase().starts_with("alias/acs") {
            return Err(Error::invalid("AliasName"));
        }
        let now = self.clock.now();
        caller.commit(&self.store, "alias_create", |tx| {
            let key = find_by_id(tx, caller, key)?;
            if key.state == KeyState::PendingDeletion {
                return Err(Abort::App(Error::KeyStateChange));
            }
            if let Some(most) = self.limits.aliases
                && tx.alias_count(&caller.account)? >= i64::from(most)
            {
                return Err(Abort::App(Error::LimitExceeded));
            }
            let row = AliasRow { account_id: caller.account.clone(), name: alias.clone(), key_id: key.id, created_at: now };
            match tx.alias_insert(&row) {
                Err(StoreError::Conflict) => Err(Abort::App(Error::AliasExists)),
                other => Ok(other?),
            }
        })
    }

    /// Gives an alias to another key.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`], [`Error::KeyNotFound`], [`Error::AliasNotAllowed`]; [`Error::KeyState`] for a key that is pending
    /// deletion.
    pub fn alias_update(&self, caller: &Caller, alias: &Alias, key: &KeyRef) -> Result<(), Error> {
        caller.commit(&self.store, "alias_update", |tx| {
            let key = find_by_id(tx, caller, key)?;
            let old = tx.alias_by_name(&caller.account, alias)?.ok_or(Abort::App(Error::AliasNotFound))?;
            lifecycle::editable(&key)?;
            let new = AliasRow { key_id: key.id, ..old.clone() };
            tx.alias_update(&old, &new)?;
            Ok(())
        })
    }

    /// Takes an alias away.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`].
    pub fn alias_delete(&self, caller: &Caller, alias: &Alias) -> Result<(), Error> {
        caller.commit(&self.store, "alias_delete", |tx| {
            let gone = tx.alias_delete(&caller.account, alias)?;
            if gone { Ok(()) } else { Err(Abort::App(Error::AliasNotFound)) }
        })
    }

    /// A page of the account's aliases, by name.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn aliases(&self, account: &AccountId, offset: i64, limit: i64) -> Result<AliasPage, Error> {
        self.store.read("aliases_page", |tx| {
            let total = tx.alias_count(account)?;
            Ok::<_, Abort<Error>>(AliasPage { total, aliases: tx.aliases_page(account, offset, limit)? })
        })
    }

    /// A page of a key's aliases, by name.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`], [`Error::AliasNotAllowed`].
    pub fn aliases_of(&self, caller: &Caller, key: &KeyRef, offset: i64, limit: i64) -> Result<AliasPage, Error> {
        self.store.read("aliases_of_key", |tx| {
            let key = find_by_id(tx, caller, key)?;
            let total = tx.alias_count_of_key(&key.id)?;
            Ok(AliasPage { total, aliases: tx.aliases_of_key(&key.id, offset, limit)? })
        })
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
