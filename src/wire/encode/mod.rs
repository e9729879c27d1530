//! Answers: one reply struct gives the JSON and the XML form.
//!
//! Owns: the envelopes of success and of errors. Must not know: what a reply means. Called by: api (success), http (errors).
//!
//! Replies contain secrets: they are written straight into one buffer that wipes what it outgrows.

mod buffer;
#[cfg(test)]
mod tests;
mod xml;

use serde::{Serialize, Serializer};

use self::buffer::Buffer;
use self::xml::XmlError;
use super::fault::Fault;
use super::{Format, Reply};
use crate::base::ids::RequestId;
use crate::base::secret::Plaintext;
use crate::error::Error;

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
}

/// The body of a successful answer: a JSON object, or an XML document with the root `<action>Response`.
///
/// `reply` is a struct; absent optional fields must be skipped by its `Serialize` (`skip_serializing_if`) for JSON, and are left
/// out of XML in any case.
///
/// # Errors
/// [`Error::InvalidParameter`] naming `Format` for a text that XML 1.0 cannot carry; [`Error::Internal`] for a reply that has
/// no such form.
pub fn success(action: &str, reply: &impl Serialize, request_id: &RequestId, format: Format) -> Result<Vec<u8>, Error> {
    body(&format!("{action}Response"), reply, request_id, format)
}

/// The answer to an error, in the API's form. Needs no request: also for those that could not be read.
pub fn fault(error: &Error, request_id: &RequestId, format: Format) -> Reply {
    let Fault { status, code, message, retry_after_s } = Fault::of(error);
    let failure = Failure { http_status: status, code, message: &message };
    let (format, body) = match body("Error", &failure, request_id, format) {
        Ok(body) => (format, body),
        // A parameter's name with a control character in it; JSON can say it.
        Err(_) => {
            let json = body("Error", &failure, request_id, Format::Json);
            (Format::Json, json.expect("a struct of texts and a number has a JSON form"))
        }
    };
    Reply { status, format, body, retry_after_s }
}

/// For `#[serde(serialize_with = "encode::plaintext")]`: the one way in which a secret value becomes part of a reply.
///
/// # Errors
/// If the value is not UTF-8; values come in as text, so this is a fault of the service.
pub fn plaintext<S: Serializer>(value: &Plaintext, serializer: S) -> Result<S::Ok, S::Error> {
    match std::str::from_utf8(value.expose()) {
        Ok(text) => serializer.serialize_str(text),
        Err(_) => Err(serde::ser::Error::custom("a value that is not UTF-8")),
    }
}

fn body(root: &str, reply: &impl Serialize, request_id: &RequestId, format: Format) -> Result<Vec<u8>, Error> {
    let mut buffer = Buffer::default();
    match format {
        Format::Json => serde_json::to_writer(&mut buffer, &Success { reply, request_id })
            .map_err(|fault| Error::Internal(format!("reply {root} in JSON: {fault}")))?,
        Format::Xml => xml::document(&mut buffer, root, &Success { reply, request_id }).map_err(|fault| match fault {
            XmlError::Character => Error::invalid("Format"),
            XmlError::Shape(why) => Error::Internal(format!("reply {root} in XML: {why}")),
        })?,
    }
    Ok(buffer.into_bytes())
}
