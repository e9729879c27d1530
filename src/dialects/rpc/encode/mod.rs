//! Answers: one reply struct gives the JSON and the XML form.
//!
//! Owns: the envelopes of success and of errors. Must not know: what a reply means. Called by: door.
//!
//! Replies contain secrets: they are written straight into one buffer that wipes what it outgrows.

mod buffer;
#[cfg(test)]
mod tests;
pub(super) mod xml;

use serde::Serialize;

use self::buffer::Buffer;
use self::xml::XmlError;
use super::fault::{AccessDeniedDetail, Fault};
use super::form::{Form, NOT_IN_XML};
use super::params::invalid_since;
use crate::base::ids::RequestId;
use crate::error::Error;
use crate::http::Reply;

/// The request's id, in every answer.
pub const REQUEST_ID: &str = "x-acs-request-id";

/// A reply with the request's id beside its own fields.
#[derive(Serialize)]
struct Success<'a, R> {
    #[serde(flatten)]
    reply: &'a R,
    #[serde(rename = "RequestId")]
    request_id: &'a RequestId,
}

/// The body of an error.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Failure<'a> {
    http_status: u16,
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_denied_detail: Option<&'a AccessDeniedDetail>,
}

/// The body of a successful answer: a JSON object, or an XML document with the root `<action>Response`.
///
/// `reply` is a struct; absent optional fields must be skipped by its `Serialize` (`skip_serializing_if`) for JSON, and are left
/// out of XML in any case.
///
/// # Errors
/// [`Error::Unreadable`] naming `Format` for a text that XML 1.0 cannot carry; [`Error::Internal`] for a reply that has
/// no such form.
pub fn success(action: &str, reply: &impl Serialize, request_id: &RequestId, form: Form) -> Result<Vec<u8>, Error> {
    body(&format!("{action}Response"), reply, request_id, form)
}

/// The answer to an error, in the API's form. Needs no request: also for those that could not be read.
pub fn fault(error: &Error, request_id: &RequestId, form: Form) -> Reply {
    let Fault { status, code, message, retry_after_s, denied } = Fault::of(error);
    let failure = Failure { http_status: status, code, message: &message, access_denied_detail: denied.as_ref() };
    let (form, body) = match body("Error", &failure, request_id, form) {
        Ok(body) => (form, body),
        // A parameter's name with a control character in it; JSON can say it.
        Err(_) => {
            let json = body("Error", &failure, request_id, Form::Json);
            (Form::Json, json.expect("a struct of texts and numbers has a JSON form"))
        }
    };
    let mut reply = reply(status, form, body, retry_after_s, request_id);
    if status == 405 {
        reply.headers.push(("allow", "GET, POST".to_owned()));
    }
    reply
}

/// A reply in this dialect: its id is in a header too.
pub fn reply(status: u16, form: Form, body: Vec<u8>, retry_after_s: Option<u32>, request_id: &RequestId) -> Reply {
    let headers = vec![(REQUEST_ID, request_id.to_string())];
    Reply { status, media_type: form.media_type(), headers, body: body.into(), retry_after_s }
}

fn body(root: &str, reply: &impl Serialize, request_id: &RequestId, form: Form) -> Result<Vec<u8>, Error> {
    let mut buffer = Buffer::default();
    match form {
        Form::Json => serde_json::to_writer(&mut buffer, &Success { reply, request_id })
            .map_err(|fault| Error::Internal(format!("reply {root} in JSON: {fault}")))?,
        Form::Xml => xml::document(&mut buffer, root, &Success { reply, request_id }).map_err(|fault| match fault {
            XmlError::Character => invalid_since("Format".into(), NOT_IN_XML),
            XmlError::Shape(why) => Error::Internal(format!("reply {root} in XML: {why}")),
        })?,
    }
    Ok(buffer.into_bytes())
}
