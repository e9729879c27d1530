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

/// Something between the two sides: this library signs what it sends, and asks as the API wants it.
const CHANGED: &str = "something between this program and the server changed the request: a proxy, for example";

/// What helps against an error, by its code; the first row that fits counts. A row with words is for answers whose message has them: one
/// code of the API's can stand for several things. What stands in no row, and in none of the match in [`Error::hint`], says by itself what would be right.
pub const HINTS: &[(&str, &str, &str)] = &[
    ("Forbidden.ResourceNotFound", "no secret of this name", "`bulla secret list` shows what there is"),
    ("Forbidden.ResourceNotFound", "no such version", "`bulla secret versions NAME` shows what there is"),
    ("Forbidden.ResourceNotFound", "has this label", "`bulla secret versions NAME` shows what there is"),
    ("Forbidden.ResourceNotFound", "", "`bulla secret list` and `bulla key list` show what there is"),
    ("Forbidden.KeyNotFound", "", "`bulla key list` shows what there is"),
    ("Forbidden.KeyVersionNotFound", "", "`bulla key versions KEY` shows what there is"),
    ("Forbidden.AliasNotFound", "", "`bulla key alias` shows what there is"),
    ("Rejected.ResourceExist", "manages this account", "`bulla secret list -l` shows which secrets are managed"),
    (
        "Rejected.ResourceExist",
        "",
        "what is there stays as it is; `bulla secret put NAME` without --create and --version-id writes a new version",
    ),
    ("AliasAlreadyExists", "", "`bulla key alias NAME KEY` moves a name"),
    (
        "UnsupportedOperation",
        "",
        "`bulla secret show NAME` and `bulla key show KEY` say of what kind it is; docs/api.md, what each kind allows",
    ),
    ("Unsupported.Alias", "", "name the key by its id: `bulla key show KEY` says it"),
    ("InvalidApi.NotFound", "", "the server may be of an older version than this program: `bulla status` says of which"),
    ("InvalidVersion", "", "the server may be of an older version than this program: `bulla status` says of which"),
    ("Rejected.Disabled", "", "`bulla key enable KEY` allows its use again"),
    ("Rejected.PendingDeletion", "", "`bulla key delete KEY --cancel` takes that back"),
    ("Rejected.PendingImport", "", "GetParametersForImport and ImportKeyMaterial bring its material in: docs/api.md"),
    ("Rejected.Unavailable", "encrypted as often", "`bulla key rotate KEY` makes one"),
    ("Rejected.Unavailable", "", "it is being made, or could not be made: try again, or make another with `bulla key create`"),
    ("Rejected.StateModifiedFailed", "SetDeletionProtection", "`bulla key protect KEY --off` allows its deletion"),
    ("Rejected.StateModifiedFailed", "CancelKeyDeletion", "`bulla key delete KEY --cancel` takes that back"),
    ("Rejected.StateModifiedFailed", "", "`bulla key show KEY` says in which state it is"),
    (
        "Rejected.ResourceInDeleteWindow",
        "This version",
        "undelete it through Vault's API, or put a new value with `bulla secret put NAME`",
    ),
    ("Rejected.ResourceInDeleteWindow", "", "it is to be deleted; `bulla secret restore NAME` takes that back"),
    ("Rejected.ResourceInUse", "restore normal secret", "it is not to be deleted: there is nothing to take back"),
    ("Rejected.LimitExceeded", "no room for another key", "who administers Bulla makes room on the token"),
    ("Rejected.Throttling", "", "too many requests at a time; try again"),
    ("SignatureNonceUsed", "", "the same command makes a new request: try again"),
    ("RequestTimeout", "", "the connection is too slow, or broke off: try again"),
    ("RequestBodyTooLarge", "", "send less at a time: docs/api.md says how long what may be"),
    ("RequestHeadTooLarge", "", CHANGED),
    ("ParseRequestParameterException", "Use https.", "the server speaks TLS here: use https://"),
    ("ParseRequestParameterException", "", CHANGED),
    ("UnsupportedHTTPMethod", "", CHANGED),
    ("MissingAccessKeyId", "", CHANGED),
    ("MissingAction", "", CHANGED),
    ("MissingAuthorization", "", CHANGED),
    ("MissingSignature", "", CHANGED),
    ("MissingSignatureMethod", "", CHANGED),
    ("MissingSignatureNonce", "", CHANGED),
    ("MissingSignatureVersion", "", CHANGED),
    ("MissingTimestamp", "", CHANGED),
    ("MissingVersion", "", CHANGED),
    ("InvalidSignatureMethod", "", CHANGED),
    ("IncompleteSignature", "", CHANGED),
    ("ServiceUnavailableTemporary", "", "try again; `bulla status` says what is away"),
    ("InternalFailure", "", "who administers Bulla finds the reason in the server's log, by the request ID"),
];

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
            Error::Tls { endpoint, fault, .. } => Some(fault.hint(endpoint)),
            Error::Settings(_) | Error::Changing { .. } => None,
            Error::Answer { .. } => Some("does this address belong to Bulla, or to something in between?".to_owned()),
        }
    }
}

