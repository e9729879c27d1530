//! The answers that the front gives by itself, in the API's error form.
//!
//! Owns: nothing but the way to the wire's table of faults. Called by: front, guard's refusals.

use std::borrow::Cow;

use crate::error::Error;
use crate::ids::RequestId;
use crate::wire::{Format, Reply};

/// The answer to an error, and its code for the access line and the figures.
pub(super) fn fault(error: &Error, request_id: RequestId) -> (Reply, Cow<'static, str>) {
    let (status, code, message) = match error {
        Error::MalformedRequest => {
            (400, "ParseRequestParameterException", "Server parse parameters exception. Please check your input params.")
        }
        Error::PathNotFound => (404, "InvalidApi.NotFound", "Specified api is not found, please check your url and method."),
        Error::MethodNotSupported => (405, "UnsupportedHTTPMethod", "This http method is not supported."),
        Error::RequestTimeout => (408, "RequestTimeout", "The request did not arrive in time."),
        Error::BodyTooLarge => (413, "RequestBodyTooLarge", "The request body is too long."),
        Error::HeadTooLarge => (414, "RequestHeadTooLarge", "The request line or the headers are too long."),
        Error::Unavailable(_) => (503, "ServiceUnavailableTemporary", "Service Unavailable Temporary."),
        _ => (500, "InternalFailure", "Internal Failure."),
    };
    let body = serde_json::json!({
        "HttpStatus": status, "Code": code, "Message": message, "RequestId": request_id.to_string(),
    });
    let reply = Reply {
        status,
        format: Format::Json,
        body: body.to_string().into_bytes(),
        retry_after_s: (status == 503).then_some(1),
    };
    (reply, code.into())
}
