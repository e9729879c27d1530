//! Master keys (CMKs): their life, their names, and what they are used for.
//!
//! Owns: key states, the steps of creation over token and database, admission of a caller to a key, data keys,
//! callers' blobs. Must not know: HTTP, secrets. Called by: api, secrets, jobs.

mod admit;
mod alias;
mod asymmetric;
mod blobs;
mod data_key;
mod default_key;
mod import;
mod lifecycle;
mod policy;
mod public;
mod spec;
mod tags;

use std::sync::Arc;

pub use admit::{AdmittedKey, Use, admit, admit_service, authorise_use};
pub use asymmetric::AdmittedVersion;
pub use blobs::{Decrypted, Encrypted};
pub use import::ImportParameters;
pub use lifecycle::{KeyPage, NewKey};
pub use public::ExportKey;

pub use crate::envelope::blob::{Blob, EncryptionContext};

use crate::auth::access_key::SysKey;
use crate::clock::Clock;
use crate::error::Error;
use crate::ids::DeploymentId;
use crate::kinds::Suite;
use crate::store::Store;
use crate::token::Token;

/// Upper bounds per account; none is no bound.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyQuotas {
    /// Master keys.
    pub keys: Option<u32>,
    /// Aliases.
    pub aliases: Option<u32>,
}

/// The master keys of a deployment.
pub struct Keys {
    store: Arc<Store>,
    token: Arc<Token>,
    clock: Clock,
    deployment: DeploymentId,
    suite: Suite,
    quotas: KeyQuotas,
    /// Keeps wrapping pairs for import that the token cannot.
    sys: SysKey,
}

impl Keys {
    /// The keys of this store and token; `suite` is how this deployment wraps.
    pub fn new(
        store: Arc<Store>,
        token: Arc<Token>,
        clock: Clock,
        deployment: DeploymentId,
        suite: Suite,
        quotas: KeyQuotas,
        sys: SysKey,
    ) -> Self {
        Self { store, token, clock, deployment, suite, quotas, sys }
    }

    /// Fills `out` with random bytes, of the token and of the operating system together.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the token is away.
    pub fn random(&self, out: &mut [u8]) -> Result<(), Error> {
        Ok(self.token.random(out)?)
    }

    /// How new data keys are wrapped.
    pub fn suite(&self) -> Suite {
        self.suite
    }
}
