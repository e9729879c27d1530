//! Who calls.
//!
//! Owns: the authenticated caller; what it may do is in `authorise`. Must not know: how a request was signed. Called by: api, keys
//! and secrets (authorise, commit the request's effect).

use std::net::IpAddr;
use std::sync::Arc;

use crate::auth::bearer::Bearer;
use crate::auth::principal::{AttachedPolicy, HaveOwnPolicy, Principal};
use crate::base::clock::{Moment, Timestamp};
use crate::base::ids::{AccessKeyId, AccountId, Home, Region};
use crate::effect::Effect;
use crate::error::Error;
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
    /// Nothing that it sent speaks for the time, and this node's clock is in doubt.
    pub(super) time_in_doubt: bool,
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

    /// The time now, by the clock as it was when the request arrived.
    pub fn now(&self) -> Timestamp {
        self.effect.now()
    }

    /// The same, for what cannot be undone: where a window begins or has ended. A signature was made within 15 minutes of it; for a request
    /// that carries none, the comparison of clocks must speak.
    ///
    /// # Errors
    /// [`Error::Unavailable`] while that doubts.
    pub fn proved_now(&self) -> Result<Timestamp, Error> {
        if self.time_in_doubt { Err(Error::Unavailable("the clock is in doubt")) } else { Ok(self.now()) }
    }

    /// The moment at which the request arrived.
    pub fn moment(&self) -> Moment {
        self.effect.began()
    }

    /// Whether a resource named with this home is one of the caller's account in this region.
    pub fn at_home(&self, home: Option<&Home>) -> bool {
        home.is_none_or(|h| h.account == self.account.as_str() && h.region == self.region.as_str())
    }
}

#[cfg(test)]
impl Caller {
    /// The root of an account with a request of its own at this time, for tests below the pipeline.
    pub(crate) fn root_of(account: &AccountId, store: &Arc<Store>, received_at: Timestamp) -> Self {
        let request_id = crate::base::ids::RequestId::new();
        Self {
            account: account.clone(),
            principal: Principal::Root,
            access_key: Some(AccessKeyId::random()),
            bearer: None,
            region: "cn-test".parse().expect("a region"),
            source_ip: IpAddr::from([127, 0, 0, 1]),
            secure: false,
            received_at,
            time_in_doubt: false,
            policies: Arc::new([]),
            have_own_policy: HaveOwnPolicy::default(),
            store: Arc::clone(store),
            effect: Effect::of_request(
                *request_id.as_bytes(),
                request_id,
                crate::base::ids::NodeId::new(),
                Moment::still(received_at),
            ),
        }
    }
}
