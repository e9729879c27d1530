//! What is known of a request so far, for its audit record.
//!
//! Owns: gathering the members of a record while a request goes through the pipeline. Called by: pipeline.

use crate::audit::{Kind, Record, Reserved, Verdict};
use crate::auth::Caller;
use crate::auth::proof::Origin;
use crate::base::alarm;
use crate::base::ids::{AccessKeyId, RequestId};
use crate::error::{Denied, Error};

/// A request on its way, as the audit log will tell it.
pub(super) struct Event {
    kind: Kind,
    request_id: RequestId,
    source_ip: std::net::IpAddr,
    /// As asked for; it need not exist.
    pub action: String,
    /// As given, where it could be one; it need not exist.
    access_key: Option<String>,
    caller: Option<(String, String)>,
    /// ARN of what is acted on, the first of several; of what it was refused for.
    resource: Option<String>,
    /// ARNs of all that is acted on.
    resources: Vec<String>,
    /// Version or stage of it.
    pub version: Option<String>,
    /// The version that was served.
    pub version_id: Option<String>,
    /// The accessor of the token that was shown or given.
    pub token: Option<String>,
    /// The door it came through; none for the first.
    pub via: Option<&'static str>,
    /// By what it was allowed.
    pub grant: Option<String>,
    /// Whether a permission was missing, if only for what showed while it ran.
    denied: bool,
    /// Whether it has left the mark of an effect.
    pub marked: bool,
    /// The place of its record, of a write whose intent is recorded.
    pub reserved: Option<Reserved>,
}

impl Event {
    /// Nothing known yet: a refusal, until the request runs.
    pub fn arrived(origin: &Origin) -> Self {
        Self {
            kind: Kind::Refused,
            request_id: origin.request_id,
            source_ip: origin.source_ip,
            action: String::new(),
            access_key: None,
            caller: None,
            resource: None,
            resources: Vec::new(),
            version: None,
            version_id: None,
            token: None,
            via: None,
            grant: None,
            denied: false,
            marked: false,
            reserved: None,
        }
    }

    /// What it asks for, and in whose name. What stands in the place of an access key's id and has another form than those that are made
    /// here may be a secret: clients mix the two up. Nothing of it is recorded until it has proved to be one.
    pub fn asks(&mut self, action: &str, access_key: Option<&AccessKeyId>) {
        action.clone_into(&mut self.action);
        self.access_key = access_key.filter(|id| id.is_made_here()).map(AccessKeyId::to_string);
    }

    /// Of the same request, the part about another resource.
    pub fn part(&self) -> Self {
        Self {
            kind: Kind::Refused,
            request_id: self.request_id,
            source_ip: self.source_ip,
            action: self.action.clone(),
            access_key: self.access_key.clone(),
            caller: self.caller.clone(),
            resource: None,
            resources: Vec::new(),
            version: None,
            version_id: None,
            token: self.token.clone(),
            via: self.via,
            grant: None,
            denied: false,
            marked: false,
            reserved: None,
        }
    }

    /// Notes a failure: logs what operators must know of it. The caller's own mistakes are in the access line already.
    pub fn failed(&mut self, error: &Error) {
        let (id, action) = (self.request_id, self.action.as_str());
        match error {
            Error::Integrity(what) => {
                let about = |name: &str, it: Option<&str>| it.map(|it| format!("{name}={it} ")).unwrap_or_default();
                let (on, key) = (about("resource", self.resource.as_deref()), about("access_key", self.access_key.as_deref()));
                alarm::raise(format!("request_id={id} action={action} {on}{key}{what}"));
            }
            Error::Internal(what) => log::error!("request_id={id} action={action} {what}"),
            Error::Undecided => {
                log::warn!("request_id={id} action={action} its commit was cut");
                self.is_undecided();
            }
            Error::Unavailable(what) => log::warn!("request_id={id} action={action} unavailable: {what}"),
            Error::NoPermission(denied) | Error::DryRunDenied(denied) => self.is_denied(denied),
            _ => {}
        }
    }

    /// Nobody knows yet whether a write that ran had its effect. A read has none.
    pub fn is_undecided(&mut self) {
        if self.kind == Kind::Outcome {
            self.kind = Kind::Unknown;
        }
    }

    /// A permission was missing. What was read before is not told, so that nothing was read.
    fn is_denied(&mut self, denied: &Denied) {
        if self.kind == Kind::Read {
            self.kind = Kind::Refused;
        }
        if let Some(arn) = &denied.resource {
            self.refused_on(arn.clone());
        }
        self.denied = true;
        self.grant = denied.deny.as_ref().map(|deny| deny.by.clone());
    }

    /// Another thing that is acted on.
    pub fn acts_on(&mut self, arn: String) {
        self.resource.get_or_insert_with(|| arn.clone());
        if !self.resources.contains(&arn) {
            self.resources.push(arn);
        }
    }

    /// The thing that it is refused for, whatever allowed the rest.
    pub fn refused_on(&mut self, arn: String) {
        self.grant = None;
        self.resource = Some(arn.clone());
        self.acts_on(arn);
    }

    /// The thing that was made; it takes the place of the whole in which it was made.
    pub fn makes(&mut self, arn: String) {
        let holds_it = |whole: &String| arn.strip_prefix(whole.as_str()).is_some_and(|rest| rest.starts_with('/'));
        self.resources.retain(|whole| !holds_it(whole));
        self.resource.take_if(|whole| holds_it(whole));
        self.acts_on(arn);
    }

    /// Who it is, once that is proved.
    pub fn identified(&mut self, caller: &Caller) {
        self.caller = Some((caller.account.to_string(), caller.principal.to_string()));
        self.access_key = caller.access_key.as_ref().map(AccessKeyId::to_string);
        if let Some(bearer) = &caller.bearer {
            self.token = Some(bearer.row.accessor.clone());
        }
    }

    /// From now on the request runs.
    pub fn becomes(&mut self, kind: Kind) {
        self.kind = kind;
    }

    /// Whether nobody knows whose request it is.
    pub fn is_a_strangers(&self) -> bool {
        self.caller.is_none()
    }

    /// Whether the request was refused before it ran.
    pub fn is_refusal(&self) -> bool {
        self.kind == Kind::Refused
    }

    /// Whether it is a write that ran, and left no mark of an effect.
    pub fn is_without_effect(&self) -> bool {
        self.kind == Kind::Outcome && !self.marked
    }

    /// The record, with the result's code once there is one.
    pub fn record<'a>(&'a self, code: Option<&'a str>) -> Record<'a> {
        let decision = if self.is_refusal() || self.denied { Verdict::Refused } else { Verdict::Allowed };
        Record {
            account: self.caller.as_ref().map(|(account, _)| account.as_str()),
            principal: self.caller.as_ref().map(|(_, principal)| principal.as_str()),
            access_key: self.access_key.as_deref(),
            token: self.token.as_deref(),
            via: self.via,
            source_ip: Some(self.source_ip),
            resource: self.resource.as_deref(),
            resources: if self.resources.len() > 1 { &self.resources } else { &[] },
            version: self.version.as_deref(),
            version_id: self.version_id.as_deref(),
            decision: Some(decision),
            by: self.grant.as_deref(),
            code,
            ..Record::new(self.kind, self.request_id, &self.action)
        }
    }
}
