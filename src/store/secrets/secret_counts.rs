//! How many secrets an account has, so that a list need not count them.
//!
//! Owns: the rows of secret_counts, which change with those of secrets in one transaction. Must not know: filters, deletion windows.
//! Called by: store::secrets.

use diesel::prelude::*;
use diesel::{insert_into, update};

use crate::base::ids::{AccountId, SecretId};
use crate::store::engine::connection::per_backend;
use crate::store::engine::schema::secret_counts;
use crate::store::{StoreError, Tx};

const TABLE: &str = "secret_counts";

impl Tx<'_> {
    /// Counts a secret that was inserted (1) or deleted (-1). Its id, which is random, chooses the part.
    ///
    /// # Errors
    /// As any write.
    pub(in crate::store) fn secret_counted(
        &mut self,
        account: &AccountId,
        secret: &SecretId,
        by: i64,
    ) -> Result<(), StoreError> {
        let part = i16::from(secret.as_bytes()[0]);
        let row = secret_counts::table.find((account, part));
        let new = secret_counts::secrets.eq(secret_counts::secrets + by);
        if self.changed(TABLE, per_backend!(|conn| update(row).set(new).execute(conn)))? {
            return Ok(());
        }
        let first = (secret_counts::account_id.eq(account), secret_counts::part.eq(part), secret_counts::secrets.eq(by));
        match self.run(TABLE, per_backend!(|conn| insert_into(secret_counts::table).values(first).execute(conn))) {
            Ok(_) => Ok(()),
            // Another was faster; the next attempt sees its row.
            Err(StoreError::Conflict) => Err(StoreError::Busy),
            Err(error) => Err(error),
        }
    }

    /// How many rows of secrets an account has.
    ///
    /// # Errors
    /// As any read.
    pub(in crate::store) fn secrets_in_all(&mut self, account: &AccountId) -> Result<i64, StoreError> {
        let parts = secret_counts::table.filter(secret_counts::account_id.eq(account)).select(secret_counts::secrets);
        let parts: Vec<i64> = self.run(TABLE, per_backend!(|conn| parts.load(conn)))?;
        Ok(parts.iter().sum())
    }
}
