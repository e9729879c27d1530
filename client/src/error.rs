//! What can go wrong with a call, and what to do about it.

use std::fmt;

use jiff::Timestamp;

/// Why a call has no answer, or not the one that was hoped for.
#[derive(Debug)]
pub enum Error {
    /// The server answered with an error.
    Refused(Box<Refused>),
    /// Nobody was reached, and nothing was sent.
    Unreachable {
        /// Where.
        endpoint: String,
        /// Of the system.
        reason: String,
    },
    /// The connection ended, or the time, before the answer came: the server may have done it.
    Lost {
        /// The operation.
        action: String,
        /// Of the system.
        reason: String,
    },
    /// The two sides did not agree on a TLS connection.
    Tls {
        /// Where.
        endpoint: String,
        /// What TLS says.
        reason: String,
        /// What it comes from.
        fault: TlsFault,
    },
    /// An endpoint, a certificate or a file on this side is not as it should be.
    Settings(String),
    /// The answer is none of this API.
    Answer {
        /// The operation.
        action: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Others make and delete what is in a list faster than it can be read.
    Changing {
        /// The operation.
        action: String,
    },
}

/// Where a TLS connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFault {
    /// The server does not speak TLS on this port.
    Plain,
    /// Its certificate is signed by nobody that is trusted here.
    UnknownAuthority,
    /// Its certificate is for other names.
    OtherName,
    /// It asks for a certificate of the client, or does not like the one it got.
    ClientCertificate,
    /// Another.
    Other,
}

/// An error that the server answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refused {
    /// The operation.
    pub action: String,
    /// The HTTP status.
    pub status: u16,
    /// The error's code, for programs; empty where the answer is none of this API.
    pub code: String,
    /// Its words, for people.
    pub message: String,
    /// What the server's log and audit log call the request.
    pub request_id: Option<String>,
    /// The permission that is missing, where that is the reason.
    pub auth_action: Option<String>,
    /// Who lacks it.
    pub auth_principal: Option<String>,
    /// The access key that signed.
    pub access_key_id: String,
    /// How far this side's clock is ahead of the server's, in seconds; negative where it is behind.
    pub clock_ahead: Option<i64>,
    /// Whether an earlier attempt got lost, which may have done what this one was refused.
    pub after_lost: bool,
}

impl Error {
    /// The server's error, where it answered one.
    pub fn refused(&self) -> Option<&Refused> {
        match self {
            Error::Refused(refused) => Some(refused),
            _ => None,
        }
    }

    /// Its code; empty where there is none.
    pub fn code(&self) -> &str {
        self.refused().map_or("", |r| &r.code)
    }

    /// Whether the reason may pass by itself: the server is away, busy, or not well. False where it said no, and where this side is wrong.
    pub fn is_temporary(&self) -> bool {
        match self {
            Error::Refused(refused) => refused.is_temporary(),
            Error::Unreachable { .. }
            | Error::Lost { .. }
            | Error::Tls { .. }
            | Error::Answer { .. }
            | Error::Changing { .. } => true,
            Error::Settings(_) => false,
        }
    }

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Refused(refused) => refused.hint(),
            Error::Unreachable { .. } => Some("is the server running, and is this its address?".to_owned()),
            Error::Lost { action, .. } if is_read(action) => None,
            Error::Lost { .. } => Some("the server may have done it; look before doing it again".to_owned()),
            Error::Tls { endpoint, fault, .. } => fault.hint(endpoint),
            Error::Settings(_) | Error::Changing { .. } => None,
            Error::Answer { .. } => Some("does this address belong to Bulla, or to something in between?".to_owned()),
        }
    }
}

impl TlsFault {
    fn hint(self, endpoint: &str) -> Option<String> {
        Some(match self {
            TlsFault::Plain => format!("the server speaks plain HTTP here: use {}", endpoint.replacen("https://", "http://", 1)),
            TlsFault::UnknownAuthority => {
                "name the file of the authority that signed the server's certificate: --ca FILE, $BULLA_CA_FILE, or ca_file in the profile"
                    .to_owned()
            }
            TlsFault::OtherName => "the endpoint's host must be one of the names in the server's certificate".to_owned(),
            TlsFault::ClientCertificate => {
                "the server wants a client certificate: client_certificate_file and client_key_file in the profile".to_owned()
            }
            TlsFault::Other => return None,
        })
    }
}

impl Refused {
    /// Whether the reason may pass by itself. A clock that is wrong is among these: it says nothing about what the caller may.
    pub fn is_temporary(&self) -> bool {
        // Where the status is missing, as in the answers of a batch, the code says it; no code: somebody in between answered.
        let passing = ["", "InternalFailure", "Rejected.Throttling", "ServiceUnavailableTemporary"];
        self.status == 429 || self.status >= 500 || passing.contains(&&*self.code) || self.code.starts_with("InvalidTimeStamp")
    }

