//! A call on its way through the endpoints.
//!
//! Owns: how a caller is told by its token, what records call it, and the words of a refusal. Must not know: endpoints. Called by: door,
//! the endpoints.

use std::cell::RefCell;
use std::mem::{Discriminant, discriminant};

use crate::api::tokens::{LookUpToken, Own};
use crate::api::{Exchange, Mode, Request};
use crate::auth::bearer::BearerToken;
use crate::base::ids::AccessKeyId;
use crate::dialects::vault::Settings;
use crate::dialects::vault::fault::Told;
use crate::error::{Error, Unreadable};
use crate::http::Call;

/// What audit records call this door.
const VIA: &str = "vault";

/// A call on its way through the endpoints.
pub struct Asked<'a> {
    /// The call.
    pub call: &'a Call,
    /// What stands behind `/v1/`, decoded.
    pub path: &'a str,
    /// The settings.
    pub settings: &'a Settings,
    /// What an endpoint said of an error, and of which kind that was.
    told: RefCell<Option<(Discriminant<Error>, Told)>>,
    /// The operation, for the access line and the figures.
    action: RefCell<Option<&'static str>>,
}

impl<'a> Asked<'a> {
    /// A call of which nothing is known yet.
    pub fn new(call: &'a Call, path: &'a str, settings: &'a Settings) -> Self {
        Self { call, path, settings, told: RefCell::default(), action: RefCell::default() }
    }

    /// Notes that it came through this door.
    pub fn arrives(&self, exchange: &Exchange<'_>) {
        exchange.asks_via(VIA, "", None);
    }

    /// What an endpoint said of this error; nothing where another was in the way, as with a body that is wrong and a token that is, too.
    pub fn told(&self, error: &Error) -> Option<Told> {
        self.told.take().filter(|(kind, _)| *kind == discriminant(error)).map(|(_, told)| told)
    }

    /// The operation, once it is known.
    pub fn action(&self) -> Option<&'static str> {
        self.action.take()
    }

    /// A refusal of what the request says, in these words, which hold nothing of a value.
    pub fn bad(&self, why: impl Into<String>) -> Error {
        let why = why.into();
        self.say(400, why.clone(), refusal(why))
    }

    /// An error, in these words.
    pub fn say(&self, status: u16, text: impl Into<String>, error: Error) -> Error {
        *self.told.borrow_mut() = Some((discriminant(&error), Told { status, errors: vec![text.into()] }));
        error
    }

    /// Whether nobody on the way can see what is shown.
    pub fn is_private(&self) -> bool {
        self.call.secure || self.call.peer.is_loopback()
    }

    /// The first value of a query parameter, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        form_urlencoded(&self.call.query).find(|(found, _)| found == name).map(|(_, value)| value)
    }

    /// The caller's token as it was shown.
    pub fn token(&self) -> Option<&'a str> {
        let bearer = self.call.header("authorization").and_then(|text| text.strip_prefix("Bearer "));
        self.call.header("x-vault-token").or(bearer).map(str::trim).filter(|token| !token.is_empty())
    }

    /// Goes on as the bearer of the token that was shown; `action` is what records call it.
    ///
    /// # Errors
    /// [`Error::BearerTokenInvalid`], and those of `work`.
    pub fn as_bearer<T>(
        &self,
        exchange: &Exchange<'_>,
        action: &'static str,
        work: impl FnOnce(&Request<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.names(exchange, action, None);
        let token = self.token().ok_or(Error::BearerTokenInvalid)?;
        exchange.identify_bearer(&BearerToken::shown(token), work)
    }

    /// Answers whoever shows a token, of what needs no more than that.
    ///
    /// # Errors
    /// [`Error::BearerTokenInvalid`], and those of `answer`.
    pub fn for_bearer<T>(
        &self,
        exchange: &Exchange<'_>,
        action: &'static str,
        answer: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.as_bearer(exchange, action, |request| {
            request.execute::<LookUpToken>(Ok(Own), Mode::Real)?;
            answer()
        })
    }

    /// Says what is asked for.
    pub fn names(&self, exchange: &Exchange<'_>, action: &'static str, access_key: Option<&AccessKeyId>) {
        *self.action.borrow_mut() = Some(action);
        exchange.asks_via(VIA, action, access_key);
    }

    /// The refusal of a path that there is not.
    pub fn no_route(&self) -> Error {
        let text = format!("no handler for route {:?}. route entry not found.", self.path);
        self.say(404, text, Error::PathNotFound)
    }
}

/// The same refusal, from where no call is at hand.
pub fn refusal(why: impl Into<String>) -> Error {
    Error::Unreadable(Unreadable { part: "request".into(), absent: false, why: why.into().into() })
}

/// The pairs of a query text.
fn form_urlencoded(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    let decoded = |text: &str| percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    query.split('&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}
