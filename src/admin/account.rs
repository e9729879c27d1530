//! `bulla account`: tenants.

use crate::admin::{Session, access_key, present, unless_needed, unless_taken};
use crate::app::Failure;
use crate::base::ids::{AccountId, UserName};
use crate::cli::Account;
use crate::output::{Output, Row};
use crate::store::{Abort, AccountRow, Tx};

/// Runs the command.
pub fn run(session: &Session, action: Account) -> Result<Output, Failure> {
    match action {
        Account::Create { name } => create(session, &name),
        Account::List => session.read(|tx| Ok(Output::List(tx.accounts()?.iter().map(row).collect()))),
        Account::Enable { account } => set_enabled(session, &account, true),
        Account::Disable { account } => set_enabled(session, &account, false),
        Account::Delete { account } => delete(session, &account),
    }
}

/// An account by id or name.
pub fn find(tx: &mut Tx<'_>, name: &str) -> Result<AccountRow, Abort<Failure>> {
    if let Ok(id) = name.parse::<AccountId>()
        && let Some(found) = tx.account_by_id(&id)?
    {
        return Ok(found);
    }
    let found = tx.account_by_name(name)?;
    present(found, "account", name, "bulla account list")
}

/// Makes an account with a root access key. The access key's secret is in the output, and nowhere else.
pub fn create(session: &Session, name: &UserName) -> Result<Output, Failure> {
    let now = session.now();
    let account = AccountRow { id: AccountId::random(), name: name.to_string(), enabled: true, created_at: now };
    let (key, secret) = access_key::issue(session, &account.id, None)?;
    session.change("CreateAccount", name.as_str(), |tx| {
        unless_taken(tx.account_insert(&account), "an account of this name", "`bulla account list` shows what there is")?;
        Ok(tx.access_key_insert(&key)?)
    })?;
    let mut shown = row(&account);
    shown.extend(access_key::shown_once(&key, &secret));
    Ok(Output::One(shown))
}

fn set_enabled(session: &Session, name: &str, enabled: bool) -> Result<Output, Failure> {
    let action = if enabled { "EnableAccount" } else { "DisableAccount" };
    session.change(action, name, |tx| {
        let old = find(tx, name)?;
        let new = AccountRow { enabled, ..old.clone() };
        tx.account_update(&old, &new)?;
        if !enabled {
            tx.bearer_tokens_end(&old.id, |_| true)?;
        }
        Ok(Output::One(row(&new)))
    })
}

fn delete(session: &Session, name: &str) -> Result<Output, Failure> {
    session.change("DeleteAccount", name, |tx| {
        let account = find(tx, name)?;
        if !tx.users_of(&account.id)?.is_empty() || !tx.policies_of(&account.id)?.is_empty() {
            let hint = "`bulla user list --account ID` and `bulla policy list --account ID` show them; delete them first";
            return Err(Abort::App(Failure::conflict("the account still has users or policies").hint(hint)));
        }
        for key in tx.access_keys_of(&account.id, None)? {
            tx.access_key_delete(&key.id)?;
        }
        let hint = "`bulla secret list` and `bulla key list` with its access key show them; delete them first";
        unless_needed(tx.account_delete(&account.id), "the account owns keys or secrets, and", hint)?;
        Ok(Output::One(row(&account)))
    })
}

fn row(account: &AccountRow) -> Row {
    Output::row([
        ("AccountId", account.id.to_string().into()),
        ("Name", account.name.clone().into()),
        ("Enabled", account.enabled.into()),
        ("CreateTime", account.created_at.to_string().into()),
    ])
}
