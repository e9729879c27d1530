//! Whom an access key or client key speaks for, and which policies bind it.
//!
//! Owns: these words, and reading the policies of a user. Must not know: how a request was signed, how policies are evaluated. Called by:
//! the other files of auth, api.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use crate::auth::policy::{self, Policy};
use crate::base::ids::{AccessPointName, AccountId, PolicyName, UserId, UserName};
use crate::error::Error;
use crate::store::{Abort, AttachmentRow, Tx};

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

/// What a user is allowed and denied by policies that are attached to it.
pub(super) fn policies_of(tx: &mut Tx<'_>, account: &AccountId, user: &UserId) -> Result<Vec<AttachedPolicy>, Abort<Error>> {
    tx.attachments_of(account, user)?.into_iter().map(|attachment| attached(tx, account, attachment)).collect()
}

/// The policy of an attachment. One that is gone or does not parse is an alarm, not a policy less: it may have been a Deny.
fn attached(tx: &mut Tx<'_>, account: &AccountId, attachment: AttachmentRow) -> Result<AttachedPolicy, Abort<Error>> {
    let name = attachment.policy_name;
    let broken = |what: &str| Abort::App(Error::Integrity(format!("policy {name} of account {account} {what}")));
    let policy = if attachment.system {
        Cow::Borrowed(policy::system_policy(name.as_str()).ok_or_else(|| broken("is no system policy"))?)
    } else {
        let row = tx.policy_by_name(account, &name)?.ok_or_else(|| broken("is attached and does not exist"))?;
        Cow::Owned(Policy::parse(&row.document).map_err(|_| broken("does not parse"))?)
    };
    Ok(AttachedPolicy { name, policy })
}
