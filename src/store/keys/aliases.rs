//! Aliases: other names of keys, unique in the account.
//!
//! Owns: the rows of aliases. Must not know: which aliases are allowed. Called by: keys.

use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, Alias, KeyId};
use crate::store::engine::connection::per_backend;
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::aliases;
use crate::store::engine::scope::{Counted, Scope};
use crate::store::engine::statements::{all, delete, insert, one, replace};
use crate::store::{StoreError, Tx, expect_changed};

/// An alias.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = aliases, treat_none_as_default_value = false)]
#[diesel(primary_key(account_id, name))]
pub struct AliasRow {
    /// The owner.
    pub account_id: AccountId,
    /// With its prefix `alias/`.
    pub name: Alias,
    /// The key it names.
    pub key_id: KeyId,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Sealed for AliasRow {
    const TABLE: &'static str = "aliases";

    fn name(&self) -> String {
        format!("{} of {}", self.name, self.account_id)
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.text(self.account_id.as_str()).text(self.name.as_str()).field(self.key_id.as_bytes()).integer(self.created_at.0)
    }

    fn counted(&self) -> Counted {
        Counted::In(Scope::Key(self.key_id))
    }
}

impl Tx<'_> {
    /// Inserts an alias.
    ///
    /// # Errors
    /// `Conflict` when its name is taken, or there is no such key.
    pub fn alias_insert(&mut self, row: &AliasRow) -> Result<(), StoreError> {
        insert!(self, aliases, row)
    }

    /// The alias of an account with this name.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn alias_by_name(&mut self, account: &AccountId, name: &Alias) -> Result<Option<AliasRow>, StoreError> {
        let query = aliases::table.find((account, name));
        one!(self, aliases: AliasRow, query, |row| row.account_id == *account && row.name == *name)
    }

    /// The aliases of a key, by name.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify, or one is missing.
    pub fn aliases_of_key(&mut self, key: &KeyId) -> Result<Vec<AliasRow>, StoreError> {
        let query = aliases::table.filter(aliases::key_id.eq(key)).order(aliases::name);
        self.all_of(
            &Scope::Key(*key),
            |row: &AliasRow| row.key_id == *key,
            per_backend!(|conn| query.select((AliasRow::as_select(), aliases::mac)).load(conn)),
        )
    }

    /// Deletes all aliases of a key.
    ///
    /// # Errors
    /// As any write.
    pub fn aliases_delete_of_key(&mut self, key: &KeyId) -> Result<(), StoreError> {
        delete!(self, aliases: AliasRow, aliases::key_id.eq(key), |row| row.key_id == *key).map(drop)
    }

    /// A page of the aliases of an account, by name.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn aliases_page(&mut self, account: &AccountId, offset: i64, limit: i64) -> Result<Vec<AliasRow>, StoreError> {
        let query = aliases::table.filter(aliases::account_id.eq(account)).order(aliases::name).offset(offset).limit(limit);
        all!(self, aliases: AliasRow, query, |row| row.account_id == *account)
    }

    /// How many aliases an account has.
    ///
    /// # Errors
    /// As any read.
    pub fn alias_count(&mut self, account: &AccountId) -> Result<i64, StoreError> {
        let query = aliases::table.filter(aliases::account_id.eq(account));
        self.run(AliasRow::TABLE, per_backend!(|conn| query.count().get_result(conn)))
    }

    /// Puts `new` in the place of `old`, which was read in this transaction and has the same key.
    ///
    /// # Errors
    /// `Fault` when the row is not `old` any more; `Conflict` when a unique column would have the same value twice.
    pub fn alias_update(&mut self, old: &AliasRow, new: &AliasRow) -> Result<(), StoreError> {
        expect_changed(
            replace!(self, aliases, old => new, aliases::account_id.eq(&old.account_id).and(aliases::name.eq(&old.name)))?,
            AliasRow::TABLE,
        )
    }

    /// Deletes an alias; false when there is none.
    ///
    /// # Errors
    /// As any write.
    pub fn alias_delete(&mut self, account: &AccountId, name: &Alias) -> Result<bool, StoreError> {
        let row = aliases::account_id.eq(account).and(aliases::name.eq(name));
        Ok(delete!(self, aliases: AliasRow, row, |row| row.account_id == *account && row.name == *name)? > 0)
    }
}
