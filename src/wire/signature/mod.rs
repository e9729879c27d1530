//! Request signatures: what a request claims, and whether it proves it.
//!
//! Owns: telling the schemes apart, the form of a signed request, the comparison. Must not know: where access keys come from,
//! which nonces were used. Called by: api, which reads a [`Claim`]; auth, which verifies it.
//!
//! Served are the two schemes in which SDKs sign with an access key: RPC version 1.0 (`v1`) and ACS3-HMAC-SHA256 (`v3`); and
//! RPC version 1.0 signed with the private half of a client key. All sign decoded values, encoded again in one way: the query text as it stands on the request line is not canonical.

mod percent;
#[cfg(test)]
mod tests;
mod v1;
mod v3;

use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use aws_lc_rs::{hmac, rsa};
use zeroize::Zeroizing;

use super::params::Params;
use super::{API_VERSION, Call, Format};
use crate::base::clock::Timestamp;
use crate::base::ids::AccessKeyId;
use crate::base::secret::AccessKeySecret;
use crate::error::{Error, StringToSign};

/// What begins the Authorization header of ACS3, ACS4 and their variants.
pub(super) const ACS: &str = "ACS";

/// How far a request's time may be off, in milliseconds: 15 minutes either way (InvalidTimeStamp.Expired).
pub const TIME_WINDOW_MS: i64 = 15 * 60 * 1000;

/// Most characters of a nonce; SDKs send 32 to 64.
const NONCE_MOST: usize = 128;

/// How a request is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// RPC, SignatureVersion 1.0: HMAC-SHA1 over method and parameters.
    RpcV1,
    /// The same, signed with RSA (SHA256withRSA) by the holder of a client key.
    RpcRsa,
    /// ACS3-HMAC-SHA256: over method, query, headers and the hash of the body.
    Acs3,
}

/// What a well-formed signed request says of itself; nothing of it is proved before [`Claim::verify`].
pub struct Claim {
    /// The scheme.
    pub scheme: Scheme,
    /// Who signed.
    pub access_key: AccessKeyId,
    /// The operation asked for, not yet known to exist.
    pub action: String,
    /// The form of the answer.
    pub format: Format,
    /// Unique per request and access key. It is the signature where the client sent none, as the RPC scheme allows.
    pub nonce: String,
    /// When it was signed, by the client's clock.
    pub timestamp: Timestamp,
    /// What was signed, as built here. In the RPC scheme it contains all parameters: never logged.
    string_to_sign: Zeroizing<String>,
    /// The signature as sent, decoded; empty, which equals no signature, if it could not be decoded.
    signature: Vec<u8>,
}

/// Reads what a request claims and checks its form, in the order: version, action, the other common parameters, time.
///
/// # Errors
/// [`Error::MissingCommonParameter`], [`Error::VersionNotSupported`], [`Error::TimestampMalformed`];
/// [`Error::InvalidParameter`] for a common parameter with two values; [`Error::SignatureMethodNotSupported`] for schemes that
/// are not served; [`Error::SignatureIncomplete`] if the signature leaves out what it must cover;
/// [`Error::AccessKeyNotFound`] for temporary (STS) credentials, which this service does not issue.
pub fn read(call: &Call, params: &Params) -> Result<Claim, Error> {
    let authorization = call.header("authorization").unwrap_or_default();
    if let Some(fields) = authorization.strip_prefix(v3::ALGORITHM) {
        return v3::read(call, params, fields);
    }
    let bearer = authorization.starts_with("Bearer ")
        || call.header("x-acs-bearer-token").is_some()
        || params.single("BearerToken")?.is_some();
    if bearer || authorization.starts_with(ACS) {
        return Err(Error::SignatureMethodNotSupported);
    }
    if params.single("Action")?.is_none() && call.header("x-acs-action").is_some() {
        return Err(Error::MissingCommonParameter("Authorization"));
    }
    v1::read(call, params)
}

