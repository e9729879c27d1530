//! What a caller may do.
//!
//! Owns: how RAM policies and the policy of a single secret or key are combined. Must not know: operations, how policies are
//! written. Called by: api for every request; keys and secrets for the use of a key.
//!
//! Source of the rules: the page "Policy evaluation process" of RAM, and the pages of SetSecretPolicy and SetKeyPolicy. A Deny
//! anywhere refuses, the account's root too; else an Allow in either kind of policy is enough, and the root needs none. Resources of
//! another account are refused: what its own policy would allow there is not served.
//!
//! Nothing is looked up but the policy itself, and the tags where a policy asks for them, both under the name that the caller gave:
//! who is refused learns nothing of what exists.

use crate::auth::caller::Caller;
use crate::auth::policy::{self, Conditions, Decision, Requester, ResourcePolicy};
use crate::auth::principal::Principal;
use crate::base::ids::{Home, KeyId, SecretName};
use crate::error::{Denied, Deny, Error};
use crate::store::{Abort, Tagged, Tx};

/// The value of [`ENCRYPTION_ALGORITHM`](policy::ENCRYPTION_ALGORITHM) for symmetric keys.
pub const SYMMETRIC_DEFAULT: &str = "SYMMETRIC_DEFAULT";

/// The resource of actions that are about nothing in particular; it belongs to no account, so that only `*` matches it.
pub const EVERYTHING: &str = "*";

/// How an access point stands in the policy of a resource: what is denied to the whole account is denied to it, and no user's name,
/// which has no slash, is its own.
const NO_USER: &str = "access-point/";

/// Why something is allowed: the policy's name, or `root`.
pub type Grant = String;

/// What conditions of policies can ask of a request, beside what is true of every request: names and values.
pub type Facts<'a> = &'a [(&'static str, &'a str)];

/// The same, with those that were looked up.
type Known = Vec<(String, String)>;

impl Caller {
    /// Asks the policies whether an action (`kms:GetSecretValue`) on a resource (`secret/NAME`, `key/ID`) is allowed.
    ///
    /// # Errors
    /// [`Error::NoPermission`], the same whether the resource exists or not. [`Error::Integrity`] when a policy does not verify and
    /// [`Error::Unavailable`] when it cannot be read.
    pub fn authorise(&self, action: &str, home: Option<&Home>, relative: &str) -> Result<Grant, Error> {
        self.authorise_given(action, home, relative, &[])
    }

    /// The same for a request of which more is known.
    ///
    /// # Errors
    /// As [`Caller::authorise`].
    pub fn authorise_given(&self, action: &str, home: Option<&Home>, relative: &str, facts: Facts<'_>) -> Result<Grant, Error> {
        if home.is_some_and(|h| h.account != self.account.as_str()) {
            return Err(self.denied(action));
        }
        let own_policy =
            self.have_own_policy.contains(relative) && ResourcePolicy::speaks_of(relative, action, self.requester());
        if !own_policy && self.principal == Principal::Root {
            return Ok(Principal::Root.to_string());
        }
        if !own_policy && !self.policies.iter().any(|attached| attached.policy.reads_tags()) {
            return self.combined(action, home, relative, owned(facts), None);
        }
        let (own, tags) = self.look_up(relative, own_policy)?;
        let known = owned(facts).into_iter().chain(tags).collect();
        self.combined(action, home, relative, known, own.as_ref())
    }

    /// The refusal of an action to this caller.
    pub fn denied(&self, action: &str) -> Error {
        self.refused(action, None)
    }

    fn refused(&self, action: &str, deny: Option<Deny>) -> Error {
        let (principal, account) = (self.principal.to_string(), self.account.to_string());
        Error::NoPermission(Box::new(Denied { action: action.to_owned(), principal, account, deny, resource: None }))
    }

    fn requester(&self) -> Requester<'_> {
        let user = match &self.principal {
            Principal::Root => None,
            Principal::User(name) => Some(name.as_str()),
            Principal::AccessPoint(_) => Some(NO_USER),
        };
        Requester { account: self.account.as_str(), user }
    }

    /// The resource's own policy, and its tags if any policy asks for them.
    fn look_up(&self, relative: &str, own_policy: bool) -> Result<(Option<ResourcePolicy>, Known), Error> {
        self.store.read("authorise", |tx| {
            let row = if own_policy { tx.resource_policy(&self.account, relative)? } else { None };
            let broken =
                || Abort::App(Error::Integrity(format!("the policy of {relative} of {} does not parse", self.account)));
            let own = row.map(|row| ResourcePolicy::parse(&row.document).map_err(|_| broken())).transpose()?;
            let by_user = self.policies.iter().any(|attached| attached.policy.reads_tags());
            let tags = if by_user || own.as_ref().is_some_and(ResourcePolicy::reads_tags) {
                tags_of(tx, self, relative)?
            } else {
                Vec::new()
            };
            Ok((own, tags))
        })
    }

    /// The decision of all policies together.
    fn combined(
        &self,
        action: &str,
        home: Option<&Home>,
        relative: &str,
        facts: Known,
        own: Option<&ResourcePolicy>,
    ) -> Result<Grant, Error> {
        let conditions = Conditions {
            source_ip: self.source_ip,
            current_time: self.received_at,
            secure_transport: self.secure,
            extra: &facts,
        };
        let resource = if relative == EVERYTHING { relative.to_owned() } else { self.arn(home, relative) };
        let request = policy::Request { action, resource: &resource, conditions: &conditions };
        let by_account = match self.principal {
            Principal::Root => Decision::Allowed { by: "root" },
            Principal::User(_) | Principal::AccessPoint(_) => {
                policy::evaluate(self.policies.iter().map(|a| (a.name.as_str(), a.policy.as_ref())), &request)
            }
        };
        let by_resource = own.map_or(Decision::NotAllowed, |own| own.decide(self.requester(), &request));
        let allows =
            |decision: Decision<'_>| matches!(decision, Decision::Allowed { .. } | Decision::Denied { otherwise: true, .. });
        match (by_account, by_resource) {
            (Decision::Denied { by, .. }, _) | (_, Decision::Denied { by, .. }) => {
                let deny = Deny { by: by.to_owned(), told: allows(by_account) || allows(by_resource) };
                Err(self.refused(action, Some(deny)))
            }
            (Decision::Allowed { by }, _) | (_, Decision::Allowed { by }) => Ok(by.to_owned()),
            (Decision::NotAllowed, Decision::NotAllowed) => Err(self.denied(action)),
        }
    }
}

fn owned(facts: Facts<'_>) -> Known {
    facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The tags of what has this name in the caller's account, as conditions know them; none where there is no such thing.
fn tags_of(tx: &mut Tx<'_>, caller: &Caller, relative: &str) -> Result<Known, Abort<Error>> {
    let on = match relative.split_once('/') {
        Some(("secret", name)) => match name.parse::<SecretName>() {
            Ok(name) => tx.secret_by_name(&caller.account, &name)?.map(|secret| Tagged::Secret(secret.id)),
            Err(_) => None,
        },
        Some(("key", id)) => match id.parse::<KeyId>() {
            Ok(id) => tx.key_by_id(&id)?.filter(|key| key.account_id == caller.account).map(|key| Tagged::Key(key.id)),
            Err(_) => None,
        },
        _ => None,
    };
    let Some(on) = on else { return Ok(Vec::new()) };
    Ok(tx.tags_of(on)?.into_iter().map(|tag| (format!("kms:tag/{}", tag.tag_key), tag.tag_value)).collect())
}