impl TlsFault {
    fn hint(self, endpoint: &str) -> String {
        match self {
            TlsFault::Plain => format!("the server speaks plain HTTP here: use {}", endpoint.replacen("https://", "http://", 1)),
            TlsFault::UnknownAuthority => {
                "name the file of the authority that signed the server's certificate: --ca FILE, $BULLA_CA_FILE, or ca_file in the profile"
                    .to_owned()
            }
            TlsFault::OtherName => "the endpoint's host must be one of the names in the server's certificate".to_owned(),
            TlsFault::ClientCertificate => {
                "the server wants a client certificate: client_certificate_file and client_key_file in the profile".to_owned()
            }
            TlsFault::Other => "is the server's certificate still valid, and this machine's clock right?".to_owned(),
        }
    }
}

impl Refused {
    /// Whether the reason may pass by itself. A clock that is wrong is among these: it says nothing about what the caller may.
    pub fn is_temporary(&self) -> bool {
        // Where the status is missing, as in the answers of a batch, the code says it; no code: somebody in between answered.
        let passing = ["", "InternalFailure", "Rejected.Throttling", "ServiceUnavailableTemporary"];
        self.status == 429 || self.status >= 500 || passing.contains(&&*self.code) || self.code.starts_with("InvalidTimeStamp")
    }

    /// The hint of [`HINTS`], which says the same whatever was asked for; for answers of others than Bulla by what they say of themselves.
    pub fn fixed_hint(&self) -> Option<&'static str> {
        let fits = |(code, words, _): &&(&str, &str, &str)| self.code == *code && self.message.contains(words);
        match HINTS.iter().find(fits) {
            Some((.., hint)) => Some(hint),
            None if self.message.contains("Use https.") => Some("the server speaks TLS here: use https://"),
            None if self.status == 503 => Some("try again; `bulla status` says what is away"),
            None => None,
        }
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
            _ => self.fixed_hint()?.to_owned(),
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
        assert_eq!(refused("Forbidden.KeyNotFound", None), "`bulla key list` shows what there is");
        let plain = TlsFault::Plain.hint("https://localhost:8080");
        assert_eq!(plain, "the server speaks plain HTTP here: use http://localhost:8080");
    }

    /// Of several rows with one code, those with words stand before the one that takes all others, and each says something.
    #[test]
    fn every_row_of_hints_can_be_reached() {
        for (at, (code, words, hint)) in HINTS.iter().enumerate() {
            assert!(!hint.is_empty(), "{code}");
            let refused = Refused { code: (*code).to_owned(), message: format!("a {words} b"), ..Refused::default() };
            assert_eq!(refused.fixed_hint(), Some(*hint), "{code} {words:?}, row {at}");
        }
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
