//! Whether a JWT is an issuer's, meant for this service, valid now, and has what a role asks for (RFC 7519, RFC 8725).
//!
//! Owns: the order of these questions, and their refusals in Vault's words. Must not know: where keys come from. Called by: logins.
//!
//! What a header says of keys (`jku`, `jwk`, `x5u`, `x5c`) is never looked at: keys are those of the issuer that the configuration names,
//! and algorithms those that it allows, all of them with public keys.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::{Error as JwtError, ErrorKind};
use jsonwebtoken::{Algorithm as Named, TokenData, Validation, decode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::base::clock::Timestamp;
use crate::logins::claims;
use crate::logins::keys::{KeySet, Keys, Pace};
use crate::logins::options::{Algorithm, Issuer, JwtRole, LoginError, Speaks};

/// A JWT is never longer, bytes.
const MAX_JWT_BYTES: usize = 32 * 1024;

/// Keys that are tried for a JWT that does not name one.
const MAX_KEYS_TRIED: usize = 10;

/// Signed by nobody we know.
const UNKNOWN_KEY: &str = "error verifying token signature: no known key successfully validated the token signature";

type Claims = Map<String, Value>;

/// What a header is looked at for.
#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

/// Logins with the JWTs of one issuer.
pub(super) struct Jwts {
    issuer: Issuer,
    keys: Keys,
}

impl Algorithm {
    fn named(self) -> Named {
        match self {
            Algorithm::RS256 => Named::RS256,
            Algorithm::RS384 => Named::RS384,
            Algorithm::RS512 => Named::RS512,
            Algorithm::PS256 => Named::PS256,
            Algorithm::PS384 => Named::PS384,
            Algorithm::PS512 => Named::PS512,
            Algorithm::ES256 => Named::ES256,
            Algorithm::ES384 => Named::ES384,
            Algorithm::EdDSA => Named::EdDSA,
        }
    }
}

/// Why a token does not verify.
enum Unverified {
    /// No key for it is known, or none of those that it could be verifies it: there may be a newer one.
    NoKey,
    /// What is wrong with it.
    Wrong(String),
}

impl Jwts {
    /// Logins of an issuer. Keys in a file are read at once.
    ///
    /// # Errors
    /// The mount, and what is wrong with the file.
    pub fn new(issuer: Issuer) -> Result<Self, (String, String)> {
        let (mount, pace) = (issuer.mount.clone(), Pace::of(&issuer.keys));
        Self::paced(issuer, pace).map_err(|reason| (mount, reason))
    }

    /// The same, with keys read as often as is said.
    pub(super) fn paced(issuer: Issuer, pace: Pace) -> Result<Self, String> {
        let keys = Keys::new(issuer.keys.clone(), pace);
        if !issuer.keys.is_safe() {
            return Err("keys come from an https:// URL, or http:// on loopback".to_owned());
        }
        if !issuer.keys.is_remote() {
            keys.read()?;
        }
        Ok(Self { issuer, keys })
    }

    /// Whether these are the logins of this issuer.
    pub fn is(&self, issuer: &Issuer) -> bool {
        self.issuer == *issuer
    }

    /// Where clients log in.
    pub fn mount(&self) -> &str {
        &self.issuer.mount
    }

    /// In whose names they log in.
    pub fn roles(&self) -> &[JwtRole] {
        &self.issuer.roles
    }

    /// Asks for the keys.
    ///
    /// # Errors
    /// Why they cannot be had.
    pub fn health(&self) -> Result<usize, String> {
        self.keys.read()
    }

    /// For whom a token speaks in a role.
    ///
    /// # Errors
    /// [`LoginError`].
    pub fn speaks(&self, role: &str, token: &str, now: Timestamp) -> Result<Speaks, LoginError> {
        let found = self.issuer.roles.iter().find(|known| known.name == role);
        let role = found.ok_or_else(|| LoginError::Refused(format!("role {role:?} could not be found")))?;
        // As files and variables hold it: with the end of a line behind it, or padded.
        let claims = self.verify(token.trim_ascii().trim_end_matches('='))?;
        self.check(&claims, now)?;
        claims::check(&claims, &role.bound_claims)?;
        Ok(role.speaks.clone())
    }

    /// The claims of a token that one of the issuer's keys has signed.
    fn verify(&self, token: &str) -> Result<Claims, LoginError> {
        let head = head(token).map_err(|why| refused(&format!("error verifying token signature: {why}")))?;
        let allowed = self.issuer.algorithms.iter().find(|allowed| allowed.name() == head.alg && head.crit.is_none());
        let algorithm = allowed.ok_or_else(|| refused(UNKNOWN_KEY))?.named();
        let set = self.keys.current().map_err(LoginError::Unavailable)?;
        let done = match with_keys(&set, token, algorithm, head.kid.as_deref()) {
            Err(Unverified::NoKey) => match self.keys.newer_than(&set) {
                Some(newer) => with_keys(&newer, token, algorithm, head.kid.as_deref()),
                None => Err(Unverified::NoKey),
            },
            done => done,
        };
        done.map_err(|unverified| match unverified {
            Unverified::NoKey => refused(UNKNOWN_KEY),
            Unverified::Wrong(why) => refused(&why),
        })
    }

    /// Whether a token is from whom it should be, for us, and valid now.
    fn check(&self, claims: &Claims, now: Timestamp) -> Result<(), LoginError> {
        let (now_s, leeway) = (now.0.div_euclid(1000), i64::from(self.issuer.leeway_s));
        if claims.get("iss").and_then(Value::as_str) != Some(&self.issuer.issuer) {
            return Err(refused("invalid issuer (iss) claim"));
        }
        let meant = |audience: &Value| audience.as_str().is_some_and(|name| self.issuer.audience.iter().any(|own| own == name));
        let for_us = match claims.get("aud") {
            Some(Value::Array(several)) => several.iter().any(meant),
            Some(one) => meant(one),
            None => false,
        };
        if !for_us {
            return Err(refused("invalid audience (aud) claim: audience claim does not match any expected audience"));
        }
        let seconds = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(number.as_f64().map(|seconds| seconds as i64)),
            Some(_) => Err(refused(&format!("the claim {name} must be a number of seconds"))),
        };
        // One that never ends could be shown for ever: it is not taken, unlike there.
        let expires = seconds("exp")?.ok_or_else(|| refused("no expiration time (exp) claim in token"))?;
        if now_s >= expires.saturating_add(leeway) {
            return Err(refused("invalid expiration time (exp) claim: token is expired"));
        }
        if seconds("nbf")?.is_some_and(|begins| begins > now_s + leeway) {
            return Err(refused("invalid not before (nbf) claim: token not yet valid"));
        }
        if seconds("iat")?.is_some_and(|issued| issued > now_s + leeway) {
            return Err(refused("invalid issued at (iat) claim: token issued in the future"));
        }
        Ok(())
    }
}

