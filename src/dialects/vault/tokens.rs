//! Logins, and what a caller does with its own token.
//!
//! Owns: the endpoints under `auth`. Must not know: how tokens are kept. Called by: door.
//!
//! JWT, Kubernetes: role and jwt, under the mounts that the configuration names. Certificates: that of the connection.
//!
//! AppRole: role_id is an access key id, secret_id its secret. The secret proves itself as it does in a signed request: a text of this
//! request is signed with it, and the signature verified.

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::api::tokens::{
    CreateToken, IssueToken, Issued, Login, LookUpToken, Own, RenewToken, Renewal, RevokeToken, TokenFacts,
};
use crate::api::{Exchange, Mode, Request};
use crate::auth::proof::{Claim, Scheme, Shown};
use crate::auth::{ChildToken, MAX_ABOVE};
use crate::base::clock::Timestamp;
use crate::base::ids::AccessKeyId;
use crate::base::printable::is_printable;
use crate::dialects::vault::asked::Asked;
use crate::dialects::vault::body::{Body, spelled_s};
use crate::dialects::vault::kv::unsupported;
use crate::dialects::vault::reply::{Content, time};
use crate::error::Error;
use crate::http::Method;

/// Characters of a label at most.
const MAX_LABEL: usize = 128;

/// What a wrong role_id and a wrong secret_id are both told.
const WRONG: &str = "invalid role or secret ID";

/// An endpoint under `auth`.
pub fn endpoint(asked: &Asked<'_>, exchange: &Exchange<'_>, path: &str) -> Result<Content, Error> {
    let method = asked.method();
    let writes = matches!(method, Method::Post | Method::Put);
    let path = path.trim_end_matches('/');
    match (path, writes) {
        ("approle/login", true) => approle(asked, exchange),
        ("cert/login", true) if exchange.takes_certificates() => certificate(asked, exchange),
        ("token/lookup-self", true) => look_up(asked, exchange),
        ("token/lookup-self", false) if method == Method::Get => look_up(asked, exchange),
        ("token/renew-self", true) => renew(asked, exchange),
        ("token/revoke-self", true) => asked.as_bearer(exchange, "RevokeToken", |request| {
            request.execute::<RevokeToken>(Ok(Own), Mode::Real)?;
            Ok(Content::Nothing)
        }),
        ("token/create", true) => create(asked, exchange),
        ("token/lookup-self" | "token/renew-self" | "token/revoke-self" | "token/create", _) => unsupported(asked, exchange),
        ("approle/login", _) => no_login(asked, exchange),
        ("cert/login", _) if exchange.takes_certificates() => no_login(asked, exchange),
        _ => match path.strip_suffix("/login").filter(|mount| exchange.takes_jwt(mount)) {
            Some(mount) if writes => jwt(asked, exchange, mount),
            Some(_) => no_login(asked, exchange),
            None => asked.no_route(exchange),
        },
    }
}

/// The refusal of a method where callers have no token yet.
fn no_login(asked: &Asked<'_>, exchange: &Exchange<'_>) -> Result<Content, Error> {
    asked.names(exchange, "NoRoute", None);
    Err(Error::MethodNotSupported)
}

fn jwt(asked: &Asked<'_>, exchange: &Exchange<'_>, mount: &str) -> Result<Content, Error> {
    asked.names(exchange, "IssueToken", None);
    let body = Body::of(asked)?;
    let role = body.text(asked, "role")?.unwrap_or_default();
    let token = Zeroizing::new(body.text(asked, "jwt")?.unwrap_or_default());
    if role.is_empty() {
        return Err(asked.bad("missing role"));
    }
    if token.is_empty() {
        return Err(asked.bad("missing token"));
    }
    let shown = Shown::Jwt { mount, role: &role, token: &token };
    exchange.identify_shown(&shown, |request| issue(request, format!("auth/{mount}/login")))
}

fn certificate(asked: &Asked<'_>, exchange: &Exchange<'_>) -> Result<Content, Error> {
    asked.names(exchange, "IssueToken", None);
    let role = Body::of(asked)?.text(asked, "name")?.filter(|name| !name.is_empty());
    let Some(der) = &asked.call.client_certificate else { return Err(asked.bad("no client certificate found")) };
    let shown = Shown::Certificate { role: role.as_deref(), der };
    exchange.identify_shown(&shown, |request| issue(request, "auth/cert/login".to_owned()))
}

