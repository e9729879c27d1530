//! Policies of an account, and to whom they are attached.
//!
//! Owns: the rows of policies and policy_attachments. Must not know: what a document says. Called by: auth, admin.

use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccountId, PolicyName, UserId};
use crate::store::engine::connection::per_backend;
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::{policies, policy_attachments};
use crate::store::engine::scope::{Counted, Scope};
use crate::store::engine::statements::{all, delete, insert, one, replace};
use crate::store::{StoreError, Tx, expect_changed};

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = policies, treat_none_as_default_value = false)]
pub struct PolicyRow {
    /// The owner.
    pub account_id: AccountId,
    /// Unique in the account.
    pub name: PolicyName,
    /// Its text, as given.
    pub document: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Sealed for PolicyRow {
    const TABLE: &'static str = "policies";

    fn name(&self) -> String {
        format!("{} of {}", self.name, self.account_id)
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.text(self.account_id.as_str()).text(self.name.as_str()).text(&self.document).integer(self.created_at.0)
    }

    fn counted(&self) -> Counted {
        Counted::In(Scope::Account(self.account_id.clone()))
    }
}

/// A policy on a user.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = policy_attachments, treat_none_as_default_value = false)]
pub struct AttachmentRow {
    /// The user.
    pub user_id: UserId,
    /// Whether the policy is one of those built in, which have no row.
    pub system: bool,
    /// Its name.
    pub policy_name: PolicyName,
    /// The account of the user.
    pub account_id: AccountId,
}

impl Sealed for AttachmentRow {
    const TABLE: &'static str = "policy_attachments";

    fn name(&self) -> String {
        format!("{} on user {}", self.policy_name, self.user_id)
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.field(self.user_id.as_bytes())
            .integer(self.system.into())
            .text(self.policy_name.as_str())
            .text(self.account_id.as_str())
    }

    fn counted(&self) -> Counted {
        Counted::In(Scope::User(self.account_id.clone(), self.user_id))
    }
}

impl Tx<'_> {
    /// Inserts a policy.
    ///
    /// # Errors
    /// `Conflict` when its name is taken, or there is no such account.
    pub fn policy_insert(&mut self, row: &PolicyRow) -> Result<(), StoreError> {
        insert!(self, policies, row)
    }

    /// The policy of an account with this name.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn policy_by_name(&mut self, account: &AccountId, name: &PolicyName) -> Result<Option<PolicyRow>, StoreError> {
        let query = policies::table.find((account, name));
        one!(self, policies: PolicyRow, query, |row| row.account_id == *account && row.name == *name)
    }

    /// The policies of an account, by name.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn policies_of(&mut self, account: &AccountId) -> Result<Vec<PolicyRow>, StoreError> {
        let query = policies::table.filter(policies::account_id.eq(account)).order(policies::name);
        all!(self, policies: PolicyRow, query, |row| row.account_id == *account)
    }

    /// Puts `new` in the place of `old`, which was read in this transaction and has the same key.
    ///
    /// # Errors
    /// `Fault` when the row is not `old` any more.
    pub fn policy_update(&mut self, old: &PolicyRow, new: &PolicyRow) -> Result<(), StoreError> {
        let key = policies::account_id.eq(&old.account_id).and(policies::name.eq(&old.name));
        expect_changed(replace!(self, policies, old => new, key)?, PolicyRow::TABLE)
    }

    /// Deletes a policy; false when there is none. The caller has seen to it that it is attached to nobody.
    ///
    /// # Errors
    /// As any write.
    pub fn policy_delete(&mut self, account: &AccountId, name: &PolicyName) -> Result<bool, StoreError> {
        let row = policies::account_id.eq(account).and(policies::name.eq(name));
        Ok(delete!(self, policies: PolicyRow, row, |row| row.account_id == *account && row.name == *name)? > 0)
    }

    /// Attaches a policy.
    ///
    /// # Errors
    /// `Conflict` when it is attached already, or there is no such user.
    pub fn attachment_insert(&mut self, row: &AttachmentRow) -> Result<(), StoreError> {
        insert!(self, policy_attachments, row)
    }

    /// The attachments of a user.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn attachments_of(&mut self, account: &AccountId, user: &UserId) -> Result<Vec<AttachmentRow>, StoreError> {
        let query = policy_attachments::table
            .filter(policy_attachments::user_id.eq(user))
            .order((policy_attachments::system, policy_attachments::policy_name));
        self.all_of(
            &Scope::User(account.clone(), *user),
            |row: &AttachmentRow| row.user_id == *user && row.account_id == *account,
            per_backend!(|conn| query.select((AttachmentRow::as_select(), policy_attachments::mac)).load(conn)),
        )
    }

    /// To whom a policy, or a system policy, is attached in an account.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn attachments_of_policy(
        &mut self,
        account: &AccountId,
        name: &PolicyName,
        system: bool,
    ) -> Result<Vec<AttachmentRow>, StoreError> {
        let query = policy_attachments::table
            .filter(policy_attachments::account_id.eq(account))
            .filter(policy_attachments::policy_name.eq(name))
            .filter(policy_attachments::system.eq(system))
            .order(policy_attachments::user_id);
        all!(self, policy_attachments: AttachmentRow, query, |row| row.account_id == *account && row.policy_name == *name && row.system == system)
    }

    /// Detaches a policy; false when it was not attached.
    ///
    /// # Errors
    /// As any write.
    pub fn attachment_delete(&mut self, row: &AttachmentRow) -> Result<bool, StoreError> {
        let there = policy_attachments::user_id
            .eq(&row.user_id)
            .and(policy_attachments::system.eq(row.system))
            .and(policy_attachments::policy_name.eq(&row.policy_name));
        Ok(delete!(self, policy_attachments: AttachmentRow, there, |found| found.user_id == row.user_id)? > 0)
    }
}
