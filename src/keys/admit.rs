//! Admission of a caller to a key.
//!
//! Owns: the rule of who may use a key, and in which of its states. Must not know: what for. Called by: keys::data_key's callers.
//! Source of the rules: the pages of CreateSecret and GetSecretValue (permissions), and the table of key states.

use crate::auth::{Caller, ENCRYPTION_ALGORITHM, SYMMETRIC_DEFAULT};
use crate::error::{Error, RejectedState};
use crate::ids::{AccountId, Home, KeyId, KeyVersionId};
use crate::kinds::KeyState;
use crate::store::KeyRow;

/// What a key is used for; each is a permission of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// A new data key is made under it.
    GenerateDataKey,
    /// A data key is unwrapped with it.
    Decrypt,
}

impl Use {
    /// The action that policies name.
    pub fn action(self) -> &'static str {
        match self {
            Use::GenerateDataKey => "kms:GenerateDataKey",
            Use::Decrypt => "kms:Decrypt",
        }
    }
}

/// Proof that a caller may use a key now: the only thing that data keys are made or unwrapped for.
#[derive(Debug)]
pub struct AdmittedKey {
    key: KeyId,
    primary: KeyVersionId,
}

impl AdmittedKey {
    /// The key.
    pub fn key(&self) -> &KeyId {
        &self.key
    }

    /// The version that encrypts. Reached from outside through [`super::Keys::reserve`] only, which counts the use.
    pub(super) fn primary(&self) -> &KeyVersionId {
        &self.primary
    }
}

/// Admits a caller to a key of its account. A key that the service made for itself needs no permission: the permission on the
/// secret stands for it.
///
/// # Errors
/// [`Error::NoPermission`]; [`Error::KeyState`] in a state in which the key cannot be used; [`Error::KeyNotFound`] once it is deleted.
pub fn admit(caller: &Caller, key: &KeyRow, purpose: Use) -> Result<AdmittedKey, Error> {
    if key.account_id != caller.account {
        return Err(Error::NoPermission);
    }
    if !key.service {
        authorise_use(caller, purpose, None, &format!("key/{}", key.id))?;
    }
    usable(key.state_at(caller.received_at))?;
    Ok(AdmittedKey { key: key.id, primary: key.primary_version })
}

/// Admits the service itself to the key of a secret that it manages, for what the secret's owner has set up: changing the password
/// in it. Who set it up needed the permission on the key.
///
/// # Errors
/// [`Error::KeyState`]; [`Error::Integrity`] for a key of another account.
pub fn admit_service(owner: &AccountId, key: &KeyRow) -> Result<AdmittedKey, Error> {
    if key.account_id != *owner {
        return Err(Error::Integrity(format!("key {} is not of the account of its secret", key.id)));
    }
    usable(key.state)?;
    Ok(AdmittedKey { key: key.id, primary: key.primary_version })
}

/// Whether a caller may use the key that an ARN's end names (`key/ID`) for this. Looks nothing up.
///
/// # Errors
/// [`Error::NoPermission`].
pub fn authorise_use(caller: &Caller, purpose: Use, home: Option<&Home>, relative: &str) -> Result<(), Error> {
    caller.authorise_given(purpose.action(), home, relative, &[(ENCRYPTION_ALGORITHM, SYMMETRIC_DEFAULT)]).map(drop)
}

/// Whether a key in this state can be used.
///
/// # Errors
/// [`Error::KeyState`]; [`Error::KeyNotFound`] for one that is deleted.
pub fn usable(state: KeyState) -> Result<(), Error> {
    match state {
        KeyState::Enabled => Ok(()),
        KeyState::Disabled => Err(Error::KeyState(RejectedState::Disabled)),
        KeyState::PendingImport => Err(Error::KeyState(RejectedState::PendingImport)),
        KeyState::PendingDeletion => Err(Error::KeyState(RejectedState::PendingDeletion)),
        KeyState::Creating => Err(Error::KeyState(RejectedState::Unavailable)),
        KeyState::Deleted => Err(Error::KeyNotFound),
    }
}
