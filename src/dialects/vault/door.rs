//! From a call to a reply: what is Vault's about a request.
//!
//! Owns: which endpoint a path is, and what is refused for all. Must not know: what operations do, who
//! may. Called by: app, for http.

use crate::api::{self, Exchange, Outcome};
use crate::auth::proof::Origin;
use crate::base::ids::RequestId;
use crate::dialects::vault::asked::{Asked, Said, refusal};
use crate::dialects::vault::fault;
use crate::dialects::vault::path::{self, Path};
use crate::dialects::vault::reply::{Content, reply};
use crate::dialects::vault::{Settings, form, kv, kv_metadata, sys, tokens, transit};
use crate::dialects::{Answer, Dialect};
use crate::error::Error;
use crate::http::{Call, Method, Reply};

/// The door.
pub struct Vault {
    settings: Settings,
}

impl Vault {
    /// A door with these settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }
}

impl Dialect for Vault {
    fn owns(&self, path: &str) -> bool {
        path.starts_with(path::ROOT) || path == "/v1"
    }

    fn accepts(&self, _: Method, _: &str) -> Result<(), Error> {
        Ok(())
    }

    fn call(&self, service: &api::Service, call: &Call) -> Answer {
        let path = match Path::of(&call.path) {
            Path::Clean(path) => path,
            Path::Elsewhere(mut path) => {
                if !call.query.is_empty() {
                    path = format!("{path}?{}", call.query);
                }
                let moved = Reply { headers: vec![("location", path)], ..reply(307, Vec::new()) };
                return unrecorded(moved, Ok(()));
            }
            Path::Refused(why) => {
                let error = refusal(why);
                return unrecorded(fault::answer(&error, None), Err(error));
            }
            Path::Unreadable => return unrecorded(fault::answer(&Error::PathNotFound, None), Err(Error::PathNotFound)),
        };
        let form = form::as_json(call);
        let body = form.as_ref().map(|form| form.as_deref().map_or(&*call.body, Vec::as_slice)).map_err(|why| *why);
        let asked = Asked::new(call, body, &path, &self.settings);
        // Whether the service is there is asked often, and by strangers.
        if asked.is_private()
            && let Some(reply) = sys::unrecorded(&asked)
        {
            return unrecorded(reply, Ok(()));
        }
        let origin = Origin { request_id: call.request_id, arrival: call.arrival, source_ip: call.peer, secure: call.secure };
        let done = service.exchange(origin, |exchange| {
            asked.arrives(exchange);
            endpoint(&asked, exchange)
        });
        let Outcome { result, code, durable, asked: name, known } = done;
        let (reply, result) = match result {
            Ok(content) => (content.reply(&call.request_id), Ok(())),
            Err(error) => {
                let reply = match asked.said(&error) {
                    Some(Said::Content(content)) => content.reply(&call.request_id),
                    Some(Said::Told(told)) => fault::answer(&error, Some(told)),
                    None => fault::answer(&error, None),
                };
                (reply, Err(error))
            }
        };
        Answer { reply, action: asked.action(), done: Outcome { result, code, durable, asked: name, known } }
    }

    fn refuse(&self, error: &Error, _: &RequestId) -> Reply {
        fault::answer(error, None)
    }
}

fn unrecorded(reply: Reply, result: Result<(), Error>) -> Answer {
    Answer { reply, action: None, done: Outcome::unrecorded(result) }
}

fn endpoint(asked: &Asked<'_>, exchange: &Exchange<'_>) -> Result<Content, Error> {
    // Whatever is set: what is shown in clear could be shown again by whoever sees it.
    if !asked.is_private() {
        return Err(asked.say(400, "this API is served over TLS only, but for loopback", Error::PlainToTls));
    }
    if asked.call.header("x-vault-wrap-ttl").is_some_and(|ttl| !matches!(ttl.trim(), "" | "0" | "0s")) {
        return Err(asked.bad("response wrapping is not served; ask without X-Vault-Wrap-TTL"));
    }
    if asked.call.header("x-vault-namespace").is_some_and(|name| !matches!(name.trim(), "" | "/" | "root" | "root/")) {
        return Err(asked.say(404, "there are no namespaces: the account is that of the token", Error::PathNotFound));
    }
    let (mount, rest) = asked.path.split_once('/').unwrap_or((asked.path, ""));
    match mount {
        "sys" => sys::endpoint(asked, exchange, rest),
        "auth" => tokens::endpoint(asked, exchange, rest),
        _ if mount == asked.settings.kv_mount => match rest.split_once('/').unwrap_or((rest, "")) {
            ("metadata", path) => kv_metadata::endpoint(asked, exchange, path),
            (kind, path) => kv::endpoint(asked, exchange, kind, path),
        },
        _ if mount == asked.settings.transit_mount => transit::endpoint(asked, exchange, rest),
        _ => asked.no_route(exchange),
    }
}
