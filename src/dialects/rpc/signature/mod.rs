//! Request signatures: what a request claims, and what was signed.
//!
//! Owns: telling the schemes apart, the form of a signed request. Must not know: access keys, which nonces were used; `auth::proof`
//! verifies. Called by: door, which reads a [`Signed`].
//!
//! Served are the two schemes in which SDKs sign with an access key: RPC version 1.0 (`v1`) and ACS3-HMAC-SHA256 (`v3`); and RPC version
//! 1.0 signed with the private half of a client key. All sign decoded values, encoded again in one way: the query text as it stands on
//! the request line is not canonical.

mod percent;
#[cfg(test)]
mod tests;
mod v1;
mod v3;

use super::API_VERSION;
use super::params::{Params, invalid_since};
use crate::auth::proof::Claim;
use crate::base::clock::Timestamp;
use crate::base::field::Field;
use crate::base::ids::AccessKeyId;
use crate::error::Error;
use crate::http::Call;

/// What begins the Authorization header of ACS3, ACS4 and their variants.
pub(in crate::dialects::rpc) const ACS: &str = "ACS";

/// Most characters of a nonce; SDKs send 32 to 64.
const MAX_NONCE_BYTES: usize = 128;

/// What is right for a nonce.
const NONCE: &str = "It must have at most 128 bytes.";

/// A well-formed signed request.
pub struct Signed {
    /// The operation asked for, not yet known to exist.
    pub action: String,
    /// What it proves itself by.
    pub claim: Claim,
}

/// Reads what a request claims and checks its form, in the order: version, action, the other common parameters, time.
///
/// # Errors
/// [`Error::MissingCommon`], [`Error::VersionNotSupported`], [`Error::TimestampMalformed`];
/// [`Error::Unreadable`] for a common parameter with two values; [`Error::SignatureMethodNotSupported`] for schemes that
/// are not served; [`Error::SignatureIncomplete`] if the signature leaves out what it must cover;
/// [`Error::AccessKeyNotFound`] for temporary (STS) credentials, which this service does not issue.
pub fn read(call: &Call, params: &Params) -> Result<Signed, Error> {
    let authorization = call.header("authorization").unwrap_or_default();
    if let Some(fields) = authorization.strip_prefix(v3::ALGORITHM) {
        return v3::read(call, params, fields);
    }
    let bearer = authorization.starts_with("Bearer ")
        || call.header("x-acs-bearer-token").is_some()
        || params.single("BearerToken")?.is_some();
    if bearer {
        return Err(Error::SignatureMethodNotSupported("There are no bearer tokens here; sign with an access key."));
    }
    if authorization.starts_with(ACS) {
        return Err(Error::SignatureMethodNotSupported("In the Authorization header it must be ACS3-HMAC-SHA256."));
    }
    if params.single("Action")?.is_none() && call.header("x-acs-action").is_some() {
        return Err(Error::MissingCommon(Field::Authorization));
    }
    v1::read(call, params)
}

/// The checks that both schemes begin with.
fn version_and_action(version: Option<&str>, action: Option<&str>) -> Result<String, Error> {
    match version {
        None => return Err(Error::MissingCommon(Field::Version)),
        Some(API_VERSION) => {}
        Some(_) => return Err(Error::VersionNotSupported),
    }
    action.map(str::to_owned).ok_or(Error::MissingCommon(Field::Action))
}

/// An id that fits no access key is the id of none; whether it could exist is nobody's business.
fn access_key(text: &str) -> Result<AccessKeyId, Error> {
    text.parse().map_err(|_| Error::AccessKeyNotFound)
}

fn timestamp(text: &str) -> Result<Timestamp, Error> {
    Timestamp::parse(text).ok_or(Error::TimestampMalformed)
}

fn nonce(text: &str) -> Result<String, Error> {
    if text.len() > MAX_NONCE_BYTES { Err(invalid_since("SignatureNonce".into(), NONCE)) } else { Ok(text.to_owned()) }
}
