//! Policies of single secrets and keys.
//!
//! Owns: their rows, under the name that a policy's resource has in ARNs. Must not know: what a document says.
//! Called by: keys and secrets, which set them; auth, which asks them.

use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::AccountId;
use crate::store::engine::connection::per_backend;
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::{RowMac, Sealed};
use crate::store::engine::schema::resource_policies;
use crate::store::engine::scope::{Counted, Scope};
use crate::store::engine::statements::{delete, insert, replace};
use crate::store::{StoreError, Tx, expect_changed};

/// The policy of a secret or key.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = resource_policies, treat_none_as_default_value = false)]
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

    fn name(&self) -> String {
        format!("{} of {}", self.resource, self.account_id)
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.text(self.account_id.as_str()).text(&self.resource).text(&self.document).integer(self.updated_at.0)
    }

    fn counted(&self) -> Counted {
        Counted::In(Scope::Policies(self.account_id.clone()))
    }

    fn bound(&self) -> &[u8] {
        self.resource.as_bytes()
    }
}

impl Tx<'_> {
    /// Sets the policy of a resource, whatever it had.
    ///
    /// # Errors
    /// `Conflict` when there is no such account.
    pub fn resource_policy_put(&mut self, row: &ResourcePolicyRow) -> Result<(), StoreError> {
        match self.resource_policy(&row.account_id, &row.resource)? {
            None => insert!(self, resource_policies, row),
            Some(old) => {
                let there =
                    resource_policies::account_id.eq(&row.account_id).and(resource_policies::resource.eq(&row.resource));
                expect_changed(replace!(self, resource_policies, &old => row, there)?, ResourcePolicyRow::TABLE)
            }
        }
    }

    /// The policy of a resource.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn resource_policy(&mut self, account: &AccountId, resource: &str) -> Result<Option<ResourcePolicyRow>, StoreError> {
        let query = resource_policies::table.find((account, resource));
        let found = self.one(
            |row: &ResourcePolicyRow| row.account_id == *account && row.resource == resource,
            per_backend!(|conn| {
                query.select((ResourcePolicyRow::as_select(), resource_policies::mac)).get_result(conn).optional()
            }),
        )?;
        if found.is_none() && self.resources_with_policy(account)?.iter().any(|known| known == resource) {
            return Err(self.corrupt(ResourcePolicyRow::TABLE, "a row is there and is not given"));
        }
        Ok(found)
    }

    /// The resources of an account that have a policy. Only names: what a policy says is read, and verified, when it is asked.
    ///
    /// # Errors
    /// `Corrupt` when one was deleted, or put back as it was.
    pub fn resources_with_policy(&mut self, account: &AccountId) -> Result<Vec<String>, StoreError> {
        let query = resource_policies::table.filter(resource_policies::account_id.eq(account));
        let query = query.select((resource_policies::resource, resource_policies::mac));
        let found: Vec<(String, Vec<u8>)> = self.run(ResourcePolicyRow::TABLE, per_backend!(|conn| query.load(conn)))?;
        let table = ResourcePolicyRow::TABLE;
        // Nothing but this tells that a name is the row's own: the MAC is of all columns, and they are not read.
        let named = |(resource, mac): &(String, Vec<u8>)| self.seals().remembered_as(table, resource.as_bytes(), mac);
        let rows: Vec<RowMac> = found.iter().map(named).collect();
        self.whole(&Scope::Policies(account.clone()), table, &rows)?;
        Ok(found.into_iter().map(|(resource, _)| resource).collect())
    }

    /// Removes the policy of a resource that is gone.
    ///
    /// # Errors
    /// As any write.
    pub fn resource_policy_delete(&mut self, account: &AccountId, resource: &str) -> Result<(), StoreError> {
        let row = resource_policies::account_id.eq(account).and(resource_policies::resource.eq(resource));
        let meant = |row: &ResourcePolicyRow| row.account_id == *account && row.resource == resource;
        delete!(self, resource_policies: ResourcePolicyRow, row, |row| meant(row)).map(drop)
    }
}
