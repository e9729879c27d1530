//! UpdateSecret: what is known of a secret besides its values.
//!
//! Owns: what may be changed for which type. Must not know: HTTP, SQL. Called by: api::secrets::update_secret.
//! Source of the rules: the page of UpdateSecret.

use std::collections::BTreeMap;

use crate::auth::Caller;
use crate::error::Error;
use crate::ids::SecretRef;
use crate::integrity::Sealed;
use crate::kinds::SecretType;
use crate::secrets::{Secrets, find_live};
use crate::store::{Abort, SecretRow, held};

/// What is to be changed; the rest stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// For people.
    pub description: Option<String>,
    /// The caller's own entries of ExtendedConfig, in the place of those that are there. Not for Generic secrets, which have none.
    pub custom_data: Option<BTreeMap<String, String>>,
}

impl Secrets {
    /// Changes a secret; without any change it is success too.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`], [`Error::SecretInDeleteWindow`]; [`Error::InvalidParameter`] for what the secret's type has not.
    pub fn update(&self, caller: &Caller, secret: &SecretRef, changes: &Changes) -> Result<(), Error> {
        let now = self.clock.now();
        caller.commit(&self.store, "secret_update", |tx| {
            let found = find_live(tx, caller, secret, now)?;
            match (found.secret_type, &changes.custom_data) {
                (SecretType::Generic, Some(_)) => return Err(Abort::App(Error::invalid("ExtendedConfig.CustomData"))),
                (SecretType::Generic, None) => {}
            }
            if let Some(description) = &changes.description {
                let changed = SecretRow { description: description.clone(), updated_at: now, ..found.clone() };
                held(tx.secret_update(&found, &changed)?, SecretRow::TABLE)?;
            }
            Ok(())
        })
    }
}
