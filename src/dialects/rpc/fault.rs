//! How this dialect answers an error: status, code and message.
//!
//! Owns: the table, and the spelling of a request's parts. Must not know: what led to the error. Called by: encode and the door.
//!
//! Codes and statuses are those of the API's documentation, since clients act on them; so are the texts, where it has one. Behind such
//! a text stands a sentence of ours that says what would be right, where there is more to say.

use std::borrow::Cow;

use serde::Serialize;

use crate::auth::policy::RESOURCE_POLICY;
use crate::auth::proof::TIME_WINDOW_MS;
use crate::base::field::Field;
use crate::code::Code;
use crate::dialects::rpc::API_VERSION;
use crate::error::{Denied, Deny, Error, RejectedState, Unchanged};

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
    /// What was missing, where permission was.
    pub denied: Option<AccessDeniedDetail>,
}

/// Who may not do what, as SDKs read it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccessDeniedDetail {
    auth_action: String,
    auth_principal_type: &'static str,
    auth_principal_display_name: String,
    auth_principal_owner_id: String,
}

impl AccessDeniedDetail {
    fn of(error: &Error) -> Option<Self> {
        let (Error::NoPermission(denied) | Error::DryRunDenied(denied)) = error else { return None };
        let Denied { action, principal, account, .. } = &**denied;
        let (kind, name) = principal.split_once('/').unwrap_or((principal, account));
        let kind = match kind {
            "user" => "SubUser",
            "access-point" => "ApplicationAccessPoint",
            _ => "RootAccount",
        };
        Some(Self {
            auth_action: action.clone(),
            auth_principal_type: kind,
            auth_principal_display_name: name.to_owned(),
            auth_principal_owner_id: account.clone(),
        })
    }
}

impl Fault {
    /// The fault of an error.
    pub fn of(error: &Error) -> Self {
        let code = Code::of(error);
        let again = matches!(code, Code::Throttled | Code::Unavailable);
        Self {
            status: status(code),
            code: code.as_str(),
            message: message(error),
            retry_after_s: again.then_some(RETRY_AFTER_S),
            denied: AccessDeniedDetail::of(error),
        }
    }
}

/// A part of a request as this dialect names it.
pub fn spelled(field: Field) -> &'static str {
    match field {
        Field::CustomData => "ExtendedConfig.CustomData",
        Field::DatabaseInstance => "ExtendedConfig.DBInstanceId",
        other => other.name(),
    }
}

/// The HTTP status of a code.
fn status(code: Code) -> u16 {
    match code {
        Code::Ok => 200,
        Code::MalformedRequest
        | Code::InvalidVersion
        | Code::MissingAccessKeyId
        | Code::MissingAction
        | Code::MissingAuthorization
        | Code::MissingSignature
        | Code::MissingSignatureMethod
        | Code::MissingSignatureNonce
        | Code::MissingSignatureVersion
        | Code::MissingTimestamp
        | Code::MissingVersion
        | Code::MissingParameter
        | Code::InvalidParameter
        | Code::InvalidTimestampFormat
        | Code::InvalidTimestampExpired
        | Code::NonceUsed
        | Code::InvalidSignatureMethod
        | Code::IncompleteSignature
        | Code::SignatureMismatch
        | Code::UnsupportedOperation
        | Code::ServiceOpened
        | Code::LimitExceeded
        | Code::AliasExists
        | Code::AliasNotAllowed
        | Code::OriginNotSupported
        | Code::KeyMaterialInvalid
        | Code::ImportTokenInvalid
        | Code::ImportTokenExpired
        | Code::DryRunSucceeded
        | Code::DryRunInvalid => 400,
        Code::AccessKeyInactive | Code::BearerTokenInvalid | Code::LoginRefused | Code::NoPermission | Code::DryRunDenied => {
            403
        }
        Code::NotFoundApi
        | Code::AccessKeyNotFound
        | Code::ResourceNotFound
        | Code::KeyNotFound
        | Code::KeyVersionNotFound
        | Code::AliasNotFound => 404,
        Code::MethodNotSupported => 405,
        Code::RequestTimeout => 408,
        Code::CheckAndSet
        | Code::ResourceExists
        | Code::ResourceInDeleteWindow
        | Code::ResourceInUse
        | Code::KeyUnavailable
        | Code::KeyDisabled
        | Code::KeyPendingDeletion
        | Code::KeyPendingImport
        | Code::KeyStateChange => 409,
        Code::BodyTooLarge => 413,
        Code::HeadTooLarge => 414,
        Code::Throttled => 429,
        Code::Internal => 500,
        Code::Unavailable => 503,
    }
}

/// Which clock is wrong, as far as the server can tell.
fn expired(behind_ms: i64) -> Cow<'static, str> {
    let (seconds, allowed) = (behind_ms.unsigned_abs().div_ceil(1000), TIME_WINDOW_MS / 1000);
    let where_to = if behind_ms < 0 { "ahead of" } else { "behind" };
    format!("Specified time stamp or date value is expired. It is {seconds} seconds {where_to} the server's clock; {allowed} are allowed.")
        .into()
}

