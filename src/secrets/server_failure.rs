//! What the failure of a managed secret's server means to a caller.
//!
//! Owns: that mapping. Must not know: what was asked of the server. Called by: secrets::{adopt, rotation}.

use crate::base::ids::InstanceId;
use crate::error::Error;
use crate::servers::ServerError;

/// A server that did not do what it should, for the caller; the reason is for the log.
pub(super) fn server_failure(instance: &InstanceId, error: &ServerError) -> Error {
    log::warn!("managed server {instance} {error}");
    Error::Unavailable("managed server")
}
