//! The policy of one secret or key: who may do what with it.
//!
//! Owns: the grammar of such a document beyond that of RAM policies (principals), and what it decides. Must not know: where it is
//! stored. Called by: auth, for a secret or key that has a policy of its own; api, which reads what a caller sets.
//!
//! Source of the rules: the pages of SetSecretPolicy and SetKeyPolicy. A statement that allows something to the whole account leaves
//! the choice to the account's RAM policies, as the default policy does; one that denies something denies it to everyone there.
//! Principals of other accounts and roles are understood and match nobody.

use super::error::PolicyError;
use super::json::Json;
use super::parse::{action_pattern, document, members, one_or_more, patterns, required, statement_of};
use super::pattern::Pattern;
use super::statement::{Effect, Request, Statement};
use crate::base::words::ResourceType;

use super::Decision;

/// What audit records name when such a policy decides; no RAM policy's name has a space.
pub const RESOURCE_POLICY: &str = "resource policy";

/// Longest name of a statement, characters.
const MAX_SID: usize = 128;

/// What such a policy of a secret has a say in. Other actions may be written and have no effect.
const ON_SECRETS: [&str; 10] = [
    "kms:list*",
    "kms:describe*",
    "kms:getsecretvalue",
    "kms:putsecretvalue",
    "kms:update*",
    "kms:deletesecret",
    "kms:restoresecret",
    "kms:rotatesecret",
    "kms:tagresource*",
    "kms:untagresource*",
];

/// A parsed document.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourcePolicy {
    statements: Vec<(Vec<Principal>, Statement)>,
}

/// Whom a statement is about.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Principal {
    account: Box<str>,
    who: Who,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Who {
    /// `*` and `root`: the account with all its users.
    Account,
    /// `user/NAME`.
    User(Box<str>),
    /// `role/NAME`; there are no roles here.
    Role,
}

/// Who asks: a user of an account, or its root.
#[derive(Debug, Clone, Copy)]
pub struct Requester<'a> {
    /// The account.
    pub account: &'a str,
    /// The user's name; none for the root.
    pub user: Option<&'a str>,
}

impl ResourcePolicy {
    /// Reads a document.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        Ok(Self { statements: document(text, statement)? })
    }

    /// Whether a policy of this resource (`secret/NAME`, `key/ID`) has a say in an action of this caller at all. Nobody can lock an
    /// account out of a key's policy: its root reads and sets it whatever the policy says. A secret's policy never has a say in
    /// that.
    pub fn speaks_of(relative: &str, action: &str, requester: Requester<'_>) -> bool {
        if relative.starts_with("secret/") {
            return ON_SECRETS.iter().any(|known| Pattern::new(known).matches_ignoring_case(action));
        }
        requester.user.is_some() || !["kms:SetKeyPolicy", "kms:GetKeyPolicy"].contains(&action)
    }

    /// What the policy says to a request.
    pub fn decide(&self, requester: Requester<'_>, request: &Request<'_>) -> Decision<'static> {
        let (mut denied, mut allowed) = (None, None);
        for (principals, statement) in &self.statements {
            if !principals.iter().any(|p| p.is(requester, statement.effect)) || !statement.applies(request) {
                continue;
            }
            match statement.effect {
                Effect::Deny => denied = Some(RESOURCE_POLICY),
                Effect::Allow => allowed = Some(RESOURCE_POLICY),
            }
        }
        Decision::of(denied, allowed)
    }

    /// Whether a statement is about this user of the account.
    pub fn names_user(&self, account: &str, user: &str) -> bool {
        let is = |p: &Principal| *p.account == *account && p.who == Who::User(user.into());
        self.statements.iter().any(|(principals, _)| principals.iter().any(is))
    }

    /// Whether a condition asks for tags of the resource.
    pub fn reads_tags(&self) -> bool {
        self.statements.iter().any(|(_, statement)| statement.reads_tags())
    }
}

/// The policy of what has none of its own: the account's RAM policies decide.
pub fn default_document(kind: ResourceType, account: &str) -> String {
    format!(
        "{{\"Version\":\"1\",\"Statement\":[{{\"Sid\":\"kms default {kind} policy\",\"Effect\":\"Allow\",\
         \"Principal\":{{\"RAM\":[\"acs:ram::{account}:*\"]}},\"Action\":[\"kms:*\"],\"Resource\":[\"*\"]}}]}}"
    )
}

impl Principal {
    fn is(&self, requester: Requester<'_>, effect: Effect) -> bool {
        *self.account == *requester.account
            && match &self.who {
                Who::Account => effect == Effect::Deny,
                Who::User(name) => requester.user == Some(name),
                Who::Role => false,
            }
    }
}

fn statement(json: Json) -> Result<(Vec<Principal>, Statement), PolicyError> {
    let [sid, effect, principal, action, resource, condition] =
        members(json, ["Sid", "Effect", "Principal", "Action", "Resource", "Condition"])?;
    if let Some(sid) = sid {
        check_sid(&sid).map_err(|e| e.within("Sid"))?;
    }
    let principals = principals(required(principal, "Principal")?).map_err(|e| e.within("Principal"))?;
    let actions = patterns(required(action, "Action")?, kms_action).map_err(|e| e.within("Action"))?;
    let resources = patterns(required(resource, "Resource")?, itself).map_err(|e| e.within("Resource"))?;
    Ok((principals, statement_of(effect, actions, resources, condition)?))
}

/// A name for people. The documented characters have no space, the documented examples do.
fn check_sid(sid: &Json) -> Result<(), PolicyError> {
    let Json::Text(sid) = sid else { return Err(PolicyError::expected("a string", sid)) };
    let good = |c: char| c.is_ascii_alphanumeric() || "_/+=.@- ".contains(c);
    if sid.chars().count() <= MAX_SID && sid.chars().all(good) {
        Ok(())
    } else {
        Err(PolicyError::new(format!("must be at most {MAX_SID} letters, digits, spaces and _/+=.@-")))
    }
}

/// `{"RAM": one or more of acs:ram::<account>:…}`.
fn principals(json: Json) -> Result<Vec<Principal>, PolicyError> {
    let [ram] = members(json, ["RAM"])?;
    one_or_more(required(ram, "RAM")?)?
        .iter()
        .map(|item| match item {
            Json::Text(text) => principal(text).ok_or_else(|| {
                PolicyError::new(format!(
                    "{text:?} is not of the form acs:ram::<account>:*, :root, :user/<name> or :role/<name>"
                ))
            }),
            other => Err(PolicyError::expected("a string", other)),
        })
        .collect()
}

fn principal(text: &str) -> Option<Principal> {
    let (account, who) = text.strip_prefix("acs:ram::")?.split_once(':')?;
    let named = |name: &str| !name.is_empty() && !name.contains(['*', '?', ':', '/']);
    let who = match who.split_once('/') {
        None if who == "*" || who == "root" => Who::Account,
        Some(("user", name)) if named(name) => Who::User(name.into()),
        Some(("role", name)) if named(name) => Who::Role,
        _ => return None,
    };
    let digits = !account.is_empty() && account.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| Principal { account: account.into(), who })
}

fn kms_action(text: &str) -> Result<Pattern, PolicyError> {
    if text.starts_with("kms:") { action_pattern(text) } else { Err(PolicyError::new(format!("{text:?} does not begin kms:"))) }
}

/// The policy is about what it is set on, and nothing else.
fn itself(text: &str) -> Result<Pattern, PolicyError> {
    if text == "*" {
        Ok(Pattern::new(text))
    } else {
        Err(PolicyError::new("must be \"*\", which is what the policy is set on"))
    }
}

#[cfg(test)]
mod tests;
