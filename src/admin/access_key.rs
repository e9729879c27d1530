//! `bulla access-key`: access keys, two at most per user (and two of the account's root).

use crate::admin::{Session, present, refuse, user};
use crate::app::{Failure, context};
use crate::auth::access_key;
use crate::base::ids::{AccessKeyId, AccountId, UserId, UserName};
use crate::base::secret::AccessKeySecret;
use crate::cli::{AccessKey, Scope};
use crate::output::{Output, Row};
use crate::store::{Abort, AccessKeyRow, Tx};

/// Access keys of one user, so that they can be exchanged one after the other.
const MAX_ACCESS_KEYS: usize = 2;

/// Runs the command.
pub fn run(session: &Session, scope: &Scope, action: AccessKey) -> Result<Output, Failure> {
    let account = session.account(scope)?.id;
    match action {
        AccessKey::Create { user } => create(session, &account, user.as_ref()),
        AccessKey::List { user } => session.read(|tx| {
            let owner = owner(tx, &account, user.as_ref())?;
            Ok(Output::List(tx.access_keys_of(&account, owner.as_ref())?.iter().map(row).collect()))
        }),
        AccessKey::Enable { id } => set_enabled(session, &account, &id, true),
        AccessKey::Disable { id } => set_enabled(session, &account, &id, false),
        AccessKey::Delete { id } => session.change("DeleteAccessKey", id.as_str(), |tx| {
            let key = find(tx, &account, &id)?;
            tx.access_key_delete(&key.id)?;
            Ok(Output::One(row(&key)))
        }),
    }
}

/// A new access key of a user, or of the account's root; not stored yet.
pub fn issue(session: &Session, account: &AccountId, user: Option<UserId>) -> Result<(AccessKeyRow, AccessKeySecret), Failure> {
    access_key::issue(&session.base.sys(), account, user, session.now()).map_err(|e| context("token")(format!("{e:?}")))
}

/// What is shown of a new access key, once.
pub fn shown_once(key: &AccessKeyRow, secret: &AccessKeySecret) -> Row {
    let secret = String::from_utf8_lossy(secret.expose()).into_owned();
    Output::row([("AccessKeyId", key.id.to_string().into()), ("AccessKeySecret", secret.into())])
}

fn create(session: &Session, account: &AccountId, user: Option<&UserName>) -> Result<Output, Failure> {
    let owner_id = session.read(|tx| owner(tx, account, user))?;
    let (key, secret) = issue(session, account, owner_id)?;
    session.change("CreateAccessKey", key.id.as_str(), |tx| {
        if tx.access_keys_of(account, owner_id.as_ref())?.len() >= MAX_ACCESS_KEYS {
            return Err(refuse(format!("there are {MAX_ACCESS_KEYS} access keys already; delete one first")));
        }
        Ok(tx.access_key_insert(&key)?)
    })?;
    Ok(Output::One(shown_once(&key, &secret)))
}

fn set_enabled(session: &Session, account: &AccountId, id: &AccessKeyId, enabled: bool) -> Result<Output, Failure> {
    let action = if enabled { "EnableAccessKey" } else { "DisableAccessKey" };
    session.change(action, id.as_str(), |tx| {
        let old = find(tx, account, id)?;
        let new = AccessKeyRow { enabled, ..old.clone() };
        tx.access_key_update(&old, &new)?;
        if !enabled {
            tx.bearer_tokens_end(account, |token| token.access_key.as_ref() == Some(id))?;
        }
        Ok(Output::One(row(&new)))
    })
}

fn owner(tx: &mut Tx<'_>, account: &AccountId, user: Option<&UserName>) -> Result<Option<UserId>, Abort<Failure>> {
    user.map(|name| user::find(tx, account, name).map(|u| u.id)).transpose()
}

fn find(tx: &mut Tx<'_>, account: &AccountId, id: &AccessKeyId) -> Result<AccessKeyRow, Abort<Failure>> {
    let found = tx.access_key_by_id(id)?.filter(|k| k.account_id == *account);
    present(found, "access key", id, "bulla access-key list")
}

fn row(key: &AccessKeyRow) -> Row {
    Output::row([
        ("AccessKeyId", key.id.to_string().into()),
        ("Enabled", key.enabled.into()),
        ("CreateTime", key.created_at.to_string().into()),
    ])
}
