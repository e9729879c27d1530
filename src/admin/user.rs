//! `bulla user`: users of an account.

use crate::admin::{Session, present, refuse, unless_taken};
use crate::app::Failure;
use crate::auth::policy::ResourcePolicy;
use crate::base::ids::{AccountId, UserId, UserName};
use crate::cli::{Scope, User};
use crate::output::{Output, Row};
use crate::store::{Abort, Tx, UserRow};

/// Runs the command.
pub fn run(session: &Session, scope: &Scope, action: User) -> Result<Output, Failure> {
    let account = session.account(scope)?.id;
    match action {
        User::Create { name } => create(session, &account, name),
        User::List => list(session, &account),
        User::Show { name } => show(session, &account, &name),
        User::Enable { name } => set_enabled(session, &account, &name, true),
        User::Disable { name } => set_enabled(session, &account, &name, false),
        User::Delete { name } => delete(session, &account, &name),
    }
}

/// A user of an account.
pub fn find(tx: &mut Tx<'_>, account: &AccountId, name: &UserName) -> Result<UserRow, Abort<Failure>> {
    let found = tx.user_by_name(account, name)?;
    present(found, "user", name, "bulla user list")
}

/// The policies of a user: name and kind.
pub fn policies(tx: &mut Tx<'_>, user: &UserRow) -> Result<Vec<(String, &'static str)>, Abort<Failure>> {
    let kind = |system| if system { "System" } else { "Custom" };
    Ok(tx
        .attachments_of(&user.account_id, &user.id)?
        .into_iter()
        .map(|a| (a.policy_name.to_string(), kind(a.system)))
        .collect())
}

/// The names of a user's policies.
fn policy_names(tx: &mut Tx<'_>, user: &UserRow) -> Result<Vec<String>, Abort<Failure>> {
    Ok(policies(tx, user)?.into_iter().map(|(name, _)| name).collect())
}

fn list(session: &Session, account: &AccountId) -> Result<Output, Failure> {
    session.read(|tx| {
        let mut rows = Vec::new();
        for user in tx.users_of(account)? {
            let mut shown = row(&user);
            shown.push(("Policies", policy_names(tx, &user)?.into()));
            rows.push(shown);
        }
        Ok(Output::List(rows))
    })
}

fn show(session: &Session, account: &AccountId, name: &UserName) -> Result<Output, Failure> {
    session.read(|tx| {
        let user = find(tx, account, name)?;
        let keys = tx.access_keys_of(account, Some(&user.id))?;
        let of = |enabled: bool| -> Vec<String> {
            keys.iter().filter(|key| key.enabled == enabled).map(|key| key.id.to_string()).collect()
        };
        let mut shown = row(&user);
        shown.extend(Output::row([
            ("Policies", policy_names(tx, &user)?.into()),
            ("AccessKeys", of(true).into()),
            ("DisabledAccessKeys", of(false).into()),
        ]));
        Ok(Output::One(shown))
    })
}

fn create(session: &Session, account: &AccountId, name: UserName) -> Result<Output, Failure> {
    let user = UserRow { id: UserId::new(), account_id: account.clone(), name, enabled: true, created_at: session.now() };
    session.change("CreateUser", user.name.as_str(), |tx| {
        unless_named(tx, account, &user.name)?;
        unless_taken(tx.user_insert(&user), "a user of this name", "`bulla user list` shows what there is")
    })?;
    Ok(Output::One(row(&user)))
}

fn set_enabled(session: &Session, account: &AccountId, name: &UserName, enabled: bool) -> Result<Output, Failure> {
    let action = if enabled { "EnableUser" } else { "DisableUser" };
    session.change(action, name.as_str(), |tx| {
        let old = find(tx, account, name)?;
        let new = UserRow { enabled, ..old.clone() };
        tx.user_update(&old, &new)?;
        if !enabled {
            // For good: whoever is enabled again logs in again.
            tx.bearer_tokens_end(account, |token| token.user_id == Some(old.id))?;
        }
        Ok(Output::One(row(&new)))
    })
}

fn delete(session: &Session, account: &AccountId, name: &UserName) -> Result<Output, Failure> {
    session.change("DeleteUser", name.as_str(), |tx| {
        let user = find(tx, account, name)?;
        unless_named(tx, account, name)?;
        for key in tx.access_keys_of(account, Some(&user.id))? {
            tx.access_key_delete(&key.id)?;
        }
        for attachment in tx.attachments_of(&user.account_id, &user.id)? {
            tx.attachment_delete(&attachment)?;
        }
        tx.user_delete(&user.id)?;
        Ok(Output::One(row(&user)))
    })
}

/// Refuses to delete or to make a user that the policy of a secret or key names: whoever gets the name would inherit what it says.
fn unless_named(tx: &mut Tx<'_>, account: &AccountId, name: &UserName) -> Result<(), Abort<Failure>> {
    let mut naming = Vec::new();
    for resource in tx.resources_with_policy(account)? {
        let Some(row) = tx.resource_policy(account, &resource)? else { continue };
        let names = ResourcePolicy::parse(&row.document).map(|policy| policy.names_user(account.as_str(), name.as_str()));
        if names.unwrap_or(true) {
            naming.push(resource);
        }
    }
    if naming.is_empty() {
        return Ok(());
    }
    Err(refuse(format!("user \"{name}\" is named by the policy of {}; change that first", naming.join(", "))))
}

fn row(user: &UserRow) -> Row {
    Output::row([
        ("UserName", user.name.to_string().into()),
        ("Enabled", user.enabled.into()),
        ("CreateTime", user.created_at.to_string().into()),
    ])
}
