//! Aliases.
//!
//! Owns: giving, moving, taking away and listing them. Must not know: HTTP. Called by: api.
//! Source of the rules: the pages of the alias operations.

use crate::auth::Caller;
use crate::base::field::Field;
use crate::base::ids::{AccountId, Alias, KeyId, KeyRef};
use crate::base::words::KeyState;
use crate::error::{Error, Unchanged};
use crate::keys::Keys;
use crate::keys::find::find;
use crate::keys::rows::editable;
use crate::store::{Abort, AliasRow, StoreError, Tx};

/// One page of aliases.
pub struct AliasPage {
    /// Aliases on the page.
    pub aliases: Vec<AliasRow>,
    /// Aliases in all.
    pub total: i64,
}

impl Keys {
    /// Gives a key another name.
    ///
    /// # Errors
    /// [`Error::Invalid`] for names beginning `alias/acs`, [`Error::AliasNotAllowed`] where the key is named by an alias,
    /// [`Error::AliasExists`], [`Error::KeyNotFound`],
    /// [`Error::KeyStateChange`] for a key that is pending deletion, [`Error::LimitExceeded`].
    pub fn alias_create(&self, caller: &Caller, alias: &Alias, key: &KeyRef) -> Result<(), Error> {
        if alias.as_str().to_ascii_lowercase().starts_with("alias/acs") {
            return Err(Error::invalid_since(Field::AliasName, "Names that begin with alias/acs are the service's own."));
        }
        let now = caller.now();
        self.store.commit(&caller.effect, "alias_create", |tx| {
            let key = find(tx, caller, key)?;
            if key.state == KeyState::PendingDeletion {
                return Err(Abort::App(Error::KeyStateChange(Unchanged::PendingDeletion)));
            }
            if let Some(most) = self.limits.aliases
                && tx.alias_count(&caller.account)? >= i64::from(most)
            {
                return Err(Abort::App(Error::LimitExceeded { most: most.into(), of: "aliases in an account" }));
            }
            let row = AliasRow { account_id: caller.account.clone(), name: alias.clone(), key_id: key.id, created_at: now };
            match tx.alias_insert(&row) {
                Err(StoreError::Conflict) => Err(Abort::App(Error::AliasExists)),
                other => Ok(other?),
            }
        })
    }

    /// Gives an alias, which names this key so far, to another key.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`], [`Error::KeyNotFound`], [`Error::AliasNotAllowed`]; [`Error::KeyState`] for a key that is pending
    /// deletion; [`Error::Unavailable`] where the alias names a third one by now.
    pub fn alias_update(&self, caller: &Caller, alias: &Alias, from: &KeyId, key: &KeyRef) -> Result<(), Error> {
        self.store.commit(&caller.effect, "alias_update", |tx| {
            let key = find(tx, caller, key)?;
            let old = still(tx, caller, alias, from)?;
            editable(&key)?;
            let new = AliasRow { key_id: key.id, ..old.clone() };
            tx.alias_update(&old, &new)?;
            Ok(())
        })
    }

    /// Takes an alias away from the key that it names.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`]; [`Error::Unavailable`] where the alias names another key by now.
    pub fn alias_delete(&self, caller: &Caller, alias: &Alias, from: &KeyId) -> Result<(), Error> {
        self.store.commit(&caller.effect, "alias_delete", |tx| {
            still(tx, caller, alias, from)?;
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
            Ok(AliasPage { total, aliases: tx.aliases_page(account, offset, limit)? })
        })
    }

    /// A page of a key's aliases, by name.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`], [`Error::AliasNotAllowed`].
    pub fn aliases_of(&self, caller: &Caller, key: &KeyRef, offset: i64, limit: i64) -> Result<AliasPage, Error> {
        self.store.read("aliases_of_key", |tx| {
            let key = find(tx, caller, key)?;
            let all = tx.aliases_of_key(&key.id)?;
            let (total, count) = (all.len() as i64, |n: i64| usize::try_from(n).unwrap_or(0));
            Ok(AliasPage { total, aliases: all.into_iter().skip(count(offset)).take(count(limit)).collect() })
        })
    }
}

/// The row of an alias that still names the key for which the permission was asked.
fn still(tx: &mut Tx<'_>, caller: &Caller, alias: &Alias, key: &KeyId) -> Result<AliasRow, Abort<Error>> {
    let row = tx.alias_by_name(&caller.account, alias)?.ok_or(Abort::App(Error::AliasNotFound))?;
    if row.key_id == *key { Ok(row) } else { Err(Abort::App(Error::Unavailable("the alias has moved"))) }
}
