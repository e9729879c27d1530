//! Master keys: what is known of them besides their material, which is on the token.
//!
//! Owns: the rows of keys and default_keys. Must not know: the token, what a state allows. Called by: keys, secrets, jobs.

use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, KeyId, KeyVersionId, KmsInstanceId};
use crate::base::words::{KeySpec, KeyState, KeyUsage, Origin, ProtectionLevel};
use crate::store::engine::connection::per_backend;
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::{default_keys, keys};
use crate::store::engine::scope::{Counted, Scope};
use crate::store::engine::statements::{delete, each_due, insert, one, replace};
use crate::store::{Each, StoreError, Tagged, Tx, expect_changed};

/// A master key.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = keys, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct KeyRow {
    /// Its id.
    pub id: KeyId,
    /// The owner.
    pub account_id: AccountId,
    /// What it is made of.
    pub spec: KeySpec,
    /// What it is for.
    pub usage: KeyUsage,
    /// Where its material comes from.
    pub origin: Origin,
    /// Where its material is said to live.
    pub protection: ProtectionLevel,
    /// Its state.
    pub state: KeyState,
    /// Whether the service made it, as the account's default key.
    pub service: bool,
    /// For people.
    pub description: String,
    /// The version that encrypts.
    pub primary_version: KeyVersionId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it will be destroyed, in state PendingDeletion; in state Deleted, set until its token objects are gone.
    pub delete_at: Option<Timestamp>,
    /// When imported material ceases to be usable; none is never.
    pub material_expires_at: Option<Timestamp>,
    /// Why its deletion is refused, for people; none where it is not.
    pub deletion_protection: Option<String>,
    /// The instance that its maker named; shown again, and of no effect.
    pub kms_instance: Option<KmsInstanceId>,
}

impl KeyRow {
    /// Its state at a time: from the moment that its material expires a key waits for an import, whoever has noticed.
    pub fn state_at(&self, now: Timestamp) -> KeyState {
        match self.state {
            KeyState::Enabled | KeyState::Disabled if self.material_expires_at.is_some_and(|at| at <= now) => {
                KeyState::PendingImport
            }
            state => state,
        }
    }
}

impl Sealed for KeyRow {
    const TABLE: &'static str = "keys";

    fn name(&self) -> String {
        self.id.to_string()
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.field(self.id.as_bytes())
            .text(self.account_id.as_str())
            .text(self.spec.as_str())
            .text(self.usage.as_str())
            .text(self.origin.as_str())
            .text(self.protection.as_str())
            .text(self.state.as_str())
            .integer(self.service.into())
            .text(&self.description)
            .field(self.primary_version.as_bytes())
            .integer(self.created_at.0)
            .optional_integer(self.delete_at.map(|at| at.0))
            .optional_integer(self.material_expires_at.map(|at| at.0))
            .optional(self.deletion_protection.as_ref().map(String::as_bytes))
            .optional(self.kms_instance.as_ref().map(|id| id.as_str().as_bytes()))
    }

    fn counted(&self) -> Counted {
        Counted::In(Scope::Key(self.id))
    }
}

/// Which key an account uses when it names none.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = default_keys, treat_none_as_default_value = false)]
pub(in crate::store) struct DefaultKeyRow {
    /// The owner.
    pub account_id: AccountId,
    /// The key.
    pub key_id: KeyId,
}

impl Sealed for DefaultKeyRow {
    const TABLE: &'static str = "default_keys";

    fn name(&self) -> String {
        self.account_id.to_string()
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.text(self.account_id.as_str()).field(self.key_id.as_bytes())
    }

    fn counted(&self) -> Counted {
        Counted::In(Scope::Key(self.key_id))
    }
}