    fn hint(&self) -> Option<String> {
        let id = &self.access_key_id;
        let hint = match self.code.as_str() {
            "SignatureDoesNotMatch" => format!("the access key's secret is wrong for {id}"),
            "InvalidAccessKeyId.NotFound" => format!("the server knows no access key {id}: another deployment's?"),
            "Forbidden.AccessKey" => format!("the access key {id}, or its user, is disabled"),
            code if code.starts_with("InvalidTimeStamp") => match self.clock_ahead {
                Some(seconds) if seconds != 0 => {
                    let side = if seconds < 0 { "behind" } else { "ahead of" };
                    format!("this clock is {} {side} the server's", duration(seconds.unsigned_abs()))
                }
                _ => "set this machine's clock".to_owned(),
            },
            "Forbidden.NoPermission" if self.message.contains("A Deny in ") => {
                "no Allow helps against a Deny: ask who administers Bulla to change that policy".to_owned()
            }
            "Forbidden.NoPermission" => match &self.auth_action {
                Some(action) => {
                    let who = self.auth_principal.as_deref().unwrap_or("you");
                    format!("ask who administers Bulla for a policy that gives {who} {action}")
                }
                None => "ask who administers Bulla for a policy".to_owned(),
            },
            "Rejected.ResourceInDeleteWindow" if self.message.starts_with("This version") => {
                "undelete it through Vault's API, or put a new value with `bulla secret put NAME`".to_owned()
            }
            "Rejected.ResourceInDeleteWindow" => "it is to be deleted; `bulla secret restore NAME` takes that back".to_owned(),
            "Rejected.Throttling" => "too many requests at a time; try again".to_owned(),
            _ if self.message.contains("Use https.") => "the server speaks TLS here: use https://".to_owned(),
            _ if self.status == 503 => "try again; `bulla status` says what is away".to_owned(),
            _ => return None,
        };
        Some(hint)
    }
}

/// Whether an operation, or a page, changes nothing that anybody would look for.
pub fn is_read(action: &str) -> bool {
    const READS: [&str; 11] =
        ["/", "GET", "Get", "BatchGet", "List", "Describe", "Encrypt", "Decrypt", "Asymmetric", "Generate", "Verify"];
    READS.iter().any(|begin| action.starts_with(begin))
}

/// `20 min 3 s`
fn duration(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, h, ..) => format!("{d} d {h} h"),
    }
}

/// How far this side is ahead of a header `Date`.
pub(crate) fn clock_ahead(date: &str) -> Option<i64> {
    let theirs = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(Timestamp::now().as_second() - theirs.as_second())
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(refused) => refused.fmt(f),
            Error::Unreachable { endpoint, reason } => write!(f, "{endpoint} cannot be reached: {reason}"),
            Error::Lost { action, reason } => write!(f, "{action}: the answer got lost: {reason}"),
            Error::Tls { endpoint, reason, .. } => write!(f, "{endpoint}: TLS: {reason}"),
            Error::Settings(reason) => f.write_str(reason),
            Error::Answer { action, reason } => write!(f, "{action}: the answer is not understood: {reason}"),
            Error::Changing { action } => write!(f, "{action}: the list keeps changing while it is read"),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A server's words are one line of ours.
        let line = |text: &str| text.replace(['\n', '\r'], " ");
        match (line(&self.code).as_str(), line(&self.message).as_str()) {
            ("", "") => write!(f, "the server answered {}", self.status),
            ("", message) => write!(f, "the server answered {}: {message}", self.status),
            (code, "") => f.write_str(code),
            (code, message) => write!(f, "{message} ({code})"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_words_are_one_line() {
        let message = "no\nerror: forged\r\nhint: run it".to_owned();
        let refused = Refused { message, status: 400, ..Refused::default() };
        assert_eq!(refused.to_string(), "the server answered 400: no error: forged  hint: run it");
    }

    #[test]
    fn hints_say_what_to_do() {
        let refused = |code: &str, ahead| {
            let id = "BLLAX".to_owned();
            Refused { code: code.to_owned(), access_key_id: id, clock_ahead: ahead, ..Refused::default() }
                .hint()
                .unwrap_or_default()
        };
        assert_eq!(refused("InvalidTimeStamp.Expired", Some(-1203)), "this clock is 20 min 3 s behind the server's");
        assert_eq!(refused("InvalidTimeStamp.Expired", Some(7_260)), "this clock is 2 h 1 min ahead of the server's");
        assert!(refused("SignatureDoesNotMatch", None).contains("BLLAX"));
        assert_eq!(refused("Rejected.LimitExceeded", None), "");
        let plain = TlsFault::Plain.hint("https://localhost:8080");
        assert_eq!(plain.as_deref(), Some("the server speaks plain HTTP here: use http://localhost:8080"));
    }

    #[test]
    fn only_what_changes_something_may_have_been_done() {
        for (action, expected) in
            [("GetSecretValue", false), ("ListKeys", false), ("GET", false), ("CreateSecret", true), ("PutSecretValue", true)]
        {
            let lost = Error::Lost { action: action.to_owned(), reason: "r".to_owned() };
            assert_eq!(lost.hint().is_some(), expected, "{action}");
        }
    }

    #[test]
    fn what_passes_by_itself() {
        for (status, code, expected) in [
            (404, "Forbidden.ResourceNotFound", false),
            (403, "Forbidden.NoPermission", false),
            (404, "InvalidAccessKeyId.NotFound", false),
            (0, "Forbidden.ResourceNotFound", false),
            (400, "InvalidTimeStamp.Expired", true),
            (429, "Rejected.Throttling", true),
            (503, "ServiceUnavailableTemporary", true),
            (0, "InternalFailure", true),
            (502, "", true),
            (404, "", true),
        ] {
            let refused = Refused { status, code: code.to_owned(), ..Refused::default() };
            assert_eq!(Error::Refused(Box::new(refused)).is_temporary(), expected, "{status} {code}");
        }
        assert!(!Error::Settings(String::new()).is_temporary());
    }

    #[test]
    fn a_date_is_compared_with_the_clock() {
        let ahead = clock_ahead("Sat, 28 Nov 2020 11:00:02 GMT").expect("a date");
        assert!(ahead > 86_400);
        assert_eq!(clock_ahead("yesterday"), None);
    }
}
