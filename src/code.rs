//! The outcome of a request or of the service's own work as one closed word.
//!
//! Owns: which word each error is, and how audit log, access line and metrics write it. Must not know: protocols; each dialect spells
//! a [`Code`] in its own way, beside its status and text. Called by: api, service tasks, the dialects.
//!
//! Records write the words of the API's documentation, whichever door a request came through: who reads the audit log beside an
//! application's errors finds the same word in both.

use crate::base::field::Field;
use crate::error::{Error, RejectedState};

macro_rules! codes {
    ($($name:ident = $word:literal,)+) => {
        /// What came of something.
        #[allow(missing_docs, reason = "the words are the API's own")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($name),+
        }

        impl Code {
            /// All of them.
            #[cfg(test)]
            pub const ALL: &[Code] = &[$(Code::$name),+];

            /// The word that records write.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Code::$name => $word),+
                }
            }
        }
    };
}

codes! {
    Ok = "OK",
    MalformedRequest = "ParseRequestParameterException",
    NotFoundApi = "InvalidApi.NotFound",
    MethodNotSupported = "UnsupportedHTTPMethod",
    HeadTooLarge = "RequestHeadTooLarge",
    BodyTooLarge = "RequestBodyTooLarge",
    RequestTimeout = "RequestTimeout",
    InvalidVersion = "InvalidVersion",
    MissingAccessKeyId = "MissingAccessKeyId",
    MissingAction = "MissingAction",
    MissingAuthorization = "MissingAuthorization",
    MissingSignature = "MissingSignature",
    MissingSignatureMethod = "MissingSignatureMethod",
    MissingSignatureNonce = "MissingSignatureNonce",
    MissingSignatureVersion = "MissingSignatureVersion",
    MissingTimestamp = "MissingTimestamp",
    MissingVersion = "MissingVersion",
    MissingParameter = "MissingParameter",
    InvalidParameter = "InvalidParameter",
    InvalidTimestampFormat = "InvalidTimeStamp.Format",
    InvalidTimestampExpired = "InvalidTimeStamp.Expired",
    NonceUsed = "SignatureNonceUsed",
    InvalidSignatureMethod = "InvalidSignatureMethod",
    IncompleteSignature = "IncompleteSignature",
    SignatureMismatch = "SignatureDoesNotMatch",
    AccessKeyNotFound = "InvalidAccessKeyId.NotFound",
    AccessKeyInactive = "Forbidden.AccessKey",
    BearerTokenInvalid = "Forbidden.BearerToken",
    LoginRefused = "Forbidden.Login",
    CheckAndSet = "Rejected.CheckAndSet",
    NoPermission = "Forbidden.NoPermission",
    UnsupportedOperation = "UnsupportedOperation",
    ServiceOpened = "Forbidden.Opened",
    ResourceExists = "Rejected.ResourceExist",
    LimitExceeded = "Rejected.LimitExceeded",
    Throttled = "Rejected.Throttling",
    ResourceNotFound = "Forbidden.ResourceNotFound",
    ResourceInDeleteWindow = "Rejected.ResourceInDeleteWindow",
    ResourceInUse = "Rejected.ResourceInUse",
    KeyNotFound = "Forbidden.KeyNotFound",
    KeyVersionNotFound = "Forbidden.KeyVersionNotFound",
    KeyUnavailable = "Rejected.Unavailable",
    KeyDisabled = "Rejected.Disabled",
    KeyPendingDeletion = "Rejected.PendingDeletion",
    KeyPendingImport = "Rejected.PendingImport",
    KeyStateChange = "Rejected.StateModifiedFailed",
    AliasNotFound = "Forbidden.AliasNotFound",
    AliasExists = "AliasAlreadyExists",
    AliasNotAllowed = "Unsupported.Alias",
    OriginNotSupported = "Unsupported.Origin",
    KeyMaterialInvalid = "InvalidKeyMaterial",
    ImportTokenInvalid = "InvalidImportToken",
    ImportTokenExpired = "ExpiredImportToken",
    DryRunSucceeded = "DryRunOperationError",
    DryRunInvalid = "ValidationError",
    DryRunDenied = "AccessDeniedError",
    Unavailable = "ServiceUnavailableTemporary",
    Internal = "InternalFailure",
}

impl Code {
    /// The word for a result.
    pub fn of_result<T>(result: &Result<T, Error>) -> Self {
        result.as_ref().map_or_else(Code::of, |_| Code::Ok)
    }

