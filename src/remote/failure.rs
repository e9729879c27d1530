//! What a client's error is to the person who asked, and its exit code.

use bulla_client::{Error, Selector};

use super::reference::{Reference, SCHEME};
use super::said;
use crate::base::failure::{Answered, Class, Failure};
use crate::base::locale::{self, t};

/// What the API says of a secret that waits for its deletion.
pub const IN_DELETE_WINDOW: &str = "Rejected.ResourceInDeleteWindow";

/// The failure, about this subject: a secret's name, a key, a file.
pub fn failure(subject: &str) -> impl Fn(Error) -> Failure {
    let subject = subject.to_owned();
    move |error| {
        let (said, hint) = match locale::is_english() {
            true => (error.to_string(), error.hint()),
            false => (said::reason(&error), said::hint(&error)),
        };
        let reason = match &error {
            Error::Refused(refused) if !subject.is_empty() && refused.status != 503 => locale::about(&subject, said),
            _ => said,
        };
        let mut failure = Failure::new(reason).class(class(&error));
        failure.hint = hint.or_else(|| of_reference(&subject, &error));
        failure.answer = error.refused().map(|refused| {
            Box::new(Answered { code: refused.code.clone(), status: refused.status, request_id: refused.request_id.clone() })
        });
        failure
    }
}

/// Where a name is wanted and a reference came, as `bulla run` takes it: what it would be here.
fn of_reference(subject: &str, error: &Error) -> Option<String> {
    // Neither is in any name.
    if error.code() != "InvalidParameter" || !(subject.starts_with(SCHEME) || subject.contains('#')) {
        return None;
    }
    let reference = Reference::parse(subject).ok()?;
    let version = match &reference.which {
        Selector::Current => String::new(),
        Selector::Stage(label) => format!(" --stage {label}"),
        Selector::Version(id) => format!(" --version {id}"),
    };
    let field = reference.field.map(|field| format!(" --field {field}")).unwrap_or_default();
    Some(t!("here a name is wanted: %{words}", words = format!("{}{field}{version}", reference.name)).into_owned())
}

/// The exit code of an error.
fn class(error: &Error) -> Class {
    match error {
        // The endpoint's scheme is a setting of this side.
        Error::Refused(refused) if refused.message.contains("Use https.") => Class::Local,
        Error::Refused(refused) => of_answer(refused.status, &refused.code),
        Error::Unreachable { .. } | Error::Lost { .. } | Error::Changing { .. } => Class::Unavailable,
        Error::Tls { .. } | Error::Settings(_) => Class::Local,
        Error::Answer { .. } => Class::Other,
    }
}

/// The exit code of what a server answered.
pub fn of_answer(status: u16, code: &str) -> Class {
    match (status, code) {
        (_, "InvalidAccessKeyId.NotFound" | "SignatureDoesNotMatch" | "IncompleteSignature" | "InvalidSignatureMethod") => {
            Class::Denied
        }
        (_, code) if code.starts_with("InvalidTimeStamp") => Class::Denied,
        (_, "AliasAlreadyExists") => Class::Conflict,
        (400, "InvalidParameter" | "MissingParameter") => Class::Usage,
        (404, "InvalidApi.NotFound") => Class::Other,
        (404, _) => Class::NotFound,
        (403, _) => Class::Denied,
        (409, _) => Class::Conflict,
        (429 | 502 | 503 | 504, _) => Class::Unavailable,
        _ => Class::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_exit_codes() {
        for (status, code, expected) in [
            (404, "Forbidden.ResourceNotFound", 3),
            (404, "Forbidden.KeyNotFound", 3),
            (404, "InvalidAccessKeyId.NotFound", 4),
            (403, "Forbidden.NoPermission", 4),
            (400, "SignatureDoesNotMatch", 4),
            (400, "InvalidTimeStamp.Expired", 4),
            (409, "Rejected.ResourceExist", 5),
            (409, "Rejected.ResourceInDeleteWindow", 5),
            (400, "AliasAlreadyExists", 5),
            (429, "Rejected.Throttling", 6),
            (503, "ServiceUnavailableTemporary", 6),
            (400, "InvalidParameter", 2),
            (400, "UnsupportedOperation", 1),
            (500, "InternalFailure", 1),
        ] {
            assert_eq!(of_answer(status, code) as u8, expected, "{code}");
        }
    }
}
