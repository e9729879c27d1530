//! Application access points: principals for applications, with client keys instead of access keys.
//!
//! Owns: access points, their policies and network rules, client keys; what these grant. Must not know: HTTP, signatures.
//! Called by: api (the nineteen operations), auth::access_key (`grants`).
//! Source of the rules: the pages of CreateApplicationAccessPoint, CreatePolicy, CreateNetworkRule and CreateClientKey.
//!
//! | file | answers |
//! |---|---|
//! | `access_points.rs`, `policies.rs`, `rules.rs` | making, changing, deleting and listing each |
//! | `client_keys.rs`, `pkcs12.rs` | client keys, and the file that their private half leaves in |
//! | `grant.rs` | what the policies of an access point allow, as RAM policies |
//! | `grammar.rs` | lists as the API and the rows hold them |

mod access_points;
mod client_keys;
mod grammar;
mod grant;
mod pkcs12;
mod policies;
mod rules;

use std::sync::Arc;

pub use access_points::{NewPoint, PointChange};
pub use client_keys::{ClientKey, NewClientKey};
pub use grammar::{AccessResource, SourceNet};
pub(super) use grant::grants;
pub use policies::{NewPolicy, PolicyChange};
pub use rules::{NewRule, RuleChange};

use crate::base::words::ClientKeyCipher;
use crate::store::Store;

/// The access points of a deployment.
pub struct AccessPoints {
    store: Arc<Store>,
    cipher: ClientKeyCipher,
}

/// One page of a list.
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// How many there are in all.
    pub total: i64,
}

impl AccessPoints {
    /// The access points of this store; `cipher` protects the files of the client keys that are made.
    pub fn new(store: Arc<Store>, cipher: ClientKeyCipher) -> Self {
        Self { store, cipher }
    }
}
