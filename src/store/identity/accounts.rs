//! Accounts (tenants).
//!
//! Owns: the rows of accounts. Must not know: what an account may do. Called by: auth, admin.

use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;
use crate::store::engine::connection::per_backend;
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::accounts;
use crate::store::engine::scope::{Counted, Scope};
use crate::store::engine::statements::{all, delete, insert, one, replace};
use crate::store::engine::tx::every;
use crate::store::{StoreError, Tx, expect_changed};

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = accounts, treat_none_as_default_value = false)]
pub struct AccountRow {
    /// Its id, in every ARN.
    pub id: AccountId,
    /// For people; unique.
    pub name: String,
    /// Whether its access keys are accepted.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Sealed for AccountRow {
    const TABLE: &'static str = "accounts";

    fn name(&self) -> String {
        self.id.to_string()
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.text(self.id.as_str()).text(&self.name).integer(self.enabled.into()).integer(self.created_at.0)
    }

    fn counted(&self) -> Counted {
        Counted::In(Scope::Account(self.id.clone()))
    }
}

impl Tx<'_> {
    /// Inserts an account.
    ///
    /// # Errors
    /// `Conflict` when its id or name is taken.
    pub fn account_insert(&mut self, row: &AccountRow) -> Result<(), StoreError> {
        insert!(self, accounts, row)
    }

    /// The account with this id.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn account_by_id(&mut self, id: &AccountId) -> Result<Option<AccountRow>, StoreError> {
        let query = accounts::table.find(id);
        one!(self, accounts: AccountRow, query, |row| row.id == *id)
    }

    /// The account with this name.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn account_by_name(&mut self, name: &str) -> Result<Option<AccountRow>, StoreError> {
        let query = accounts::table.filter(accounts::name.eq(name));
        one!(self, accounts: AccountRow, query, |row| row.name == name)
    }

    /// All accounts, by name.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn accounts(&mut self) -> Result<Vec<AccountRow>, StoreError> {
        let query = accounts::table.order(accounts::name);
        all!(self, accounts: AccountRow, query, |row| every(row))
    }

    /// Puts `new` in the place of `old`, which was read in this transaction and has the same key.
    ///
    /// # Errors
    /// `Fault` when the row is not `old` any more; `Conflict` when a unique column would have the same value twice.
    pub fn account_update(&mut self, old: &AccountRow, new: &AccountRow) -> Result<(), StoreError> {
        expect_changed(replace!(self, accounts, old => new, accounts::id.eq(&old.id))?, AccountRow::TABLE)
    }

    /// Deletes an account that owns nothing any more; false when there is none.
    ///
    /// # Errors
    /// `Conflict` while other rows need it.
    pub fn account_delete(&mut self, id: &AccountId) -> Result<bool, StoreError> {
        Ok(delete!(self, accounts: AccountRow, accounts::id.eq(id), |row| row.id == *id)? > 0)
    }
}
