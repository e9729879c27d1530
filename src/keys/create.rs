//! Making a master key.
//!
//! Owns: the steps over database and token, the quota. Must not know: HTTP. Called by: api, keys::{default_key, import}.
//!
//! Row first (`Creating`, with its version's id) → object on the token under CKA_ID = that id, proved there → `Enabled`.
//! A failure destroys what there is on the token, then the rows ([`Keys::version_fail`]). A kill at any point leaves rows that nobody sees; a
//! sweep removes them and condemns what there may be on the token, which goes when its quarantine is over (`keys::condemned`).

use crate::auth::Caller;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, KeyId, KeyVersionId, KmsInstanceId};
use crate::base::words::{KeySpec, KeyState, KeyUsage, Origin, ProtectionLevel};
use crate::effect::Effect;
use crate::error::Error;
use crate::keys::describe::{KeyDescription, describe};
use crate::keys::{Keys, rows, schedule, versions};
use crate::store::{Abort, KeyRow, KeyVersionRow, ResourcePolicyRow, StoreError, Tagged, Tx};

/// Objects of a deployment's own on the token, at most: SYS, INT, AUD's two halves, ROW and the one that takes its place, the key that is made
/// anew every hour and the one before it, and the two keys of the token's test where it keeps none for a session.
const SYSTEM_OBJECTS: i64 = 10;

/// What a key is to be.
pub struct NewKey {
    /// Its material.
    pub spec: KeySpec,
    /// Its use.
    pub usage: KeyUsage,
    /// Where its material comes from.
    pub origin: Origin,
    /// The level asked for.
    pub protection: ProtectionLevel,
    /// For people.
    pub description: String,
    /// Seconds between two versions; none without automatic rotation.
    pub rotation_s: Option<i64>,
    /// Key and value of each tag.
    pub tags: Vec<(String, String)>,
    /// A policy of its own, checked.
    pub policy: Option<String>,
    /// The instance that the caller named.
    pub kms_instance: Option<KmsInstanceId>,
}

impl Keys {
    /// Makes a key for a caller.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`], [`Error::Unavailable`].
    pub fn create(&self, caller: &Caller, new: &NewKey) -> Result<KeyDescription, Error> {
        if new.origin == Origin::External {
            return self.create_external(caller, new);
        }
        let (key, version) = new_rows(&caller.account, new, false, caller.now());
        self.store.write("key_begin", |tx| {
            self.check_quota(tx, &key.account_id)?;
            self.check_room(tx, key.spec.objects())?;
            Ok(begin(tx, &key, &version)?)
        })?;
        self.finish(&key, &version, new, &caller.effect)
    }

    /// Makes what `begin` has inserted rows for; the last step is the effect of `author`.
    pub(super) fn finish(
        &self,
        key: &KeyRow,
        version: &KeyVersionRow,
        new: &NewKey,
        effect: &Effect,
    ) -> Result<KeyDescription, Error> {
        self.make(key, version, effect, || {
            self.store.commit(effect, "key_enable_new", |tx| self.enable_new(tx, key, version, new))
        })
    }

    pub(super) fn check_quota(&self, tx: &mut Tx<'_>, account: &AccountId) -> Result<(), Abort<Error>> {
        match self.limits.keys {
            Some(most) if tx.key_count(account, &[])? >= i64::from(most) => {
                Err(Abort::App(Error::LimitExceeded { most: most.into(), of: "keys in an account" }))
            }
            _ => Ok(()),
        }
    }

    /// Refuses what would make more objects on the token than the deployment may have.
    pub(super) fn check_room(&self, tx: &mut Tx<'_>, objects: i64) -> Result<(), Abort<Error>> {
        let Some(most) = self.limits.token_objects else { return Ok(()) };
        let (pairs, secrets): (Vec<KeySpec>, Vec<KeySpec>) = KeySpec::ALL.iter().partition(|spec| spec.is_pair());
        let pairs = tx.key_versions_of_specs(&pairs)? + tx.import_parameters_on_token()?;
        // Of what is condemned, nothing tells what it was.
        let there = tx.key_versions_of_specs(&secrets)? + 2 * (pairs + tx.condemned_count()?) + SYSTEM_OBJECTS;
        if there + objects > i64::from(most) { Err(Abort::App(Error::TokenFull)) } else { Ok(()) }
    }

    fn enable_new(
        &self,
        tx: &mut Tx<'_>,
        key: &KeyRow,
        version: &KeyVersionRow,
        new: &NewKey,
    ) -> Result<KeyDescription, Abort<Error>> {
        if !key.service {
            self.check_quota(tx, &key.account_id)?;
        }
        versions::mark_ready(tx, version)?;
        let enabled = KeyRow { state: KeyState::Enabled, ..key.clone() };
        rows::replace(tx, key, enabled.clone())?;
        schedule::schedule(tx, &key.id, new.rotation_s, version.created_at)?;
        attach_tags_and_policy(tx, enabled, new)
    }
}

/// Inserts the rows of a key that is about to be made.
pub(super) fn begin(tx: &mut Tx<'_>, key: &KeyRow, version: &KeyVersionRow) -> Result<(), StoreError> {
    tx.key_insert(key)?;
    tx.key_version_insert(version)
}

/// The rows of a new key.
pub(super) fn new_rows(account: &AccountId, new: &NewKey, service: bool, now: Timestamp) -> (KeyRow, KeyVersionRow) {
    let key = KeyRow {
        id: KeyId::new(),
        account_id: account.clone(),
        spec: new.spec,
        usage: new.usage,
        origin: new.origin,
        protection: new.protection,
        state: KeyState::Creating,
        service,
        description: new.description.clone(),
        primary_version: KeyVersionId::new(),
        created_at: now,
        delete_at: None,
        material_expires_at: None,
        deletion_protection: None,
        kms_instance: new.kms_instance.clone(),
    };
    let version = rows::version_row(&key, key.primary_version, now);
    (key, version)
}

/// The last step of a new key: its tags and policy.
pub(super) fn attach_tags_and_policy(tx: &mut Tx<'_>, key: KeyRow, new: &NewKey) -> Result<KeyDescription, Abort<Error>> {
    for (tag_key, tag_value) in &new.tags {
        tx.tag_put(&key.account_id, Tagged::Key(key.id), tag_key, tag_value)?;
    }
    if let Some(document) = &new.policy {
        tx.resource_policy_put(&ResourcePolicyRow { document: document.clone(), ..rows::policy_row(&key) })?;
    }
    describe(tx, key)
}
