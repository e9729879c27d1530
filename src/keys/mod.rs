//! Master keys (CMKs): their life, their names, and what they are used for.
//!
//! Owns: key states, the steps of creation over token and database, admission of a caller to a key, data keys.
//! Must not know: HTTP, secrets. Called by: api, secrets, jobs.

mod admit;
mod alias;
mod data_key;
mod default_key;
mod lifecycle;
mod tags;

use std::sync::Arc;

pub use admit::{AdmittedKey, Use, admit};
pub use lifecycle::{KeyPage, NewKey};

use crate::clock::Clock;
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
    suite: Suite,
    quotas: KeyQuotas,
}

impl Keys {
    /// The keys of this store and token; `suite` is how this deployment wraps.
    pub fn new(store: Arc<Store>, token: Arc<Token>, clock: Clock, suite: Suite, quotas: KeyQuotas) -> Self {
        Self { store, token, clock, suite, quotas }
    }

    /// How new data keys are wrapped.
    pub fn suite(&self) -> Suite {
        self.suite
    }
}
