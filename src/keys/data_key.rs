//! Data keys: made under a master key, unwrapped with it, on the token.
//!
//! Owns: the one call to the token that each costs, and what its failures mean. Must not know: what the data key encrypts.
//! Called by: secrets. The cache of data keys sits here, behind admission.

use std::collections::HashSet;

use crate::base::clock::Timestamp;
use crate::base::secret::DataKey;
use crate::base::words::KeyState;
use crate::envelope::Identity;
use crate::error::Error;
use crate::keys::data_key_cache::DataKeyCache;
use crate::keys::{AdmittedKey, CountedUse, Keys};
use crate::token::TokenError;

impl Keys {
    /// A new data key for a secret version, in the clear and wrapped; the one encryption that was counted.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the token is away; [`Error::Internal`] for a version that says it is under another key version.
    pub fn new_data_key(&self, counted: CountedUse, identity: &Identity<'_>) -> Result<(DataKey, Vec<u8>), Error> {
        if (identity.key, identity.key_version) != (counted.key(), counted.version()) {
            return Err(Error::Internal("a use of another key version was counted".into()));
        }
        Ok(self.token.new_data_key(identity.suite, counted.version(), &identity.data_key_context())?)
    }

    /// Unwraps the stored data key of a secret version with the key version that wrapped it.
    ///
    /// # Errors
    /// [`Error::Integrity`] when the version is not under the key that was admitted, the stored bytes or what they are bound to were
    /// changed, or name a key version that the token does not hold; [`Error::Unavailable`] when the token is away.
    pub fn unwrap_data_key(&self, admitted: &AdmittedKey, identity: &Identity<'_>, wrapped: &[u8]) -> Result<DataKey, Error> {
        let (version, suite, context) = (admitted.that_wrapped(identity)?, identity.suite, &identity.data_key_context());
        let name = self.data_keys.is_on().then(|| DataKeyCache::name(version, suite, wrapped, context));
        if let Some(kept) = name.as_ref().and_then(|name| self.data_keys.find(name)) {
            return Ok(kept);
        }
        let data_key = self.token.unwrap_data_key(suite, version, wrapped, context).map_err(|e| match e {
            TokenError::Tampered => Error::Integrity("a wrapped data key does not open".into()),
            TokenError::NoSuchKey(id) => Error::Integrity(format!("key version {id} is not on the token")),
            // Of a suite that this token does not have: nothing that was made here.
            TokenError::Unsupported(lacking) => Error::Internal(format!("a wrapped data key needs {lacking}")),
            other => other.into(),
        })?;
        if let Some(name) = name {
            self.data_keys.keep(name, *admitted.key(), &data_key);
        }
        Ok(data_key)
    }

    /// How often a data key was found in memory, since the start.
    pub fn data_key_cache_hits(&self) -> u64 {
        self.data_keys.hits()
    }

    /// Wipes the data keys of keys that may not be used any more. Nobody is given one in between: each use is admitted anew.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database is away; then all of them are wiped.
    pub fn data_keys_sweep(&self, now: Timestamp) -> Result<(), Error> {
        let keys = self.data_keys.keys();
        if keys.is_empty() {
            return Ok(());
        }
        let usable = self.store.read("data_keys_sweep", |tx| {
            let mut usable = HashSet::new();
            for id in &keys {
                if tx.key_by_id(id)?.is_some_and(|key| key.state_at(now) == KeyState::Enabled) {
                    usable.insert(*id);
                }
            }
            Ok(usable)
        });
        let (usable, failure) = match usable {
            Ok(usable) => (usable, None),
            Err(error) => (HashSet::new(), Some(error)),
        };
        self.data_keys.forget(&keys.difference(&usable).copied().collect());
        failure.map_or(Ok(()), Err)
    }
}
