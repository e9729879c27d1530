//! Who calls, and what they may do.
//!
//! Owns: the authenticated caller and the use of its nonce; what it may do is in `authorise`. Must not know: how a request was
//! signed. Called by: api, keys and secrets (authorise, commit an effect).

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use crate::auth::access_key::Ruled;
use crate::auth::authorise::Decided;
use crate::auth::nonce::{NonceDigest, RETENTION_MS};
use crate::auth::policy::Policy;
use crate::base::clock::Timestamp;
use crate::base::failpoint::{Step, reach};
use crate::base::ids::{AccessKeyId, AccessPointName, AccountId, Home, NodeId, PolicyName, Region, RequestId, UserName};
use crate::error::Error;
use crate::store::{Abort, NonceRow, Store, StoreError, Tx};

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
pub struct Attached {
    /// Its name.
    pub name: PolicyName,
    /// What it says; the system policies are part of the program.
    pub policy: Cow<'static, Policy>,
}

/// A caller whose signature was verified, for the length of one request.
pub struct Caller {
    /// The account.
    pub account: AccountId,
    /// Root, user or access point.
    pub principal: Principal,
    /// The access key that signed.
    pub access_key: AccessKeyId,
    /// The region this deployment answers as.
    pub region: Region,
    /// From where.
    pub source_ip: IpAddr,
    /// Over TLS.
    pub secure: bool,
    /// When the request arrived.
    pub received_at: Timestamp,
    /// The request.
    pub request_id: RequestId,
    /// This node.
    pub node: NodeId,
    pub(super) policies: Arc<[Attached]>,
    /// What of the account has a policy of its own.
    pub(super) ruled: Ruled,
    /// Where those policies are.
    pub(super) store: Arc<Store>,
    pub(super) decided: Decided,
    pub(super) nonce: NonceDigest,
}

/// Why something is allowed: the policy's name, or `root`.
pub type Grant = String;

impl Caller {
    /// The ARN of a resource of the caller's own account, or of the account and region that an ARN named.
    pub fn arn(&self, home: Option<&Home>, relative: &str) -> String {
        match home {
            None => format!("acs:kms:{}:{}:{relative}", self.region, self.account),
            Some(home) => format!("acs:kms:{}:{}:{relative}", home.region, home.account),
        }
    }

    /// Whether a resource named with this home is one of the caller's account in this region.
    pub fn at_home(&self, home: Option<&Home>) -> bool {
        home.is_none_or(|h| h.account == self.account.as_str() && h.region == self.region.as_str())
    }

    /// Runs a write transaction that is the effect of this request, and uses up the request's nonce in it: a replay, here or on
    /// another node, now or after a restart, finds the nonce taken and changes nothing.
    ///
    /// # Errors
    /// [`Error::NonceUsed`] for a replay; whatever `f` answers; [`Error::Unavailable`] when the database is away.
    pub fn commit<T>(
        &self,
        store: &Store,
        name: &'static str,
        f: impl Fn(&mut Tx<'_>) -> Result<T, Abort<Error>>,
    ) -> Result<T, Error> {
        let done = store.write(name, |tx| {
            let used = NonceRow {
                digest: self.nonce,
                request_id: self.request_id,
                node: self.node,
                expires_at: self.received_at.plus_ms(RETENTION_MS),
            };
            match tx.nonce_insert(&used) {
                Err(StoreError::Conflict) => return Err(Abort::App(Error::NonceUsed)),
                other => other?,
            }
            reach(Step::NonceWritten);
            let done = f(tx)?;
            reach(Step::EffectWritten);
            Ok(done)
        })?;
        reach(Step::Committed);
        Ok(done)
    }
}

#[cfg(test)]
impl Caller {
    /// The root of an account with a request of its own, for tests below the pipeline.
    pub(crate) fn root_of(account: &AccountId, store: &Arc<Store>) -> Self {
        let request_id = RequestId::new();
        Self {
            account: account.clone(),
            principal: Principal::Root,
            access_key: AccessKeyId::random(),
            region: "cn-test".parse().expect("a region"),
            source_ip: IpAddr::from([127, 0, 0, 1]),
            secure: false,
            received_at: crate::base::clock::Clock::System.now(),
            request_id,
            node: NodeId::new(),
            policies: Arc::new([]),
            ruled: Ruled::default(),
            store: Arc::clone(store),
            decided: Decided::default(),
            nonce: *request_id.as_bytes(),
        }
    }
}
