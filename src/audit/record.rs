//! What a line says: who, from where, did what to which thing, and what came of it.
//!
//! Owns: the members of a record and their bounds. Must not know: files, chains. Called by: api (makes them), writer.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize, Serializer};

use crate::base::ids::RequestId;

/// The longest text of a record, in bytes; callers choose names before anybody knows who they are.
pub const MAX_TEXT_BYTES: usize = 512;

/// The action of the record that binds a log of commands to its deployment: the first of `bulla init`, whose resource is
/// `deployment/ID audit-key/sha256:FINGERPRINT`.
pub const INITIALISE: &str = "InitialiseDeployment";

/// What kind of event a record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A read that was allowed; durable before the answer leaves.
    Read,
    /// A request that was refused; durable before the answer leaves.
    Refused,
    /// A write that is about to happen; durable before its transaction commits. One per request id.
    Intent,
    /// What came of an intent with the same request id.
    Outcome,
    /// The commit of a write was cut: whether it happened is not known yet. An outcome follows.
    Unknown,
    /// An administration command.
    Admin,
}

/// Whether it was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// By a policy, or as the account's root.
    Allowed,
    /// For want of one, or by one that denies.
    Refused,
}

/// One event. Holds names, never values: no secret value, PIN, signature or query text goes in here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Record<'a> {
    /// What kind of event.
    pub kind: Kind,
    /// The request's id, as in the answer.
    pub request_id: RequestId,
    /// The account.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub account: Option<&'a str>,
    /// `root` or `user/<name>`.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub principal: Option<&'a str>,
    /// The access key id, as given; it need not exist.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub access_key: Option<&'a str>,
    /// The accessor of the bearer token, where one was shown or given.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub token: Option<&'a str>,
    /// The door, where it was not the first: `vault`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<&'a str>,
    /// The client's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<IpAddr>,
    /// The operation, as asked for; it need not exist.
    #[serde(serialize_with = "bounded")]
    pub action: &'a str,
    /// ARN of what it was done to.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub resource: Option<&'a str>,
    /// ARNs of all that it was done to, where they are several; `resource` is one of them.
    #[serde(skip_serializing_if = "<[String]>::is_empty", serialize_with = "bounded_each")]
    pub resources: &'a [String],
    /// VersionId of the secret, or version of the key.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub version: Option<&'a str>,
    /// VersionId that was served, where `version` is a label.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub version_id: Option<&'a str>,
    /// Whether it was allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Verdict>,
    /// By what: a policy's name, `root`, or a rule.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub by: Option<&'a str>,
    /// `OK`, or the code of the error.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub code: Option<&'a str>,
}

impl<'a> Record<'a> {
    /// A record with nothing but these three.
    pub fn new(kind: Kind, request_id: RequestId, action: &'a str) -> Self {
        Self {
            kind,
            request_id,
            account: None,
            principal: None,
            access_key: None,
            token: None,
            via: None,
            source_ip: None,
            action,
            resource: None,
            resources: &[],
            version: None,
            version_id: None,
            decision: None,
            by: None,
            code: None,
        }
    }
}

/// At most `MAX_TEXT_BYTES` of a text, cut between characters. Control characters, each of which JSON would write as six bytes, are
/// replaced: no name has any.
fn bound(text: &str) -> Cow<'_, str> {
    const MARK: &str = "…";
    if text.contains(char::is_control) {
        let shown = text.chars().take(MAX_TEXT_BYTES).map(|c| if c.is_control() { '?' } else { c });
        return Cow::Owned(bound(&shown.collect::<String>()).into_owned());
    }
    if text.len() <= MAX_TEXT_BYTES {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(MAX_TEXT_BYTES - MARK.len());
    Cow::Owned(text[..end].to_owned() + MARK)
}

fn bounded<S: Serializer>(text: &str, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&bound(text))
}

fn bounded_option<S: Serializer>(text: &Option<&str>, s: S) -> Result<S::Ok, S::Error> {
    text.map(bound).serialize(s)
}

fn bounded_each<S: Serializer>(texts: &[String], s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(texts.iter().map(|text| bound(text)))
}

/// An intent whose outcome is not in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenIntent {
    /// The request's id.
    pub request_id: RequestId,
    /// The account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// `root` or `user/<name>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The operation.
    pub action: String,
    /// ARN of what it is done to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// ARNs of all that it is done to, where they are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// VersionId of the secret, or version of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl OpenIntent {
    pub(super) fn of(record: &Record<'_>) -> Self {
        let owned = |text: Option<&str>| text.map(|t| bound(t).into_owned());
        Self {
            request_id: record.request_id,
            account: owned(record.account),
            principal: owned(record.principal),
            action: bound(record.action).into_owned(),
            resource: owned(record.resource),
            resources: record.resources.iter().map(|arn| bound(arn).into_owned()).collect(),
            version: owned(record.version),
        }
    }

    pub(super) fn outcome<'a>(&'a self, code: &'a str) -> Record<'a> {
        Record {
            account: self.account.as_deref(),
            principal: self.principal.as_deref(),
            resource: self.resource.as_deref(),
            resources: &self.resources,
            version: self.version.as_deref(),
            code: Some(code),
            ..Record::new(Kind::Outcome, self.request_id, &self.action)
        }
    }
}

/// What became of an intent, as the database tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// The write has happened.
    Committed,
    /// It has left no mark, as every write does.
    NotCommitted,
    /// Nobody knows: what the database says of it does not verify.
    Unknown,
}

impl Completion {
    pub(super) fn code(self) -> &'static str {
        match self {
            Completion::Committed => "OK",
            Completion::NotCommitted => "NotCommitted",
            Completion::Unknown => "Unknown",
        }
    }
}

impl fmt::Display for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Completion::Committed => "committed",
            Completion::NotCommitted => "not committed",
            Completion::Unknown => "whether it was committed cannot be told",
        })
    }
}