/// The text for people.
fn message(error: &Error) -> Cow<'static, str> {
    Cow::Borrowed(match error {
        Error::MissingCommon(field) => return format!("{} is mandatory for this action.", spelled(*field)).into(),
        Error::Missing(field) => return absent(spelled(*field), ""),
        Error::Invalid { field, why } => return invalid(spelled(*field), &why.spelled(spelled)),
        Error::Unreadable(unreadable) if unreadable.absent => return absent(&unreadable.part, &unreadable.why),
        Error::Unreadable(unreadable) => return invalid(&unreadable.part, &unreadable.why),
        // SDKs look for the words before the colon and compare what follows with their own string to sign.
        Error::SignatureMismatch { string_to_sign } => {
            let text = string_to_sign.0.as_str();
            return format!("Specified signature is not matched with our calculation. server string to sign is:{text}").into();
        }
        Error::NoPermission(denied) => {
            return format!("This operation is forbidden by permission system. {}", lacking(denied)).into();
        }
        Error::DryRunDenied(denied) => {
            return format!("The request would have failed, but DryRun was set. {}", lacking(denied)).into();
        }
        Error::DryRunInvalid(error) => {
            return format!("The request would have failed, but DryRun was set. {}", message(error)).into();
        }
        Error::ResourceNotFound { kind, name } => return format!("Resource not found. There is no {kind} {name}.").into(),
        Error::TimestampExpired { behind_ms } => return expired(*behind_ms),
        Error::MalformedRequest(why) => {
            return and("Server parse parameters exception. Please check your input params.".to_owned(), why);
        }
        Error::SignatureMethodNotSupported(why) => return and("Specified signature method is not valid.".to_owned(), why),
        Error::SignatureIncomplete(why) => {
            return and("The request signature does not conform to Alibaba Cloud standards.".to_owned(), why);
        }
        Error::LimitExceeded { most, of } => {
            let text = "The request was rejected because user create resource limit was exceeded.";
            return format!("{text} There may be {most} {of} at most.").into();
        }
        Error::ResourceInUse { by, name } => return format!("The resource is in use. The {by} {name} has it.").into(),
        Error::UnsupportedOperation(why) => return format!("This action is not supported: {why}.").into(),
        Error::Lacking(what) => return format!("This action is not supported: there is no {what}.").into(),
        Error::TlsToPlain => {
            "This address serves plain HTTP and was sent a TLS handshake. Use http (the SDKs' Protocol=HTTP) here, or the service's https address."
        }
        Error::PlainToTls => "This address serves HTTPS and was sent plain HTTP. Use https.",
        Error::PathNotFound | Error::ActionNotFound => "Specified api is not found, please check your url and method.",
        Error::MethodNotSupported => "This http method is not supported.",
        Error::HeadTooLarge => "The request line or the headers are too long.",
        Error::BodyTooLarge => "The request body is too long.",
        Error::RequestTimeout => "The request did not arrive in time.",
        Error::VersionNotSupported => {
            return format!("Specified parameter Version is not valid. It must be {API_VERSION}.").into();
        }
        Error::TimestampMalformed => {
            "Specified time stamp or date value is not well formatted. It must be a time in UTC like 2026-01-02T03:04:05Z."
        }
        Error::NonceUsed => "Specified signature nonce was used already.",
        Error::AccessKeyNotFound => "The Access Key ID provided does not exist in our records.",
        Error::LoginRefused(_) => "The login is refused.",
        Error::BearerTokenInvalid => "The token does not exist or has ended.",
        Error::CheckAndSet => "The current version is not the one that was named.",
        Error::AccessKeyInactive => "This AccessKey is not enabled.",
        Error::ServiceOpened => "The service is open already.",
        Error::SecretTypeNotSupported => {
            "Secrets of this type need a service of the cloud. Only Generic and Rds secrets are supported here."
        }
        Error::AccountManaged => "Another secret manages this account already.",
        Error::TokenFull => "The request was rejected because the token of this service has no room for another key.",
        Error::Throttled => "QPS Limit Exceeded",
        Error::SecretNotFound => "Resource not found. There is no secret of this name.",
        Error::SecretVersionNotFound => "Resource not found. The secret has no such version.",
        Error::SecretStageNotFound => "Resource not found. No such version of the secret has this label.",
        Error::PolicyNotFound => "Resource not found. The one policy of a secret or key is named default.",
        Error::SecretExists | Error::ResourceExists => "The resource already exists.",
        Error::SecretInDeleteWindow => "The secret is planned to be deleted.",
        Error::SecretVersionDeleted => "This version of the secret is deleted.",
        Error::SecretInUse => "restore normal secret",
        Error::KeyNotFound => "The specified Key is not found.",
        Error::KeyVersionNotFound => "The specified Key version is not found.",
        Error::KeyVersionTooSoon => "The request was rejected because the last version of the key is less than 7 days old.",
        Error::KeyUsesExhausted => {
            "The request was rejected because the key version has encrypted as often as it may; the key needs a new version."
        }
        Error::AliasNotFound => "The specified Alias is not found.",
        Error::AliasExists => "AliasName Already Exists.",
        Error::AliasNotAllowed => "Alias is not valid for this api.",
        Error::KeyState(RejectedState::Disabled) => "The request was rejected because the key state is Disabled.",
        Error::KeyState(RejectedState::PendingDeletion) => "The request was rejected because the key state is PendingDeletion.",
        Error::KeyState(RejectedState::PendingImport) => "The request was rejected because the key state is PendingImport.",
        Error::KeyState(RejectedState::Unavailable) => "The request was rejected because the key state is Unavailable.",
        Error::KeyStateChange(Unchanged::Protected) => {
            "Keystate modified failed. The key's deletion protection is on; SetDeletionProtection takes it off."
        }
        Error::KeyStateChange(Unchanged::PendingDeletion) => {
            "Keystate modified failed. The key is PendingDeletion; CancelKeyDeletion takes that back."
        }
        Error::KeyStateChange(Unchanged::PendingImport) => {
            "Keystate modified failed. The key is PendingImport; ImportKeyMaterial enables it."
        }
        Error::KeyStateChange(Unchanged::NotPendingDeletion) => "Keystate modified failed. The key is not PendingDeletion.",
        Error::OriginNotSupported => "This key origin is not valid for this api.",
        // One text for all, or it would tell how the padding of what was decrypted looks.
        Error::KeyMaterialInvalid => {
            "key material is invalid. It must be as long as keys of this KeySpec are, encrypted as the import token's WrappingAlgorithm says under its public key, and where the key had material before, the same."
        }
        Error::ImportTokenInvalid => "import token is invalid.",
        Error::ImportTokenExpired => "import token is expired.",
        Error::DryRunSucceeded => "The request would have succeeded, but DryRun was set.",
        Error::Unavailable(_) | Error::Undecided => "Service Unavailable Temporary.",
        Error::Integrity(_) | Error::Internal(_) => "Internal Failure.",
    })
}

