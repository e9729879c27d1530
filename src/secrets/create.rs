//! CreateSecret: a secret and its first version.
//!
//! Owns: the order of the steps. Must not know: HTTP, PKCS#11, SQL. Called by: api::secrets::create_secret.

use crate::auth::Caller;
use crate::envelope;
use crate::error::Error;
use crate::ids::{KeyRef, SecretId, SecretName, SecretVersionUuid, Stage, VersionId};
use crate::keys::{self, AdmittedKey, Use};
use crate::kinds::{DataType, SecretType};
use crate::secret::Plaintext;
use crate::secrets::{Life, Secrets, Version, life, policy};
use crate::store::{Abort, KeyRow, ResourcePolicyRow, SecretRow, StageRow, Tagged, Tx, VersionRow};

/// What a secret is to be.
pub struct NewSecret {
    /// Its name.
    pub name: SecretName,
    /// Name of the first version.
    pub version: VersionId,
    /// Its value.
    pub value: Plaintext,
    /// Text or binary.
    pub data_type: DataType,
    /// For people.
    pub description: String,
    /// Key and value of each tag.
    pub tags: Vec<(String, String)>,
    /// A policy of its own, checked.
    pub policy: Option<String>,
    /// The CMK that the caller chose; none takes the account's default key.
    pub key: Option<KeyRef>,
}

/// The rows of a new secret, ready to be inserted.
struct Rows {
    secret: SecretRow,
    version: VersionRow,
    stage: StageRow,
    tags: Vec<(String, String)>,
    policy: Option<ResourcePolicyRow>,
}

impl Secrets {
    /// Makes a secret with one version, which gets ACSCurrent.
    ///
    /// # Errors
    /// [`Error::SecretExists`], [`Error::SecretInDeleteWindow`], [`Error::LimitExceeded`], [`Error::NoPermission`] on the key,
    /// [`Error::KeyNotFound`], [`Error::AliasNotFound`], [`Error::KeyState`], [`Error::Unavailable`].
    pub fn create(&self, caller: &Caller, new: NewSecret) -> Result<(), Error> {
        let (key, admitted) = self.key_for(caller, new.key.as_ref())?;
        let user_key = new.key.is_some();
        let rows = self.seal(caller, new, &admitted, user_key)?;
        caller.commit(&self.store, "secret_create", |tx| self.insert(tx, caller, &rows, &key))
    }

    fn key_for(&self, caller: &Caller, chosen: Option<&KeyRef>) -> Result<(KeyRow, AdmittedKey), Error> {
        let key = match chosen {
            None => self.keys.default_key(&caller.account)?,
            Some(key) => {
                // Before the look-up, so that a stranger cannot learn which keys exist.
                let resource = self.keys.resource(caller, key)?;
                keys::authorise_use(caller, Use::GenerateDataKey, key.home.as_ref(), &resource)?;
                self.keys.find(caller, key)?
            }
        };
        let admitted = keys::admit(caller, &key, Use::GenerateDataKey)?;
        Ok((key, admitted))
    }

    fn seal(&self, caller: &Caller, new: NewSecret, key: &AdmittedKey, user_key: bool) -> Result<Rows, Error> {
        let now = self.clock.now();
        let secret = SecretRow {
            id: SecretId::new(),
            account_id: caller.account.clone(),
            name: new.name,
            secret_type: SecretType::Generic,
            description: new.description,
            key_id: *key.key(),
            user_key,
            created_at: now,
            updated_at: now,
            delete_at: None,
        };
        let uuid = SecretVersionUuid::new();
        let suite = self.keys.suite();
        let counted = self.keys.reserve(key)?;
        let key_version = *counted.version();
        let facts = Version {
            uuid: &uuid,
            id: &new.version,
            data_type: new.data_type,
            created_at: now,
            key: key.key(),
            key_version: &key_version,
            suite,
        };
        let identity = self.identity(&secret, &facts);
        let (data_key, wrapped) = self.keys.new_data_key(counted, &identity.data_key_context())?;
        let sealed = envelope::seal(&identity, data_key, &wrapped, &new.value);
        let version = VersionRow {
            secret_id: secret.id,
            version_id: new.version.clone(),
            uuid,
            data_type: new.data_type,
            created_at: now,
            key_version_id: key_version,
            suite,
            wrapped,
            commitment: sealed.commitment,
            nonce: sealed.nonce,
            ciphertext: sealed.ciphertext,
        };
        let stage = StageRow { secret_id: secret.id, stage: Stage::current(), version_id: new.version, version_uuid: uuid };
        let policy = new.policy.map(|document| ResourcePolicyRow { document, ..policy::row(&secret) });
        Ok(Rows { secret, version, stage, tags: new.tags, policy })
    }

    fn insert(&self, tx: &mut Tx<'_>, caller: &Caller, rows: &Rows, key: &KeyRow) -> Result<(), Abort<Error>> {
        // The key may have been disabled since it was admitted.
        let key = tx.key_by_id(&key.id)?.ok_or(Abort::App(Error::KeyNotFound))?;
        keys::admit(caller, &key, Use::GenerateDataKey).map_err(Abort::App)?;
        if let Some(existing) = tx.secret_by_name(&caller.account, &rows.secret.name)? {
            match life(&existing, self.clock.now()) {
                Life::Live => return Err(Abort::App(Error::SecretExists)),
                Life::Window(_) => return Err(Abort::App(Error::SecretInDeleteWindow)),
                Life::Gone => drop(tx.secret_delete(&existing)?),
            }
        }
        if let Some(most) = self.quota
            && tx.secret_count(&caller.account)? >= i64::from(most)
        {
            return Err(Abort::App(Error::LimitExceeded));
        }
        tx.secret_insert(&rows.secret)?;
        tx.version_insert(&rows.version)?;
        tx.stage_insert(&rows.stage)?;
        for (tag_key, tag_value) in &rows.tags {
            tx.tag_put(&caller.account, Tagged::Secret(rows.secret.id), tag_key, tag_value)?;
        }
        if let Some(policy) = &rows.policy {
            tx.resource_policy_put(policy)?;
        }
        Ok(())
    }
}