impl Tx<'_> {
    /// Inserts a key.
    ///
    /// # Errors
    /// `Conflict` when its id is taken, or there is no such account.
    pub fn key_insert(&mut self, row: &KeyRow) -> Result<(), StoreError> {
        insert!(self, keys, row)
    }

    /// The key with this id, of whatever account and in whatever state.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify, or is missing.
    pub fn key_by_id(&mut self, id: &KeyId) -> Result<Option<KeyRow>, StoreError> {
        let query = keys::table.find(id);
        let found = one!(self, keys: KeyRow, query, |row| row.id == *id)?;
        if found.is_none() {
            self.nothing_of(&Scope::Key(*id))?;
        }
        Ok(found)
    }

    /// Keys whose time of destruction has come, and those whose destruction has begun; the longest due first.
    ///
    /// # Errors
    /// As any read; of a row, `Corrupt` when it does not verify.
    pub fn keys_due(&mut self, now: Timestamp, limit: i64) -> Result<Each<KeyRow>, StoreError> {
        let page = |offset: i64| keys::table.filter(keys::delete_at.le(now)).order((keys::delete_at, keys::id)).offset(offset);
        each_due!(self, keys: KeyRow, limit, page, |row| row.delete_at.is_some_and(|at| at <= now))
    }

    /// Keys whose material has expired, the longest expired first.
    ///
    /// # Errors
    /// As any read; of a row, `Corrupt` when it does not verify.
    pub fn keys_expired(&mut self, now: Timestamp, limit: i64) -> Result<Each<KeyRow>, StoreError> {
        let expired = || keys::table.filter(keys::material_expires_at.le(now));
        let page = |offset: i64| expired().order((keys::material_expires_at, keys::id)).offset(offset);
        each_due!(self, keys: KeyRow, limit, page, |row| row.material_expires_at.is_some_and(|at| at <= now))
    }

    /// Puts `new` in the place of `old`, which was read in this transaction and has the same key.
    ///
    /// # Errors
    /// `Fault` when the row is not `old` any more; `Conflict` when a unique column would have the same value twice.
    pub fn key_update(&mut self, old: &KeyRow, new: &KeyRow) -> Result<(), StoreError> {
        expect_changed(replace!(self, keys, old => new, keys::id.eq(&old.id))?, KeyRow::TABLE)
    }

    /// Deletes a key that has no versions any more, with its tags and policy; false when there is none.
    ///
    /// # Errors
    /// `Conflict` while a version, a secret, an alias, a rotation or an account's choice of a default names it.
    pub fn key_delete(&mut self, id: &KeyId) -> Result<bool, StoreError> {
        self.key_materials_delete(id)?;
        self.tags_delete(Tagged::Key(*id))?;
        let owner = keys::table.find(id).select(keys::account_id);
        if let Some(owner) = self.run(KeyRow::TABLE, per_backend!(|conn| owner.get_result::<AccountId>(conn).optional()))? {
            self.resource_policy_delete(&owner, &id.resource())?;
        }
        Ok(delete!(self, keys: KeyRow, keys::id.eq(id), |row| row.id == *id)? > 0)
    }

    /// The default key of an account. Fit for [`crate::store::Store::read_one`].
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify, or the key is not there.
    pub fn default_key(&mut self, account: &AccountId) -> Result<Option<KeyRow>, StoreError> {
        type Joined = (DefaultKeyRow, Vec<u8>, Option<KeyRow>, Option<Vec<u8>>);
        let query = default_keys::table.find(account).left_join(keys::table.on(keys::id.eq(default_keys::key_id)));
        let found: Option<Joined> = self.run(
            DefaultKeyRow::TABLE,
            per_backend!(|conn| {
                let columns =
                    (DefaultKeyRow::as_select(), default_keys::mac, Option::<KeyRow>::as_select(), keys::mac.nullable());
                query.select(columns).get_result(conn).optional()
            }),
        )?;
        let Some((named, named_mac, key, key_mac)) = found else { return Ok(None) };
        let DefaultKeyRow { key_id, .. } = self.verified((named, named_mac), |row| row.account_id == *account)?;
        match (key, key_mac) {
            (Some(key), Some(mac)) => self.verified((key, mac), |row| row.id == key_id && row.account_id == *account).map(Some),
            _ => Err(StoreError::Corrupt { table: KeyRow::TABLE, detail: format!("the default key {key_id} is not there") }),
        }
    }

    /// Makes a key the default of an account that has none.
    ///
    /// # Errors
    /// `Conflict` when the account has one, or there is no such key.
    pub fn default_key_insert(&mut self, account: &AccountId, key: &KeyId) -> Result<(), StoreError> {
        let row = DefaultKeyRow { account_id: account.clone(), key_id: *key };
        insert!(self, default_keys, &row)
    }

    /// Takes an account's default away if it is this key; false when it is not.
    ///
    /// # Errors
    /// As any write.
    pub fn default_key_delete(&mut self, account: &AccountId, key: &KeyId) -> Result<bool, StoreError> {
        let row = default_keys::account_id.eq(account).and(default_keys::key_id.eq(key));
        Ok(delete!(self, default_keys: DefaultKeyRow, row, |row| row.account_id == *account && row.key_id == *key)? > 0)
    }
}
