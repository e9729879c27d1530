//! Bearer tokens: the operations of doors whose callers show one.
//!
//! They need no permission: a token is the caller's own, and speaks for nobody else.

mod capabilities;

pub use capabilities::{Capability, DescribeCapabilities, Need, Paths, Use};

use crate::api::versions::ready;
use crate::api::{Context, Effect, Operation, Target};
use crate::auth::ChildToken;
use crate::auth::bearer::BearerToken;
use crate::base::clock::Timestamp;
use crate::error::Error;
use crate::store::BearerTokenRow;

/// What is told of a token.
pub struct TokenFacts {
    /// The token.
    pub row: BearerTokenRow,
    /// For whom it speaks: `root` or `user/NAME`.
    pub principal: String,
    /// The policies that bind it.
    pub policies: Vec<String>,
    /// When this was true.
    pub now: Timestamp,
}

/// A token that was made, for its bearer.
pub struct Issued {
    /// The token itself.
    pub token: BearerToken,
    /// What is told of it.
    pub facts: TokenFacts,
}

/// The login, as it is told.
pub struct Login(pub String);

/// By how much a token is renewed, ms; none as long as it was given at first.
pub struct Renewal(pub Option<i64>);

/// The caller's own token.
pub struct Own;

ready!(Login, Renewal, Own, ChildToken);

fn facts(cx: &Context<'_>, row: BearerTokenRow) -> TokenFacts {
    let principal = cx.caller.principal.to_string();
    TokenFacts { row, principal, policies: cx.caller.policy_names(), now: cx.caller.now() }
}

/// Gives a caller who has proved who it is a token.
pub struct IssueToken;

impl Operation for IssueToken {
    const NAME: &'static str = "IssueToken";
    const EFFECT: Effect = Effect::Write;
    type Input = Login;
    type Response = Issued;

    fn target(_: &Login) -> Target<'_> {
        Target::nothing()
    }

    fn run(cx: &Context<'_>, Login(login): Login) -> Result<Issued, Error> {
        let (token, row) = cx.auth.token_issue(cx.caller, login, cx.caller.now())?;
        cx.shows(&row.accessor);
        Ok(Issued { token, facts: facts(cx, row) })
    }
}

/// Makes a token with the caller's own.
pub struct CreateToken;

impl Operation for CreateToken {
    const NAME: &'static str = "CreateToken";
    const EFFECT: Effect = Effect::Write;
    type Input = ChildToken;
    type Response = Issued;

    fn target(_: &ChildToken) -> Target<'_> {
        Target::nothing()
    }

    fn run(cx: &Context<'_>, child: ChildToken) -> Result<Issued, Error> {
        let (token, row) = cx.auth.token_create(cx.caller, child, cx.caller.now())?;
        Ok(Issued { token, facts: facts(cx, row) })
    }
}

/// Says what is known of the caller's token.
pub struct LookUpToken;

impl Operation for LookUpToken {
    const NAME: &'static str = "LookUpToken";
    const EFFECT: Effect = Effect::Read;
    type Input = Own;
    type Response = TokenFacts;

    fn target(_: &Own) -> Target<'_> {
        Target::nothing()
    }

    fn run(cx: &Context<'_>, _: Own) -> Result<TokenFacts, Error> {
        let bearer = cx.caller.bearer.as_ref().ok_or(Error::BearerTokenInvalid)?;
        Ok(facts(cx, bearer.row.clone()))
    }
}

/// Lets the caller's token live on.
pub struct RenewToken;

impl Operation for RenewToken {
    const NAME: &'static str = "RenewToken";
    const EFFECT: Effect = Effect::Write;
    type Input = Renewal;
    type Response = TokenFacts;

    fn target(_: &Renewal) -> Target<'_> {
        Target::nothing()
    }

    fn run(cx: &Context<'_>, Renewal(by_ms): Renewal) -> Result<TokenFacts, Error> {
        Ok(facts(cx, cx.auth.token_renew(cx.caller, by_ms, cx.caller.now())?))
    }
}

/// Ends the caller's token, and what was made with it.
pub struct RevokeToken;

impl Operation for RevokeToken {
    const NAME: &'static str = "RevokeToken";
    const EFFECT: Effect = Effect::Write;
    type Input = Own;
    type Response = ();

    fn target(_: &Own) -> Target<'_> {
        Target::nothing()
    }

    fn run(cx: &Context<'_>, _: Own) -> Result<(), Error> {
        cx.auth.token_revoke(cx.caller)
    }
}
