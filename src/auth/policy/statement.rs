//! One statement of a policy.
//!
//! Owns: what a statement holds, and whether it applies to a request. Must not know: how it was written, whom it is about.
//! Called by: policy, parse, resource.

use super::condition::{Condition, Conditions};
use super::pattern::Pattern;

/// One statement: it applies when action, resource and every condition match.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Statement {
    pub(super) effect: Effect,
    /// Lower case; compared with the request's action without regard to case.
    pub(super) actions: Vec<Pattern>,
    pub(super) resources: Vec<Pattern>,
    pub(super) conditions: Vec<Condition>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
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

impl Statement {
    /// Whether a condition asks for tags of the resource.
    pub(super) fn reads_tags(&self) -> bool {
        self.conditions.iter().any(Condition::reads_tags)
    }

    /// Whether action, resource and every condition match.
    pub(super) fn applies(&self, request: &Request<'_>) -> bool {
        self.actions.iter().any(|a| a.matches_ignoring_case(request.action))
            && self.resources.iter().any(|r| r.matches(request.resource))
            && self.conditions.iter().all(|c| c.holds(request.conditions))
    }
}
