//! Who calls and what they may do.
//!
//! Owns: access keys and the cache of credentials, access points and client keys, nonces, callers, policies.
//! Must not know: HTTP, operations, PKCS#11 beyond "unwrap this".
//! Called by: api (authenticate, authorise), keys and secrets (authorise on a key, commit), admin (make access keys).
//!
//! | file | answers |
//! |---|---|
//! | `caller.rs`, `principal.rs` | who calls; whom its key speaks for |
//! | `credentials.rs` | what is known of the key that signed, from memory where possible |
//! | `authorise.rs` | what a caller may do |
//! | `access_key.rs`, `system_key.rs` | making access keys; SYS, which keeps their secrets |
//! | `bearer.rs`, `tokens.rs` | tokens that are shown instead of a signature; getting, renewing, ending one |
//! | `proof.rs` | what a request proves itself by |
//! | `nonce.rs` | which requests this node has seen |
//! | `policy/` | documents, and what they decide |
//! | `access_point/` | principals for applications, with client keys |

pub mod access_key;
pub(crate) mod access_point;
mod authorise;
pub(crate) mod bearer;
mod caller;
mod credentials;
mod nonce;
pub(crate) mod policy;
mod principal;
pub(crate) mod proof;
mod supposed;
mod system_key;
#[cfg(test)]
mod tests;
mod tokens;

use std::sync::Arc;

pub use authorise::{EVERYTHING, Grant, SYMMETRIC_DEFAULT};
pub use caller::Caller;
pub use credentials::Credentials;
pub use policy::ENCRYPTION_ALGORITHM;
pub use principal::Principal;
pub use supposed::Supposed;
pub use system_key::SysKey;
pub use tokens::{ChildToken, MAX_ABOVE};

use crate::base::clock_check::ClockCheck;
use crate::base::ids::{AccountId, NodeId, Region};
use crate::effect::Effect;
use crate::error::Error;
use crate::logins::{LoginError, Logins};
use access_point::AccessPoints;
use bearer::BearerToken;
use nonce::SeenNonces;
use principal::AttachedPolicy;
use proof::{Claim, Origin, Shown};

/// Authentication of requests.
pub struct Auth {
    credentials: Credentials,
    access_points: AccessPoints,
    logins: Logins,
    clocks: Arc<ClockCheck>,
    seen: SeenNonces,
    region: Region,
    node: NodeId,
}

impl Auth {
    /// Authentication for one node; `nonce_capacity` is the number of nonces it remembers.
    pub fn new(
        credentials: Credentials,
        access_points: AccessPoints,
        logins: Logins,
        clocks: Arc<ClockCheck>,
        region: Region,
        node: NodeId,
        nonce_capacity: usize,
    ) -> Self {
        Self { credentials, access_points, logins, clocks, seen: SeenNonces::new(nonce_capacity), region, node }
    }

    /// Finds out who signed a request: signature, then time, then nonce.
    ///
    /// # Errors
    /// [`Error::AccessKeyNotFound`], [`Error::SignatureMismatch`], [`Error::AccessKeyInactive`], [`Error::TimestampExpired`],
    /// [`Error::NonceUsed`]; [`Error::Unavailable`] when the access key cannot be looked up.
    pub fn authenticate(&self, origin: &Origin, claim: &Claim) -> Result<Caller, Error> {
        let now = origin.arrival.now();
        let found = self.credentials.find(&claim.access_key)?;
        let Some(credential) = found.filter(|c| c.signing_key.fits(claim.scheme)) else {
            claim.spend_equal_time();
            return Err(Error::AccessKeyNotFound);
        };
        claim.verify(&credential.signing_key)?;
        if !credential.enabled || !credential.valid.contains(&now) {
            return Err(Error::AccessKeyInactive);
        }
        claim.check_time(now)?;
        let nonce = nonce::digest_of(&claim.access_key, &claim.nonce);
        let (account, principal) = (credential.account.clone(), credential.principal.clone());
        let caller = self.caller(origin, account, principal, Arc::clone(&credential.policies), nonce)?;
        if !self.seen.reserve(&credential.account, nonce, now) {
            return Err(Error::NonceUsed);
        }
        Ok(Caller { access_key: Some(claim.access_key.clone()), ..caller })
    }