    /// The word for an error.
    pub fn of(error: &Error) -> Self {
        match error {
            Error::MalformedRequest(_) | Error::TlsToPlain | Error::PlainToTls => Code::MalformedRequest,
            Error::PathNotFound | Error::ActionNotFound => Code::NotFoundApi,
            Error::MethodNotSupported => Code::MethodNotSupported,
            Error::HeadTooLarge => Code::HeadTooLarge,
            Error::BodyTooLarge => Code::BodyTooLarge,
            Error::RequestTimeout => Code::RequestTimeout,
            Error::VersionNotSupported => Code::InvalidVersion,
            Error::MissingCommon(field) => missing(*field),
            Error::Missing(_) => Code::MissingParameter,
            Error::Invalid { .. } => Code::InvalidParameter,
            Error::Unreadable(unreadable) if unreadable.absent => Code::MissingParameter,
            Error::Unreadable(_) => Code::InvalidParameter,
            Error::TimestampMalformed => Code::InvalidTimestampFormat,
            Error::TimestampExpired { .. } => Code::InvalidTimestampExpired,
            Error::NonceUsed => Code::NonceUsed,
            Error::SignatureMethodNotSupported(_) => Code::InvalidSignatureMethod,
            Error::SignatureIncomplete(_) => Code::IncompleteSignature,
            Error::SignatureMismatch { .. } => Code::SignatureMismatch,
            Error::AccessKeyNotFound => Code::AccessKeyNotFound,
            Error::AccessKeyInactive => Code::AccessKeyInactive,
            Error::BearerTokenInvalid => Code::BearerTokenInvalid,
            Error::LoginRefused(_) => Code::LoginRefused,
            Error::CheckAndSet => Code::CheckAndSet,
            Error::NoPermission(_) => Code::NoPermission,
            Error::UnsupportedOperation(_) | Error::Lacking(_) | Error::SecretTypeNotSupported => Code::UnsupportedOperation,
            Error::ServiceOpened => Code::ServiceOpened,
            Error::AccountManaged | Error::SecretExists | Error::ResourceExists => Code::ResourceExists,
            Error::LimitExceeded { .. } | Error::TokenFull | Error::KeyVersionTooSoon => Code::LimitExceeded,
            Error::Throttled => Code::Throttled,
            Error::SecretNotFound
            | Error::SecretVersionNotFound
            | Error::SecretStageNotFound
            | Error::PolicyNotFound
            | Error::ResourceNotFound { .. } => Code::ResourceNotFound,
            Error::SecretInDeleteWindow | Error::SecretVersionDeleted => Code::ResourceInDeleteWindow,
            Error::SecretInUse | Error::ResourceInUse { .. } => Code::ResourceInUse,
            Error::KeyNotFound => Code::KeyNotFound,
            Error::KeyVersionNotFound => Code::KeyVersionNotFound,
            Error::KeyUsesExhausted | Error::KeyState(RejectedState::Unavailable) => Code::KeyUnavailable,
            Error::KeyState(RejectedState::Disabled) => Code::KeyDisabled,
            Error::KeyState(RejectedState::PendingDeletion) => Code::KeyPendingDeletion,
            Error::KeyState(RejectedState::PendingImport) => Code::KeyPendingImport,
            Error::KeyStateChange(_) => Code::KeyStateChange,
            Error::AliasNotFound => Code::AliasNotFound,
            Error::AliasExists => Code::AliasExists,
            Error::AliasNotAllowed => Code::AliasNotAllowed,
            Error::OriginNotSupported => Code::OriginNotSupported,
            Error::KeyMaterialInvalid => Code::KeyMaterialInvalid,
            Error::ImportTokenInvalid => Code::ImportTokenInvalid,
            Error::ImportTokenExpired => Code::ImportTokenExpired,
            Error::DryRunSucceeded => Code::DryRunSucceeded,
            Error::DryRunInvalid(_) => Code::DryRunInvalid,
            Error::DryRunDenied(_) => Code::DryRunDenied,
            Error::Unavailable(_) | Error::Undecided => Code::Unavailable,
            Error::Integrity(_) | Error::Internal(_) => Code::Internal,
        }
    }
}

/// The word for a part that every request needs.
fn missing(field: Field) -> Code {
    match field {
        Field::AccessKeyId => Code::MissingAccessKeyId,
        Field::Action => Code::MissingAction,
        Field::Authorization => Code::MissingAuthorization,
        Field::Signature => Code::MissingSignature,
        Field::SignatureMethod => Code::MissingSignatureMethod,
        Field::SignatureNonce => Code::MissingSignatureNonce,
        Field::SignatureVersion => Code::MissingSignatureVersion,
        Field::Timestamp => Code::MissingTimestamp,
        Field::Version => Code::MissingVersion,
        _ => Code::MissingParameter,
    }
}
