//! Who calls and what they may do.
//!
//! Owns: access keys and their cache, access points and client keys, nonces, callers, policies. Must not know: HTTP, operations, PKCS#11 beyond "unwrap this".
//! Called by: api (authenticate, authorise), keys and secrets (authorise on a key, commit), admin (make access keys).

pub mod access_key;
pub mod access_point;
mod authorise;
pub mod caller;
pub mod nonce;
pub mod policy;
pub mod proof;
mod supposed;

use std::sync::Arc;

pub use authorise::{ENCRYPTION_ALGORITHM, EVERYTHING, Facts, SYMMETRIC_DEFAULT};
pub use caller::{Caller, Grant, Principal};
pub use supposed::Supposed;

use crate::base::clock::Timestamp;
use crate::base::ids::{NodeId, Region};
use crate::error::Error;
use access_key::Credentials;
use access_point::AccessPoints;
use authorise::Decided;
use nonce::SeenNonces;
use proof::{Claim, Origin};

/// Authentication of requests.
pub struct Auth {
    credentials: Credentials,
    access_points: AccessPoints,
    seen: SeenNonces,
    region: Region,
    node: NodeId,
}

impl Auth {
    /// Authentication for one node; `nonce_capacity` is the number of nonces it remembers.
    pub fn new(
        credentials: Credentials,
        access_points: AccessPoints,
        region: Region,
        node: NodeId,
        nonce_capacity: usize,
    ) -> Self {
        Self { credentials, access_points, seen: SeenNonces::new(nonce_capacity), region, node }
    }

    /// Finds out who signed a request: signature, then time, then nonce.
    ///
    /// # Errors
    /// [`Error::AccessKeyNotFound`], [`Error::SignatureMismatch`], [`Error::AccessKeyInactive`], [`Error::TimestampExpired`],
    /// [`Error::NonceUsed`]; [`Error::Unavailable`] when the access key cannot be looked up.
    pub fn authenticate(&self, origin: &Origin, claim: &Claim, now: Timestamp) -> Result<Caller, Error> {
        let found = self.credentials.find(&claim.access_key, now)?;
        let Some(credential) = found.filter(|c| c.signing_key.fits(claim.scheme)) else {
            claim.spend_equal_time();
            return Err(Error::AccessKeyNotFound);
        };
        claim.verify(&credential.signing_key)?;
        if !credential.enabled || !credential.valid.contains(&now) {
            return Err(Error::AccessKeyInactive);
        }
        claim.check_time(now)?;
        let ruled = self.credentials.ruled(&credential.account, now)?;
        let nonce = nonce::digest_of(&claim.access_key, &claim.nonce);
        if !self.seen.reserve(nonce, now) {
            return Err(Error::NonceUsed);
        }
        Ok(Caller {
            account: credential.account.clone(),
            principal: credential.principal.clone(),
            access_key: claim.access_key.clone(),
            region: self.region.clone(),
            source_ip: origin.source_ip,
            secure: origin.secure,
            received_at: origin.received_at,
            request_id: origin.request_id,
            node: self.node,
            policies: Arc::clone(&credential.policies),
            ruled,
            store: Arc::clone(self.credentials.store()),
            decided: Decided::default(),
            nonce,
        })
    }

    /// The principals that client keys belong to.
    pub fn access_points(&self) -> &AccessPoints {
        &self.access_points
    }

    /// To be called after a resource has got a policy of its own, so that this node obeys it from the next request on; others do
    /// within [`access_key::CHECK_EVERY_MS`].
    pub fn policy_was_set(&self) {
        self.credentials.doubt();
    }

    /// Gives a caller's nonce back: its request was refused before it ran and may be sent again as it is.
    pub fn release(&self, caller: &Caller) {
        self.seen.release(&caller.nonce);
    }
}
