//! From a call to a reply: what is Alibaba's about a request.
//!
//! Owns: how an operation is named, its parameters read and its answer written. Must not know: what operations do, who may.
//! Called by: app, for http.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::table::for_each_operation;
use crate::api::{self, Exchange, Input, Mode, Operation, Request};
use crate::auth::proof::Origin;
use crate::base::ids::RequestId;
use crate::dialects::rpc::params::Params;
use crate::dialects::rpc::{Form, encode, signature};
use crate::dialects::{Answer, Dialect};
use crate::error::Error;
use crate::http::{Call, Method, Reply};

/// How an operation is answered.
type Handler = fn(&Request<'_>, &Params, Form) -> Result<Body, Error>;

/// An answer's text and its form.
struct Body {
    form: Form,
    text: Vec<u8>,
}

macro_rules! handlers {
    ($($operation:ty,)+) => { &[$((<$operation as Operation>::NAME, handle::<$operation>)),+] };
}

/// Every operation by its name, sorted.
const HANDLERS: &[(&str, Handler)] = for_each_operation!(handlers);

/// The door.
pub struct Rpc;

impl Dialect for Rpc {
    fn owns(&self, path: &str) -> bool {
        path == "/"
    }

    fn accepts(&self, method: Method, path: &str) -> Result<(), Error> {
        match method {
            Method::Get | Method::Post if self.owns(path) => Ok(()),
            Method::Get | Method::Post => Err(Error::PathNotFound),
            _ => Err(Error::MethodNotSupported),
        }
    }

    fn call(&self, service: &api::Service, call: &Call) -> Answer {
        let (mut action, mut form) = (None, Form::Json);
        let origin = Origin { request_id: call.request_id, arrival: call.arrival, source_ip: call.peer, secure: call.secure };
        let done = service.exchange(origin, |exchange| answer(exchange, call, &mut action, &mut form));
        let api::Outcome { result, code, durable, asked, known } = done;
        let (reply, result) = match result {
            Ok(Body { form, text }) => (encode::reply(200, form, text, None, &call.request_id), Ok(())),
            Err(error) => (encode::fault(&error, &call.request_id, form), Err(error)),
        };
        Answer { reply, action, done: api::Outcome { result, code, durable, asked, known } }
    }

    fn refuse(&self, error: &Error, request_id: &RequestId) -> Reply {
        encode::fault(error, request_id, Form::Json)
    }
}

fn answer(exchange: &Exchange<'_>, call: &Call, action: &mut Option<&'static str>, form: &mut Form) -> Result<Body, Error> {
    let params = Params::parse(&call.query, call.header("content-type"), &call.body)?;
    *form = Form::requested(call, &params);
    let signed = signature::read(call, &params)?;
    exchange.asks(&signed.action, &signed.claim);
    let index = HANDLERS.binary_search_by_key(&signed.action.as_str(), |(name, _)| name);
    let (name, handler) = HANDLERS[index.map_err(|_| Error::ActionNotFound)?];
    *action = Some(name);
    exchange.identify(&signed.claim, |request| handler(request, &params, *form))
}

/// One operation. What could make its answer unwritable is refused before anything happens.
fn handle<O>(request: &Request<'_>, params: &Params, form: Form) -> Result<Body, Error>
where
    O: Operation<Response: Serialize>,
    <O::Input as Input>::Request: DeserializeOwned,
{
    let mode = if O::DRY_RUN && params.flag("DryRun")? { Mode::Rehearsal } else { Mode::Real };
    let parameters = form.can_answer(O::EFFECT, params).and_then(|()| params.decode::<<O::Input as Input>::Request>());
    let response = request.execute::<O>(parameters, mode)?;
    let text = |form| encode::success(O::NAME, &response, request.id(), form);
    match (text(form), O::EFFECT) {
        // It has happened, so that the caller has to learn of it, in a form that can say it.
        (Err(_), effect) if effect.changes() && form == Form::Xml => Ok(Body { form: Form::Json, text: text(Form::Json)? }),
        (told, _) => Ok(Body { form, text: told? }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_can_be_found() {
        assert!(HANDLERS.is_sorted_by(|a, b| a.0 < b.0));
    }
}