    /// Finds out who shows a token. Each request with one is a request of its own: nothing tells a replay.
    ///
    /// # Errors
    /// [`Error::BearerTokenInvalid`]; [`Error::Unavailable`] when the token cannot be looked up.
    pub fn authenticate_bearer(&self, origin: &Origin, token: &BearerToken) -> Result<Caller, Error> {
        let digest = token.digest(self.credentials.store());
        let found = self.credentials.bearer(&digest)?;
        let bearer = found.filter(|bearer| bearer.is_valid(origin.arrival.now())).ok_or(Error::BearerTokenInvalid)?;
        let (account, principal) = (bearer.account().clone(), bearer.principal.clone());
        let digest = *origin.request_id.as_bytes();
        let caller = self.caller(origin, account, principal, Arc::clone(&bearer.policies), digest)?;
        let time_in_doubt = self.clocks.proved().is_err();
        Ok(Caller { access_key: bearer.row.access_key.clone(), bearer: Some(bearer), time_in_doubt, ..caller })
    }

    /// Finds out for whom somebody else's proof speaks.
    ///
    /// # Errors
    /// [`Error::LoginRefused`]; [`Error::Unavailable`] when the issuer's keys cannot be had, or the user cannot be looked up.
    pub fn authenticate_login(&self, origin: &Origin, shown: &Shown<'_>) -> Result<Caller, Error> {
        let now = origin.arrival.now();
        let speaks = match shown {
            Shown::Jwt { mount, role, token } => self.logins.by_jwt(mount, role, token, now),
            Shown::Certificate { role, der } => self.logins.by_certificate(*role, der, now),
        };
        let speaks = speaks.map_err(|error| match error {
            LoginError::Refused(why) => Error::LoginRefused(why),
            LoginError::Unavailable(why) => {
                log::error!("keys of an issuer: {why}");
                Error::Unavailable("keys of an issuer")
            }
        })?;
        let policies = self.credentials.of_user(&speaks.account, &speaks.user)?.ok_or_else(|| {
            log::warn!("a login for user {} of account {}, which is not there or disabled", speaks.user, speaks.account);
            Error::LoginRefused("the user of this login is not there, or disabled".to_owned())
        })?;
        let principal = Principal::User(speaks.user);
        let caller = self.caller(origin, speaks.account, principal, policies, *origin.request_id.as_bytes())?;
        Ok(Caller { time_in_doubt: self.clocks.proved().is_err(), ..caller })
    }

    /// A caller who has proved who it is, and when; without access key and token. `digest` tells its request from others.
    fn caller(
        &self,
        origin: &Origin,
        account: AccountId,
        principal: Principal,
        policies: Arc<[AttachedPolicy]>,
        digest: [u8; 16],
    ) -> Result<Caller, Error> {
        let have_own_policy = self.credentials.have_own_policy(&account)?;
        Ok(Caller {
            account,
            principal,
            access_key: None,
            bearer: None,
            region: self.region.clone(),
            source_ip: origin.source_ip,
            secure: origin.secure,
            received_at: origin.arrival.at(),
            time_in_doubt: false,
            policies,
            have_own_policy,
            store: Arc::clone(self.credentials.store()),
            effect: Effect::of_request(digest, origin.request_id, self.node, origin.arrival),
        })
    }

    /// The logins with somebody else's proof.
    pub fn logins(&self) -> &Logins {
        &self.logins
    }

    /// The principals that client keys belong to.
    pub fn access_points(&self) -> &AccessPoints {
        &self.access_points
    }

    /// Gives a caller's nonce back: its request was refused before it ran and may be sent again as it is.
    pub fn release(&self, caller: &Caller) {
        self.seen.release(&caller.account, caller.effect.digest());
    }
}
