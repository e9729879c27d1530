//! Tags of secrets.
//!
//! Owns: which secrets can be tagged. Must not know: HTTP. Called by: api::tags.

use crate::auth::Caller;
use crate::base::ids::SecretRef;
use crate::base::words::ResourceType;
use crate::error::Error;
use crate::secrets::Secrets;
use crate::secrets::find::{Life, find, find_live, life};
use crate::store::{Abort, Tagged};
use crate::tags::{self, Change, Filter, Query, TaggedPage};

impl Secrets {
    /// Changes the tags of secrets, of all or of none.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`]; [`Error::SecretInDeleteWindow`]; [`Error::LimitExceeded`] for too many tags.
    pub fn tag(&self, caller: &Caller, secrets: &[SecretRef], change: &Change) -> Result<(), Error> {
        let now = caller.now();
        self.store.commit(&caller.effect, "secrets_tag", |tx| {
            for secret in secrets {
                let found = find_live(tx, caller, secret, now)?;
                tags::apply(tx, &found.account_id, Tagged::Secret(found.id), change)?;
            }
            Ok(())
        })
    }

    /// A page of the account's secrets with their tags: of these secrets, or of any where none are named, those that have all the
    /// tags.
    ///
    /// # Errors
    /// [`Error::SecretNotFound`] for a secret that is named; [`Error::Invalid`] for a place that this list never gave.
    pub fn tagged(
        &self,
        caller: &Caller,
        secrets: &[SecretRef],
        filters: &[Filter],
        after: Option<&str>,
    ) -> Result<TaggedPage, Error> {
        let now = caller.now();
        self.store.read("secrets_tagged", |tx| {
            let mut named = |secret: &SecretRef| {
                let found = find(tx, caller, secret, now)?;
                Ok(Tagged::Secret(found.id))
            };
            let named = secrets.iter().map(&mut named).collect::<Result<_, Abort<Error>>>()?;
            let among = if secrets.is_empty() { None } else { Some(named) };
            let query = Query { account: &caller.account, kind: ResourceType::Secret, among, filters, after };
            tags::page(tx, &query, |tx, on| {
                let Tagged::Secret(id) = on else { return Ok(None) };
                let found = tx.secret_by_id(&id)?.filter(|secret| life(secret, now) != Life::Gone);
                Ok(found.map(|secret| secret.name.to_string()))
            })
        })
    }
}
