//! Who calls.
//!
//! Owns: the authenticated caller; what it may do is in `authorise`. Must not know: how a request was signed. Called by: api, keys
//! and secrets (authorise, commit the request's effect).

use std::net::IpAddr;
use std::sync::Arc;

use crate::auth::bearer::Bearer;
use crate::auth::principal::{AttachedPolicy, HaveOwnPolicy, Principal};
use crate::base::clock::Timestamp;
use crate::base::ids::{AccessKeyId, AccountId, Home, Region};
use crate::effect::Effect;
use crate::store::Store;

/// A caller whose signature was verified, for the length of one request.
pub struct Caller {
    /// The account.
    pub account: AccountId,
    /// Root, user or access point.
    pub principal: Principal,
    /// The access key that signed, or logged in; none where another login gave the token.
    pub access_key: Option<AccessKeyId>,
    /// The token that was shown, where nothing is signed.
    pub bearer: Option<Arc<Bearer>>,
    /// The region this deployment answers as.
    pub region: Region,
    /// From where.
    pub source_ip: IpAddr,
    /// Over TLS.
    pub secure: bool,
    /// When the request arrived.
    pub received_at: Timestamp,
    pub(super) policies: Arc<[AttachedPolicy]>,
    /// What of the account has a policy of its own.
    pub(super) have_own_policy: HaveOwnPolicy,
    /// Where those policies are.
    pub(super) store: Arc<Store>,
    /// What this request does to the database.
    pub effect: Effect,
}

impl Caller {
    /// The ARN of a resource of the caller's own account, or of the account and region that an ARN named.
    pub fn arn(&self, home: Option<&Home>, relative: &str) -> String {
        match home {
            None => format!("acs:kms:{}:{}:{relative}", self.region, self.account),
            Some(home) => format!("acs:kms:{}:{}:{relative}", home.region, home.account),
        }
    }

    /// The names of the policies that bind it; `root` where none does.
    pub fn policy_names(&self) -> Vec<String> {
        match self.principal {
            Principal::Root => vec!["root".to_owned()],
            Principal::User(_) | Principal::AccessPoint(_) => self.policies.iter().map(|p| p.name.to_string()).collect(),
        }
    }

    /// Whether a resource named with this home is one of the caller's account in this region.
    pub fn at_home(&self, home: Option<&Home>) -> bool {
        home.is_none_or(|h| h.account == self.account.as_str() && h.region == self.region.as_str())
    }
}

#[cfg(test)]
impl Caller {
    /// The root of an account with a request of its own, for tests below the pipeline.
    pub(crate) fn root_of(account: &AccountId, store: &Arc<Store>) -> Self {
        let request_id = crate::base::ids::RequestId::new();
        let received_at = crate::base::clock::Clock::System.now();
        Self {
            account: account.clone(),
            principal: Principal::Root,
            access_key: Some(AccessKeyId::random()),
            bearer: None,
            region: "cn-test".parse().expect("a region"),
            source_ip: IpAddr::from([127, 0, 0, 1]),
            secure: false,
            received_at,
            policies: Arc::new([]),
            have_own_policy: HaveOwnPolicy::default(),
            store: Arc::clone(store),
            effect: Effect::of_request(*request_id.as_bytes(), request_id, crate::base::ids::NodeId::new(), received_at),
        }
    }
}
