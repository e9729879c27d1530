//! Aliases, and finding the key that a caller names.
//!
//! Owns: names of keys. Must not know: HTTP. Called by: api (CreateAlias, every operation on a key), secrets.
//! Source of the rules: the pages of CreateAlias and of the KeyId parameter.

use crate::auth::Caller;
use crate::error::Error;
use crate::ids::{Alias, KeyId, KeyName, KeyRef};
use crate::keys::Keys;
use crate::kinds::KeyState;
use crate::store::{Abort, AliasRow, KeyRow, StoreError, Tx};

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
        if matches!(key.name, KeyName::Alias(_)) {
            return Err(Error::AliasNotAllowed);
        }
        let now = self.clock.now();
        caller.commit(&self.store, "alias_create", |tx| {
            let key = find(tx, caller, key)?;
            if key.state == KeyState::PendingDeletion {
                return Err(Abort::App(Error::KeyStateChange));
            }
            if let Some(most) = self.quotas.aliases
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
}

/// The key that a caller names, inside a transaction. Keys still being made are not found.
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
    found.filter(|k| k.account_id == caller.account && k.state != KeyState::Creating).ok_or(Abort::App(Error::KeyNotFound))
}
