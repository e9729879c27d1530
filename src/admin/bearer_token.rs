//! `bulla token`: bearer tokens of Vault's API, for what cannot log in.

use std::collections::BTreeMap;

use crate::admin::{Session, present, user};
use crate::app::{Failure, context};
use crate::auth::bearer::{NewToken, make};
use crate::base::ids::AccountId;
use crate::cli::{BearerToken, Scope};
use crate::output::{Output, Row};
use crate::store::{Abort, BearerTokenRow, Tx};

/// Tokens that a list shows at most.
const MAX_SHOWN: i64 = 10_000;

/// Runs the command.
pub fn run(session: &Session, scope: &Scope, action: BearerToken) -> Result<Output, Failure> {
    let account = session.account(scope)?.id;
    match action {
        BearerToken::Create { user: name, ttl, label } => {
            let user = session.read(|tx| {
                let found = name.as_ref().map(|name| user::find(tx, &account, name).map(|user| user.id));
                found.transpose()
            })?;
            let owner = name.as_ref().map_or_else(|| "root".to_owned(), |name| format!("user/{name}"));
            let label = if label.is_empty() { owner } else { label };
            create(session, account, user, ttl, label)
        }
        BearerToken::List => session.read(|tx| {
            let tokens = tx.bearer_tokens_of(&account, MAX_SHOWN)?;
            let mut names = BTreeMap::new();
            let rows = tokens.iter().map(|token| row(tx, token, &mut names));
            Ok(Output::List(rows.collect::<Result<_, Abort<Failure>>>()?))
        }),
        BearerToken::Revoke { accessor } => session.change("RevokeToken", &accessor, |tx| {
            let found = tx.bearer_token_by_accessor(&account, &accessor)?;
            let found = present(found, "token", &accessor, "bulla token list")?;
            let shown = row(tx, &found, &mut BTreeMap::new())?;
            tx.bearer_token_end(&found)?;
            Ok(Output::One(shown))
        }),
    }
}

fn create(
    session: &Session,
    account: AccountId,
    user: Option<crate::base::ids::UserId>,
    ttl_ms: i64,
    label: String,
) -> Result<Output, Failure> {
    let now = session.now();
    let new = NewToken {
        account,
        user,
        access_key: None,
        login: "auth/token/create".to_owned(),
        label,
        parent: None,
        ttl_ms,
        max_at: now.plus_ms(ttl_ms),
        renewable: false,
    };
    let made = make(&session.base.store, &session.base.sys(), new, now);
    let (token, made) = made.map_err(|error| context("token")(format!("{error:?}")))?;
    session.change("CreateToken", &made.accessor, |tx| Ok(tx.bearer_token_insert(&made)?))?;
    let shown = [("Token", token.expose().to_owned().into()), ("Accessor", made.accessor.clone().into())];
    Ok(Output::One(Output::row(shown)))
}

/// What is shown of a token: whose it is from its row, as its label is what its maker says. `names` are those of users seen before.
fn row(tx: &mut Tx<'_>, token: &BearerTokenRow, names: &mut BTreeMap<[u8; 16], String>) -> Result<Row, Abort<Failure>> {
    let owner = match &token.user_id {
        None => "root".to_owned(),
        Some(id) => match names.get(id.as_bytes()) {
            Some(known) => known.clone(),
            None => {
                let name = tx.user_by_id(id)?.map_or_else(|| "-".to_owned(), |user| format!("user/{}", user.name));
                names.insert(*id.as_bytes(), name.clone());
                name
            }
        },
    };
    Ok(Output::row([
        ("Accessor", token.accessor.clone().into()),
        ("Owner", owner.into()),
        ("Label", token.label.clone().into()),
        ("Login", token.login.clone().into()),
        ("IssueTime", token.issued_at.to_string().into()),
        ("ExpireTime", token.expires_at.to_string().into()),
    ]))
}
