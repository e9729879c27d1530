//! Data keys: made under a master key, unwrapped with it, on the token.
//!
//! Owns: the one call to the token that each costs, and what its failures mean. Must not know: what the data key encrypts.
//! Called by: secrets. A cache of data keys would sit here, behind admission.

use crate::base::canonical::Canonical;
use crate::base::ids::KeyVersionId;
use crate::base::secret::DataKey;
use crate::base::words::Suite;
use crate::error::Error;
use crate::keys::{AdmittedKey, CountedUse, Keys};
use crate::token::TokenError;

impl Keys {
    /// A new data key, in the clear and wrapped for this context; the one encryption that was counted.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the token is away.
    pub fn new_data_key(&self, counted: CountedUse, context: &Canonical) -> Result<(DataKey, Vec<u8>), Error> {
        Ok(self.token.new_data_key(self.suite, counted.version(), context)?)
    }

    /// Unwraps a stored data key.
    ///
    /// # Errors
    /// [`Error::Integrity`] when the stored bytes or their context were changed, or name a key version that the token does not
    /// hold; [`Error::Unavailable`] when the token is away.
    pub fn unwrap_data_key(
        &self,
        _proof: &AdmittedKey,
        version: &KeyVersionId,
        suite: Suite,
        wrapped: &[u8],
        context: &Canonical,
    ) -> Result<DataKey, Error> {
        self.token.unwrap_data_key(suite, version, wrapped, context).map_err(|e| match e {
            TokenError::Tampered => Error::Integrity("a wrapped data key does not open".into()),
            TokenError::NoSuchKey(id) => Error::Integrity(format!("key version {id} is not on the token")),
            other => other.into(),
        })
    }
}
