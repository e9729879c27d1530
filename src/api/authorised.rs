//! What was looked up to ask for a request's permissions, and is carried to the operation, so that what was asked about is what it
//! works on.
//!
//! Owns: the keys and the ends of aliases of one request. Must not know: policies, what an operation does. Called by: the pipeline, which
//! fills it; the context, which hands out what is in it.

use crate::auth::Grant;
use crate::base::ids::{Alias, KeyId};
use crate::error::Error;
use crate::keys::{AuthorisedKey, Use};

/// What the operation's target led to.
#[derive(Default)]
pub(super) struct Authorised {
    /// Keys that may be used, each in its way.
    pub keys: Vec<AuthorisedKey>,
    /// The keys that aliases named; none for an alias that was not there.
    pub aliases: Vec<(Alias, Option<KeyId>)>,
}

impl Authorised {
    /// Keeps a key that may be used; gives on by which policy.
    pub fn keep_key(&mut self, grant: Grant, key: AuthorisedKey) -> Grant {
        self.keys.push(key);
        grant
    }

    /// The key that may be used so.
    ///
    /// # Errors
    /// [`Error::Internal`]: the operation asks for what its target does not name.
    pub fn key_for(&self, purpose: Use) -> Result<&AuthorisedKey, Error> {
        let key = self.keys.iter().find(|key| key.purpose() == purpose);
        key.ok_or_else(|| Error::Internal(format!("{purpose:?} is not in the operation's target")))
    }

    /// The key that an alias named.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`].
    pub fn named_by(&self, alias: &Alias) -> Result<KeyId, Error> {
        self.aliases.iter().find(|(of, _)| of == alias).and_then(|(_, key)| *key).ok_or(Error::AliasNotFound)
    }
}
