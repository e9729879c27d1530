//! SYS: the key on the token that wraps what the service itself must keep.
//!
//! Owns: wrapping and unwrapping under it. Must not know: what is wrapped. Called by: auth::access_key (secrets of access keys),
//! keys::import (wrapping pairs that the token cannot keep); app makes it.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::base::canonical::Canonical;
use crate::base::ids::{DeploymentId, KeyVersionId};
use crate::base::words::Suite;
use crate::error::Error;
use crate::token::Token;

/// SYS, and the deployment that it is of.
#[derive(Clone)]
pub struct SysKey {
    /// The token that holds it.
    pub token: Arc<Token>,
    /// Its id.
    pub id: KeyVersionId,
    /// How it wraps.
    pub suite: Suite,
    /// The installation that everything is bound to.
    pub deployment: DeploymentId,
}

impl SysKey {
    /// Wraps bytes, bound to a context, with this key's suite.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the token is away.
    pub fn wrap(&self, plaintext: &[u8], context: &Canonical) -> Result<Vec<u8>, Error> {
        Ok(self.token.wrap(self.suite, &self.id, plaintext, context)?)
    }

    /// Unwraps what was wrapped with a suite for this context.
    ///
    /// # Errors
    /// [`Error::Integrity`] when either was changed; [`Error::Unavailable`] when the token is away.
    pub fn unwrap(&self, suite: Suite, wrapped: &[u8], context: &Canonical) -> Result<Zeroizing<Vec<u8>>, Error> {
        Ok(self.token.unwrap(suite, &self.id, wrapped, context)?)
    }

    /// Random bytes, of the token and of the operating system together.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the token is away.
    pub fn random(&self, out: &mut [u8]) -> Result<(), Error> {
        Ok(self.token.random(out)?)
    }
}
