//! Users of an account.
//!
//! Owns: the rows of users. Must not know: what they may do. Called by: auth, admin.

use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, UserId, UserName};
use crate::store::engine::connection::per_backend;
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::users;
use crate::store::engine::scope::{Counted, Scope};
use crate::store::engine::statements::{all, delete, insert, one, replace};
use crate::store::{StoreError, Tx, expect_changed};

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = users, treat_none_as_default_value = false)]
pub struct UserRow {
    /// Its id.
    pub id: UserId,
    /// The owner.
    pub account_id: AccountId,
    /// Unique in the account.
    pub name: UserName,
    /// Whether its keys are accepted.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Sealed for UserRow {
    const TABLE: &'static str = "users";

    fn name(&self) -> String {
        format!("{} of {}", self.name, self.account_id)
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.field(self.id.as_bytes())
            .text(self.account_id.as_str())
            .text(self.name.as_str())
            .integer(self.enabled.into())
            .integer(self.created_at.0)
    }

    fn counted(&self) -> Counted {
        Counted::In(Scope::User(self.account_id.clone(), self.id))
    }
}

impl Tx<'_> {
    /// Inserts a user.
    ///
    /// # Errors
    /// `Conflict` when its name is taken, or there is no such account.
    pub fn user_insert(&mut self, row: &UserRow) -> Result<(), StoreError> {
        insert!(self, users, row)
    }

    /// The user with this id.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn user_by_id(&mut self, id: &UserId) -> Result<Option<UserRow>, StoreError> {
        let query = users::table.find(id);
        one!(self, users: UserRow, query, |row| row.id == *id)
    }

    /// The user of an account with this name.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn user_by_name(&mut self, account: &AccountId, name: &UserName) -> Result<Option<UserRow>, StoreError> {
        let query = users::table.filter(users::account_id.eq(account)).filter(users::name.eq(name));
        one!(self, users: UserRow, query, |row| row.account_id == *account && row.name == *name)
    }

    /// The users of an account, by name.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn users_of(&mut self, account: &AccountId) -> Result<Vec<UserRow>, StoreError> {
        let query = users::table.filter(users::account_id.eq(account)).order(users::name);
        all!(self, users: UserRow, query, |row| row.account_id == *account)
    }

    /// Puts `new` in the place of `old`, which was read in this transaction and has the same key.
    ///
    /// # Errors
    /// `Fault` when the row is not `old` any more; `Conflict` when a unique column would have the same value twice.
    pub fn user_update(&mut self, old: &UserRow, new: &UserRow) -> Result<(), StoreError> {
        expect_changed(replace!(self, users, old => new, users::id.eq(&old.id))?, UserRow::TABLE)
    }

    /// Deletes a user without access keys and policies; false when there is none.
    ///
    /// # Errors
    /// `Conflict` while other rows need it.
    pub fn user_delete(&mut self, id: &UserId) -> Result<bool, StoreError> {
        Ok(delete!(self, users: UserRow, users::id.eq(id), |row| row.id == *id)? > 0)
    }
}
