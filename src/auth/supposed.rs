//! A caller who has not called: to find out what somebody might do, by the very code that decides when they do.
//!
//! Owns: how a principal is read without its signature. Such a caller never runs an operation. Called by: admin.

use std::net::IpAddr;
use std::sync::Arc;

use crate::auth::access_point::grants;
use crate::auth::caller::Caller;
use crate::auth::principal::{Principal, policies_of};
use crate::base::clock::{Moment, Timestamp};
use crate::base::ids::{AccountId, NodeId, Region, RequestId};
use crate::effect::Effect;
use crate::error::Error;
use crate::store::Store;

/// Who would ask, and how.
pub struct Supposed {
    /// The account.
    pub account: AccountId,
    /// Who of it.
    pub principal: Principal,
    /// The region that the deployment answers as.
    pub region: Region,
    /// From where.
    pub source_ip: IpAddr,
    /// Over TLS.
    pub secure: bool,
    /// When.
    pub at: Timestamp,
}

impl Caller {
    /// The caller that this would be; none where there is no such principal. Whether it is enabled is not looked at.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database is away, [`Error::Integrity`] when a policy of theirs does not verify.
    pub fn supposed(store: &Arc<Store>, who: Supposed) -> Result<Option<Self>, Error> {
        let account = &who.account;
        let found = store.read("supposed", |tx| {
            let policies = match &who.principal {
                Principal::Root => Vec::new(),
                Principal::User(name) => match tx.user_by_name(account, name)? {
                    Some(user) => policies_of(tx, account, &user.id)?,
                    None => return Ok(None),
                },
                Principal::AccessPoint(name) => match tx.access_point_by_name(account, name)? {
                    Some(point) => grants(tx, &point)?,
                    None => return Ok(None),
                },
            };
            Ok(Some((policies, tx.resources_with_policy(account)?)))
        })?;
        let Some((policies, have_own_policy)) = found else { return Ok(None) };
        let request_id = RequestId::new();
        Ok(Some(Self {
            account: who.account,
            principal: who.principal,
            access_key: None,
            bearer: None,
            region: who.region,
            source_ip: who.source_ip,
            secure: who.secure,
            received_at: who.at,
            time_in_doubt: false,
            policies: policies.into(),
            have_own_policy: Arc::new(have_own_policy.into_iter().collect()),
            store: Arc::clone(store),
            effect: Effect::of_request(*request_id.as_bytes(), request_id, NodeId::new(), Moment::of(who.at)),
        }))
    }
}
