//! Access keys: the id that callers sign with, and its secret wrapped by SYS.
//!
//! Owns: the rows of access_keys. Must not know: signatures, how to unwrap. Called by: auth, admin.

use diesel::prelude::*;
use diesel::{delete, insert_into, update};

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccessKeyId, AccountId, UserId};
use crate::base::words::Suite;
use crate::store::engine::connection::either;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::access_keys;
use crate::store::{StoreError, Tx};

/// An access key.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = access_keys)]
#[diesel(treat_none_as_null = true)]
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

    fn fields(&self, row: Canonical) -> Canonical {
        row.text(self.id.as_str())
            .text(self.account_id.as_str())
            .optional(self.user_id.as_ref().map(|id| id.as_bytes().as_slice()))
            .integer(self.enabled.into())
            .integer(self.created_at.0)
            .integer(self.suite.number().into())
            .field(&self.wrapped)
    }
}

impl Tx<'_> {
    /// Inserts an access key.
    ///
    /// # Errors
    /// `Conflict` when its id is taken, or its account or user does not exist.
    pub fn access_key_insert(&mut self, row: &AccessKeyRow) -> Result<(), StoreError> {
        let mac = self.mac(row);
        self.run(
            AccessKeyRow::TABLE,
            either!(|conn| { insert_into(access_keys::table).values((row, access_keys::mac.eq(&mac[..]))).execute(conn) }),
        )?;
        self.identity_revision_bump()
    }

    /// The access key with this id.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify.
    pub fn access_key_by_id(&mut self, id: &AccessKeyId) -> Result<Option<AccessKeyRow>, StoreError> {
        let query = access_keys::table.find(id);
        self.one(either!(|conn| query.select((AccessKeyRow::as_select(), access_keys::mac)).get_result(conn).optional()))
    }

    /// The access keys of a user, or of the account's root, oldest first.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn access_keys_of(&mut self, account: &AccountId, user: Option<&UserId>) -> Result<Vec<AccessKeyRow>, StoreError> {
        let of_account =
            access_keys::table.filter(access_keys::account_id.eq(account)).order((access_keys::created_at, access_keys::id));
        self.all(either!(|conn| {
            let of_account = of_account.select((AccessKeyRow::as_select(), access_keys::mac));
            match user {
                Some(user) => of_account.filter(access_keys::user_id.eq(user)).load(conn),
                None => of_account.filter(access_keys::user_id.is_null()).load(conn),
            }
        }))
    }

    /// Puts `new` in the place of `old`, which has the same primary key; false when the row is not `old` any more.
    ///
    /// # Errors
    /// `Conflict` when a unique column would have the same value twice.
    pub fn access_key_update(&mut self, old: &AccessKeyRow, new: &AccessKeyRow) -> Result<bool, StoreError> {
        let (was, mac) = (self.mac(old), self.mac(new));
        let row = access_keys::table.filter(access_keys::id.eq(&old.id)).filter(access_keys::mac.eq(&was[..]));
        let changed = self.changed(
            AccessKeyRow::TABLE,
            either!(|conn| update(row).set((new, access_keys::mac.eq(&mac[..]))).execute(conn)),
        )?;
        if changed {
            self.identity_revision_bump()?;
        }
        Ok(changed)
    }

    /// Deletes an access key; false when there is none.
    ///
    /// # Errors
    /// As any write.
    pub fn access_key_delete(&mut self, id: &AccessKeyId) -> Result<bool, StoreError> {
        let gone = self.changed(AccessKeyRow::TABLE, either!(|conn| delete(access_keys::table.find(id)).execute(conn)))?;
        if gone {
            self.identity_revision_bump()?;
        }
        Ok(gone)
    }
}
