//! Everything that a request can be answered with besides success. `code` gives each its code; dialects spell status and message.
//!
//! Owns: `Error` and the conversions into it from the token's and the store's own errors. Must not know: HTTP.
//! Used by: api, keys, secrets, auth, http, dialects.

use std::borrow::Cow;

use zeroize::Zeroizing;

use crate::audit::AuditError;
use crate::base::field::{Field, Why};
use crate::base::ids::Malformed;
use crate::store::StoreError;
use crate::token::TokenError;

/// Why a request was not answered with success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The bytes are no request of this protocol; a sentence that says what would be right.
    MalformedRequest(&'static str),
    /// A TLS handshake where plain HTTP is served.
    TlsToPlain,
    /// Plain HTTP where TLS is served.
    PlainToTls,
    /// A path that no dialect serves.
    PathNotFound,
    /// A method that the path does not have.
    MethodNotSupported,
    /// The request line or the head is too long.
    HeadTooLarge,
    /// The body is too long.
    BodyTooLarge,
    /// The request did not arrive in time.
    RequestTimeout,
    /// No operation of that name.
    ActionNotFound,
    /// A version of the API that is not served.
    VersionNotSupported,
    /// A part that every request needs is absent.
    MissingCommon(Field),
    /// A part that the operation needs is absent.
    Missing(Field),
    /// A part has a value that it cannot have.
    Invalid {
        /// Which part.
        field: Field,
        /// What would be right.
        why: Why,
    },
    /// A part could not be read by the dialect, or cannot be answered in the form asked for.
    Unreadable(Unreadable),
    /// A Timestamp (x-acs-date) that is no time.
    TimestampMalformed,
    /// A Timestamp more than 15 minutes off.
    TimestampExpired {
        /// By how much the request is behind the server's clock, ms; negative where it is ahead.
        behind_ms: i64,
    },
    /// The nonce was used by this access key before.
    NonceUsed,
    /// A SignatureMethod or SignatureVersion that is not served; a sentence that says which is.
    SignatureMethodNotSupported(&'static str),
    /// The signature's form is wrong, or it leaves out what it must cover; a sentence that says what would be right.
    SignatureIncomplete(Cow<'static, str>),
    /// The signature is not the one the server computes; what the server signed.
    SignatureMismatch {
        /// The string to sign as the server built it. For the RPC scheme it holds the request's parameters, so only the caller
        /// may see it.
        string_to_sign: StringToSign,
    },
    /// No such access key.
    AccessKeyNotFound,
    /// The access key, its user or its account is disabled.
    AccessKeyInactive,
    /// A bearer token that is none, or has ended with its time, its user or its access key.
    BearerTokenInvalid,
    /// A login with somebody else's proof, a JWT or a certificate, that is none; the text has nothing of the proof.
    LoginRefused(String),
    /// A compare-and-set on a version that is not the current one.
    CheckAndSet,
    /// No policy allows it, or one denies it.
    NoPermission(Box<Denied>),
    /// The operation does not fit the kind of key or secret; how, for the caller to read.
    UnsupportedOperation(&'static str),
    /// What the API has and this deployment lacks; for the caller to read, e.g. `SM2PKE` or the name of a mechanism.
    Lacking(Cow<'static, str>),
    /// OpenKmsService: it is open.
    ServiceOpened,
    /// Secrets of this type need a service that only the cloud has.
    SecretTypeNotSupported,
    /// Another secret manages the account.
    AccountManaged,
    /// A quota or a limit of the API is reached.
    LimitExceeded {
        /// How many there may be.
        most: i64,
        /// Of what, in words (`tags on a resource`).
        of: &'static str,
    },
    /// The token has no room for another key.
    TokenFull,
    /// Too many requests.
    Throttled,
    /// No such secret.
    SecretNotFound,
    /// The secret has no such version.
    SecretVersionNotFound,
    /// No version of the secret has this label, or not the one that was named.
    SecretStageNotFound,
    /// A policy of another name than the one that every secret and key has.
    PolicyNotFound,
    /// A secret of that name exists.
    SecretExists,
    /// The secret is in its deletion window.
    SecretInDeleteWindow,
    /// The version was deleted, through the Vault door, and the secret is not.
    SecretVersionDeleted,
    /// RestoreSecret of a secret that is not deleted.
    SecretInUse,
    /// No such key.
    KeyNotFound,
    /// The key has no such version.
    KeyVersionNotFound,
    /// No such alias.
    AliasNotFound,
    /// An alias of that name exists.
    AliasExists,
    /// The key's state does not allow its use.
    KeyState(RejectedState),
    /// The key's state does not allow the change.
    KeyStateChange(Unchanged),
    /// A new version within seven days of the last.
    KeyVersionTooSoon,
    /// The key version has encrypted as often as it may.
    KeyUsesExhausted,
    /// An alias where only a key id may stand.
    AliasNotAllowed,
    /// An import operation on a key whose material the service made.
    OriginNotSupported,
    /// Imported material does not decrypt, has the wrong length, or is not what was imported before.
    KeyMaterialInvalid,
    /// An import token that was not issued for this key.
    ImportTokenInvalid,
    /// An import token whose day is over.
    ImportTokenExpired,
    /// No such access point, policy, network rule or client key.
    ResourceNotFound {
        /// What it would be, in words.
        kind: &'static str,
        /// Its name, which the caller gave.
        name: String,
    },
    /// One of that name exists.
    ResourceExists,
    /// Something else names it.
    ResourceInUse {
        /// What that is, in words.
        by: &'static str,
        /// Its name.
        name: String,
    },
    /// DryRun: it would have succeeded.
    DryRunSucceeded,
    /// DryRun: a parameter was wrong; which and why.
    DryRunInvalid(Box<Error>),
    /// DryRun: this permission was missing.
    DryRunDenied(Box<Denied>),
    /// Something the request needs is away for now; what, for the log.
    Unavailable(&'static str),
    /// The database was lost, or its disk failed, during a commit: nobody knows yet whether the request had its effect.
    Undecided,
    /// Stored bytes do not verify; what, for the log and the alarm.
    Integrity(String),
    /// A fault of the service; detail for the log, never for the caller.
    Internal(String),
}

/// A part of a request as its dialect names it: below the dialect nobody knows the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its full name on the wire (`Tag.1.Key`).
    pub part: Cow<'static, str>,
    /// Whether it is absent; else its value does not fit.
    pub absent: bool,
    /// As in [`Error::Invalid`]; the dialect's own words.
    pub why: Cow<'static, str>,
}

/// A string to sign, wiped when dropped; no Debug of its content.
#[derive(Clone, PartialEq, Eq)]
pub struct StringToSign(pub Zeroizing<String>);

impl std::fmt::Debug for StringToSign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StringToSign(..)")
    }
}

/// Key states in which a key cannot be used (keys page, table of states).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectedState {
    /// Disabled.
    Disabled,
    /// Scheduled for deletion.
    PendingDeletion,
    /// Waits for its material.
    PendingImport,
    /// Being made, or failed while being made.
    Unavailable,
}

/// Why a key's state cannot be changed as the caller wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unchanged {
    /// Its deletion protection is on.
    Protected,
    /// It is in its deletion window.
    PendingDeletion,
    /// It waits for its material.
    PendingImport,
    /// It is not in its deletion window.
    NotPendingDeletion,
}

