//! UpdateSecret: what is known of a secret besides its values.
//!
//! Owns: what may be changed for which type. Must not know: HTTP, SQL. Called by: api::secrets::update_secret.
//! Source of the rules: the page of UpdateSecret.

use std::collections::BTreeMap;

use crate::auth::Caller;
use crate::base::ids::SecretRef;
use crate::base::words::SecretType;
use crate::error::Error;
use crate::secrets::Secrets;
use crate::secrets::extended_config::custom_data_set;
use crate::secrets::find::find_live;
use crate::store::SecretRow;

/// What is to be changed; the rest stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// For people.
    pub description: Option<String>,
    /// The caller's own entries of ExtendedConfig, in the place of those that are there. Without effect on Generic secrets, which
    /// have none: declarative clients send their whole configuration.
    pub custom_data: Option<BTreeMap<String, String>>,
}

impl Secrets {
    /// Changes a secret; without any change it is success too.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`], [`Error::SecretInDeleteWindow`]; [`Error::Invalid`] for more entries than there may be.
    pub fn update(&self, caller: &Caller, secret: &SecretRef, changes: &Changes) -> Result<(), Error> {
        let now = caller.now();
        self.store.commit(&caller.effect, "secret_update", |tx| {
            let found = find_live(tx, caller, secret, now)?;
            if let Some(entries) = &changes.custom_data
                && found.secret_type != SecretType::Generic
            {
                custom_data_set(tx, &found, entries)?;
            }
            if *changes != Changes::default() {
                let description = changes.description.as_ref().unwrap_or(&found.description).clone();
                let changed = SecretRow { description, updated_at: now, ..found.clone() };
                tx.secret_update(&found, &changed)?;
            }
            Ok(())
        })
    }
}
