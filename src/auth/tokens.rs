//! What callers do with bearer tokens: get one, make another with it, let it live on, end it.
//!
//! Owns: how long tokens live. Must not know: HTTP, how a login proved itself. Called by: api::tokens.

use crate::auth::bearer::{Above, BearerToken, DEFAULT_TTL_MS, MAX_TTL_MS, NewToken, make};
use crate::auth::principal::Principal;
use crate::auth::{Auth, Caller};
use crate::base::clock::Timestamp;
use crate::error::Error;
use crate::store::{Abort, BearerTokenRow, TokenDigest, Tx};

/// How many tokens may stand above one: each is read when it is shown.
pub const MAX_ABOVE: usize = 16;

/// What a caller asks of a token that it makes with its own.
#[derive(Debug, Clone, Default)]
pub struct ChildToken {
    /// How long it lives, ms.
    pub ttl_ms: Option<i64>,
    /// How long however often it is renewed, ms.
    pub max_ttl_ms: Option<i64>,
    /// Whether it can be renewed.
    pub renewable: Option<bool>,
    /// What it is called.
    pub label: String,
}

impl Auth {
    /// Gives a caller who has proved who it is a token, bound to the access key that signed, where one did.
    ///
    /// # Errors
    /// [`Error::UnsupportedOperation`] for a caller who is no user and not root; [`Error::Unavailable`].
    pub fn token_issue(&self, caller: &Caller, login: String, now: Timestamp) -> Result<(BearerToken, BearerTokenRow), Error> {
        let (store, sys) = (self.credentials.store(), self.credentials.sys());
        let account = &caller.account;
        let user = match &caller.principal {
            Principal::Root => None,
            Principal::User(name) => {
                let found = store.read_rows("token_user", |tx| Ok(tx.user_by_name(account, name)?.map(|user| user.id)))?;
                Some(found.ok_or(Error::AccessKeyInactive)?)
            }
            Principal::AccessPoint(_) => return Err(Error::UnsupportedOperation("only users and root have tokens")),
        };
        let new = NewToken {
            account: account.clone(),
            user,
            access_key: caller.access_key.clone(),
            login,
            label: caller.principal.to_string(),
            parent: None,
            ttl_ms: DEFAULT_TTL_MS,
            max_at: now.plus_ms(MAX_TTL_MS),
            renewable: true,
        };
        let (token, row) = make(store, sys, new, now)?;
        store.commit(&caller.effect, "token_issue", |tx| Ok(tx.bearer_token_insert(&row)?))?;
        Ok((token, row))
    }

    /// A token that speaks for whom the caller's own does, and ends with it: no later than that would end now.
    ///
    /// # Errors
    /// [`Error::BearerTokenInvalid`] when the caller's has ended; [`Error::LimitExceeded`] past [`MAX_ABOVE`]; [`Error::Unavailable`].
    pub fn token_create(
        &self,
        caller: &Caller,
        child: ChildToken,
        now: Timestamp,
    ) -> Result<(BearerToken, BearerTokenRow), Error> {
        let (store, sys) = (self.credentials.store(), self.credentials.sys());
        let (digest, own) = own(caller)?;
        let ttl_ms = child.ttl_ms.unwrap_or(DEFAULT_TTL_MS);
        let max_at = own.max_at.min(now.plus_ms(child.max_ttl_ms.unwrap_or(MAX_TTL_MS)));
        let new = NewToken {
            account: own.account_id.clone(),
            user: own.user_id,
            access_key: own.access_key.clone(),
            login: "auth/token/create".to_owned(),
            label: child.label,
            parent: Some(digest),
            ttl_ms: ttl_ms.min(max_at.0 - now.0),
            max_at,
            renewable: child.renewable.unwrap_or(true),
        };
        let (token, row) = make(store, sys, new, now)?;
        let row = store.commit(&caller.effect, "token_create", |tx| {
            let above = living_above(tx, &row, now)?;
            if above.tokens.len() > MAX_ABOVE {
                return Err(Abort::App(Error::LimitExceeded { most: MAX_ABOVE as i64, of: "tokens above a token" }));
            }
            let expires_at = row.expires_at.min(above.end);
            let ttl_ms = row.ttl_ms.min(expires_at.0 - row.issued_at.0);
            let row = BearerTokenRow { expires_at, ttl_ms, ..row.clone() };
            tx.bearer_token_insert(&row)?;
            Ok(row)
        })?;
        Ok((token, row))
    }

    /// Lets the caller's token live on from now, by so much or as long as it was given at first, up to its end, and to that of the tokens
    /// above it.
    ///
    /// # Errors
    /// [`Error::BearerTokenInvalid`]; [`Error::UnsupportedOperation`] for one that is not renewable.
    pub fn token_renew(&self, caller: &Caller, by_ms: Option<i64>, now: Timestamp) -> Result<BearerTokenRow, Error> {
        let (digest, _) = own(caller)?;
        self.credentials.store().commit(&caller.effect, "token_renew", |tx| {
            let old = tx.bearer_token(&digest)?.filter(|row| now < row.expires_at);
            let old = old.ok_or(Abort::App(Error::BearerTokenInvalid))?;
            if !old.renewable {
                return Err(Abort::App(Error::UnsupportedOperation("this token is not renewable")));
            }
            let end = living_above(tx, &old, now)?.end.min(old.max_at);
            let by_ms = by_ms.filter(|ms| *ms > 0).unwrap_or(old.ttl_ms);
            let new = BearerTokenRow { expires_at: now.plus_ms(by_ms).min(end), ..old.clone() };
            tx.bearer_token_update(&old, &new)?;
            Ok(new)
        })
    }

    /// Ends the caller's token and those that were made with it.
    ///
    /// # Errors
    /// [`Error::BearerTokenInvalid`].
    pub fn token_revoke(&self, caller: &Caller) -> Result<(), Error> {
        let (digest, _) = own(caller)?;
        self.credentials.store().commit(&caller.effect, "token_revoke", |tx| match tx.bearer_token(&digest)? {
            Some(row) => Ok(tx.bearer_token_end(&row).map(drop)?),
            None => Err(Abort::App(Error::BearerTokenInvalid)),
        })
    }
}

/// The tokens above one, none of which has ended.
fn living_above(tx: &mut Tx<'_>, row: &BearerTokenRow, now: Timestamp) -> Result<Above, Abort<Error>> {
    Above::of(tx, row)?.filter(|above| now < above.end).ok_or(Abort::App(Error::BearerTokenInvalid))
}

/// The caller's own token.
fn own(caller: &Caller) -> Result<(TokenDigest, &BearerTokenRow), Error> {
    let bearer = caller.bearer.as_ref().ok_or(Error::BearerTokenInvalid)?;
    Ok((bearer.row.token().ok_or(Error::BearerTokenInvalid)?, &bearer.row))
}