fn refused(why: &str) -> LoginError {
    LoginError::Refused(format!("error validating token: {why}"))
}

/// The header of a token.
fn head(token: &str) -> Result<Head, &'static str> {
    if token.len() > MAX_JWT_BYTES {
        return Err("the token is too long");
    }
    let mut parts = token.split('.');
    let (Some(head), Some(_), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err("compact JWS format must have three parts");
    };
    let bytes = URL_SAFE_NO_PAD.decode(head).map_err(|_| "the header is not base64url")?;
    let head: Head = serde_json::from_slice(&bytes).map_err(|_| "the header is not a JSON object with alg")?;
    if URL_SAFE_NO_PAD.decode(signature).is_err() {
        return Err("the signature is not base64url");
    }
    Ok(head)
}

/// The claims of a token, verified with a key of a set.
fn with_keys(set: &KeySet, token: &str, algorithm: Named, id: Option<&str>) -> Result<Claims, Unverified> {
    // Claims are checked by `check`, by the service's own clock.
    let mut signature_alone = Validation::new(algorithm);
    signature_alone.required_spec_claims.clear();
    (signature_alone.validate_exp, signature_alone.validate_aud) = (false, false);
    let mut named = false;
    for key in set.keys.iter().filter(|key| key.is_for(algorithm, id)).take(MAX_KEYS_TRIED) {
        named |= id.is_some() && key.id.as_deref() == id;
        match decode::<Claims>(token, &key.decoding, &signature_alone) {
            Ok(TokenData { claims, .. }) => return Ok(claims),
            Err(error) if is_of_key(&error) => {}
            Err(_) => return Err(Unverified::Wrong("the claims are not a JSON object in base64url".to_owned())),
        }
    }
    // The very key that it names does not verify it, so no newer one will.
    if named { Err(Unverified::Wrong(UNKNOWN_KEY.to_owned())) } else { Err(Unverified::NoKey) }
}

/// Whether another key might verify it.
fn is_of_key(error: &JwtError) -> bool {
    !matches!(error.kind(), ErrorKind::Json(_) | ErrorKind::Utf8(_) | ErrorKind::Base64(_) | ErrorKind::InvalidToken)
}
