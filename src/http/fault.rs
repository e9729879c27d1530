//! The answers that the front gives by itself, in the API's error form.
//!
//! Owns: nothing but the way to the wire's table of faults. Called by: front, guard's refusals.

use std::borrow::Cow;

use crate::base::ids::RequestId;
use crate::error::Error;
use crate::wire::fault::Fault;
use crate::wire::{Format, Reply, encode};

/// The answer to an error, and its code for the access line and the figures.
pub(super) fn fault(error: &Error, request_id: RequestId) -> (Reply, Cow<'static, str>) {
    (encode::fault(error, &request_id, Format::Json), Fault::of(error).code.into())
}
