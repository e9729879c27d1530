//! CreateSecret: a secret and its first version.
//!
//! Owns: the order of the steps. Must not know: HTTP, PKCS#11, SQL. Called by: api::secrets::create_secret.

use crate::auth::Caller;
use crate::base::ids::{KmsInstanceId, SecretId, SecretName, SecretVersionUuid};
use crate::base::words::SecretType;
use crate::error::Error;
use crate::keys::{self, AdmittedKey, Use};
use crate::secrets::adopt::ManagedRows;
use crate::secrets::find::{Life, life};
use crate::secrets::{NewManaged, NewVersion, Rotation, Secrets, policy, stages};
use crate::store::{
    Abort, Content, KeyRow, ResourcePolicyRow, SecretFilter, SecretRow, Tagged, Tx, VersionHead, VersionRow, expect_changed,
};

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
        self.create_first(caller, new, key).map(|(rotation, _)| rotation)
    }

    /// The same; gives the first version as well.
    pub(super) fn create_first(
        &self,
        caller: &Caller,
        new: NewSecret,
        key: Option<AdmittedKey>,
    ) -> Result<(Option<Rotation>, VersionHead), Error> {
        let user_key = key.is_some();
        let admitted = match key {
            Some(admitted) => admitted,
            None => keys::admit(caller, &self.default_key(caller, &new.name)?, Use::GenerateDataKey)?,
        };
        let rows = self.rows(caller, new, &admitted, user_key)?;
        // A count of all secrets, and the accounts of a server, are guarded by nothing.
        let guarded = self.quota.is_none() && rows.managed.is_none();
        let insert = |tx: &mut Tx<'_>| self.insert(tx, caller, &rows, &admitted);
        if guarded {
            self.store.commit_guarded(&caller.effect, "secret_create", insert)?;
        } else {
            self.store.commit(&caller.effect, "secret_create", insert)?;
        }
        let rotation = rows.managed.as_ref().map(ManagedRows::rotation).transpose()?;
        Ok((rotation, rows.version.head()))
    }

    /// A secret that is not managed, whose first version, number 0, never had a value: all that is there is its name and its tags.
    pub(super) fn create_without_value(&self, caller: &Caller, new: NewSecret) -> Result<(), Error> {
        let key = self.default_key(caller, &new.name)?;
        let admitted = keys::admit(caller, &key, Use::GenerateDataKey)?;
        let secret = self.secret_row(caller, &new, &admitted, false);
        let version = VersionRow {
            secret_id: secret.id,
            version_id: new.version.id,
            uuid: SecretVersionUuid::new(),
            number: 0,
            deleted_at: None,
            destroyed: true,
            data_type: new.version.data_type,
            created_at: secret.created_at,
            key_version_id: key.primary_version,
            suite: self.keys.suite(),
            wrapped: Vec::new(),
            commitment: Vec::new(),
            nonce: Vec::new(),
            ciphertext: Vec::new(),
        };
        let rows = Rows { secret, version, tags: new.tags, policy: None, managed: None };
        self.store.commit(&caller.effect, "secret_create", |tx| self.insert(tx, caller, &rows, &admitted))
    }

    /// The account's default key, made for a secret of this name only where there may be one.
    fn default_key(&self, caller: &Caller, name: &SecretName) -> Result<KeyRow, Error> {
        self.keys
            .default_key(caller, || self.store.read("secret_create_begin", |tx| self.may_be_made(tx, caller, name).map(drop)))
    }

    /// That there may be another secret, of this name. Gives what has the name and is over.
    fn may_be_made(&self, tx: &mut Tx<'_>, caller: &Caller, name: &SecretName) -> Result<Option<SecretRow>, Abort<Error>> {
        let now = caller.now();
        let existing = tx.secret_in_the_way(&caller.account, name)?;
        match existing.as_ref().map(|existing| life(existing, now)) {
            Some(Life::Live) => return Err(Abort::App(Error::SecretExists)),
            Some(Life::Window(_)) => return Err(Abort::App(Error::SecretInDeleteWindow)),
            Some(Life::Gone) | None => {}
        }
        if let Some(most) = self.quota
            && tx.secret_count(&caller.account, now, &SecretFilter::default())? >= i64::from(most)
        {
            return Err(Abort::App(Error::LimitExceeded { most: most.into(), of: "secrets in an account" }));
        }
        Ok(existing)
    }

    fn secret_row(&self, caller: &Caller, new: &NewSecret, key: &AdmittedKey, user_key: bool) -> SecretRow {
        let now = caller.now();
        SecretRow {
            id: SecretId::new(),
            account_id: caller.account.clone(),
            name: new.name.clone(),
            secret_type: if new.managed.is_some() { SecretType::Rds } else { SecretType::Generic },
            description: new.description.clone(),
            key_id: *key.key(),
            user_key,
            created_at: now,
            updated_at: now,
            delete_at: None,
            kms_instance: new.kms_instance.clone(),
            content: Content::default(),
        }
    }

    fn rows(&self, caller: &Caller, new: NewSecret, key: &AdmittedKey, user_key: bool) -> Result<Rows, Error> {
        let secret = self.secret_row(caller, &new, key, user_key);
        let (first, managed) = match new.managed {
            None => (new.version, None),
            Some(managed) => {
                let (value, rows) = self.adopt(&caller.account, &managed, &secret, &new.version.value)?;
                (NewVersion { value, ..new.version }, Some(rows))
            }
        };
        let version = self.seal(&secret, key, &first, secret.created_at)?;
        let policy = new.policy.map(|document| ResourcePolicyRow { document, ..policy::row(&secret) });
        Ok(Rows { secret, version, tags: new.tags, policy, managed })
    }

    fn insert(&self, tx: &mut Tx<'_>, caller: &Caller, rows: &Rows, admitted: &AdmittedKey) -> Result<(), Abort<Error>> {
        let now = caller.now();
        admitted.still_usable(tx, now)?;
        if let Some(gone) = self.may_be_made(tx, caller, &rows.secret.name)? {
            caller.proved_now().map_err(Abort::App)?;
            expect_changed(tx.secret_delete(&gone)?, "secrets")?;
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
