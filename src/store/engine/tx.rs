//! A transaction as its closure sees it: the row methods of the other files, and what they share.
//!
//! Owns: running a statement, sealing rows with their MAC, and believing a row only if it verifies and is what was asked for. Must not
//! know: retries, pools. Called by: store::Store, which makes one; the files of the table groups.
//!
//! A MAC proves that a row was once written, not that it answers the question: who answers queries could give any row for any other. So
//! no row comes out of here without a comparison with what was asked.

use diesel::result::QueryResult;

use crate::store::StoreError;
use crate::store::engine::connection::Conn;
use crate::store::engine::row_mac::{RowMac, Sealed, Sealer};
use crate::store::engine::waits;

/// One transaction, or one read outside of any. Lives as long as the closure it is lent to.
pub struct Tx<'a> {
    conn: &'a mut Conn,
    seals: &'a Sealer,
    failed: bool,
    rights_changed: bool,
}

/// The question whose answer is every row of a table.
pub(in crate::store) fn every<R>(_: &R) -> bool {
    true
}

impl<'a> Tx<'a> {
    pub(in crate::store) fn new(conn: &'a mut Conn, seals: &'a Sealer) -> Self {
        Self { conn, seals, failed: false, rights_changed: false }
    }

    /// Whether a statement failed: PostgreSQL then turns the commit into a rollback without a word, so nobody may commit.
    pub(in crate::store) fn failed(&self) -> bool {
        self.failed
    }

    /// Notes that callers have more rights or fewer once this transaction is committed.
    pub(in crate::store) fn note_rights_changed(&mut self) {
        self.rights_changed = true;
    }

    /// Whether that was noted.
    pub(in crate::store) fn rights_changed_here(&self) -> bool {
        self.rights_changed
    }

    /// Runs one statement on a table.
    pub(in crate::store) fn run<T>(
        &mut self,
        table: &'static str,
        statement: impl FnOnce(&mut Conn) -> QueryResult<T>,
    ) -> Result<T, StoreError> {
        let ended = statement(self.conn);
        waits::progress();
        ended.map_err(|error| {
            self.failed = true;
            StoreError::of(table, error)
        })
    }

    /// How rows are sealed.
    pub(in crate::store) fn seals(&self) -> &'a Sealer {
        self.seals
    }

    /// The MAC to store beside a row.
    pub(in crate::store) fn mac<R: Sealed>(&self, row: &R) -> RowMac {
        self.seals.mac(row)
    }

    /// The row, if its MAC verifies and it is what was asked for.
    pub(in crate::store) fn verified<R: Sealed>(
        &mut self,
        (row, mac): (R, Vec<u8>),
        asked: impl Fn(&R) -> bool,
    ) -> Result<R, StoreError> {
        if !self.seals.verify(&row, &mac) {
            return Err(self.corrupt(R::TABLE, "its MAC is not that of its columns"));
        }
        self.fitting(R::TABLE, row, asked)
    }

    /// The row, if it is what was asked for. For rows that carry no MAC.
    pub(in crate::store) fn fitting<R>(
        &mut self,
        table: &'static str,
        row: R,
        asked: impl Fn(&R) -> bool,
    ) -> Result<R, StoreError> {
        if asked(&row) { Ok(row) } else { Err(self.corrupt(table, "the database gave it as the answer to another question")) }
    }

    /// What was found is not believed, and nothing that this transaction did stays.
    pub(in crate::store) fn corrupt(&mut self, table: &'static str, detail: impl Into<String>) -> StoreError {
        self.failed = true;
        StoreError::Corrupt { table, detail: detail.into() }
    }

    /// Loads at most one sealed row, which must be what was asked for.
    pub(in crate::store) fn one<R: Sealed>(
        &mut self,
        asked: impl Fn(&R) -> bool,
        query: impl FnOnce(&mut Conn) -> QueryResult<Option<(R, Vec<u8>)>>,
    ) -> Result<Option<R>, StoreError> {
        let found = self.run(R::TABLE, query)?;
        found.map(|row| self.verified(row, asked)).transpose()
    }

    /// Loads sealed rows, each of which must be what was asked for.
    pub(in crate::store) fn all<R: Sealed>(
        &mut self,
        asked: impl Fn(&R) -> bool,
        query: impl FnOnce(&mut Conn) -> QueryResult<Vec<(R, Vec<u8>)>>,
    ) -> Result<Vec<R>, StoreError> {
        let found = self.run(R::TABLE, query)?;
        found.into_iter().map(|row| self.verified(row, &asked)).collect()
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
