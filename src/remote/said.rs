//! What the library says of an error, in another language than its own.
//!
//! Owns: a sentence for each kind of error, and for each code that a server answers, which stands before the server's own words. Called
//! by: failure. The library's English stands in it; a test here compares it with what stands here.

use std::borrow::Cow;

use bulla_client::error::{TlsFault, is_read};
use bulla_client::{Error, Refused};

use crate::base::locale::{self, t};

/// Why there is no answer, or not the one that was hoped for.
pub(super) fn reason(error: &Error) -> String {
    let said = match error {
        Error::Refused(refused) => return refusal(refused),
        Error::Unreachable { endpoint, reason } => {
            t!("%{endpoint} cannot be reached: %{reason}", endpoint = endpoint, reason = locale::reason(reason))
        }
        Error::Lost { action, reason } => {
            t!("%{action}: the answer got lost: %{reason}", action = action, reason = locale::reason(reason))
        }
        Error::Tls { endpoint, reason, fault } => {
            let reason = match of_tls(*fault) {
                Some(words) if !locale::is_english() => t!("%{words} (%{reason})", words = words, reason = reason),
                _ => reason.into(),
            };
            t!("%{endpoint}: TLS: %{reason}", endpoint = endpoint, reason = reason)
        }
        Error::Settings(reason) => return settings(reason),
        Error::Answer { action, reason } => {
            t!("%{action}: the answer is not understood: %{reason}", action = action, reason = locale::reason(reason))
        }
        Error::Changing { action } => t!("%{action}: the list keeps changing while it is read", action = action),
    };
    said.into_owned()
}

fn of_tls(fault: TlsFault) -> Option<Cow<'static, str>> {
    Some(match fault {
        TlsFault::Plain => t!("the server does not speak TLS on this port"),
        TlsFault::UnknownAuthority => t!("the server's certificate is signed by nobody that is trusted here"),
        TlsFault::OtherName => t!("the server's certificate is for other names"),
        TlsFault::ClientCertificate => t!("the server asks for a client certificate, or does not like the one it got"),
        TlsFault::Other => return None,
    })
}

/// A subject of the library's, and what is wrong with it.
fn settings(reason: &str) -> String {
    let known = [
        (
            " is no address: https://HOST:PORT, or http://HOST:PORT",
            t!(" is no address: https://HOST:PORT, or http://HOST:PORT"),
        ),
        (" has no port that there is: 1 to 65535", t!(" has no port that there is: 1 to 65535")),
        ("the authority's file: no certificate in PEM", t!("the authority's file: no certificate in PEM")),
        ("the client certificate's file: no certificate in PEM", t!("the client certificate's file: no certificate in PEM")),
        ("the client key's file: no private key in PEM", t!("the client key's file: no private key in PEM")),
        ("the mount has no name: secret, for example", t!("the mount has no name: secret, for example")),
        ("the token is none: visible ASCII, without spaces", t!("the token is none: visible ASCII, without spaces")),
        ("no access key", t!("no access key")),
        (
            " is no access key's id: letters and digits, as Bulla gave it",
            t!(" is no access key's id: letters and digits, as Bulla gave it"),
        ),
        (" is no URL", t!(" is no URL")),
    ];
    if let Some((before, ours)) = known.iter().find_map(|(theirs, ours)| Some((reason.strip_suffix(theirs)?, ours))) {
        return format!("{before}{ours}");
    }
    match reason.rsplit_once(": ") {
        Some((subject, why)) => locale::about(subject, locale::reason(why)),
        None => locale::reason(reason),
    }
}

/// What the server's answer means, and then the answer itself: its words and its code are what logs are searched for.
fn refusal(refused: &Refused) -> String {
    let answer = refused.to_string();
    match of_code(refused) {
        Some(meaning) if !locale::is_english() => {
            t!("%{meaning}; the server's answer: %{answer}", meaning = meaning, answer = answer).into_owned()
        }
        _ => answer,
    }
}

