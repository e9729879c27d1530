//! Policies of single secrets and keys.
//!
//! Owns: their rows, under the name that a policy's resource has in ARNs. Must not know: what a document says.
//! Called by: keys and secrets, which set them; auth, which asks them.

use diesel::prelude::*;
use diesel::{delete, insert_into, update};

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;
use crate::store::engine::connection::per_backend;
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::resource_policies;
use crate::store::engine::statements::one;
use crate::store::{StoreError, Tx};

/// The policy of a secret or key.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = resource_policies)]
#[diesel(primary_key(account_id, resource))]
pub struct ResourcePolicyRow {
    /// The owner.
    pub account_id: AccountId,
    /// What it is set on: `secret/NAME` or `key/ID`.
    pub resource: String,
    /// Its text, as given.
    pub document: String,
    /// When it was set.
    pub updated_at: Timestamp,
}

impl Sealed for ResourcePolicyRow {
    const TABLE: &'static str = "resource_policies";

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.text(self.account_id.as_str()).text(&self.resource).text(&self.document).integer(self.updated_at.0)
    }
}

impl Tx<'_> {
    /// Sets the policy of a resource, whatever it had. The first one of a resource is announced to all nodes: they ask
    /// for a policy only where they know of one.
    ///
    /// # Errors
    /// `Conflict` when there is no such account.
    pub fn resource_policy_put(&mut self, row: &ResourcePolicyRow) -> Result<(), StoreError> {
        let mac = self.mac(row);
        let there = resource_policies::table.find((&row.account_id, &row.resource));
        let new = (row, resource_policies::mac.eq(&mac[..]));
        if self.changed(ResourcePolicyRow::TABLE, per_backend!(|conn| update(there).set(new).execute(conn)))? {
            return Ok(());
        }
        self.run(
            ResourcePolicyRow::TABLE,
            per_backend!(|conn| insert_into(resource_policies::table).values(new).execute(conn)),
        )?;
        self.rights_changed(&row.account_id)
    }

    /// The policy of a resource.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn resource_policy(&mut self, account: &AccountId, resource: &str) -> Result<Option<ResourcePolicyRow>, StoreError> {
        let query = resource_policies::table.find((account, resource));
        one!(self, resource_policies: ResourcePolicyRow, query, |row| row.account_id == *account && row.resource == resource)
    }

    /// The resources of an account that have a policy. Only names: what a policy says is read, and verified, when it is asked.
    ///
    /// # Errors
    /// As any read.
    pub fn resources_with_policy(&mut self, account: &AccountId) -> Result<Vec<String>, StoreError> {
        let query = resource_policies::table.filter(resource_policies::account_id.eq(account));
        self.run(ResourcePolicyRow::TABLE, per_backend!(|conn| query.select(resource_policies::resource).load(conn)))
    }

    /// Removes the policy of a resource that is gone.
    ///
    /// # Errors
    /// As any write.
    pub fn resource_policy_delete(&mut self, account: &AccountId, resource: &str) -> Result<(), StoreError> {
        let row = resource_policies::table.find((account, resource));
        self.run(ResourcePolicyRow::TABLE, per_backend!(|conn| delete(row).execute(conn))).map(drop)
    }
}
