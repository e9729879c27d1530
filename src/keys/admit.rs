//! Admission of a caller to a key.
//!
//! Owns: the rule of who may use a key, and in which of its states. Must not know: what for. Called by: keys, secrets.
//! Source of the rules: the pages of CreateSecret and GetSecretValue (permissions), and the table of key states.

use crate::auth::{Caller, ENCRYPTION_ALGORITHM, Grant, SYMMETRIC_DEFAULT};
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, Home, KeyId, KeyVersionId};
use crate::base::words::{EncryptionAlgorithm, KeySpec, KeyState, KeyUsage};
use crate::envelope::Identity;
use crate::error::{Denied, Error, RejectedState};
use crate::keys::find::FoundKey;
use crate::store::{Abort, KeyRow, KeyVersionRow, Tx};

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
    /// The same with what was encrypted under its public half.
    ReEncryptFromPair(EncryptionAlgorithm),
    /// What was in another blob is encrypted under it.
    ReEncryptTo,
    /// Something is encrypted under its public half.
    AsymmetricEncrypt(EncryptionAlgorithm),
    /// Something is decrypted with its private half.
    AsymmetricDecrypt(EncryptionAlgorithm),
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
            Use::ReEncryptFrom | Use::ReEncryptFromPair(_) => "kms:ReEncryptFrom",
            Use::ReEncryptTo => "kms:ReEncryptTo",
            Use::AsymmetricEncrypt(_) => "kms:AsymmetricEncrypt",
            Use::AsymmetricDecrypt(_) => "kms:AsymmetricDecrypt",
            Use::AsymmetricSign => "kms:AsymmetricSign",
            Use::AsymmetricVerify => "kms:AsymmetricVerify",
            Use::GetPublicKey => "kms:GetPublicKey",
            Use::GenerateMac => "kms:GenerateMac",
            Use::VerifyMac => "kms:VerifyMac",
        }
    }

    /// What conditions of policies can ask of this use: `kms:EncryptionAlgorithm`, where something is encrypted or decrypted.
    pub fn fact(self) -> Option<(&'static str, &'static str)> {
        match self {
            Use::ReEncryptFromPair(algorithm) | Use::AsymmetricEncrypt(algorithm) | Use::AsymmetricDecrypt(algorithm) => {
                Some((ENCRYPTION_ALGORITHM, algorithm.as_str()))
            }
            Use::AsymmetricSign | Use::AsymmetricVerify | Use::GetPublicKey | Use::GenerateMac | Use::VerifyMac => None,
            Use::GenerateDataKey
            | Use::GenerateDataKeyWithoutPlaintext
            | Use::GenerateAndExportDataKey
            | Use::Encrypt
            | Use::Decrypt
            | Use::ExportDataKey
            | Use::ReEncryptFrom
            | Use::ReEncryptTo => Some((ENCRYPTION_ALGORITHM, SYMMETRIC_DEFAULT)),
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
            | Use::ReEncryptFrom
            | Use::ReEncryptTo => spec.is_symmetric(),
            Use::ReEncryptFromPair(_) | Use::AsymmetricEncrypt(_) | Use::AsymmetricDecrypt(_) => {
                spec.is_pair() && usage == KeyUsage::EncryptDecrypt
            }
            Use::AsymmetricSign | Use::AsymmetricVerify => usage == KeyUsage::SignVerify,
            Use::GetPublicKey => spec.is_pair(),
            Use::GenerateMac | Use::VerifyMac => usage == KeyUsage::GenerateVerifyMac,
        }
    }
}

/// Proof that a caller may use a key now: the only thing that anything is encrypted or decrypted for.
#[derive(Debug, Clone)]
pub struct AdmittedKey {
    key: KeyId,
    primary: KeyVersionId,
    spec: KeySpec,
    at: Timestamp,
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

    /// That the key can still be used, where a write asks anything: one that asks nothing came before whatever has changed since. Who may
    /// use it was asked when it was admitted.
    ///
    /// # Errors
    /// [`Error::KeyState`], [`Error::KeyNotFound`].
    pub fn still_usable(&self, tx: &mut Tx<'_>, now: Timestamp) -> Result<(), Abort<Error>> {
        if tx.asks_nothing() {
            return Ok(());
        }
        let row = tx.key_by_id(&self.key)?.ok_or(Abort::App(Error::KeyNotFound))?;
        usable(row.state_at(now)).map_err(Abort::App)
    }

    /// The same for a version that is one of this key's, and made.
    ///
    /// # Errors
    /// [`Error::KeyVersionNotFound`].
    pub fn for_version(self, row: &KeyVersionRow) -> Result<AdmittedVersion, Error> {
        if row.key_id != self.key || !row.ready {
            return Err(Error::KeyVersionNotFound);
        }
        Ok(AdmittedVersion { key: self, version: row.id })
    }

