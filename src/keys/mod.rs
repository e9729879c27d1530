//! Master keys (CMKs): their life, their names, and what they are used for.
//!
//! Owns: key states, the steps of creation and destruction over token and database, versions and their rotation,
//! admission of a caller to a key, data keys, callers' blobs, the count of a key's uses.
//! Must not know: HTTP, secrets. Called by: api, secrets, jobs.

mod admit;
mod alias;
mod asymmetric;
mod blobs;
mod change;
mod condemned;
mod create;
mod data_key;
mod data_key_cache;
mod default_key;
mod deletion;
mod describe;
mod find;
mod import;
mod orphans;
mod policy;
mod public;
mod reserve;
mod rotation;
mod rows;
mod schedule;
mod spec;
mod tags;
#[cfg(test)]
pub(crate) mod tests;
mod token_failure;
mod uses;
mod versions;

use std::sync::Arc;
use std::time::Duration;

pub use admit::{AdmittedKey, AdmittedVersion, AuthorisedKey, Use, admit, admit_service};
pub use blobs::{A_BLOB, Encrypted, wrong_blob};
pub use create::NewKey;
pub use describe::KeyDescription;
pub use find::FoundKey;
pub use orphans::{Mismatch, mismatch};
pub use public::ExportKey;
pub use reserve::CountedUse;
use uses::Uses;
pub use uses::{UseFigures, UseLimits};

pub use crate::envelope::blob::{Blob, EncryptionContext};

use self::data_key_cache::DataKeyCache;
use crate::auth::SysKey;
use crate::base::words::Suite;
use crate::error::Error;
use crate::service_task::ServiceTasks;
use crate::store::Store;
use crate::token::Token;

/// Upper bounds; none is no bound.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyLimits {
    /// Master keys of an account.
    pub keys: Option<u32>,
    /// Aliases of an account.
    pub aliases: Option<u32>,
    /// Objects on the token, of the whole deployment.
    pub token_objects: Option<u32>,
    /// Encryptions under one version.
    pub uses: UseLimits,
    /// How long, ms, what is to be destroyed on the token waits for it.
    pub quarantine_ms: i64,
    /// Data keys kept in memory.
    pub data_keys: DataKeyLimits,
}

/// How many data keys a node keeps in its memory, and how long.
#[derive(Debug, Clone, Copy, Default)]
pub struct DataKeyLimits {
    /// At most; 0 for none.
    pub entries: usize,
    /// Each for so long.
    pub age: Duration,
}

/// What the keys of a deployment are made of.
pub struct KeyParts {
    /// Where their rows are.
    pub store: Arc<Store>,
    /// Where their material is.
    pub token: Arc<Token>,
    /// Records what the service does with them of its own accord.
    pub service_tasks: Arc<ServiceTasks>,
    /// How new data keys and blobs are wrapped.
    pub suite: Suite,
    /// Upper bounds.
    pub limits: KeyLimits,
    /// Names the deployment, and keeps wrapping pairs for import that the token cannot.
    pub sys: SysKey,
}

/// The master keys of a deployment.
pub struct Keys {
    store: Arc<Store>,
    token: Arc<Token>,
    service_tasks: Arc<ServiceTasks>,
    suite: Suite,
    limits: KeyLimits,
    uses: Uses,
    data_keys: DataKeyCache,
    sys: SysKey,
}

impl Keys {
    /// The keys over these parts.
    pub fn new(parts: KeyParts) -> Self {
        let KeyParts { store, token, service_tasks, suite, limits, sys } = parts;
        let data_keys = DataKeyCache::new(limits.data_keys.entries, limits.data_keys.age);
        Self { store, token, service_tasks, suite, limits, uses: Uses::new(limits.uses), data_keys, sys }
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
