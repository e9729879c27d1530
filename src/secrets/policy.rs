//! The policy of a secret.
//!
//! Owns: which secrets can have one. Must not know: HTTP, what a policy says. Called by: api::policies, create.

use crate::auth::Caller;
use crate::auth::policy::default_document;
use crate::base::ids::SecretRef;
use crate::base::words::ResourceType;
use crate::error::Error;
use crate::secrets::Secrets;
use crate::secrets::find::{Life, find, life};
use crate::store::{Abort, ResourcePolicyRow, SecretRow};

impl Secrets {
    /// Sets the policy of a secret.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`]; [`Error::SecretInDeleteWindow`].
    pub fn policy_set(&self, caller: &Caller, secret: &SecretRef, document: &str) -> Result<(), Error> {
        let now = caller.now();
        self.store.commit(&caller.effect, "secret_policy_set", |tx| {
            let found = find(tx, caller, secret, now)?;
            if life(&found, now) != Life::Live {
                return Err(Abort::App(Error::SecretInDeleteWindow));
            }
            let document = document.to_owned();
            Ok(tx.resource_policy_put(&ResourcePolicyRow { updated_at: now, document, ..row(&found) })?)
        })
    }

    /// The policy of a secret, in its deletion window too; the default one where none was set.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`].
    pub fn policy(&self, caller: &Caller, secret: &SecretRef) -> Result<String, Error> {
        let now = caller.now();
        self.store.read("secret_policy", |tx| {
            let found = find(tx, caller, secret, now)?;
            let row = row(&found);
            let own = tx.resource_policy(&row.account_id, &row.resource)?;
            let document = own.map(|own| own.document);
            Ok(document.unwrap_or_else(|| default_document(ResourceType::Secret, row.account_id.as_str())))
        })
    }
}

/// The row of a secret's policy, without what it says.
pub(super) fn row(secret: &SecretRow) -> ResourcePolicyRow {
    ResourcePolicyRow {
        account_id: secret.account_id.clone(),
        resource: secret.name.resource(),
        document: String::new(),
        updated_at: secret.created_at,
    }
}
