//! Admission of a caller to a key.
//!
//! Owns: the rule of who may use a key, and in which of its states. Must not know: what for. Called by: keys, secrets.
//! Source of the rules: the pages of CreateSecret and GetSecretValue (permissions), and the table of key states.

use crate::auth::Caller;
use crate::error::{Error, RejectedState};
use crate::ids::{KeyId, KeyVersionId};
use crate::kinds::{KeySpec, KeyState, KeyUsage};
use crate::store::KeyRow;

/// What a key is used for; each is a permission of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// A new data key is made under it.
    GenerateDataKey,
    /// The same, and the data key is not given out.
    GenerateDataKeyWithoutPlaintext,
    /// The same, and the data key is given out under a public key.
    GenerateAndExportDataKey,
    /// A caller's bytes are encrypted under it.
    Encrypt,
    /// A data key is unwrapped with it, or a blob opened.
    Decrypt,
    /// A blob is opened with it, and what was in it given out under a public key.
    ExportDataKey,
    /// A blob is opened with it, to be encrypted anew.
    ReEncryptFrom,
    /// What was in another blob is encrypted under it.
    ReEncryptTo,
    /// Something is encrypted under its public half.
    AsymmetricEncrypt,
    /// Something is decrypted with its private half.
    AsymmetricDecrypt,
    /// A digest is signed with its private half.
    AsymmetricSign,
    /// A signature is verified with its public half.
    AsymmetricVerify,
    /// Its public half is given out.
    GetPublicKey,
    /// A MAC is made with it.
    GenerateMac,
    /// A MAC is verified with it.
    VerifyMac,
}

impl Use {
    /// The action that policies name.
    pub fn action(self) -> &'static str {
        match self {
            Use::GenerateDataKey => "kms:GenerateDataKey",
            Use::GenerateDataKeyWithoutPlaintext => "kms:GenerateDataKeyWithoutPlaintext",
            Use::GenerateAndExportDataKey => "kms:GenerateAndExportDataKey",
            Use::Encrypt => "kms:Encrypt",
            Use::Decrypt => "kms:Decrypt",
            Use::ExportDataKey => "kms:ExportDataKey",
            Use::ReEncryptFrom => "kms:ReEncryptFrom",
            Use::ReEncryptTo => "kms:ReEncryptTo",
            Use::AsymmetricEncrypt => "kms:AsymmetricEncrypt",
            Use::AsymmetricDecrypt => "kms:AsymmetricDecrypt",
            Use::AsymmetricSign => "kms:AsymmetricSign",
            Use::AsymmetricVerify => "kms:AsymmetricVerify",
            Use::GetPublicKey => "kms:GetPublicKey",
            Use::GenerateMac => "kms:GenerateMac",
            Use::VerifyMac => "kms:VerifyMac",
        }
    }

    /// Whether a key is of the sort that this needs.
    fn fits(self, spec: KeySpec, usage: KeyUsage) -> bool {
        match self {
            Use::GenerateDataKey
            | Use::GenerateDataKeyWithoutPlaintext
            | Use::GenerateAndExportDataKey
            | Use::Encrypt
            | Use::Decrypt
            | Use::ExportDataKey
            | Use::ReEncryptTo => spec.is_symmetric(),
            // Also a pair's ciphertext can be encrypted anew.
            Use::ReEncryptFrom => usage == KeyUsage::EncryptDecrypt,
            Use::AsymmetricEncrypt | Use::AsymmetricDecrypt => spec.is_pair() && usage == KeyUsage::EncryptDecrypt,
            Use::AsymmetricSign | Use::AsymmetricVerify => usage == KeyUsage::SignVerify,
            Use::GetPublicKey => spec.is_pair(),
            Use::GenerateMac | Use::VerifyMac => usage == KeyUsage::GenerateVerifyMac,
        }
    }
}

/// Proof that a caller may use a key now: the only thing that anything is encrypted or decrypted for.
#[derive(Debug)]
pub struct AdmittedKey {
    key: KeyId,
    primary: KeyVersionId,
    spec: KeySpec,
}

impl AdmittedKey {
    /// The key.
    pub fn key(&self) -> &KeyId {
        &self.key
    }

    /// The version that new data keys are wrapped under.
    pub fn primary(&self) -> &KeyVersionId {
        &self.primary
    }

    /// What it is made of.
    pub fn spec(&self) -> KeySpec {
        self.spec
    }
}

/// Admits a caller to a key of its account. A key that the service made for itself needs no permission: the permission on the
/// secret stands for it.
///
/// # Errors
/// [`Error::NoPermission`]; [`Error::UnsupportedOperation`] for another sort of key; [`Error::KeyState`] in a state in which the key cannot be used.
pub fn admit(caller: &Caller, key: &KeyRow, purpose: Use) -> Result<AdmittedKey, Error> {
    if key.account_id != caller.account {
        return Err(Error::NoPermission);
    }
    if !key.service {
        caller.authorise(purpose.action(), None, &format!("key/{}", key.id))?;
    }
    if !purpose.fits(key.spec, key.usage) {
        return Err(Error::UnsupportedOperation);
    }
    usable(key.state)?;
    Ok(AdmittedKey { key: key.id, primary: key.primary_version, spec: key.spec })
}

/// Whether a key in this state can be used.
///
/// # Errors
/// [`Error::KeyState`].
pub fn usable(state: KeyState) -> Result<(), Error> {
    match state {
        KeyState::Enabled => Ok(()),
        KeyState::Disabled => Err(Error::KeyState(RejectedState::Disabled)),
        KeyState::PendingDeletion => Err(Error::KeyState(RejectedState::PendingDeletion)),
        KeyState::Creating => Err(Error::KeyState(RejectedState::Unavailable)),
    }
}
