//! Alibaba Cloud's RPC APIs: requests by `Action` and parameters, signed, answered in JSON or XML.
//!
//! Owns: parameters, signatures, encodings, the spelling of errors. Must not know: tokens, databases, sockets.
//! Called by: app, which gives it calls of http; and nobody below.

mod door;
pub(super) mod encode;
mod entry_error;
mod fault;
mod form;
pub(super) mod params;
pub(super) mod signature;

pub use door::Rpc;
pub use encode::REQUEST_ID;
pub use form::Form;

/// The one version of the API that is served.
pub const API_VERSION: &str = "2016-01-20";
