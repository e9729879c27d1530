//! The policy of a key.
//!
//! Owns: which keys can have one. Must not know: HTTP, what a policy says. Called by: api::policies.

use crate::auth::Caller;
use crate::auth::policy::default_document;
use crate::base::ids::KeyRef;
use crate::base::words::{KeyState, ResourceType};
use crate::error::{Error, RejectedState};
use crate::keys::Keys;
use crate::keys::find::find;
use crate::keys::rows::policy_row;
use crate::store::{Abort, ResourcePolicyRow};

impl Keys {
    /// Sets the policy of a key.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`]; [`Error::AliasNotAllowed`] for an alias; [`Error::UnsupportedOperation`] for a key of the service,
    /// for which the permission on its secrets stands; [`Error::KeyState`] in the deletion window.
    pub fn policy_set(&self, caller: &Caller, key: &KeyRef, document: &str) -> Result<(), Error> {
        let now = caller.now();
        self.store.commit(&caller.effect, "key_policy_set", |tx| {
            let key = find(tx, caller, key)?;
            if key.service {
                return Err(Abort::App(Error::UnsupportedOperation(
                    "the service made this key; the policies of its secrets decide",
                )));
            }
            if key.state == KeyState::PendingDeletion {
                return Err(Abort::App(Error::KeyState(RejectedState::PendingDeletion)));
            }
            let document = document.to_owned();
            Ok(tx.resource_policy_put(&ResourcePolicyRow { updated_at: now, document, ..policy_row(&key) })?)
        })
    }

    /// The policy of a key; the default one where none was set.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`]; [`Error::AliasNotAllowed`] for an alias.
    pub fn policy(&self, caller: &Caller, key: &KeyRef) -> Result<String, Error> {
        self.store.read("key_policy", |tx| {
            let row = policy_row(&find(tx, caller, key)?);
            let own = tx.resource_policy(&row.account_id, &row.resource)?;
            let document = own.map(|own| own.document);
            Ok(document.unwrap_or_else(|| default_document(ResourceType::Key, row.account_id.as_str())))
        })
    }
}