/// What a code says to a person.
fn of_code(refused: &Refused) -> Option<Cow<'static, str>> {
    // The parameter that an answer is about is all that its text quotes.
    let parameter = || refused.message.split('"').nth(1).unwrap_or("?");
    Some(match refused.code.as_str() {
        "Forbidden.ResourceNotFound" => match refused.message.as_str() {
            message if message.contains("no secret of this name") => t!("there is no such secret"),
            message if message.contains("no such version") => t!("the secret has no such version"),
            message if message.contains("has this label") => t!("no version of the secret has this label"),
            _ => t!("it is not there"),
        },
        "Forbidden.KeyNotFound" => t!("there is no such key"),
        "Forbidden.KeyVersionNotFound" => t!("there is no such version of the key"),
        "Forbidden.AliasNotFound" => t!("there is no such alias"),
        "Forbidden.NoPermission" => match &refused.auth_action {
            Some(action) => t!(
                "not permitted: %{who} lacks the permission %{action}",
                who = refused.auth_principal.clone().unwrap_or_else(|| t!("you").into_owned()),
                action = action
            ),
            None => t!("not permitted"),
        },
        "Forbidden.AccessKey" => t!("the access key, or its user, is disabled"),
        "InvalidAccessKeyId.NotFound" => t!("the server does not know this access key"),
        "SignatureDoesNotMatch" => t!("the signature is wrong"),
        code if code.starts_with("InvalidTimeStamp") => t!("the two clocks differ too much"),
        "SignatureNonceUsed" => t!("this request was made already"),
        "InvalidParameter" => t!("the parameter %{name} is not valid", name = parameter()),
        "MissingParameter" => t!("the parameter %{name} is missing", name = parameter()),
        "UnsupportedOperation" | "InvalidApi.NotFound" | "Unsupported.Origin" | "Unsupported.Alias" => {
            t!("this is not supported here")
        }
        "Rejected.ResourceExist" | "AliasAlreadyExists" => t!("it exists already"),
        "Rejected.ResourceInDeleteWindow" if refused.message.starts_with("This version") => {
            t!("this version is deleted")
        }
        "Rejected.ResourceInDeleteWindow" => t!("it waits for its deletion"),
        "Rejected.ResourceInUse" => t!("it is in use"),
        "Rejected.CheckAndSet" => t!("the current version is another one"),
        "Rejected.LimitExceeded" => t!("a limit is exceeded"),
        "Rejected.Throttling" => t!("too many requests"),
        "Rejected.Disabled" => t!("the key is disabled"),
        "Rejected.PendingDeletion" => t!("the key waits for its deletion"),
        "Rejected.PendingImport" => t!("the key's material was not imported yet"),
        "Rejected.Unavailable" => t!("the key cannot be used"),
        "Rejected.StateModifiedFailed" => t!("the key's state does not allow it"),
        "InvalidKeyMaterial" => t!("the key material is not valid"),
        "RequestBodyTooLarge" | "RequestHeadTooLarge" => t!("the request is too long"),
        "ServiceUnavailableTemporary" => t!("the server cannot serve at the moment"),
        "InternalFailure" => t!("something is wrong at the server"),
        _ => return of_status(refused.status),
    })
}

/// What a status says, where the code is none that is known here: somebody in between, or another service, answered.
fn of_status(status: u16) -> Option<Cow<'static, str>> {
    Some(match status {
        401 | 403 => t!("not permitted"),
        404 => t!("it is not there"),
        409 => t!("its state does not allow it"),
        413 | 414 => t!("the request is too long"),
        429 => t!("too many requests"),
        502..=504 => t!("the server cannot serve at the moment"),
        500.. => t!("something is wrong at the server"),
        _ => return None,
    })
}

/// What to do about it, where that is known.
pub(super) fn hint(error: &Error) -> Option<String> {
    let said = match error {
        Error::Refused(refused) => return of_refusal(refused).map(Cow::into_owned),
        Error::Unreachable { .. } => t!("is the server running, and is this its address?"),
        Error::Lost { action, .. } if is_read(action) => return None,
        Error::Lost { .. } => t!("the server may have done it; look before doing it again"),
        Error::Tls { endpoint, fault, .. } => match fault {
            TlsFault::Plain => {
                let plain = endpoint.replacen("https://", "http://", 1);
                t!("the server speaks plain HTTP here: use %{endpoint}", endpoint = plain)
            }
            TlsFault::UnknownAuthority => t!(
                "name the file of the authority that signed the server's certificate: --ca FILE, $BULLA_CA_FILE, or ca_file in the profile"
            ),
            TlsFault::OtherName => t!("the endpoint's host must be one of the names in the server's certificate"),
            TlsFault::ClientCertificate => {
                t!("the server wants a client certificate: client_certificate_file and client_key_file in the profile")
            }
            TlsFault::Other => t!("is the server's certificate still valid, and this machine's clock right?"),
        },
        Error::Settings(_) | Error::Changing { .. } => return None,
        Error::Answer { .. } => t!("does this address belong to Bulla, or to something in between?"),
    };
    Some(said.into_owned())
}

fn of_refusal(refused: &Refused) -> Option<Cow<'static, str>> {
    let id = &refused.access_key_id;
    Some(match refused.code.as_str() {
        "SignatureDoesNotMatch" => t!("the access key's secret is wrong for %{id}", id = id),
        "InvalidAccessKeyId.NotFound" => t!("the server knows no access key %{id}: another deployment's?", id = id),
        "Forbidden.AccessKey" => t!("the access key %{id}, or its user, is disabled", id = id),
        code if code.starts_with("InvalidTimeStamp") => match refused.clock_ahead {
            Some(seconds) if seconds < 0 => {
                t!("this clock is %{time} behind the server's", time = duration(seconds.unsigned_abs()))
            }
            Some(seconds) if seconds > 0 => {
                t!("this clock is %{time} ahead of the server's", time = duration(seconds.unsigned_abs()))
            }
            _ => t!("set this machine's clock"),
        },
        "Forbidden.NoPermission" if refused.message.contains("A Deny in ") => {
            t!("no Allow helps against a Deny: ask who administers Bulla to change that policy")
        }
        "Forbidden.NoPermission" => match &refused.auth_action {
            Some(action) => t!(
                "ask who administers Bulla for a policy that gives %{who} %{action}",
                who = refused.auth_principal.clone().unwrap_or_else(|| t!("you").into_owned()),
                action = action
            ),
            None => t!("ask who administers Bulla for a policy"),
        },
        _ => return refused.fixed_hint().map(|hint| locale::text(hint).into()),
    })
}

