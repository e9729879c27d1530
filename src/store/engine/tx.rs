//! A transaction as its closure sees it: the row methods of the other files, and what they share.
//!
//! Owns: running a statement, sealing rows with their MAC and checking it. Must not know: retries, pools.
//! Called by: store::Store, which makes one; the files of the table groups.

use diesel::result::QueryResult;

use crate::store::StoreError;
use crate::store::engine::connection::Conn;
use crate::store::engine::row_mac::{RowKey, RowMac, Sealed};

/// One transaction, or one read outside of any. Lives as long as the closure it is lent to.
pub struct Tx<'a> {
    conn: &'a mut Conn,
    rows: &'a RowKey,
    failed: bool,
}

impl<'a> Tx<'a> {
    pub(in crate::store) fn new(conn: &'a mut Conn, rows: &'a RowKey) -> Self {
        Self { conn, rows, failed: false }
    }

    /// Whether a statement failed: PostgreSQL then turns the commit into a rollback without a word, so nobody may commit.
    pub(in crate::store) fn failed(&self) -> bool {
        self.failed
    }

    /// Runs one statement on a table.
    pub(in crate::store) fn run<T>(
        &mut self,
        table: &'static str,
        statement: impl FnOnce(&mut Conn) -> QueryResult<T>,
    ) -> Result<T, StoreError> {
        statement(self.conn).map_err(|error| {
            self.failed = true;
            StoreError::of(table, error)
        })
    }

    /// The MAC to store beside a row.
    pub(in crate::store) fn mac<R: Sealed>(&self, row: &R) -> RowMac {
        self.rows.mac(row)
    }

    /// Whether this is the MAC of a row.
    pub(in crate::store) fn is_mac_of<R: Sealed>(&self, row: &R, mac: &[u8]) -> bool {
        self.rows.verify(row, mac)
    }

    /// The row, if its MAC verifies.
    pub(in crate::store) fn verified<R: Sealed>(&mut self, (row, mac): (R, Vec<u8>)) -> Result<R, StoreError> {
        if self.is_mac_of(&row, &mac) {
            Ok(row)
        } else {
            self.failed = true;
            Err(StoreError::Corrupt { table: R::TABLE, detail: "its MAC is not that of its columns".to_owned() })
        }
    }

    /// Loads at most one sealed row.
    pub(in crate::store) fn one<R: Sealed>(
        &mut self,
        query: impl FnOnce(&mut Conn) -> QueryResult<Option<(R, Vec<u8>)>>,
    ) -> Result<Option<R>, StoreError> {
        let found = self.run(R::TABLE, query)?;
        found.map(|row| self.verified(row)).transpose()
    }

    /// Loads sealed rows.
    pub(in crate::store) fn all<R: Sealed>(
        &mut self,
        query: impl FnOnce(&mut Conn) -> QueryResult<Vec<(R, Vec<u8>)>>,
    ) -> Result<Vec<R>, StoreError> {
        let found = self.run(R::TABLE, query)?;
        found.into_iter().map(|row| self.verified(row)).collect()
    }

    /// Runs a statement that changes at most one row; whether it did.
    pub(in crate::store) fn changed(
        &mut self,
        table: &'static str,
        statement: impl FnOnce(&mut Conn) -> QueryResult<usize>,
    ) -> Result<bool, StoreError> {
        self.run(table, statement).map(|count| count > 0)
    }
}
