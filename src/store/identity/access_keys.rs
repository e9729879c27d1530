//! Access keys: the id that callers sign with, and its secret wrapped by SYS.
//!
//! Owns: the rows of access_keys. Must not know: signatures, how to unwrap. Called by: auth, admin.

use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccessKeyId, AccountId, UserId};
use crate::base::words::Suite;
use crate::store::engine::connection::per_backend;
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::access_keys;
use crate::store::engine::scope::{Counted, Scope};
use crate::store::engine::statements::{delete, insert, one, replace};
use crate::store::{StoreError, Tx, expect_changed};

/// An access key.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = access_keys, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct AccessKeyRow {
    /// What a request names.
    pub id: AccessKeyId,
    /// The owner.
    pub account_id: AccountId,
    /// The user it belongs to; none for the account's root.
    pub user_id: Option<UserId>,
    /// Whether it is accepted.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// How its secret is wrapped.
    pub suite: Suite,
    /// Its secret, wrapped by SYS.
    pub wrapped: Vec<u8>,
}

impl Sealed for AccessKeyRow {
    const TABLE: &'static str = "access_keys";

    fn name(&self) -> String {
        self.id.to_string()
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.text(self.id.as_str())
            .text(self.account_id.as_str())
            .optional(self.user_id.as_ref().map(|id| id.as_bytes().as_slice()))
            .integer(self.enabled.into())
            .integer(self.created_at.0)
            .integer(self.suite.number().into())
            .field(&self.wrapped)
    }

    fn counted(&self) -> Counted {
        match self.user_id {
            Some(user) => Counted::In(Scope::User(self.account_id.clone(), user)),
            None => Counted::In(Scope::Account(self.account_id.clone())),
        }
    }
}

impl Tx<'_> {
    /// Inserts an access key.
    ///
    /// # Errors
    /// `Conflict` when its id is taken, or its account or user does not exist.
    pub fn access_key_insert(&mut self, row: &AccessKeyRow) -> Result<(), StoreError> {
        insert!(self, access_keys, row)
    }

    /// The access key with this id.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn access_key_by_id(&mut self, id: &AccessKeyId) -> Result<Option<AccessKeyRow>, StoreError> {
        let query = access_keys::table.find(id);
        one!(self, access_keys: AccessKeyRow, query, |row| row.id == *id)
    }

    /// The access keys of a user, or of the account's root, oldest first.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn access_keys_of(&mut self, account: &AccountId, user: Option<&UserId>) -> Result<Vec<AccessKeyRow>, StoreError> {
        let of_account =
            access_keys::table.filter(access_keys::account_id.eq(account)).order((access_keys::created_at, access_keys::id));
        let asked = |row: &AccessKeyRow| row.account_id == *account && row.user_id.as_ref() == user;
        let scope = match user {
            Some(user) => Scope::User(account.clone(), *user),
            None => Scope::Account(account.clone()),
        };
        self.all_of(
            &scope,
            asked,
            per_backend!(|conn| {
                let of_account = of_account.select((AccessKeyRow::as_select(), access_keys::mac));
                match user {
                    Some(user) => of_account.filter(access_keys::user_id.eq(user)).load(conn),
                    None => of_account.filter(access_keys::user_id.is_null()).load(conn),
                }
            }),
        )
    }

    /// Puts `new` in the place of `old`, which was read in this transaction and has the same key.
    ///
    /// # Errors
    /// `Fault` when the row is not `old` any more; `Conflict` when a unique column would have the same value twice.
    pub fn access_key_update(&mut self, old: &AccessKeyRow, new: &AccessKeyRow) -> Result<(), StoreError> {
        expect_changed(replace!(self, access_keys, old => new, access_keys::id.eq(&old.id))?, AccessKeyRow::TABLE)
    }

    /// Deletes an access key; false when there is none.
    ///
    /// # Errors
    /// As any write.
    pub fn access_key_delete(&mut self, id: &AccessKeyId) -> Result<bool, StoreError> {
        Ok(delete!(self, access_keys: AccessKeyRow, access_keys::id.eq(id), |row| row.id == *id)? > 0)
    }
}
