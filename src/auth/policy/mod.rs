//! RAM policies: documents that say who may do what, and the decision they lead to.
//!
//! Owns: the grammar of a document (`parse`), wildcards (`pattern`), conditions (`condition`), the system policies (`system`),
//! the policies of single secrets and keys (`resource`) and the evaluation below. Must not know: where policies are stored, who has which. Called by: auth, for every request.
//!
//! Sources: the pages "Policy structure and syntax" and "Policy evaluation process" of Resource Access Management (RAM).
//!
//! A document is read completely when it is parsed: what cannot be understood is refused then, never skipped at evaluation.
//! Evaluation allocates nothing.

mod condition;
mod json;
mod parse;
mod pattern;
mod resource;
mod system;
mod unmatched;

use std::fmt;
use std::net::IpAddr;

pub use resource::{Asking, ResourcePolicy, default_document};
pub use system::{SYSTEM_POLICIES, system_policy};
pub use unmatched::nearest;

use self::condition::Condition;
use self::pattern::Pattern;
use crate::base::clock::Timestamp;

/// The longest document, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 32_768;

/// A parsed document.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    statements: Vec<Statement>,
}

/// One statement: it applies when action, resource and every condition match.
#[derive(Debug, Clone, PartialEq)]
struct Statement {
    effect: Effect,
    /// Lower case; compared with the request's action without regard to case.
    actions: Vec<Pattern>,
    resources: Vec<Pattern>,
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Allow,
    Deny,
}

/// Why a document is refused, in words for the administrator who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    place: String,
    reason: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() { f.write_str(&self.reason) } else { write!(f, "{}: {}", self.place, self.reason) }
    }
}

impl std::error::Error for PolicyError {}

impl Policy {
    /// Reads a document.
    ///
    /// # Errors
    /// The first thing that is wrong: which statement, which member, what was expected.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        parse::policy(text)
    }

    /// Whether a condition asks for tags of the resource.
    pub fn reads_tags(&self) -> bool {
        self.statements.iter().any(Statement::reads_tags)
    }
}

/// What is asked: may this be done to that, under these circumstances?
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `<service>:<operation>`, e.g. `kms:CreateSecret`.
    pub action: &'a str,
    /// The ARN of what it is done to.
    pub resource: &'a str,
    /// What conditions look at.
    pub conditions: &'a Conditions<'a>,
}

/// The values of a request that conditions may ask for.
#[derive(Debug, Clone, Copy)]
pub struct Conditions<'a> {
    /// `acs:SourceIp`: the client's address.
    pub source_ip: IpAddr,
    /// `acs:CurrentTime`: when the request was received; conditions see whole seconds.
    pub current_time: Timestamp,
    /// `acs:SecureTransport`: whether it came over TLS.
    pub secure_transport: bool,
    /// Further keys and their values, e.g. `kms:tag/Project`. A key that stands here several times has several values.
    pub extra: &'a [(String, String)],
}

/// What the policies say; `by` is the name of the policy that decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision<'p> {
    /// A statement allows it and none denies it.
    Allowed {
        /// The first policy that allows it.
        by: &'p str,
    },
    /// A statement denies it, whatever others allow.
    Denied {
        /// The first policy that denies it.
        by: &'p str,
    },
    /// No statement speaks of it, so it is not allowed.
    NotAllowed,
}

/// Decides over named policies. Their order changes nothing but the name in `by`.
pub fn evaluate<'p>(policies: impl IntoIterator<Item = (&'p str, &'p Policy)>, request: &Request<'_>) -> Decision<'p> {
    let mut decision = Decision::NotAllowed;
    for (by, policy) in policies {
        for statement in policy.statements.iter().filter(|s| s.applies(request)) {
            match (statement.effect, decision) {
                (Effect::Deny, _) => return Decision::Denied { by },
                (Effect::Allow, Decision::NotAllowed) => decision = Decision::Allowed { by },
                (Effect::Allow, _) => {}
            }
        }
    }
    decision
}

impl Statement {
    fn reads_tags(&self) -> bool {
        self.conditions.iter().any(Condition::reads_tags)
    }

    fn applies(&self, request: &Request<'_>) -> bool {
        self.actions.iter().any(|a| a.matches_ignoring_case(request.action))
            && self.resources.iter().any(|r| r.matches(request.resource))
            && self.conditions.iter().all(|c| c.holds(request.conditions))
    }
}

#[cfg(test)]
mod tests;
