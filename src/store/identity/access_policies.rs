//! Permission policies of access points.
//!
//! Owns: the rows of access_policies. Must not know: what they grant. Called by: auth.

use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccessPolicyName, AccountId};
use crate::store::engine::connection::per_backend;
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::access_policies;
use crate::store::engine::scope::{Counted, Scope};
use crate::store::engine::statements::{all, delete, insert, one, replace};
use crate::store::{StoreError, Tx, expect_changed};

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = access_policies, treat_none_as_default_value = false)]
pub struct AccessPolicyRow {
    /// The owner.
    pub account_id: AccountId,
    /// Unique in the account.
    pub name: AccessPolicyName,
    /// For people.
    pub description: String,
    /// The instance it was made for; kept and otherwise not looked at.
    pub kms_instance: String,
    /// Permission templates, a JSON list.
    pub permissions: String,
    /// What they are given on, a JSON list.
    pub resources: String,
    /// The names of its network rules, a JSON list.
    pub network_rules: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Sealed for AccessPolicyRow {
    const TABLE: &'static str = "access_policies";

    fn name(&self) -> String {
        format!("{} of {}", self.name, self.account_id)
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.text(self.account_id.as_str())
            .text(self.name.as_str())
            .text(&self.description)
            .text(&self.kms_instance)
            .text(&self.permissions)
            .text(&self.resources)
            .text(&self.network_rules)
            .integer(self.created_at.0)
    }

    fn counted(&self) -> Counted {
        Counted::In(Scope::Account(self.account_id.clone()))
    }
}

impl Tx<'_> {
    /// Inserts a policy.
    ///
    /// # Errors
    /// `Conflict` when its name is taken, or there is no such account.
    pub fn access_policy_insert(&mut self, row: &AccessPolicyRow) -> Result<(), StoreError> {
        insert!(self, access_policies, row)
    }

    /// The policy of an account with this name.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn access_policy_by_name(
        &mut self,
        account: &AccountId,
        name: &AccessPolicyName,
    ) -> Result<Option<AccessPolicyRow>, StoreError> {
        let query = access_policies::table.find((account, name));
        one!(self, access_policies: AccessPolicyRow, query, |row| row.account_id == *account && row.name == *name)
    }

    /// A page of an account's, by name.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn access_policies_page(
        &mut self,
        account: &AccountId,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<AccessPolicyRow>, StoreError> {
        let query = access_policies::table
            .filter(access_policies::account_id.eq(account))
            .order(access_policies::name)
            .offset(offset)
            .limit(limit);
        all!(self, access_policies: AccessPolicyRow, query, |row| row.account_id == *account)
    }

    /// How many [`Tx::access_policies_page`] goes through.
    ///
    /// # Errors
    /// As any read.
    pub fn access_policy_count(&mut self, account: &AccountId) -> Result<i64, StoreError> {
        let query = access_policies::table.filter(access_policies::account_id.eq(account));
        self.run(AccessPolicyRow::TABLE, per_backend!(|conn| query.count().get_result(conn)))
    }

    /// Puts `new` in the place of `old`, which was read in this transaction and has the same key.
    ///
    /// # Errors
    /// `Fault` when the row is not `old` any more.
    pub fn access_policy_update(&mut self, old: &AccessPolicyRow, new: &AccessPolicyRow) -> Result<(), StoreError> {
        expect_changed(
            replace!(self, access_policies, old => new, access_policies::account_id.eq(&old.account_id).and(access_policies::name.eq(&old.name)))?,
            AccessPolicyRow::TABLE,
        )
    }

    /// Deletes a policy; false when there is none.
    ///
    /// # Errors
    /// `Conflict` while another row refers to it.
    pub fn access_policy_delete(&mut self, account: &AccountId, name: &AccessPolicyName) -> Result<bool, StoreError> {
        let row = access_policies::account_id.eq(account).and(access_policies::name.eq(name));
        Ok(delete!(self, access_policies: AccessPolicyRow, row, |row| row.account_id == *account && row.name == *name)? > 0)
    }
}
