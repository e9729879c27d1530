//! Tags of keys.
//!
//! Owns: which keys can be tagged in which state. Must not know: HTTP. Called by: api::tags.

use crate::auth::Caller;
use crate::base::ids::KeyRef;
use crate::base::words::{KeyState, ResourceType};
use crate::error::{Error, RejectedState};
use crate::keys::Keys;
use crate::keys::find::find;
use crate::store::{Abort, KeyRow, TagRow, Tagged, Tx};
use crate::tags::{self, Change, Filter, Query, TaggedPage};

impl Keys {
    /// Changes the tags of keys, of all or of none.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`]; [`Error::AliasNotAllowed`] for an alias; [`Error::KeyState`] in the deletion window;
    /// [`Error::LimitExceeded`] for too many tags.
    pub fn tag(&self, caller: &Caller, keys: &[KeyRef], change: &Change) -> Result<(), Error> {
        self.store.commit(&caller.effect, "keys_tag", |tx| {
            for key in keys {
                let key = find(tx, caller, key)?;
                if key.state == KeyState::PendingDeletion {
                    return Err(Abort::App(Error::KeyState(RejectedState::PendingDeletion)));
                }
                tags::apply(tx, &key.account_id, Tagged::Key(key.id), change)?;
            }
            Ok(())
        })
    }

    /// A key with its tags.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`]; [`Error::AliasNotAllowed`] for an alias.
    pub fn tags(&self, caller: &Caller, key: &KeyRef) -> Result<(KeyRow, Vec<TagRow>), Error> {
        self.store.read("key_tags", |tx| {
            let key = find(tx, caller, key)?;
            let tags = tx.tags_of(Tagged::Key(key.id))?;
            Ok((key, tags))
        })
    }

    /// A page of the account's keys with their tags: of these keys, or of any where none are named, those that have all the tags.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`] for a key that is named; [`Error::AliasNotAllowed`] for an alias; [`Error::Invalid`] for a
    /// place that this list never gave.
    pub fn tagged(
        &self,
        caller: &Caller,
        keys: &[KeyRef],
        filters: &[Filter],
        after: Option<&str>,
    ) -> Result<TaggedPage, Error> {
        self.store.read("keys_tagged", |tx| {
            let named = keys.iter().map(|key| Ok(Tagged::Key(find(tx, caller, key)?.id))).collect::<Result<_, Abort<_>>>()?;
            let among = if keys.is_empty() { None } else { Some(named) };
            let query = Query { account: &caller.account, kind: ResourceType::Key, among, filters, after };
            tags::page(tx, &query, name)
        })
    }
}

/// What a key is called in a list. A key has no tags before it is made, so all that have some are to be seen.
fn name(_: &mut Tx<'_>, on: Tagged) -> Result<Option<String>, Abort<Error>> {
    match on {
        Tagged::Key(id) => Ok(Some(id.to_string())),
        Tagged::Secret(_) => Ok(None),
    }
}
