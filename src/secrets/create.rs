//! CreateSecret: a secret and its first version.
//!
//! Owns: the order of the steps. Must not know: HTTP, PKCS#11, SQL. Called by: api::secrets::create_secret.

use crate::auth::Caller;
use crate::base::ids::{KmsInstanceId, SecretId, SecretName};
use crate::base::words::SecretType;
use crate::error::Error;
use crate::keys::{self, AdmittedKey, Use};
use crate::secrets::find::{Life, life};
use crate::secrets::managed::ManagedRows;
use crate::secrets::{NewManaged, NewVersion, Rotation, Secrets, policy, stages};
use crate::store::{Abort, Content, ResourcePolicyRow, SecretFilter, SecretRow, Tagged, Tx, VersionRow, expect_changed};

/// What a secret is to be.
pub struct NewSecret {
    /// Its name.
    pub name: SecretName,
    /// Its first version.
    pub version: NewVersion,
    /// For people.
    pub description: String,
    /// Key and value of each tag.
    pub tags: Vec<(String, String)>,
    /// A policy of its own, checked.
    pub policy: Option<String>,
    /// For an Rds secret, whose first version then holds its accounts; none for a Generic one.
    pub managed: Option<NewManaged>,
    /// The KMS instance that the caller named.
    pub kms_instance: Option<KmsInstanceId>,
}

/// The rows of a new secret, ready to be inserted.
struct Rows {
    secret: SecretRow,
    version: VersionRow,
    tags: Vec<(String, String)>,
    policy: Option<ResourcePolicyRow>,
    managed: Option<ManagedRows>,
}

impl Secrets {
    /// Makes a secret with one version, which gets ACSCurrent, under this key or, without one, under the account's default key. Gives how
    /// it is rotated, if it is a managed one.
    ///
    /// # Errors
    /// [`Error::SecretExists`], [`Error::SecretInDeleteWindow`], [`Error::LimitExceeded`], [`Error::KeyNotFound`] for a key that has gone
    /// meanwhile, [`Error::KeyState`], [`Error::Unavailable`]; for a managed one also
    /// [`Error::AccountManaged`], and [`Error::Invalid`] for accounts that the server does not know so.
    pub fn create(&self, caller: &Caller, new: NewSecret, key: Option<AdmittedKey>) -> Result<Option<Rotation>, Error> {
        let user_key = key.is_some();
        let admitted = match key {
            Some(admitted) => admitted,
            None => keys::admit(caller, &self.keys.default_key(&caller.account)?, Use::GenerateDataKey)?,
        };
        let rows = self.rows(caller, new, &admitted, user_key)?;
        self.store.commit(&caller.effect, "secret_create", |tx| self.insert(tx, caller, &rows, &admitted))?;
        rows.managed.as_ref().map(ManagedRows::rotation).transpose()
    }

    fn rows(&self, caller: &Caller, new: NewSecret, key: &AdmittedKey, user_key: bool) -> Result<Rows, Error> {
        let now = self.clock.now();
        let secret = SecretRow {
            id: SecretId::new(),
            account_id: caller.account.clone(),
            name: new.name,
            secret_type: if new.managed.is_some() { SecretType::Rds } else { SecretType::Generic },
            description: new.description,
            key_id: *key.key(),
            user_key,
            created_at: now,
            updated_at: now,
            delete_at: None,
            kms_instance: new.kms_instance,
            content: Content::default(),
        };
        let (first, managed) = match new.managed {
            None => (new.version, None),
            Some(managed) => {
                let (value, rows) = self.adopt(&caller.account, &managed, &secret, &new.version.value)?;
                (NewVersion { value, ..new.version }, Some(rows))
            }
        };
        let version = self.seal(&secret, key, &first, now)?;
        let policy = new.policy.map(|document| ResourcePolicyRow { document, ..policy::row(&secret) });
        Ok(Rows { secret, version, tags: new.tags, policy, managed })
    }

    fn insert(&self, tx: &mut Tx<'_>, caller: &Caller, rows: &Rows, admitted: &AdmittedKey) -> Result<(), Abort<Error>> {
        // The key may have been disabled since it was admitted.
        let now = self.clock.now();
        let key = tx.key_by_id(admitted.key())?.ok_or(Abort::App(Error::KeyNotFound))?;
        admitted.still_usable(&key, now).map_err(Abort::App)?;
        if let Some(existing) = tx.secret_by_name(&caller.account, &rows.secret.name)? {
            match life(&existing, now) {
                Life::Live => return Err(Abort::App(Error::SecretExists)),
                Life::Window(_) => return Err(Abort::App(Error::SecretInDeleteWindow)),
                Life::Gone => expect_changed(tx.secret_delete(&existing)?, "secrets")?,
            }
        }
        if let Some(most) = self.quota
            && tx.secret_count(&caller.account, now, &SecretFilter::default())? >= i64::from(most)
        {
            return Err(Abort::App(Error::LimitExceeded));
        }
        stages::store_first(tx, &rows.secret, &rows.version)?;
        if let Some(managed) = &rows.managed {
            managed.insert(tx)?;
        }
        for (tag_key, tag_value) in &rows.tags {
            tx.tag_put(&caller.account, Tagged::Secret(rows.secret.id), tag_key, tag_value)?;
        }
        if let Some(policy) = &rows.policy {
            tx.resource_policy_put(policy)?;
        }
        Ok(())
    }
}
