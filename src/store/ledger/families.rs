//! Which rows a scope counts.
//!
//! Owns: their queries. Must not know: digests. Called by: rights. The other half of it is `Sealed::counted` of each row; a test reads
//! both.

use std::collections::HashMap;

use diesel::prelude::*;

use crate::store::engine::connection::per_backend;
use crate::store::engine::digest::Digest;
use crate::store::engine::row_mac::{RowMac, Sealed};
use crate::store::engine::schema::{
    access_keys, access_points, access_policies, accounts, aliases, bearer_tokens, client_keys, condemned, default_keys,
    import_parameters, key_materials, key_rotations, key_versions, keys, network_rules, policies, policy_attachments,
    resource_policies, tags, users,
};
use crate::store::engine::scope::{Counted, Scope};
use crate::store::keys::key::DefaultKeyRow;
use crate::store::shared::tags::TagRecord;
use crate::store::{
    AccessKeyRow, AccessPointRow, AccessPolicyRow, AccountRow, AliasRow, AttachmentRow, BearerTokenRow, ClientKeyRow,
    CondemnedRow, ImportParametersRow, KeyMaterialRow, KeyRotationRow, KeyRow, KeyVersionRow, NetworkRuleRow, PolicyRow,
    ResourcePolicyRow, StoreError, Tx, UserRow,
};

/// The sum of the rows of a scope, and which they are (`Sealer::remembered_as`).
pub(in crate::store) type Family = (Digest, HashMap<RowMac, &'static str>);

/// Adds the rows that a filter lets through, each of which must be one of the scope: `rows!(tx, family, scope, table: Row, filter)`.
macro_rules! rows {
    ($tx:ident, $family:ident, $scope:ident, $table:ident: $row:ty, $filter:expr) => {{
        let rows = $table::table.filter($filter);
        let load = per_backend!(|conn| rows.select((<$row>::as_select(), $table::mac)).load(conn));
        let found: Vec<($row, Vec<u8>)> = $tx.run(stringify!($table), load)?;
        for (row, mac) in found {
            let row = $tx.verified_alone((row, mac.clone()), |row: &$row| row.counted() == Counted::In($scope.clone()))?;
            $tx.add(&mut $family, <$row>::TABLE, row.bound(), &mac);
        }
    }};
}

impl Tx<'_> {
    /// The rows of a scope, as this transaction sees them.
    pub(in crate::store) fn family(&mut self, scope: &Scope) -> Result<Family, StoreError> {
        let mut family = Family::default();
        match scope {
            Scope::Account(id) => {
                rows!(self, family, scope, accounts: AccountRow, accounts::id.eq(id));
                let root = access_keys::account_id.eq(id).and(access_keys::user_id.is_null());
                rows!(self, family, scope, access_keys: AccessKeyRow, root);
                rows!(self, family, scope, policies: PolicyRow, policies::account_id.eq(id));
                rows!(self, family, scope, access_points: AccessPointRow, access_points::account_id.eq(id));
                rows!(self, family, scope, access_policies: AccessPolicyRow, access_policies::account_id.eq(id));
                rows!(self, family, scope, network_rules: NetworkRuleRow, network_rules::account_id.eq(id));
                rows!(self, family, scope, client_keys: ClientKeyRow, client_keys::account_id.eq(id));
            }
            Scope::User(account, id) => {
                rows!(self, family, scope, users: UserRow, users::id.eq(id).and(users::account_id.eq(account)));
                rows!(self, family, scope, access_keys: AccessKeyRow, access_keys::user_id.eq(id));
                rows!(self, family, scope, policy_attachments: AttachmentRow, policy_attachments::user_id.eq(id));
            }
            Scope::Tokens(account, part) => {
                let first = bearer_tokens::digest.ge(vec![*part]);
                let theirs = bearer_tokens::account_id.eq(account).and(first);
                match part.checked_add(1) {
                    Some(next) => {
                        let part = theirs.and(bearer_tokens::digest.lt(vec![next]));
                        rows!(self, family, scope, bearer_tokens: BearerTokenRow, part);
                    }
                    None => rows!(self, family, scope, bearer_tokens: BearerTokenRow, theirs),
                }
            }
            Scope::Policies(account) => {
                // Without the documents, of which there may be many: the digest binds the resource beside the MAC.
                let query = resource_policies::table.filter(resource_policies::account_id.eq(account));
                let query = query.select((resource_policies::resource, resource_policies::mac));
                let found: Vec<(String, Vec<u8>)> =
                    self.run(ResourcePolicyRow::TABLE, per_backend!(|conn| query.load(conn)))?;
                for (resource, mac) in &found {
                    self.add(&mut family, ResourcePolicyRow::TABLE, resource.as_bytes(), mac);
                }
            }
            Scope::Key(id) => {
                rows!(self, family, scope, keys: KeyRow, keys::id.eq(id));
                rows!(self, family, scope, key_versions: KeyVersionRow, key_versions::key_id.eq(id));
                rows!(self, family, scope, key_rotations: KeyRotationRow, key_rotations::key_id.eq(id));
                rows!(self, family, scope, key_materials: KeyMaterialRow, key_materials::key_id.eq(id));
                rows!(self, family, scope, import_parameters: ImportParametersRow, import_parameters::key_id.eq(id));
                rows!(self, family, scope, condemned: CondemnedRow, condemned::key_id.eq(id));
                rows!(self, family, scope, default_keys: DefaultKeyRow, default_keys::key_id.eq(id));
                rows!(self, family, scope, aliases: AliasRow, aliases::key_id.eq(id));
                rows!(self, family, scope, tags: TagRecord, tags::resource_id.eq(id));
            }
        }
        Ok(family)
    }

    fn add(&self, (sum, rows): &mut Family, table: &'static str, bound: &[u8], mac: &[u8]) {
        *sum = sum.plus(self.seals().element(table, bound, mac));
        rows.insert(self.seals().remembered_as(table, bound, mac), table);
    }
}
