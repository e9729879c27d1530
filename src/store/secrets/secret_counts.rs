//! How many secrets an account has, so that a list need not count them.
//!
//! Owns: the rows of secret_counts, which change with those of secrets in one transaction. Must not know: filters, deletion windows.
//! Called by: store::secrets.

use diesel::prelude::*;
use diesel::{insert_into, update};

use crate::base::ids::{AccountId, SecretId};
use crate::store::engine::connection::per_backend;
use crate::store::engine::schema::{secret_counts, secrets};
use crate::store::engine::scope::range;
use crate::store::engine::statements::change;
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
        let new = secret_counts::secrets.eq(secret_counts::secrets + by);
        if by < 0 {
            // No MAC keeps it from having been set to less than there are: it does not fall below nothing, and the pass puts it right.
            let row = secret_counts::table.find((account, part)).filter(secret_counts::secrets.ge(-by));
            return self.run_change(TABLE, per_backend!(|conn| update(row).set(new).execute(conn))).map(drop);
        }
        let first =
            (secret_counts::account_id.eq(account.clone()), secret_counts::part.eq(part), secret_counts::secrets.eq(by));
        let key = (secret_counts::account_id, secret_counts::part);
        change!(self, TABLE, false, insert_into(secret_counts::table).values(first).on_conflict(key).do_update().set(new))
            .map(drop)
    }

    /// How many secrets each account has in a part, by the rows of this table.
    ///
    /// # Errors
    /// As any read.
    pub(in crate::store) fn secrets_counted_in(&mut self, part: u8) -> Result<Vec<(AccountId, i64)>, StoreError> {
        let rows = secret_counts::table.filter(secret_counts::part.eq(i16::from(part)));
        let rows = rows.select((secret_counts::account_id, secret_counts::secrets));
        self.run(TABLE, per_backend!(|conn| rows.load(conn)))
    }

    /// Counts the secrets that an account has in a part anew, by their own rows.
    ///
    /// # Errors
    /// As any write.
    pub(in crate::store) fn secrets_recount(&mut self, account: &AccountId, part: u8) -> Result<(), StoreError> {
        let (from, to) = range(part);
        let there = secrets::table.filter(secrets::account_id.eq(account)).filter(secrets::id.between(&from[..], &to[..]));
        let there: i64 = self.run("secrets", per_backend!(|conn| there.count().get_result(conn)))?;
        let row = secret_counts::table.find((account, i16::from(part)));
        self.run_change(TABLE, per_backend!(|conn| diesel::delete(row).execute(conn)))?;
        let new =
            (secret_counts::account_id.eq(account), secret_counts::part.eq(i16::from(part)), secret_counts::secrets.eq(there));
        self.run_change(TABLE, per_backend!(|conn| insert_into(secret_counts::table).values(new).execute(conn))).map(drop)
    }

    /// How many rows of secrets an account has.
    ///
    /// # Errors
    /// As any read.
    pub(in crate::store) fn secrets_in_all(&mut self, account: &AccountId) -> Result<i64, StoreError> {
        let parts = secret_counts::table.filter(secret_counts::account_id.eq(account)).select(secret_counts::secrets);
        let parts: Vec<i64> = self.run(TABLE, per_backend!(|conn| parts.load(conn)))?;
        // No MAC keeps them.
        Ok(parts.into_iter().fold(0, i64::saturating_add))
    }
}
