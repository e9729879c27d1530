//! Errors as Vault words them: a status and a list of texts.
//!
//! Owns: the table. Must not know: what led to an error. Called by: door.
//!
//! Where clients act on a text it is Vault's; where Vault has none, it says what would be right. None tells what is stored.

use serde_json::json;

use crate::base::field::{Field, Why};
use crate::code::Code;
use crate::dialects::vault::reply::reply;
use crate::error::{Error, RejectedState};
use crate::http::Reply;

/// Seconds after which a request that was turned away may come again.
const RETRY_AFTER_S: u32 = 1;

/// What an endpoint says of an error of its own.
pub struct Told {
    /// The HTTP status.
    pub status: u16,
    /// The texts.
    pub errors: Vec<String>,
}

/// The answer to an error; `told` is what the endpoint said of it.
pub fn answer(error: &Error, told: Option<Told>) -> Reply {
    let Told { status, errors } = told.unwrap_or_else(|| of(error));
    let mut body = json!({ "errors": errors }).to_string().into_bytes();
    body.push(b'\n');
    let again = matches!(Code::of(error), Code::Throttled | Code::Unavailable);
    Reply { retry_after_s: again.then_some(RETRY_AFTER_S), ..reply(status, body) }
}

fn of(error: &Error) -> Told {
    let nothing = |status| Told { status, errors: Vec::new() };
    let one = |status, text: &str| Told { status, errors: vec![text.to_owned()] };
    let wrapped = |status, text: &str| Told { status, errors: vec![format!("1 error occurred:\n\t* {text}\n\n")] };
    match error {
        Error::BearerTokenInvalid => one(403, "permission denied"),
        Error::NoPermission(_) => wrapped(403, "permission denied"),
        Error::AccessKeyNotFound | Error::AccessKeyInactive | Error::SignatureMismatch { .. } => {
            one(400, "invalid role or secret ID")
        }
        Error::SecretNotFound
        | Error::SecretVersionNotFound
        | Error::SecretStageNotFound
        | Error::SecretInDeleteWindow
        | Error::SecretVersionDeleted => nothing(404),
        Error::LoginRefused(why) => one(400, why),
        Error::CheckAndSet => one(400, "check-and-set parameter did not match the current version"),
        Error::PathNotFound | Error::ActionNotFound => nothing(404),
        Error::MethodNotSupported => wrapped(405, "unsupported operation"),
        Error::Unreadable(unreadable) => one(400, &unreadable.why),
        Error::MalformedRequest(why) => one(400, why),
        Error::Missing(field) => one(400, &format!("missing {}", spelled(*field))),
        Error::Invalid { field, why } => one(400, &invalid(*field, why)),
        Error::LimitExceeded { .. } => one(400, "a limit on secrets, versions, labels or tags is reached"),
        Error::TokenFull => one(400, "the HSM has no room for another key"),
        Error::UnsupportedOperation(why) => one(400, &format!("unsupported operation: {why}")),
        Error::Lacking(what) => one(400, &format!("unsupported operation: there is no {what}")),
        Error::KeyNotFound | Error::AliasNotFound => one(400, "encryption key not found"),
        Error::KeyVersionNotFound => one(400, "encryption key version not found"),
        Error::KeyState(RejectedState::Disabled) => one(400, "the encryption key is disabled"),
        Error::KeyState(_) => one(400, "the encryption key cannot be used in its present state"),
        Error::KeyUsesExhausted => one(400, "the encryption key has encrypted as often as it may; it needs a new version"),
        Error::BodyTooLarge => one(413, "http: request body too large"),
        Error::HeadTooLarge => one(414, "the request line or the headers are too long"),
        Error::RequestTimeout => one(408, "the request did not arrive in time"),
        Error::TlsToPlain => one(400, "Client sent an HTTPS request to an HTTP server."),
        Error::PlainToTls => one(400, "Client sent an HTTP request to an HTTPS server."),
        Error::Throttled => one(429, "request path \"/v1/\": rate limit quota exceeded"),
        Error::Unavailable(_) | Error::Undecided => one(503, "temporarily unavailable, try again"),
        Error::Integrity(_) | Error::Internal(_) => one(500, "internal error"),
        other => one(400, Code::of(other).as_str()),
    }
}

fn invalid(field: Field, why: &Why) -> String {
    format!("invalid {}. {}", spelled(field), why.spelled(spelled))
}

/// A part of a request as this dialect names it.
fn spelled(field: Field) -> &'static str {
    match field {
        Field::Algorithm => "hash or signature algorithm",
        Field::CiphertextBlob => "ciphertext",
        Field::EncryptionContext => "associated_data or context",
        Field::KeyId => "name of the key",
        Field::KeySpec => "type",
        Field::KeyUsage => "use",
        Field::Message => "input",
        Field::Plaintext => "plaintext",
        Field::SecretData => "data",
        Field::SecretName => "path",
        Field::Tag | Field::TagKey => "custom_metadata",
        other => other.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_as_clients_send_them() {
        let why = Why::naming("It must be one that keys of this {} and {} have.", &[Field::KeySpec, Field::KeyUsage]);
        let told = of(&Error::invalid_since(Field::Algorithm, why));
        assert_eq!(told.errors, ["invalid hash or signature algorithm. It must be one that keys of this type and use have."]);
    }
}
