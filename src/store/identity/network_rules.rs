//! Network rules: from where client keys may be used.
//!
//! Owns: the rows of network_rules. Must not know: how addresses are compared. Called by: auth.

use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, NetworkRuleName};
use crate::store::engine::connection::per_backend;
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::network_rules;
use crate::store::engine::scope::{Counted, Scope};
use crate::store::engine::statements::{all, delete, insert, one, replace};
use crate::store::{StoreError, Tx, expect_changed};

/// A network rule.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = network_rules, treat_none_as_default_value = false)]
pub struct NetworkRuleRow {
    /// The owner.
    pub account_id: AccountId,
    /// Unique in the account.
    pub name: NetworkRuleName,
    /// For people.
    pub description: String,
    /// Addresses and networks, a JSON list.
    pub source_ips: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Sealed for NetworkRuleRow {
    const TABLE: &'static str = "network_rules";

    fn name(&self) -> String {
        format!("{} of {}", self.name, self.account_id)
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.text(self.account_id.as_str())
            .text(self.name.as_str())
            .text(&self.description)
            .text(&self.source_ips)
            .integer(self.created_at.0)
    }

    fn counted(&self) -> Counted {
        Counted::In(Scope::Account(self.account_id.clone()))
    }
}

impl Tx<'_> {
    /// Inserts a network rule.
    ///
    /// # Errors
    /// `Conflict` when its name is taken, or there is no such account.
    pub fn network_rule_insert(&mut self, row: &NetworkRuleRow) -> Result<(), StoreError> {
        insert!(self, network_rules, row)
    }

    /// The network rule of an account with this name.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn network_rule_by_name(
        &mut self,
        account: &AccountId,
        name: &NetworkRuleName,
    ) -> Result<Option<NetworkRuleRow>, StoreError> {
        let query = network_rules::table.find((account, name));
        one!(self, network_rules: NetworkRuleRow, query, |row| row.account_id == *account && row.name == *name)
    }

    /// A page of an account's, by name.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn network_rules_page(
        &mut self,
        account: &AccountId,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<NetworkRuleRow>, StoreError> {
        let query = network_rules::table
            .filter(network_rules::account_id.eq(account))
            .order(network_rules::name)
            .offset(offset)
            .limit(limit);
        all!(self, network_rules: NetworkRuleRow, query, |row| row.account_id == *account)
    }

    /// How many [`Tx::network_rules_page`] goes through.
    ///
    /// # Errors
    /// As any read.
    pub fn network_rule_count(&mut self, account: &AccountId) -> Result<i64, StoreError> {
        let query = network_rules::table.filter(network_rules::account_id.eq(account));
        self.run(NetworkRuleRow::TABLE, per_backend!(|conn| query.count().get_result(conn)))
    }

    /// Puts `new` in the place of `old`, which was read in this transaction and has the same key.
    ///
    /// # Errors
    /// `Fault` when the row is not `old` any more.
    pub fn network_rule_update(&mut self, old: &NetworkRuleRow, new: &NetworkRuleRow) -> Result<(), StoreError> {
        expect_changed(
            replace!(self, network_rules, old => new, network_rules::account_id.eq(&old.account_id).and(network_rules::name.eq(&old.name)))?,
            NetworkRuleRow::TABLE,
        )
    }

    /// Deletes a network rule; false when there is none.
    ///
    /// # Errors
    /// `Conflict` while another row refers to it.
    pub fn network_rule_delete(&mut self, account: &AccountId, name: &NetworkRuleName) -> Result<bool, StoreError> {
        let row = network_rules::account_id.eq(account).and(network_rules::name.eq(name));
        Ok(delete!(self, network_rules: NetworkRuleRow, row, |row| row.account_id == *account && row.name == *name)? > 0)
    }
}
