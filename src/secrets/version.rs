//! A version of a secret: how its value is sealed, and how it is opened again.
//!
//! Owns: what a version is bound to. Must not know: HTTP, PKCS#11, SQL, labels. Called by: secrets::{create, put, value},
//! each with the key that its caller was admitted to.

use crate::base::clock::Timestamp;
use crate::base::ids::{DeploymentId, Region, SecretVersionUuid, VersionId};
use crate::base::secret::{DataKey, Plaintext};
use crate::base::words::DataType;
use crate::envelope::{self, Identity, Sealed, Tampered};
use crate::error::Error;
use crate::keys::AdmittedKey;
use crate::secrets::Secrets;
use crate::store::{SecretRow, VersionRow};

/// A version to be made.
pub struct NewVersion {
    /// Its name.
    pub id: VersionId,
    /// Its value.
    pub value: Plaintext,
    /// Text or binary.
    pub data_type: DataType,
}

impl Secrets {
    /// Seals a value as a version of a secret, under a data key of its own. Two calls of the token.
    ///
    /// # Errors
    /// [`Error::KeyUsesExhausted`]; [`Error::Unavailable`] when the token is away.
    pub(super) fn seal(
        &self,
        secret: &SecretRow,
        key: &AdmittedKey,
        new: &NewVersion,
        created_at: Timestamp,
    ) -> Result<VersionRow, Error> {
        let counted = self.keys.reserve(key)?;
        let bound = VersionRow {
            secret_id: secret.id,
            version_id: new.id.clone(),
            uuid: SecretVersionUuid::new(),
            // The first's; others are numbered as they are stored.
            number: 1,
            deleted_at: None,
            destroyed: false,
            data_type: new.data_type,
            created_at,
            key_version_id: *counted.version(),
            suite: self.keys.suite(),
            wrapped: Vec::new(),
            commitment: Vec::new(),
            nonce: Vec::new(),
            ciphertext: Vec::new(),
        };
        let identity = identity(&self.deployment, &self.region, secret, &bound);
        let (data_key, wrapped) = self.keys.new_data_key(counted, &identity)?;
        let Sealed { commitment, nonce, ciphertext } = envelope::seal(&identity, data_key, &wrapped, &new.value);
        Ok(VersionRow { wrapped, commitment, nonce, ciphertext, ..bound })
    }

    /// The value of a version.
    ///
    /// # Errors
    /// [`Error::Integrity`] when any stored byte does not verify; [`Error::Unavailable`] when the token is away.
    pub(super) fn open(&self, secret: &SecretRow, key: &AdmittedKey, version: &VersionRow) -> Result<Plaintext, Error> {
        let identity = identity(&self.deployment, &self.region, secret, version);
        let data_key = self.keys.unwrap_data_key(key, &identity, &version.wrapped)?;
        open_with(&identity, data_key, version)
            .map_err(|_| Error::Integrity(format!("version {} of secret {} does not open", version.version_id, secret.name)))
    }
}

/// The value of a version, by its data key.
///
/// # Errors
/// [`Tampered`] when any stored byte is not what was sealed.
pub fn open_with(identity: &Identity<'_>, data_key: DataKey, version: &VersionRow) -> Result<Plaintext, Tampered> {
    let sealed =
        Sealed { commitment: version.commitment.clone(), nonce: version.nonce.clone(), ciphertext: version.ciphertext.clone() };
    envelope::open(identity, data_key, &version.wrapped, sealed)
}

/// What a version is bound to: all its columns but those that sealing makes.
pub fn identity<'a>(
    deployment: &'a DeploymentId,
    region: &'a Region,
    secret: &'a SecretRow,
    version: &'a VersionRow,
) -> Identity<'a> {
    Identity {
        deployment,
        account: &secret.account_id,
        region,
        secret: &secret.id,
        name: &secret.name,
        version_uuid: &version.uuid,
        version: &version.version_id,
        data_type: version.data_type,
        created_at: version.created_at,
        key: &secret.key_id,
        key_version: &version.key_version_id,
        suite: version.suite,
    }
}
