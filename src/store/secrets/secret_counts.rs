//! How many secrets an account has, so that a list need not count them.
//!
//! Owns: the rows of secret_counts, which change with those of secrets in one transaction. Must not know: filters, deletion windows.
//! Called by: store::secrets.

use diesel::backend::Backend;
use diesel::insert_into;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, SmallInt, Text};

use crate::base::ids::{AccountId, SecretId};
use crate::store::engine::connection::per_backend;
use crate::store::engine::schema::{secret_counts, secrets};
use crate::store::engine::scope::{LAST_PART, range};
use crate::store::engine::statements::{change, load_each};
use crate::store::engine::update::update;
use crate::store::{StoreError, Tx};

const TABLE: &str = "secret_counts";

/// So many more in a part of an account, whether it has a row or not. Written here, since diesel keeps no ON CONFLICT … DO UPDATE prepared.
#[derive(QueryId)]
struct More {
    account: AccountId,
    part: i16,
    by: i64,
}

impl<DB: Backend> QueryFragment<DB> for More
where
    AccountId: ToSql<Text, DB>,
    i16: ToSql<SmallInt, DB>,
    i64: ToSql<BigInt, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("INSERT INTO secret_counts (account_id, part, secrets) VALUES (");
        out.push_bind_param::<Text, _>(&self.account)?;
        out.push_sql(", ");
        out.push_bind_param::<SmallInt, _>(&self.part)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&self.by)?;
        out.push_sql(") ON CONFLICT (account_id, part) DO UPDATE SET secrets = secret_counts.secrets + excluded.secrets");
        Ok(())
    }
}

impl<C> RunQueryDsl<C> for More {}

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
        if by < 0 {
            // No MAC keeps it from having been set to less than there are: it does not fall below nothing, and the pass puts it right.
            let row =
                secret_counts::account_id.eq(account).and(secret_counts::part.eq(part)).and(secret_counts::secrets.ge(-by));
            let fewer = update(&secret_counts::table, row, secret_counts::secrets.eq(secret_counts::secrets + by));
            return self.run_change(TABLE, per_backend!(|conn| fewer.execute(conn))).map(drop);
        }
        let more = More { account: account.clone(), part, by };
        change!(self, TABLE, false, more).map(drop)
    }

    /// How many secrets each account has in a part, by the rows of this table; and how many rows cannot be read.
    ///
    /// # Errors
    /// As any read.
    pub(in crate::store) fn secrets_counted_in(&mut self, part: u8) -> Result<(Vec<(AccountId, i64)>, usize), StoreError> {
        let rows = secret_counts::table.filter(secret_counts::part.eq(i16::from(part)));
        let rows = rows.select((secret_counts::account_id, secret_counts::secrets));
        let found: Vec<QueryResult<(AccountId, i64)>> = self.run(TABLE, load_each!(rows))?;
        let (mut counts, all) = (Vec::with_capacity(found.len()), found.len());
        for row in found {
            counts.extend(self.readable(TABLE, row)?);
        }
        let strange = all - counts.len();
        Ok((counts, strange))
    }

    /// Counts the secrets that an account has in a part anew, by their own rows. None need no row, and of an account that is not there
    /// there can be none.
    ///
    /// # Errors
    /// As any write.
    pub(in crate::store) fn secrets_recount(&mut self, account: &AccountId, part: u8) -> Result<(), StoreError> {
        let (from, to) = range(part);
        let there = secrets::table.filter(secrets::account_id.eq(account)).filter(secrets::id.between(&from[..], &to[..]));
        let there: i64 = self.run("secrets", per_backend!(|conn| there.count().get_result(conn)))?;
        let row = secret_counts::table.find((account, i16::from(part)));
        self.run_change(TABLE, per_backend!(|conn| diesel::delete(row).execute(conn)))?;
        if there == 0 {
            return Ok(());
        }
        let new =
            (secret_counts::account_id.eq(account), secret_counts::part.eq(i16::from(part)), secret_counts::secrets.eq(there));
        self.run_change(TABLE, per_backend!(|conn| insert_into(secret_counts::table).values(new).execute(conn))).map(drop)
    }

    /// How many counts there are of parts that there are none of: nobody but somebody else wrote them.
    ///
    /// # Errors
    /// As any read.
    pub(in crate::store) fn counts_of_no_part(&mut self) -> Result<i64, StoreError> {
        let strange = secret_counts::table.filter(secret_counts::part.lt(0).or(secret_counts::part.gt(LAST_PART)));
        self.run(TABLE, per_backend!(|conn| strange.count().get_result(conn)))
    }

    /// Deletes them.
    ///
    /// # Errors
    /// As any write.
    pub(in crate::store) fn counts_of_no_part_delete(&mut self) -> Result<(), StoreError> {
        let strange = secret_counts::table.filter(secret_counts::part.lt(0).or(secret_counts::part.gt(LAST_PART)));
        self.run_change(TABLE, per_backend!(|conn| diesel::delete(strange).execute(conn))).map(drop)
    }

    /// How many rows of secrets an account has.
    ///
    /// # Errors
    /// As any read.
    pub(in crate::store) fn secrets_in_all(&mut self, account: &AccountId) -> Result<i64, StoreError> {
        let of_account = secret_counts::table.filter(secret_counts::account_id.eq(account));
        let parts = of_account.filter(secret_counts::part.between(0, LAST_PART)).select(secret_counts::secrets);
        let parts: Vec<i64> = self.run(TABLE, per_backend!(|conn| parts.load(conn)))?;
        // No MAC keeps them.
        Ok(parts.into_iter().fold(0, i64::saturating_add))
    }
}