/// `20 min 3 s`
fn duration(seconds: u64) -> Cow<'static, str> {
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => t!("%{seconds} s", seconds = s),
        (0, 0, m, s) => t!("%{minutes} min %{seconds} s", minutes = m, seconds = s),
        (0, h, m, _) => t!("%{hours} h %{minutes} min", hours = h, minutes = m),
        (d, h, ..) => t!("%{days} d %{hours} h", days = d, hours = h),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is translated here is what the library says.
    #[test]
    fn the_library_says_the_same() {
        let refused = |code: &str, status, ahead, message: &str| {
            let (code, message) = (code.to_owned(), message.to_owned());
            let action = Some("kms:GetSecretValue".to_owned());
            let refused = Refused { code, status, message, clock_ahead: ahead, auth_action: action, ..Refused::default() };
            Error::Refused(Box::new(refused))
        };
        let tls = |fault| Error::Tls { endpoint: "https://h:1".into(), reason: "r".into(), fault };
        let errors = [
            Error::Unreachable { endpoint: "http://h".into(), reason: "no connection".into() },
            Error::Lost { action: "GetSecretValue".into(), reason: "timeout".into() },
            Error::Lost { action: "PutSecretValue".into(), reason: "timeout".into() },
            Error::Settings("\"x\" is no address: https://HOST:PORT, or http://HOST:PORT".into()),
            Error::Settings("the authority's file: no certificate in PEM".into()),
            Error::Settings("/x: No such file or directory (os error 2)".into()),
            Error::Answer { action: "GetSecretValue".into(), reason: "line 1, column 2".into() },
            Error::Changing { action: "ListSecrets".into() },
            tls(TlsFault::Plain),
            tls(TlsFault::UnknownAuthority),
            tls(TlsFault::OtherName),
            tls(TlsFault::ClientCertificate),
            tls(TlsFault::Other),
            refused("SignatureDoesNotMatch", 400, None, "m"),
            refused("InvalidAccessKeyId.NotFound", 404, None, "m"),
            refused("Forbidden.AccessKey", 403, None, "m"),
            refused("InvalidTimeStamp.Expired", 400, Some(-1203), "m"),
            refused("InvalidTimeStamp.Expired", 400, Some(7260), "m"),
            refused("InvalidTimeStamp.Expired", 400, Some(90_000), "m"),
            refused("InvalidTimeStamp.Expired", 400, Some(9), "m"),
            refused("InvalidTimeStamp.Expired", 400, Some(0), "m"),
            refused("Forbidden.NoPermission", 403, None, "m"),
            refused("Forbidden.NoPermission", 403, None, "A Deny in the policy p forbids user/a kms:Decrypt."),
            refused("Rejected.ResourceInDeleteWindow", 409, None, "m"),
            refused("Rejected.Throttling", 429, None, "m"),
            refused("", 400, None, "Use https."),
            refused("ServiceUnavailableTemporary", 503, None, ""),
            refused("Rejected.LimitExceeded", 400, None, "m"),
        ];
        for error in errors {
            assert_eq!(reason(&error), error.to_string());
            assert_eq!(hint(&error), error.hint(), "{error}");
        }
    }

    /// Every code that a server of this API answers has a hint, but for those whose texts say by themselves what would be right, and
    /// those that no command here can meet.
    #[cfg(feature = "server")]
    #[test]
    fn every_code_that_a_person_meets_has_a_hint() {
        use crate::code::Code;

        let needs_none = |code| match code {
            Code::Ok => "is no error",
            Code::MissingParameter | Code::InvalidParameter => "the text names the parameter and says what it must be",
            Code::LimitExceeded => "the text says the limit",
            Code::CheckAndSet | Code::BearerTokenInvalid | Code::LoginRefused => "of Vault's API only",
            Code::ServiceOpened => "no command opens the service",
            Code::OriginNotSupported | Code::KeyMaterialInvalid | Code::ImportTokenInvalid | Code::ImportTokenExpired => {
                "no command imports material"
            }
            Code::ResourceInUse => "no command meets it but with the words of a row",
            Code::DryRunSucceeded | Code::DryRunInvalid | Code::DryRunDenied => "no command rehearses",
            _ => "",
        };
        for code in Code::ALL {
            let refused =
                Refused { code: code.as_str().to_owned(), message: "m".to_owned(), status: 400, ..Refused::default() };
            let error = Error::Refused(Box::new(refused));
            let why_not = needs_none(*code);
            assert_eq!(hint(&error).is_none(), !why_not.is_empty(), "{}: {why_not:?}", code.as_str());
            assert_eq!(hint(&error), error.hint(), "{}", code.as_str());
        }
    }
}