impl Error {
    /// A part with a value that it cannot have, and a sentence that says what would be right.
    pub fn invalid_since(field: Field, why: impl Into<Why>) -> Self {
        Error::Invalid { field, why: why.into() }
    }

    /// Whether the request itself is at fault, and not what it asks for.
    pub fn is_about_the_request(&self) -> bool {
        matches!(self, Error::Missing(_) | Error::Invalid { .. } | Error::Unreadable(_))
    }

    /// Whether the request was turned away before it could have any effect and may be sent again as it is: such a request does
    /// not use up its nonce.
    pub fn not_executed(&self) -> bool {
        matches!(self, Error::Unavailable(_) | Error::Throttled)
    }
}

/// Who may not do what. To the caller nothing is told of it that depends on what is stored, so that it tells nobody whether a thing exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The permission that is missing (`kms:Decrypt`).
    pub action: String,
    /// Who lacks it, as audit records name it (`user/NAME`).
    pub principal: String,
    /// The account of both.
    pub account: String,
    /// The statement that denies it, where one does.
    pub deny: Option<Deny>,
    /// ARN of what it is missing on, for the record, where that is another thing than the request names.
    pub resource: Option<String>,
}

/// A policy that denies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deny {
    /// Its name, as audit records have it.
    pub by: String,
    /// Whether the caller may be told: it would be allowed without. Else who may nothing there would learn that there is such a policy.
    pub told: bool,
}

/// A part whose grammar failed.
impl From<(Field, Malformed)> for Error {
    fn from((field, expected): (Field, Malformed)) -> Self {
        Error::invalid_since(field, format!("It must be {}.", expected.0))
    }
}

/// What the store could not do. A conflict that its caller did not expect is a fault of ours.
impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy | StoreError::Contended(_) => Error::Unavailable("database busy"),
            StoreError::Unavailable(detail) => {
                log::warn!("database: {detail}");
                Error::Unavailable("database")
            }
            StoreError::Unknown(detail) => {
                log::error!("database: lost during a commit: {detail}");
                Error::Undecided
            }
            StoreError::Corrupt { .. } => Error::Integrity(error.to_string()),
            StoreError::Conflict | StoreError::Fault(_) => Error::Internal(error.to_string()),
        }
    }
}

/// What the token could not do. Whoever expects stored bytes to be tampered with, or a key to be absent, says so itself.
impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Busy => Error::Unavailable("token busy"),
            TokenError::Gone => Error::Unavailable("token"),
            TokenError::KeepsNothing(_) => {
                log::error!("token: {error}");
                Error::Unavailable("token")
            }
            TokenError::MayNotMake(_) => {
                log::warn!("token: {error}");
                Error::UnsupportedOperation("the token's user may not make keys")
            }
            TokenError::MayNotDestroy(_) => {
                log::warn!("token: {error}");
                Error::UnsupportedOperation("the token's user may not destroy keys")
            }
            TokenError::Tampered => Error::Integrity("wrapped bytes do not open on the token".into()),
            TokenError::NoSuchKey(_) | TokenError::Duplicate(_) => Error::Integrity(error.to_string()),
            TokenError::Full => {
                log::error!("{error}");
                Error::TokenFull
            }
            TokenError::Unsupported(lacking) => {
                log::warn!("token: it does not support {lacking}");
                Error::Lacking(format!("{} on the token", lacking.what()).into())
            }
            // Until there is another PIN; whoever watches the service is told more than its callers.
            TokenError::Pin(_)
            | TokenError::PinHeld
            | TokenError::PinInDoubt(_)
            | TokenError::LoginFailed(_)
            | TokenError::NoPin(_) => {
                log::error!("token: {error}");
                Error::Unavailable("token")
            }
            TokenError::TooFewSessions(_) => Error::Unavailable("token sessions"),
            TokenError::Absent(_) | TokenError::Setting(_) | TokenError::Fault(_) => Error::Internal(error.to_string()),
        }
    }
}

/// No record, no effect.
impl From<AuditError> for Error {
    fn from(error: AuditError) -> Self {
        log::error!("audit: {error}");
        Error::Unavailable("audit")
    }
}
