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
use crate::dialects::vault::reply::Content;
use crate::error::{Error, Unreadable};
use crate::http::{Call, Method};

/// What audit records call this door.
const VIA: &str = "vault";

/// What an endpoint says of an error.
pub enum Said {
    /// Texts of its own.
    Told(Told),
    /// What is known all the same.
    Content(Content),
}

/// A call on its way through the endpoints.
pub struct Asked<'a> {
    /// The call.
    pub call: &'a Call,
    /// Its body, of a form the JSON that says the same; or what is wrong with the form.
    pub body: Result<&'a [u8], &'static str>,
    /// What stands behind `/v1/`, decoded.
    pub path: &'a str,
    /// The settings.
    pub settings: &'a Settings,
    /// What an endpoint said of an error, and of which kind that was.
    said: RefCell<Option<(Discriminant<Error>, Said)>>,
    /// The operation, for the access line and the figures.
    action: RefCell<Option<&'static str>>,
}

impl<'a> Asked<'a> {
    /// A call of which nothing is known yet.
    pub fn new(call: &'a Call, body: Result<&'a [u8], &'static str>, path: &'a str, settings: &'a Settings) -> Self {
        Self { call, body, path, settings, said: RefCell::default(), action: RefCell::default() }
    }

    /// Notes that it came through this door.
    pub fn arrives(&self, exchange: &Exchange<'_>) {
        exchange.asks_via(VIA, "", None);
    }

    /// What an endpoint said of this error; nothing where another was in the way, as with a body that is wrong and a token that is, too.
    pub fn said(&self, error: &Error) -> Option<Said> {
        self.said.take().filter(|(kind, _)| *kind == discriminant(error)).map(|(_, said)| said)
    }

    /// The method; GET with the parameter `list` is LIST, on every path.
    pub fn method(&self) -> Method {
        match self.call.method {
            Method::Get if self.says("list") => Method::List,
            method => method,
        }
    }

    /// Whether a parameter of the query says true, in one of Go's spellings.
    pub fn says(&self, name: &str) -> bool {
        matches!(self.query(name).as_deref(), Some("true" | "TRUE" | "True" | "t" | "T" | "1"))
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
        let told = Told { status, errors: vec![text.into()] };
        *self.said.borrow_mut() = Some((discriminant(&error), Said::Told(told)));
        error
    }

    /// An error, which is recorded, with an answer that says what is known all the same.
    pub fn answers(&self, content: Content, error: Error) -> Error {
        *self.said.borrow_mut() = Some((discriminant(&error), Said::Content(content)));
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
        let given = |text: &'a str| Some(text.trim()).filter(|token| !token.is_empty());
        let bearer = || self.call.header("authorization").and_then(|text| text.strip_prefix("Bearer "));
        self.call.header("x-vault-token").and_then(given).or_else(|| bearer().and_then(given))
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

    /// The refusal of a path that there is not, for whoever shows a token: strangers are not told what there is.
    ///
    /// # Errors
    /// [`Error::BearerTokenInvalid`], [`Error::PathNotFound`].
    pub fn no_route<T>(&self, exchange: &Exchange<'_>) -> Result<T, Error> {
        let text = format!("no handler for route {:?}. route entry not found.", self.path);
        self.for_bearer(exchange, "NoRoute", || Err(self.say(404, text, Error::PathNotFound)))
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
