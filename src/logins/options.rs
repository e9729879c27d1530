//! What can be set of logins, and why one fails.
//!
//! Owns: these words. Called by: the other files of logins; app, which reads them from the configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::base::ids::{AccountId, UserName};

/// All logins.
#[derive(Debug, Default)]
pub struct Options {
    /// Whose JWTs are believed, each under a mount of its own.
    pub issuers: Vec<Issuer>,
    /// Whom client certificates speak for.
    pub certificates: Vec<CertificateRole>,
}

/// The user of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaks {
    /// The account.
    pub account: AccountId,
    /// Its user.
    pub user: UserName,
}

/// An issuer of JWTs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// Where clients log in: `auth/MOUNT/login`.
    pub mount: String,
    /// The claim `iss`.
    pub issuer: String,
    /// The claim `aud` has one of these.
    pub audience: Vec<String>,
    /// Its public keys.
    pub keys: KeysFrom,
    /// What it signs with.
    pub algorithms: Vec<Algorithm>,
    /// By how much its clock may be off, seconds.
    pub leeway_s: u32,
    /// In whose names its tokens log in.
    pub roles: Vec<JwtRole>,
}

/// Where an issuer's public keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeysFrom {
    /// A file with a JWK Set (RFC 7517).
    File(PathBuf),
    /// The same behind a URL: https, or http on loopback.
    Url {
        /// The URL.
        url: String,
        /// PEM of the authorities of its server; those of the system where none is named.
        authorities: Option<PathBuf>,
    },
    /// A file with public keys in PEM, one after the other.
    Pem(PathBuf),
}

/// What a JWT may be signed with: with keys of which only one half is public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of RFC 7518 and RFC 8037")]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl Algorithm {
    const ALL: [Self; 9] =
        [Self::RS256, Self::RS384, Self::RS512, Self::PS256, Self::PS384, Self::PS512, Self::ES256, Self::ES384, Self::EdDSA];

    /// The algorithm of this name.
    pub fn named_as(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Its name, as headers of JWTs have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }
}

/// What a JWT has to say, and in whose name it logs in then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtRole {
    /// The role that clients name.
    pub name: String,
    /// For whom.
    pub speaks: Speaks,
    /// Claims, each with the values of which it has to have one. A name that begins with `/` is a JSON pointer (RFC 6901).
    pub bound_claims: BTreeMap<String, Vec<String>>,
}

/// What a client certificate has to say, and in whose name it logs in then. Of each list that is not empty it has to have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRole {
    /// The role that clients may name.
    pub name: String,
    /// For whom.
    pub speaks: Speaks,
    /// Common names of the subject.
    pub common_names: Vec<String>,
    /// DNS names among the subject's alternative names.
    pub dns_names: Vec<String>,
    /// URIs among them.
    pub uris: Vec<String>,
}

/// Why a login fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginError {
    /// It is refused; the text is for the caller, and has nothing of the proof but the names of claims.
    Refused(String),
    /// The issuer's keys cannot be had now; the reason is for the log.
    Unavailable(String),
}