/// Which permission is missing, and whose; or what denies it, where that may be told.
fn lacking(Denied { action, principal, deny, .. }: &Denied) -> String {
    match deny {
        Some(Deny { by, told: true }) if by == RESOURCE_POLICY => {
            format!("A Deny in the resource's own policy forbids {principal} {action}.")
        }
        Some(Deny { by, told: true }) => format!("A Deny in the policy {by} forbids {principal} {action}."),
        Some(Deny { told: false, .. }) | None => format!("No policy gives {principal} the permission {action}."),
    }
}

fn absent(part: &str, why: &str) -> Cow<'static, str> {
    and(format!("The parameter \"{part}\" is needed but not provided."), why)
}

fn invalid(part: &str, why: &str) -> Cow<'static, str> {
    and(format!("The specified parameter \"{part}\" is not valid."), why)
}

/// A text with the sentence behind it, if there is one.
fn and(mut text: String, why: &str) -> Cow<'static, str> {
    if !why.is_empty() {
        text.push(' ');
        text.push_str(why);
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{StringToSign, Unreadable};

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
            (Error::MissingCommon(Field::AccessKeyId), 400, "MissingAccessKeyId", None),
            (Error::AccessKeyNotFound, 404, "InvalidAccessKeyId.NotFound", None),
            (Error::KeyState(RejectedState::PendingDeletion), 409, "Rejected.PendingDeletion", None),
            (Error::MethodNotSupported, 405, "UnsupportedHTTPMethod", None),
            (Error::MalformedRequest(""), 400, "ParseRequestParameterException", None),
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
        let unreadable = Error::Unreadable(Unreadable { part: "Tag.1.Key".into(), absent: false, why: "".into() });
        assert_eq!(Fault::of(&unreadable).message, "The specified parameter \"Tag.1.Key\" is not valid.");
        assert_eq!(Fault::of(&Error::Missing(Field::KeyId)).message, "The parameter \"KeyId\" is needed but not provided.");
        let told = Error::invalid_since(Field::DatabaseInstance, "Ask for one that the configuration names.");
        assert_eq!(
            Fault::of(&told).message,
            "The specified parameter \"ExtendedConfig.DBInstanceId\" is not valid. Ask for one that the configuration names."
        );
        // The old Python SDK takes what follows the first colon.
        let mismatch = Fault::of(&Error::SignatureMismatch { string_to_sign: StringToSign("GET&%2F&".to_owned().into()) });
        assert_eq!(mismatch.message.split_once(':').map(|(_, tail)| tail), Some("GET&%2F&"));
    }
}
