//! `bulla policy`: policies, and who has them.

use std::path::Path;

use crate::admin::output::{Output, Row};
use crate::admin::{Session, present, refuse, unless_taken, user};
use crate::app::{Failure, context};
use crate::auth::policy::{self, SYSTEM_POLICIES};
use crate::base::ids::{AccountId, PolicyName, UserName};
use crate::cli::{Policy, Scope};
use crate::store::{Abort, AttachmentRow, PolicyRow, Tx};

/// Runs the command.
pub fn run(session: &Session, scope: &Scope, action: Policy) -> Result<Output, Failure> {
    let account = session.account(scope)?.id;
    match action {
        Policy::Create { name, document } => create(session, &account, name, &document),
        Policy::List => list(session, &account),
        Policy::Delete { name } => delete(session, &account, &name),
        Policy::Attach { name, user } => attach(session, &account, &name, &user),
        Policy::Detach { name, user } => detach(session, &account, &name, &user),
    }
}

fn create(session: &Session, account: &AccountId, name: PolicyName, file: &Path) -> Result<Output, Failure> {
    if policy::system_policy(name.as_str()).is_some() {
        return Err(Failure::new(format!("{name} is the name of a system policy")));
    }
    let document = std::fs::read_to_string(file).map_err(context(file.display()))?;
    policy::Policy::parse(&document).map_err(context(file.display()))?;
    let row = PolicyRow { account_id: account.clone(), name, document, created_at: session.now() };
    session.change("CreatePolicy", row.name.as_str(), |tx| unless_taken(tx.policy_insert(&row), "a policy of this name"))?;
    Ok(Output::One(shown(row.name.as_str(), "Custom")))
}

fn list(session: &Session, account: &AccountId) -> Result<Output, Failure> {
    session.read(|tx| {
        let own = tx.policies_of(account)?;
        let own = own.iter().map(|p| shown(p.name.as_str(), "Custom"));
        Ok(Output::List(own.chain(SYSTEM_POLICIES.iter().map(|(name, _)| shown(name, "System"))).collect()))
    })
}

fn delete(session: &Session, account: &AccountId, name: &PolicyName) -> Result<Output, Failure> {
    session.change("DeletePolicy", name.as_str(), |tx| {
        if !tx.attachments_of_policy(account, name)?.is_empty() {
            return Err(refuse("the policy is still attached; detach it first"));
        }
        let deleted = tx.policy_delete(account, name)?;
        present(deleted.then_some(()), "policy", name, "bulla policy list")?;
        Ok(Output::One(shown(name.as_str(), "Custom")))
    })
}

fn attach(session: &Session, account: &AccountId, name: &PolicyName, user: &UserName) -> Result<Output, Failure> {
    session.change("AttachPolicy", &format!("{name} to {user}"), |tx| {
        let attachment = attachment(tx, account, name, user)?;
        if !attachment.system {
            let row = tx.policy_by_name(account, name)?;
            present(row, "policy", name, "bulla policy list")?;
        }
        unless_taken(tx.attachment_insert(&attachment), "this attachment")?;
        Ok(Output::One(attached(name, user)))
    })
}

fn detach(session: &Session, account: &AccountId, name: &PolicyName, user: &UserName) -> Result<Output, Failure> {
    session.change("DetachPolicy", &format!("{name} from {user}"), |tx| {
        let attachment = attachment(tx, account, name, user)?;
        let deleted = tx.attachment_delete(&attachment)?;
        present(deleted.then_some(()), "attachment of policy", name, "bulla user show USER")?;
        Ok(Output::One(attached(name, user)))
    })
}

fn attachment(
    tx: &mut Tx<'_>,
    account: &AccountId,
    name: &PolicyName,
    user: &UserName,
) -> Result<AttachmentRow, Abort<Failure>> {
    Ok(AttachmentRow {
        user_id: user::find(tx, account, user)?.id,
        system: policy::system_policy(name.as_str()).is_some(),
        policy_name: name.clone(),
        account_id: account.clone(),
    })
}

fn shown(name: &str, kind: &str) -> Row {
    Output::row([("PolicyName", name.into()), ("PolicyType", kind.into())])
}

fn attached(name: &PolicyName, user: &UserName) -> Row {
    Output::row([("PolicyName", name.to_string().into()), ("UserName", user.to_string().into())])
}