    /// The version that wrapped the data key of this secret version, which must say that it is under this key. Its row is not read: the
    /// identity is what the data key was bound to, key and version in one, so that under another version it does not open.
    ///
    /// # Errors
    /// [`Error::Integrity`] for what is under another key.
    pub fn that_wrapped<'a>(&self, sealed: &Identity<'a>) -> Result<&'a KeyVersionId, Error> {
        if *sealed.key != self.key {
            let (name, version) = (sealed.name, sealed.version);
            return Err(Error::Integrity(format!("version {version} of secret {name} is not under the key that was admitted")));
        }
        Ok(sealed.key_version)
    }

    /// When it was admitted.
    pub(super) fn at(&self) -> Timestamp {
        self.at
    }

    /// What it is made of.
    pub fn spec(&self) -> KeySpec {
        self.spec
    }
}

/// Proof that a caller may use one version of a key now, and that it is the key's.
#[derive(Debug)]
pub struct AdmittedVersion {
    key: AdmittedKey,
    version: KeyVersionId,
}

impl AdmittedVersion {
    /// The key.
    pub fn key(&self) -> &KeyId {
        self.key.key()
    }

    /// The version.
    pub fn version(&self) -> &KeyVersionId {
        &self.version
    }

    /// The key's own admission.
    pub(super) fn admitted(&self) -> &AdmittedKey {
        &self.key
    }
}

/// A key that a caller may use in one way, as it was found when the permission was asked for.
pub struct AuthorisedKey {
    row: Result<KeyRow, Error>,
    purpose: Use,
}

impl FoundKey {
    /// Asks whether the caller may use the key that it named, whether there is one or not.
    ///
    /// # Errors
    /// Those of [`Caller::authorise`].
    pub fn authorise(self, caller: &Caller, purpose: Use) -> Result<(Grant, AuthorisedKey), Error> {
        let grant = authorise_use(caller, purpose, self.home.as_ref(), &self.relative)?;
        Ok((grant, AuthorisedKey { row: self.row, purpose }))
    }
}

impl AuthorisedKey {
    /// The use that is allowed.
    pub fn purpose(&self) -> Use {
        self.purpose
    }

    /// That there is such a key.
    ///
    /// # Errors
    /// Why there is none.
    pub fn found(&self) -> Result<(), Error> {
        self.row.as_ref().map(drop).map_err(Clone::clone)
    }

    /// Admits the caller to the key.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`], [`Error::AliasNotFound`]; [`Error::UnsupportedOperation`] for another sort of key; [`Error::KeyState`] in
    /// a state in which the key cannot be used.
    pub fn admit(&self, now: Timestamp) -> Result<AdmittedKey, Error> {
        admit_for(self.row.as_ref().map_err(Clone::clone)?, self.purpose, now)
    }
}

/// Admits a caller to the key of a secret of its account, which the caller does not name. A key that the service made for itself needs no
/// permission: the permission on the secret stands for it.
///
/// # Errors
/// [`Error::NoPermission`]; [`Error::UnsupportedOperation`] for another sort of key; [`Error::KeyState`] in a state in which the key
/// cannot be used; [`Error::KeyNotFound`] once it is deleted.
pub fn admit(caller: &Caller, key: &KeyRow, purpose: Use) -> Result<AdmittedKey, Error> {
    if key.account_id != caller.account {
        return Err(caller.denied(purpose.action()));
    }
    if !key.service {
        let relative = key.id.resource();
        authorise_use(caller, purpose, None, &relative).map_err(|error| match error {
            Error::NoPermission(denied) => {
                Error::NoPermission(Box::new(Denied { resource: Some(caller.arn(None, &relative)), ..*denied }))
            }
            other => other,
        })?;
    }
    admit_for(key, purpose, caller.now())
}

/// Whether a key is of the sort that this use needs, and can be used.
fn admit_for(key: &KeyRow, purpose: Use, now: Timestamp) -> Result<AdmittedKey, Error> {
    if !purpose.fits(key.spec, key.usage) {
        return Err(Error::UnsupportedOperation("keys of this kind and usage cannot do it"));
    }
    usable(key.state_at(now))?;
    Ok(AdmittedKey { key: key.id, primary: key.primary_version, spec: key.spec, at: now })
}

/// Admits the service itself to the key of a secret that it manages, for what the secret's owner has set up: changing the password
/// in it. Who set it up needed the permission on the key.
///
/// # Errors
/// [`Error::KeyState`]; [`Error::Integrity`] for a key of another account.
pub fn admit_service(owner: &AccountId, key: &KeyRow, now: Timestamp) -> Result<AdmittedKey, Error> {
    if key.account_id != *owner {
        return Err(Error::Integrity(format!("key {} is not of the account of its secret", key.id)));
    }
    usable(key.state_at(now))?;
    Ok(AdmittedKey { key: key.id, primary: key.primary_version, spec: key.spec, at: now })
}

/// Whether a caller may use the key that an ARN's end names (`key/ID`) for this; by which policy. Looks nothing up.
fn authorise_use(caller: &Caller, purpose: Use, home: Option<&Home>, relative: &str) -> Result<Grant, Error> {
    caller.authorise_given(purpose.action(), home, relative, purpose.fact().as_slice())
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