impl Claim {
    /// Whether the holder of this key signed the request. Compared in constant time.
    ///
    /// # Errors
    /// [`Error::SignatureMismatch`] with the string to sign, which SDKs compare with their own. It goes to the caller, whose
    /// parameters it contains, and nowhere else.
    pub fn verify(&self, key: &SigningKey) -> Result<(), Error> {
        let (message, signature) = (self.string_to_sign.as_bytes(), self.signature.as_slice());
        let proved = match (&key.0, self.scheme) {
            (Key::Secret(keys), Scheme::RpcV1) => hmac::verify(&keys.v1, message, signature).is_ok(),
            (Key::Secret(keys), Scheme::Acs3) => hmac::verify(&keys.v3, message, signature).is_ok(),
            (Key::Public(key), Scheme::RpcRsa) => key.verify_sig(message, signature).is_ok(),
            (Key::Secret(_), Scheme::RpcRsa) | (Key::Public(_), Scheme::RpcV1 | Scheme::Acs3) => false,
        };
        let mismatch = || Error::SignatureMismatch { string_to_sign: StringToSign(self.string_to_sign.clone()) };
        if proved { Ok(()) } else { Err(mismatch()) }
    }

    /// The work of a failed [`Claim::verify`], for an access key that does not exist: the two take the same time.
    pub fn burn(&self) {
        static NOBODY: LazyLock<SigningKey> =
            LazyLock::new(|| SigningKey::new(&AccessKeySecret::new(b"no access key has this secret".to_vec())));
        static NO_CLIENT: LazyLock<Option<SigningKey>> = LazyLock::new(|| {
            let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).ok()?;
            SigningKey::of_client(AsDer::as_der(pair.public_key()).ok()?.as_ref())
        });
        let nobody = match self.scheme {
            Scheme::RpcV1 | Scheme::Acs3 => Some(&*NOBODY),
            Scheme::RpcRsa => NO_CLIENT.as_ref(),
        };
        // The answer does not matter: the caller refuses the request in any case.
        drop(std::hint::black_box(nobody.map(|key| self.verify(key))));
    }

    /// Whether the request was signed just now.
    ///
    /// # Errors
    /// [`Error::TimestampExpired`] more than [`TIME_WINDOW_MS`] before or after `now`.
    pub fn check_time(&self, now: Timestamp) -> Result<(), Error> {
        if self.timestamp.0.abs_diff(now.0) > TIME_WINDOW_MS.unsigned_abs() {
            return Err(Error::TimestampExpired);
        }
        Ok(())
    }
}

/// What signatures are verified with: an access key's secret, prepared for both schemes (about 2 KiB, wiped when dropped, by the
/// library), or the public half of a client key.
pub struct SigningKey(Key);

enum Key {
    Secret(Box<Secret>),
    Public(ParsedPublicKey),
}

struct Secret {
    v1: hmac::Key,
    v3: hmac::Key,
}

impl SigningKey {
    /// Prepares the keys. RPC signs with the secret and `&`, ACS3 with the secret alone.
    pub fn new(secret: &AccessKeySecret) -> Self {
        let secret = secret.expose();
        let mut with_ampersand = Zeroizing::new(Vec::with_capacity(secret.len() + 1));
        with_ampersand.extend_from_slice(secret);
        with_ampersand.push(b'&');
        Self(Key::Secret(Box::new(Secret {
            v1: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &with_ampersand),
            v3: hmac::Key::new(hmac::HMAC_SHA256, secret),
        })))
    }

    /// The public half of a client key: SubjectPublicKeyInfo in DER, RSA. None if it is none.
    pub fn of_client(public_key: &[u8]) -> Option<Self> {
        ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key).ok().map(|key| Self(Key::Public(key)))
    }

    /// Whether this is the kind of key that the scheme signs with.
    pub fn fits(&self, scheme: Scheme) -> bool {
        matches!(self.0, Key::Public(_)) == (scheme == Scheme::RpcRsa)
    }
}

/// The checks that both schemes begin with.
fn version_and_action(version: Option<&str>, action: Option<&str>) -> Result<String, Error> {
    match version {
        None => return Err(Error::MissingCommonParameter("Version")),
        Some(API_VERSION) => {}
        Some(_) => return Err(Error::VersionNotSupported),
    }
    action.map(str::to_owned).ok_or(Error::MissingCommonParameter("Action"))
}

/// An id that fits no access key is the id of none; whether it could exist is nobody's business.
fn access_key(text: &str) -> Result<AccessKeyId, Error> {
    text.parse().map_err(|_| Error::AccessKeyNotFound)
}

fn timestamp(text: &str) -> Result<Timestamp, Error> {
    Timestamp::parse(text).ok_or(Error::TimestampMalformed)
}

fn nonce(text: &str) -> Result<String, Error> {
    if text.len() > NONCE_MOST { Err(Error::invalid("SignatureNonce")) } else { Ok(text.to_owned()) }
}
