//! Whom an access key or client key speaks for, and which policies bind it.
//!
//! Owns: these words. Must not know: how a request was signed, how policies are evaluated. Called by: the other files of auth, api.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use crate::auth::policy::Policy;
use crate::base::ids::{AccessPointName, PolicyName, UserName};

/// Whose access key it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// The account itself: full rights on its own resources.
    Root,
    /// A user: what its policies allow.
    User(UserName),
    /// An application access point, spoken for by one of its client keys: what its policies allow.
    AccessPoint(AccessPointName),
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Principal::Root => f.write_str("root"),
            Principal::User(name) => write!(f, "user/{name}"),
            Principal::AccessPoint(name) => write!(f, "access-point/{name}"),
        }
    }
}

/// A policy as it is attached to a user.
pub struct AttachedPolicy {
    /// Its name.
    pub name: PolicyName,
    /// What it says; the system policies are part of the program.
    pub policy: Cow<'static, Policy>,
}

/// The resources of an account that have a policy of their own: names as in ARNs, `secret/NAME`, `key/ID`.
pub type HaveOwnPolicy = Arc<HashSet<String>>;
