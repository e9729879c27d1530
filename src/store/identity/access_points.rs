//! Application access points: the principals that client keys belong to.
//!
//! Owns: the rows of access_points. Must not know: what a policy says. Called by: auth.

use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccessPointName, AccountId};
use crate::store::engine::connection::per_backend;
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::access_points;
use crate::store::engine::scope::{Counted, Scope};
use crate::store::engine::statements::{all, delete, insert, one, replace};
use crate::store::{StoreError, Tx, expect_changed};

/// An access point.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = access_points, treat_none_as_default_value = false)]
pub struct AccessPointRow {
    /// The owner.
    pub account_id: AccountId,
    /// Unique in the account.
    pub name: AccessPointName,
    /// For people.
    pub description: String,
    /// The names of its policies, a JSON list.
    pub policies: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Sealed for AccessPointRow {
    const TABLE: &'static str = "access_points";

    fn name(&self) -> String {
        format!("{} of {}", self.name, self.account_id)
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.text(self.account_id.as_str())
            .text(self.name.as_str())
            .text(&self.description)
            .text(&self.policies)
            .integer(self.created_at.0)
    }

    fn counted(&self) -> Counted {
        Counted::In(Scope::Account(self.account_id.clone()))
    }
}

impl Tx<'_> {
    /// Inserts an access point.
    ///
    /// # Errors
    /// `Conflict` when its name is taken, or there is no such account.
    pub fn access_point_insert(&mut self, row: &AccessPointRow) -> Result<(), StoreError> {
        insert!(self, access_points, row)
    }

    /// The access point of an account with this name.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn access_point_by_name(
        &mut self,
        account: &AccountId,
        name: &AccessPointName,
    ) -> Result<Option<AccessPointRow>, StoreError> {
        let query = access_points::table.find((account, name));
        one!(self, access_points: AccessPointRow, query, |row| row.account_id == *account && row.name == *name)
    }

    /// A page of an account's, by name.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn access_points_page(
        &mut self,
        account: &AccountId,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<AccessPointRow>, StoreError> {
        let query = access_points::table
            .filter(access_points::account_id.eq(account))
            .order(access_points::name)
            .offset(offset)
            .limit(limit);
        all!(self, access_points: AccessPointRow, query, |row| row.account_id == *account)
    }

    /// How many [`Tx::access_points_page`] goes through.
    ///
    /// # Errors
    /// As any read.
    pub fn access_point_count(&mut self, account: &AccountId) -> Result<i64, StoreError> {
        let query = access_points::table.filter(access_points::account_id.eq(account));
        self.run(AccessPointRow::TABLE, per_backend!(|conn| query.count().get_result(conn)))
    }

    /// Puts `new` in the place of `old`, which was read in this transaction and has the same key.
    ///
    /// # Errors
    /// `Fault` when the row is not `old` any more.
    pub fn access_point_update(&mut self, old: &AccessPointRow, new: &AccessPointRow) -> Result<(), StoreError> {
        expect_changed(
            replace!(self, access_points, old => new, access_points::account_id.eq(&old.account_id).and(access_points::name.eq(&old.name)))?,
            AccessPointRow::TABLE,
        )
    }

    /// Deletes an access point; false when there is none.
    ///
    /// # Errors
    /// `Conflict` while another row refers to it.
    pub fn access_point_delete(&mut self, account: &AccountId, name: &AccessPointName) -> Result<bool, StoreError> {
        let row = access_points::account_id.eq(account).and(access_points::name.eq(name));
        Ok(delete!(self, access_points: AccessPointRow, row, |row| row.account_id == *account && row.name == *name)? > 0)
    }
}
