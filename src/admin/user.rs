//! `bulla user`: users of an account.

use crate::admin::output::{Output, Row};
use crate::admin::{Session, present, unless_taken};
use crate::app::Failure;
use crate::base::ids::{AccountId, UserId, UserName};
use crate::cli::{Scope, User};
use crate::store::{Abort, Tx, UserRow};

/// Runs the command.
pub fn run(session: &Session, scope: &Scope, action: User) -> Result<Output, Failure> {
    let account = session.account(scope)?.id;
    match action {
        User::Create { name } => create(session, &account, name),
        User::List => session.read(|tx| Ok(Output::List(tx.users_of(&account)?.iter().map(row).collect()))),
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

fn create(session: &Session, account: &AccountId, name: UserName) -> Result<Output, Failure> {
    let user = UserRow { id: UserId::new(), account_id: account.clone(), name, enabled: true, created_at: session.now() };
    session.change("CreateUser", user.name.as_str(), |tx| unless_taken(tx.user_insert(&user), "a user of this name"))?;
    Ok(Output::One(row(&user)))
}

fn set_enabled(session: &Session, account: &AccountId, name: &UserName, enabled: bool) -> Result<Output, Failure> {
    let action = if enabled { "EnableUser" } else { "DisableUser" };
    session.change(action, name.as_str(), |tx| {
        let old = find(tx, account, name)?;
        let new = UserRow { enabled, ..old.clone() };
        tx.user_update(&old, &new)?;
        Ok(Output::One(row(&new)))
    })
}

fn delete(session: &Session, account: &AccountId, name: &UserName) -> Result<Output, Failure> {
    session.change("DeleteUser", name.as_str(), |tx| {
        let user = find(tx, account, name)?;
        for key in tx.access_keys_of(account, Some(&user.id))? {
            tx.access_key_delete(&key.id)?;
        }
        for attachment in tx.attachments_of(&user.id)? {
            tx.attachment_delete(&attachment)?;
        }
        tx.user_delete(&user.id)?;
        Ok(Output::One(row(&user)))
    })
}

fn row(user: &UserRow) -> Row {
    Output::row([
        ("UserName", user.name.to_string().into()),
        ("Enabled", user.enabled.into()),
        ("CreateTime", user.created_at.to_string().into()),
    ])
}
