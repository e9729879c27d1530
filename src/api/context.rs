//! What an operation works with.
//!
//! Owns: the caller and the parts of the service that it may use, for the length of one request. Must not know: operations.
//! Called by: every operation; the pipeline, which makes one.

use crate::api::recording::Recording;
use crate::auth::{Auth, Caller};
use crate::error::Error;
use crate::keys::Keys;
use crate::secrets::Secrets;

/// Whether a request is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is.
    Real,
    /// DryRun: everything is checked, and the answer says only what would have been.
    Rehearsal,
}

/// What an operation works with.
pub struct Context<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// Master keys.
    pub keys: &'a Keys,
    /// Secrets.
    pub secrets: &'a Secrets,
    /// Who may what.
    pub auth: &'a Auth,
    pub(super) mode: Mode,
    pub(super) recording: Recording<'a>,
}

impl Context<'_> {
    /// Notes, for the record, which version is served.
    pub fn serves(&self, version: impl ToString) {
        self.recording.event.borrow_mut().version_id = Some(version.to_string());
    }

    /// Ends a rehearsal that has come so far: everything that can be checked without an effect has been.
    ///
    /// # Errors
    /// [`Error::DryRunSucceeded`] in a rehearsal.
    pub fn rehearse(&self) -> Result<(), Error> {
        if self.mode == Mode::Rehearsal { Err(Error::DryRunSucceeded) } else { Ok(()) }
    }
}
