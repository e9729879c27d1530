//! RAM policies: documents that say who may do what, and the decision they lead to.
//!
//! Owns: the grammar of a document (`parse`), wildcards (`pattern`), conditions (`condition`), the system policies (`system`),
//! the policies of single secrets and keys (`resource`) and the evaluation below. Must not know: where policies are stored, who
//! has which. Called by: auth, for every request.
//!
//! Sources: the pages "Policy structure and syntax" and "Policy evaluation process" of Resource Access Management (RAM).
//!
//! A document is read completely when it is parsed: what cannot be understood is refused then, never skipped at evaluation.
//! Evaluation allocates nothing.

mod condition;
mod error;
mod json;
mod parse;
mod pattern;
mod resource;
mod statement;
mod system;
mod unmatched;

pub use condition::{Conditions, ENCRYPTION_ALGORITHM};
pub use error::PolicyError;
pub use parse::MAX_DOCUMENT_BYTES;
pub use resource::{RESOURCE_POLICY, Requester, ResourcePolicy, default_document};
pub use statement::Request;
pub use system::{SYSTEM_POLICIES, system_policy};
pub use unmatched::nearest;

use statement::{Effect, Statement};

/// A parsed document.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    statements: Vec<Statement>,
}

impl Policy {
    /// Reads a document.
    ///
    /// # Errors
    /// The first thing that is wrong: which statement, which member, what was expected.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        Ok(Self { statements: parse::document(text, parse::statement)? })
    }

    /// Whether a condition asks for tags of the resource.
    pub fn reads_tags(&self) -> bool {
        self.statements.iter().any(Statement::reads_tags)
    }
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
        /// Whether another statement allows it.
        otherwise: bool,
    },
    /// No statement speaks of it, so it is not allowed.
    NotAllowed,
}

/// Decides over named policies. Their order changes nothing but the name in `by`.
pub fn evaluate<'p>(policies: impl IntoIterator<Item = (&'p str, &'p Policy)>, request: &Request<'_>) -> Decision<'p> {
    let (mut denied, mut allowed) = (None, None);
    for (by, policy) in policies {
        for statement in policy.statements.iter().filter(|s| s.applies(request)) {
            match statement.effect {
                Effect::Deny => denied.get_or_insert(by),
                Effect::Allow => allowed.get_or_insert(by),
            };
        }
    }
    Decision::of(denied, allowed)
}

impl<'p> Decision<'p> {
    /// What follows from the first that denies and the first that allows.
    fn of(denied: Option<&'p str>, allowed: Option<&'p str>) -> Self {
        match (denied, allowed) {
            (Some(by), allowed) => Decision::Denied { by, otherwise: allowed.is_some() },
            (None, Some(by)) => Decision::Allowed { by },
            (None, None) => Decision::NotAllowed,
        }
    }
}

#[cfg(test)]
mod tests;
