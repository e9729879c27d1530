//! Client keys: the public keys with which the requests of applications are verified.
//!
//! Owns: the rows of client_keys. Must not know: signatures. Called by: auth.

use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccessKeyId, AccessPointName, AccountId};
use crate::store::engine::connection::per_backend;
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::client_keys;
use crate::store::engine::scope::{Counted, Scope};
use crate::store::engine::statements::{delete, insert, one};
use crate::store::{StoreError, Tx};

/// A client key.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = client_keys, treat_none_as_default_value = false)]
pub struct ClientKeyRow {
    /// What a request names.
    pub id: AccessKeyId,
    /// The owner.
    pub account_id: AccountId,
    /// The access point that it belongs to.
    pub access_point: AccessPointName,
    /// SubjectPublicKeyInfo in DER.
    pub public_key: Vec<u8>,
    /// Not valid before.
    pub not_before: Timestamp,
    /// Not valid after.
    pub not_after: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Sealed for ClientKeyRow {
    const TABLE: &'static str = "client_keys";

    fn name(&self) -> String {
        self.id.to_string()
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.text(self.id.as_str())
            .text(self.account_id.as_str())
            .text(self.access_point.as_str())
            .field(&self.public_key)
            .integer(self.not_before.0)
            .integer(self.not_after.0)
            .integer(self.created_at.0)
    }

    fn counted(&self) -> Counted {
        Counted::In(Scope::Account(self.account_id.clone()))
    }
}

impl Tx<'_> {
    /// Inserts a client key.
    ///
    /// # Errors
    /// `Conflict` when its id is taken, or there is no such access point.
    pub fn client_key_insert(&mut self, row: &ClientKeyRow) -> Result<(), StoreError> {
        insert!(self, client_keys, row)
    }

    /// The client key with this id, of whatever account.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn client_key_by_id(&mut self, id: &AccessKeyId) -> Result<Option<ClientKeyRow>, StoreError> {
        let query = client_keys::table.find(id);
        one!(self, client_keys: ClientKeyRow, query, |row| row.id == *id)
    }

    /// The client keys of an account, or of one of its access points, oldest first.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn client_keys_of(
        &mut self,
        account: &AccountId,
        access_point: Option<&AccessPointName>,
    ) -> Result<Vec<ClientKeyRow>, StoreError> {
        let of_account =
            client_keys::table.filter(client_keys::account_id.eq(account)).order((client_keys::created_at, client_keys::id));
        let asked =
            |row: &ClientKeyRow| row.account_id == *account && access_point.is_none_or(|name| row.access_point == *name);
        self.all(
            asked,
            per_backend!(|conn| {
                let of_account = of_account.select((ClientKeyRow::as_select(), client_keys::mac));
                match access_point {
                    Some(name) => of_account.filter(client_keys::access_point.eq(name)).load(conn),
                    None => of_account.load(conn),
                }
            }),
        )
    }

    /// Deletes a client key; false when there is none.
    ///
    /// # Errors
    /// As any write.
    pub fn client_key_delete(&mut self, key: &ClientKeyRow) -> Result<bool, StoreError> {
        Ok(delete!(self, client_keys: ClientKeyRow, client_keys::id.eq(&key.id), |row| row.id == key.id)? > 0)
    }
}