/// A token for a caller who has logged in so.
fn issue(request: &Request<'_>, login: String) -> Result<Content, Error> {
    let issued = request.execute::<IssueToken>(Ok(Login(login)), Mode::Real)?;
    Ok(Content::auth(auth(&issued.facts, issued.token.expose())))
}

fn approle(asked: &Asked<'_>, exchange: &Exchange<'_>) -> Result<Content, Error> {
    asked.names(exchange, "IssueToken", None);
    let body = Body::of(asked)?;
    let wrong = || asked.say(400, WRONG, Error::AccessKeyNotFound);
    let given = |name: &str| Ok::<_, Error>(Zeroizing::new(body.text(asked, name)?.unwrap_or_default()));
    let (role, secret) = (given("role_id")?, given("secret_id")?);
    if role.is_empty() {
        return Err(asked.bad("missing role_id"));
    }
    if secret.is_empty() {
        return Err(asked.bad("missing secret_id"));
    }
    let access_key: AccessKeyId = role.parse().map_err(|_| wrong())?;
    asked.names(exchange, "IssueToken", Some(&access_key));
    // A key of HMAC is filled with zeros; a secret has none.
    if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong());
    }
    let nonce = asked.call.request_id.to_string();
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), nonce.as_bytes()).as_ref().to_vec();
    let claim = Claim {
        scheme: Scheme::HmacSha256,
        access_key,
        timestamp: asked.call.arrival.at(),
        string_to_sign: Zeroizing::new(nonce.clone()),
        nonce,
        signature,
    };
    exchange.identify(&claim, |request| issue(request, "auth/approle/login".to_owned()))
}

fn look_up(asked: &Asked<'_>, exchange: &Exchange<'_>) -> Result<Content, Error> {
    asked.as_bearer(exchange, "LookUpToken", |request| {
        let TokenFacts { row, principal, policies, now } = request.execute::<LookUpToken>(Ok(Own), Mode::Real)?;
        let told = json!({
            "accessor": row.accessor,
            "creation_time": row.issued_at.0.div_euclid(1000),
            "creation_ttl": row.ttl_ms / 1000,
            "display_name": if row.label.is_empty() { &principal } else { &row.label },
            "entity_id": "",
            "expire_time": time(row.expires_at),
            "explicit_max_ttl": if row.parent.is_some() { (row.max_at.0 - row.issued_at.0) / 1000 } else { 0 },
            "id": asked.token(),
            "issue_time": time(row.issued_at),
            "meta": { "role_name": principal },
            "num_uses": 0,
            "orphan": row.parent.is_none(),
            "path": row.login,
            "policies": policies,
            "renewable": row.renewable,
            "ttl": left_s(row.expires_at, now),
            "type": "service",
        });
        Ok(Content::secret_data(200, Zeroizing::new(told.to_string().into_bytes())))
    })
}

fn renew(asked: &Asked<'_>, exchange: &Exchange<'_>) -> Result<Content, Error> {
    asked.as_bearer(exchange, "RenewToken", |request| {
        let by_ms = Body::of(asked)?.duration_ms(asked, "increment")?;
        if let Some(negative) = by_ms.filter(|ms| *ms < 0) {
            return Err(asked.bad(format!("cannot provide negative value '{}'", negative / 1000)));
        }
        let renewed = request.execute::<RenewToken>(Ok(Renewal(by_ms)), Mode::Real).map_err(|error| match error {
            Error::UnsupportedOperation(_) => asked.say(400, "lease is not renewable", error),
            error => error,
        })?;
        let cut = cut_down(by_ms, &renewed);
        Ok(Content::auth(auth(&renewed, asked.token().unwrap_or_default())).warned(cut))
    })
}

