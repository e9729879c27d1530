//! What a request proves itself by.
//!
//! Owns: a claim (who signed, when, over which bytes), its verification in constant time, and the keys for it. Must not know: where in
//! a request signatures stand, or how what was signed is built; a dialect says that. Called by: the dialects, which make a [`Claim`];
//! [`super::Auth`], which verifies it.

use std::net::IpAddr;
use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use aws_lc_rs::{hmac, rsa};
use zeroize::Zeroizing;

use crate::base::clock::{Moment, Timestamp};
use crate::base::ids::{AccessKeyId, RequestId};
use crate::base::secret::AccessKeySecret;
use crate::effect::RETENTION_MS;
use crate::error::{Error, StringToSign};

/// How far a request's time may be off, in milliseconds: 15 minutes either way (InvalidTimeStamp.Expired).
pub const TIME_WINDOW_MS: i64 = 15 * 60 * 1000;

// A mark stays from the earliest clock by which its request passes to the latest, and as long again for clocks that differ.
const _: () = assert!(RETENTION_MS >= 3 * TIME_WINDOW_MS);

/// How a request came, whatever it says: true of it before anything is proved.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// Made on arrival; in every answer and record of this request.
    pub request_id: RequestId,
    /// When the head had arrived.
    pub arrival: Moment,
    /// The client's address.
    pub source_ip: IpAddr,
    /// Whether it came over TLS (acs:SecureTransport).
    pub secure: bool,
}

/// What somebody else says of a caller, who shows it to log in; nothing of it is proved.
pub enum Shown<'a> {
    /// A JWT, at the login of this mount, in a role.
    Jwt {
        /// The mount.
        mount: &'a str,
        /// The role.
        role: &'a str,
        /// The token.
        token: &'a str,
    },
    /// The client's certificate, whose chain and key the handshake has proved.
    Certificate {
        /// The role, where one is named.
        role: Option<&'a str>,
        /// In DER.
        der: &'a [u8],
    },
}

/// What a signature is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// HMAC-SHA1 under the access key's secret and `&`: RPC, SignatureVersion 1.0.
    HmacSha1,
    /// HMAC-SHA256 under the secret: ACS3.
    HmacSha256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, by the holder of a client key.
    Rsa,
}

/// What a well-formed signed request says of itself; nothing of it is proved before [`Claim::verify`].
pub struct Claim {
    /// The scheme.
    pub scheme: Scheme,
    /// Who signed.
    pub access_key: AccessKeyId,
    /// Unique per request and access key.
    pub nonce: String,
    /// When it was signed, by the client's clock.
    pub timestamp: Timestamp,
    /// What was signed, as the dialect built it. It can contain all parameters: never logged.
    pub string_to_sign: Zeroizing<String>,
    /// The signature as sent, decoded; empty, which equals no signature, if it could not be decoded.
    pub signature: Vec<u8>,
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
            (Key::Secret(keys), Scheme::HmacSha1) => hmac::verify(&keys.sha1, message, signature).is_ok(),
            (Key::Secret(keys), Scheme::HmacSha256) => hmac::verify(&keys.sha256, message, signature).is_ok(),
            (Key::Public(key), Scheme::Rsa) => key.verify_sig(message, signature).is_ok(),
            (Key::Secret(_), Scheme::Rsa) | (Key::Public(_), Scheme::HmacSha1 | Scheme::HmacSha256) => false,
        };
        let mismatch = || Error::SignatureMismatch { string_to_sign: StringToSign(self.string_to_sign.clone()) };
        if proved { Ok(()) } else { Err(mismatch()) }
    }

    /// The work of a failed [`Claim::verify`], for an access key that does not exist: the two take the same time.
    pub fn spend_equal_time(&self) {
        static NOBODY: LazyLock<SigningKey> =
            LazyLock::new(|| SigningKey::new(&AccessKeySecret::new(b"no access key has this secret".to_vec())));
        static NO_CLIENT: LazyLock<Option<SigningKey>> = LazyLock::new(|| {
            let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).ok()?;
            SigningKey::of_client(AsDer::as_der(pair.public_key()).ok()?.as_ref())
        });
        let nobody = match self.scheme {
            Scheme::HmacSha1 | Scheme::HmacSha256 => Some(&*NOBODY),
            Scheme::Rsa => NO_CLIENT.as_ref(),
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
            return Err(Error::TimestampExpired { behind_ms: now.0.saturating_sub(self.timestamp.0) });
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
    sha1: hmac::Key,
    sha256: hmac::Key,
}

impl SigningKey {
    /// Prepares the keys of both schemes.
    pub fn new(secret: &AccessKeySecret) -> Self {
        let secret = secret.expose();
        let mut with_ampersand = Zeroizing::new(Vec::with_capacity(secret.len() + 1));
        with_ampersand.extend_from_slice(secret);
        with_ampersand.push(b'&');
        Self(Key::Secret(Box::new(Secret {
            sha1: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &with_ampersand),
            sha256: hmac::Key::new(hmac::HMAC_SHA256, secret),
        })))
    }

    /// The public half of a client key: SubjectPublicKeyInfo in DER, RSA. None if it is none.
    pub fn of_client(public_key: &[u8]) -> Option<Self> {
        ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key).ok().map(|key| Self(Key::Public(key)))
    }

    /// Whether this is the kind of key that the scheme signs with.
    pub fn fits(&self, scheme: Scheme) -> bool {
        matches!(self.0, Key::Public(_)) == (scheme == Scheme::Rsa)
    }
}
