//! What each error is on the wire: status, code and message.
//!
//! Owns: the table. Must not know: what led to the error. Called by: encode; api and http, which record status and code.
//!
//! Codes and statuses are those of the API's documentation, since clients act on them; so are the texts, where it has one.

use std::borrow::Cow;

use crate::error::{Error, RejectedState};

/// Seconds after which a request that was turned away may come again.
const RETRY_AFTER_S: u32 = 1;

/// An error as the caller sees it. No `Debug`: the message of a wrong signature contains the caller's parameters.
pub struct Fault {
    /// HTTP status, also in the body.
    pub status: u16,
    /// The code that clients act on; safe to record.
    pub code: &'static str,
    /// Text for people; for the caller only.
    pub message: Cow<'static, str>,
    /// Seconds after which the same request may be sent again.
    pub retry_after_s: Option<u32>,
}

/// The code for a parameter that every request needs.
fn missing(name: &str) -> &'static str {
    match name {
        "AccessKeyId" => "MissingAccessKeyId",
        "Action" => "MissingAction",
        "Authorization" => "MissingAuthorization",
        "Signature" => "MissingSignature",
        "SignatureMethod" => "MissingSignatureMethod",
        "SignatureNonce" => "MissingSignatureNonce",
        "SignatureVersion" => "MissingSignatureVersion",
        "Timestamp" => "MissingTimestamp",
        "Version" => "MissingVersion",
        _ => "MissingParameter",
    }
}