fn create(asked: &Asked<'_>, exchange: &Exchange<'_>) -> Result<Content, Error> {
    asked.as_bearer(exchange, "CreateToken", |request| {
        let body = Body::of(asked)?;
        no_other_limits(asked, &body)?;
        let positive = |name: &str| match body.duration_ms(asked, name)? {
            Some(..0) => Err(asked.bad(format!("{name} must be positive"))),
            given => Ok(given.filter(|ms| *ms > 0)),
        };
        let label = body.text(asked, "display_name")?.unwrap_or_default();
        if label.chars().count() > MAX_LABEL || !label.chars().all(is_printable) {
            return Err(asked.bad(format!("display_name must be at most {MAX_LABEL} printable characters")));
        }
        let child = ChildToken {
            ttl_ms: positive("ttl")?,
            max_ttl_ms: positive("explicit_max_ttl")?,
            renewable: body.flag(asked, "renewable")?,
            label,
        };
        let wanted_ms = child.ttl_ms;
        let ignored = body.ignored(&[&LIMITS[..], &["ttl", "explicit_max_ttl", "renewable", "display_name"]].concat());
        let made = request.execute::<CreateToken>(Ok(child), Mode::Real).map_err(|error| match error {
            Error::LimitExceeded { .. } => asked.say(
                400,
                format!("a token is made with another, that with another, and so on {MAX_ABOVE} times at most"),
                error,
            ),
            error => error,
        });
        let Issued { token, facts } = made?;
        Ok(Content::auth(auth(&facts, token.expose())).warned(ignored).warned(cut_down(wanted_ms, &facts)))
    })
}

/// What is asked of a token elsewhere and cannot be given here, but as what it is here.
const LIMITS: [&str; 10] =
    ["policies", "num_uses", "type", "no_parent", "no_default_policy", "period", "id", "entity_alias", "lease", "orphan"];

/// Refuses what would make a token less, or another, than that which can be given: to leave it out would give more than was asked for.
fn no_other_limits(asked: &Asked<'_>, body: &Body<'_>) -> Result<(), Error> {
    let names_none = |policies: &str| {
        serde_json::from_str::<Vec<serde::de::IgnoredAny>>(policies).map_or(policies == "\"\"", |p| p.is_empty())
    };
    if body.get("policies").is_some_and(|policies| !names_none(policies)) {
        return Err(asked.bad("a token has the policies of its user; others cannot be given"));
    }
    if body.number(asked, "num_uses")?.is_some_and(|uses| uses != 0) {
        return Err(asked.bad("the uses of a token are not counted: num_uses must be 0 or absent; give it a short ttl"));
    }
    if body.text(asked, "type")?.is_some_and(|kind| !matches!(kind.as_str(), "" | "default" | "service")) {
        return Err(asked.bad("type must be service: there are no other tokens"));
    }
    if body.flag(asked, "no_parent")? == Some(true) || body.flag(asked, "orphan")? == Some(true) {
        return Err(asked.bad("a token ends with that with which it is made: no_parent must be false or absent"));
    }
    for name in ["period", "lease"] {
        if body.duration_ms(asked, name)?.is_some_and(|ms| ms != 0) {
            return Err(asked.bad(format!("{name} cannot be given; ttl and explicit_max_ttl say how long a token lives")));
        }
    }
    for name in ["id", "entity_alias"] {
        if body.text(asked, name)?.is_some_and(|text| !text.is_empty()) {
            return Err(asked.bad(format!("{name} cannot be given")));
        }
    }
    Ok(())
}

/// The warning of a token that lives less long than was asked for.
fn cut_down(wanted_ms: Option<i64>, facts: &TokenFacts) -> Option<String> {
    let (wanted, left) = (wanted_ms? / 1000, left_s(facts.row.expires_at, facts.now));
    let [wanted_text, left_text] = [wanted, left].map(spelled_s);
    (wanted > left).then(|| {
        format!("TTL of {wanted_text:?} exceeded the effective max_ttl of {left_text:?}; TTL value is capped accordingly")
    })
}

fn left_s(until: Timestamp, now: Timestamp) -> i64 {
    ((until.0 - now.0).max(0) + 999) / 1000
}

/// The member `auth` of an answer that gives or renews a token.
fn auth(facts: &TokenFacts, token: &str) -> Zeroizing<Vec<u8>> {
    let TokenFacts { row, principal, policies, now } = facts;
    let told: Value = json!({
        "client_token": "",
        "accessor": row.accessor,
        "policies": policies,
        "token_policies": policies,
        "metadata": { "role_name": principal },
        "lease_duration": left_s(row.expires_at, *now),
        "renewable": row.renewable,
        "entity_id": "",
        "token_type": "service",
        "orphan": row.parent.is_none(),
        "mfa_requirement": null,
        "num_uses": 0,
    });
    // The token is put in last, into a buffer that is wiped.
    let text = told.to_string();
    let (before, behind) = text.split_once("\"client_token\":\"").unwrap_or((&text, ""));
    let mut out = Zeroizing::new(Vec::with_capacity(text.len() + token.len() + 16));
    for part in [before, "\"client_token\":\"", token, behind] {
        out.extend_from_slice(part.as_bytes());
    }
    out
}
