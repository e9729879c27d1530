//! What callers change of a key: whether it is enabled, and what is said of it for people.
//!
//! Owns: which of it may change in which state. Must not know: HTTP. Called by: api.

use crate::auth::Caller;
use crate::base::ids::KeyRef;
use crate::base::words::KeyState;
use crate::error::{Error, Unchanged};
use crate::keys::Keys;
use crate::keys::find::find;
use crate::keys::rows::{editable, replace};
use crate::store::{Abort, KeyRow};

impl Keys {
    /// Enables or disables a key; to the state that it is in already is success.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`]; [`Error::KeyStateChange`] in the deletion window; [`Error::AliasNotAllowed`] for an alias.
    pub fn set_enabled(&self, caller: &Caller, key: &KeyRef, enabled: bool) -> Result<(), Error> {
        let state = if enabled { KeyState::Enabled } else { KeyState::Disabled };
        self.store.commit(&caller.effect, "key_set_enabled", |tx| {
            let key = find(tx, caller, key)?;
            match key.state_at(caller.now()) {
                KeyState::Enabled | KeyState::Disabled if key.state == state => Ok(()),
                KeyState::Enabled | KeyState::Disabled => replace(tx, &key, KeyRow { state, ..key.clone() }),
                KeyState::PendingImport => Err(Abort::App(Error::KeyStateChange(Unchanged::PendingImport))),
                KeyState::PendingDeletion | KeyState::Creating | KeyState::Deleted => {
                    Err(Abort::App(Error::KeyStateChange(Unchanged::PendingDeletion)))
                }
            }
        })
    }

    /// Describes a key anew, for people.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`], [`Error::AliasNotAllowed`]; [`Error::KeyState`] in the deletion window.
    pub fn set_description(&self, caller: &Caller, key: &KeyRef, description: &str) -> Result<(), Error> {
        self.store.commit(&caller.effect, "key_set_description", |tx| {
            let key = find(tx, caller, key)?;
            editable(&key)?;
            replace(tx, &key, KeyRow { description: description.to_owned(), ..key.clone() })
        })
    }
}