impl Fault {
    /// The fault of an error.
    pub fn of(error: &Error) -> Self {
        match error {
            Error::MalformedRequest => fixed(
                400,
                "ParseRequestParameterException",
                "Server parse parameters exception. Please check your input params.",
            ),
            Error::PathNotFound | Error::ActionNotFound => {
                fixed(404, "InvalidApi.NotFound", "Specified api is not found, please check your url and method.")
            }
            Error::MethodNotSupported => fixed(405, "UnsupportedHTTPMethod", "This http method is not supported."),
            Error::HeadTooLarge => fixed(414, "RequestHeadTooLarge", "The request line or the headers are too long."),
            Error::BodyTooLarge => fixed(413, "RequestBodyTooLarge", "The request body is too long."),
            Error::RequestTimeout => fixed(408, "RequestTimeout", "The request did not arrive in time."),
            Error::VersionNotSupported => fixed(400, "InvalidVersion", "Specified parameter Version is not valid."),
            Error::MissingCommonParameter(name) => told(400, missing(name), format!("{name} is mandatory for this action.")),
            Error::MissingParameter(name) => {
                told(400, "MissingParameter", format!("The parameter \"{name}\" is needed but not provided."))
            }
            Error::InvalidParameter(name) => {
                told(400, "InvalidParameter", format!("The specified parameter \"{name}\" is not valid."))
            }
            Error::TimestampMalformed => {
                fixed(400, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted.")
            }
            Error::TimestampExpired => fixed(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired."),
            Error::NonceUsed => fixed(400, "SignatureNonceUsed", "Specified signature nonce was used already."),
            Error::SignatureMethodNotSupported => {
                fixed(400, "InvalidSignatureMethod", "Specified signature method is not valid.")
            }
            Error::SignatureIncomplete => {
                fixed(400, "IncompleteSignature", "The request signature does not conform to Alibaba Cloud standards.")
            }
            // SDKs look for the words before the colon and compare what follows with their own string to sign.
            Error::SignatureMismatch { string_to_sign } => told(
                400,
                "SignatureDoesNotMatch",
                format!(
                    "Specified signature is not matched with our calculation. server string to sign is:{}",
                    string_to_sign.0.as_str()
                ),
            ),
            Error::AccessKeyNotFound => {
                fixed(404, "InvalidAccessKeyId.NotFound", "The Access Key ID provided does not exist in our records.")
            }
            Error::AccessKeyInactive => fixed(403, "Forbidden.AccessKey", "This AccessKey is not enabled."),
            Error::NoPermission => fixed(403, "Forbidden.NoPermission", "This operation is forbidden by permission system."),
            Error::UnsupportedOperation => fixed(400, "UnsupportedOperation", "This action is not supported."),
            Error::Lacking(what) => {
                told(400, "UnsupportedOperation", format!("This action is not supported: there is no {what}."))
            }
            Error::ServiceOpened => fixed(400, "Forbidden.Opened", "The service is open already."),
            Error::SecretTypeNotSupported => fixed(
                400,
                "UnsupportedOperation",
                "Secrets of this type need a service of the cloud. Only Generic and Rds secrets are supported here.",
            ),
            Error::AccountManaged => fixed(409, "Rejected.ResourceExist", "Another secret manages this account already."),
            Error::LimitExceeded => fixed(
                400,
                "Rejected.LimitExceeded",
                "The request was rejected because user create resource limit was exceeded.",
            ),
            Error::Throttled => again(429, "Rejected.Throttling", "QPS Limit Exceeded"),
            Error::SecretNotFound | Error::PolicyNotFound => fixed(404, "Forbidden.ResourceNotFound", "Resource not found."),
            Error::SecretExists => fixed(409, "Rejected.ResourceExist", "The resource already exists."),
            Error::SecretInDeleteWindow => {
                fixed(409, "Rejected.ResourceInDeleteWindow", "The secret is planned to be deleted.")
            }
            Error::SecretInUse => fixed(409, "Rejected.ResourceInUse", "restore normal secret"),
            Error::KeyNotFound => fixed(404, "Forbidden.KeyNotFound", "The specified Key is not found."),
            Error::KeyVersionNotFound => fixed(404, "Forbidden.KeyVersionNotFound", "The specified Key version is not found."),
            Error::KeyVersionTooSoon => fixed(
                400,
                "Rejected.LimitExceeded",
                "The request was rejected because the last version of the key is less than 7 days old.",
            ),
            Error::KeyUsesExhausted => fixed(
                409,
                "Rejected.Unavailable",
                "The request was rejected because the key version has encrypted as often as it may; the key needs a new version.",
            ),
            Error::AliasNotFound => fixed(404, "Forbidden.AliasNotFound", "The specified Alias is not found."),
            Error::AliasExists => fixed(400, "AliasAlreadyExists", "AliasName Already Exists."),
            Error::KeyState(state) => key_state(*state),
            Error::KeyStateChange => fixed(409, "Rejected.StateModifiedFailed", "Keystate modified failed."),
            Error::AliasNotAllowed => fixed(400, "Unsupported.Alias", "Alias is not valid for this api."),
            Error::OriginNotSupported => fixed(400, "Unsupported.Origin", "This key origin is not valid for this api."),
            Error::KeyMaterialInvalid => fixed(400, "InvalidKeyMaterial", "key material is invalid."),
            Error::ImportTokenInvalid => fixed(400, "InvalidImportToken", "import token is invalid."),
            Error::ImportTokenExpired => fixed(400, "ExpiredImportToken", "import token is expired."),
            Error::ResourceNotFound => fixed(404, "Forbidden.ResourceNotFound", "Resource not found."),
            Error::ResourceExists => fixed(409, "Rejected.ResourceExist", "The resource already exists."),
            Error::ResourceInUse => fixed(409, "Rejected.ResourceInUse", "The resource is in use."),
            Error::DryRunSucceeded => {
                fixed(400, "DryRunOperationError", "The request would have succeeded, but DryRun was set.")
            }
            Error::DryRunInvalid => {
                fixed(400, "ValidationError", "The request would have failed: a parameter is not valid. DryRun was set.")
            }
            Error::DryRunDenied => {
                fixed(403, "AccessDeniedError", "The request would have failed: permission is missing. DryRun was set.")
            }
            Error::Unavailable(_) => again(503, "ServiceUnavailableTemporary", "Service Unavailable Temporary."),
            Error::Integrity(_) | Error::Internal(_) => fixed(500, "InternalFailure", "Internal Failure."),
        }
    }
}

fn key_state(state: RejectedState) -> Fault {
    match state {
        RejectedState::Disabled => {
            fixed(409, "Rejected.Disabled", "The request was rejected because the key state is Disabled.")
        }
        RejectedState::PendingDeletion => {
            fixed(409, "Rejected.PendingDeletion", "The request was rejected because the key state is PendingDeletion.")
        }
        RejectedState::PendingImport => {
            fixed(409, "Rejected.PendingImport", "The request was rejected because the key state is PendingImport.")
        }
        RejectedState::Unavailable => {
            fixed(409, "Rejected.Unavailable", "The request was rejected because the key state is Unavailable.")
        }
    }
}

fn fixed(status: u16, code: &'static str, message: &'static str) -> Fault {
    Fault { status, code, message: message.into(), retry_after_s: None }
}

fn told(status: u16, code: &'static str, message: String) -> Fault {
    Fault { status, code, message: message.into(), retry_after_s: None }
}

fn again(status: u16, code: &'static str, message: &'static str) -> Fault {
    Fault { retry_after_s: Some(RETRY_AFTER_S), ..fixed(status, code, message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::StringToSign;

    #[test]
    fn codes_that_clients_act_on() {
        let table: [(Error, u16, &str, Option<u32>); 12] = [
            (Error::Throttled, 429, "Rejected.Throttling", Some(1)),
            (Error::Unavailable("token"), 503, "ServiceUnavailableTemporary", Some(1)),
            (Error::Internal("detail".into()), 500, "InternalFailure", None),
            (Error::Integrity("detail".into()), 500, "InternalFailure", None),
            (Error::SecretNotFound, 404, "Forbidden.ResourceNotFound", None),
            (Error::KeyNotFound, 404, "Forbidden.KeyNotFound", None),
            (Error::AliasNotFound, 404, "Forbidden.AliasNotFound", None),
            (Error::MissingCommonParameter("AccessKeyId"), 400, "MissingAccessKeyId", None),
            (Error::AccessKeyNotFound, 404, "InvalidAccessKeyId.NotFound", None),
            (Error::KeyState(RejectedState::PendingDeletion), 409, "Rejected.PendingDeletion", None),
            (Error::MethodNotSupported, 405, "UnsupportedHTTPMethod", None),
            (Error::MalformedRequest, 400, "ParseRequestParameterException", None),
        ];
        for (error, status, code, retry_after_s) in table {
            let fault = Fault::of(&error);
            assert_eq!((fault.status, fault.code, fault.retry_after_s), (status, code, retry_after_s), "{error:?}");
        }
    }

    #[test]
    fn detail_stays_inside() {
        for error in [Error::Internal("row 7".into()), Error::Integrity("row 7".into()), Error::Unavailable("row 7")] {
            assert!(!Fault::of(&error).message.contains("row 7"));
        }
    }

    #[test]
    fn messages_name_the_parameter() {
        assert_eq!(Fault::of(&Error::invalid("Tag.1.Key")).message, "The specified parameter \"Tag.1.Key\" is not valid.");
        assert_eq!(
            Fault::of(&Error::MissingParameter("KeyId".into())).message,
            "The parameter \"KeyId\" is needed but not provided."
        );
        // The old Python SDK takes what follows the first colon.
        let mismatch = Fault::of(&Error::SignatureMismatch { string_to_sign: StringToSign("GET&%2F&".to_owned().into()) });
        assert_eq!(mismatch.message.split_once(':').map(|(_, tail)| tail), Some("GET&%2F&"));
    }
}
