//! What an operation works with.
//!
//! Owns: the caller and the parts of the service that it may use, for the length of one request. Must not know: operations.
//! Called by: every operation; the pipeline, which makes one.

use crate::api::authorised::Authorised;
use crate::api::fields::Text;
use crate::api::recording::Recording;
use crate::auth::{Auth, Caller};
use crate::base::ids::{Alias, KeyId, KeyName, KeyRef, KeyVersionId};
use crate::error::Error;
use crate::keys::{AdmittedKey, AdmittedVersion, Keys, Use};
use crate::secrets::Secrets;

/// Whether a request is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A request that is to have its effect.
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
    pub(super) authorised: Authorised,
}

impl Context<'_> {
    /// Notes, for the record, which version is served, or was made under an id that the caller did not choose.
    pub fn serves(&self, version: impl ToString) {
        self.recording.event.borrow_mut().version_id = Some(version.to_string());
    }

    /// Notes, for the record, what was made: its ARN's end (`key/ID`).
    pub fn makes(&self, relative: &str) {
        self.recording.event.borrow_mut().makes(self.caller.arn(None, relative));
    }

    /// Notes, for the record, the accessor of a token that is given.
    pub fn shows(&self, accessor: &str) {
        self.recording.event.borrow_mut().token = Some(accessor.to_owned());
    }

    /// Ends a rehearsal that has come so far: everything that can be checked without an effect has been.
    ///
    /// # Errors
    /// [`Error::DryRunSucceeded`] in a rehearsal.
    pub fn rehearse(&self) -> Result<(), Error> {
        if self.mode == Mode::Rehearsal { Err(Error::DryRunSucceeded) } else { Ok(()) }
    }

    /// The key that the target names for this use, if it can be used now.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`], [`Error::AliasNotFound`]; [`Error::UnsupportedOperation`] for another sort of key; [`Error::KeyState`].
    pub fn key_for(&self, purpose: Use) -> Result<AdmittedKey, Error> {
        self.authorised.key_for(purpose)?.admit(self.caller.now())
    }

    /// The same for one version of it.
    ///
    /// # Errors
    /// Also [`Error::KeyVersionNotFound`].
    pub fn key_version_for(&self, purpose: Use, version: &KeyVersionId) -> Result<AdmittedVersion, Error> {
        self.keys.version_of(self.key_for(purpose)?, version)
    }

    /// The same for the version that a request names, by any text: one that is no id of ours is that of no version.
    ///
    /// # Errors
    /// As [`Context::key_version_for`].
    pub fn key_version_named(&self, purpose: Use, version: &Text) -> Result<AdmittedVersion, Error> {
        let key = self.key_for(purpose)?;
        self.keys.version_of(key, &version.0.parse().map_err(|_| Error::KeyVersionNotFound)?)
    }

    /// The key that an alias of the target named when its permission was asked for: it may have moved since.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`].
    pub fn named_by(&self, alias: &Alias) -> Result<KeyId, Error> {
        self.authorised.named_by(alias)
    }

    /// The same for any reference to a key.
    ///
    /// # Errors
    /// [`Error::AliasNotFound`].
    pub fn pinned(&self, key: &KeyRef) -> Result<KeyRef, Error> {
        let KeyName::Alias(alias) = &key.name else { return Ok(key.clone()) };
        Ok(KeyRef { home: key.home.clone(), name: KeyName::Id(self.named_by(alias)?.to_string()) })
    }
}
