//! How far each node's audit log had come, as the database knows it; and what the database says of itself to whoever remembers it.
//!
//! Owns: the rows of log heads, and the one row of the anchors. Must not know: files, tokens, what is done about a contradiction. Called
//! by: app, which writes them and compares.
//!
//! A head is written by its own node alone, at least once a second while anything happens, under a number that rises and a token
//! that is drawn anew. So whoever wrote one knows exactly what must stand there: an earlier copy of the database has another.

use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::{KeyVersionId, NodeId};
use crate::store::engine::connection::per_backend;
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::{anchors, log_heads};
use crate::store::engine::scope::Counted;
use crate::store::engine::statements::{each, insert, one, replace};
use crate::store::{StoreError, Tx, expect_changed};

/// How far one log of one node had come.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = log_heads, treat_none_as_default_value = false)]
pub struct LogHeadRow {
    /// Whose log.
    pub node: NodeId,
    /// `audit` or `admin`.
    pub log: String,
    /// Where its folder is: host and path.
    pub place: String,
    /// Rises by one with each time that the row is written.
    pub generation: i64,
    /// Random bytes, new each time.
    pub token: Vec<u8>,
    /// Number of the log's last durable line.
    pub seq: i64,
    /// Its hash.
    pub hash: Vec<u8>,
    /// The first line of which an intent was open; the one behind the last where none was.
    pub open_from: i64,
    /// Where the database itself stood before: changes of who may do what.
    pub rights: i64,
    /// Changes of the secrets.
    pub changes: i64,
    /// What of two databases with these numbers tells which it is.
    pub digest: Vec<u8>,
    /// When.
    pub written_at: Timestamp,
}

impl Sealed for LogHeadRow {
    const TABLE: &'static str = "log_heads";

    fn name(&self) -> String {
        format!("{} of node {}", self.log, self.node)
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.field(self.node.as_bytes())
            .text(&self.log)
            .text(&self.place)
            .integer(self.generation)
            .field(&self.token)
            .integer(self.seq)
            .field(&self.hash)
            .integer(self.open_from)
            .integer(self.rights)
            .integer(self.changes)
            .field(&self.digest)
            .integer(self.written_at.0)
    }

    fn counted(&self) -> Counted {
        Counted::Nowhere
    }
}

/// The heads of all logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogHeads {
    /// Those that verify, in the order of node and log.
    pub rows: Vec<LogHeadRow>,
    /// How many rows do not.
    pub strange: usize,
}

impl LogHeads {
    /// Those that say something of the database of now: what one says that was put back on purpose is about logs of before.
    pub fn since_restoration(self, anchors: &AnchorsRow) -> Vec<LogHeadRow> {
        self.rows.into_iter().filter(|head| head.written_at > anchors.restored_at).collect()
    }
}

/// What bounds how old a copy of the database can be taken for the present one. One row, there since the deployment is ready.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = anchors, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct AnchorsRow {
    /// [`AnchorsRow::ID`]: there is one row.
    pub id: i16,
    /// When `bulla restore` last accepted the database as it was, ms; 0 for never.
    pub restored_at: Timestamp,
    /// The object on the token that is made anew every hour.
    pub key_id: KeyVersionId,
    /// The one before it, until it is destroyed.
    pub previous_key: Option<KeyVersionId>,
    /// When the one of now was made.
    pub key_since: Timestamp,
}

impl AnchorsRow {
    /// The number of the one row.
    pub const ID: i16 = 1;
}

impl Sealed for AnchorsRow {
    const TABLE: &'static str = "anchors";

    fn name(&self) -> String {
        self.id.to_string()
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.integer(self.id.into())
            .integer(self.restored_at.0)
            .field(self.key_id.as_bytes())
            .optional(self.previous_key.as_ref().map(|id| &id.as_bytes()[..]))
            .integer(self.key_since.0)
    }

    fn counted(&self) -> Counted {
        Counted::Nowhere
    }
}

impl Tx<'_> {
    /// The heads of all logs, but for rows that do not verify: they are as good as none. Whoever's head that was misses it, and
    /// `bulla verify` names the row; it stops nobody else.
    ///
    /// # Errors
    /// As any read.
    pub fn log_heads(&mut self) -> Result<LogHeads, StoreError> {
        let query = log_heads::table.order((log_heads::node, log_heads::log));
        let mut found = LogHeads::default();
        for row in each!(self, log_heads: LogHeadRow, query, |_| true)? {
            match row {
                Ok(row) => found.rows.push(row),
                Err(StoreError::Corrupt { .. }) => found.strange += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// The head of one log.
    ///
    /// # Errors
    /// `Corrupt` when it does not verify.
    pub fn log_head(&mut self, node: &NodeId, log: &str) -> Result<Option<LogHeadRow>, StoreError> {
        one!(self, log_heads: LogHeadRow, log_heads::table.find((node, log)), |row| row.node == *node && row.log == log)
    }

    /// Writes the head of a log, in the place of the one that was read.
    ///
    /// # Errors
    /// `Corrupt` when that is not there any more; else as any write.
    pub fn log_head_put(&mut self, old: Option<&LogHeadRow>, new: &LogHeadRow) -> Result<(), StoreError> {
        let key = log_heads::node.eq(new.node).and(log_heads::log.eq(new.log.clone()));
        match old {
            None => insert!(self, log_heads, new),
            Some(old) => expect_changed(replace!(self, log_heads, old => new, key.clone())?, LogHeadRow::TABLE),
        }
    }

    /// The anchors. Whoever takes the row away takes away what says how old the database is: then nothing of it is believed.
    ///
    /// # Errors
    /// `Corrupt` when the row does not verify or is gone.
    pub fn anchors(&mut self) -> Result<AnchorsRow, StoreError> {
        let row = one!(self, anchors: AnchorsRow, anchors::table.find(AnchorsRow::ID), |row| row.id == AnchorsRow::ID)?;
        row.ok_or_else(|| self.corrupt(AnchorsRow::TABLE, "its row is gone"))
    }

    /// The same, where what is wrong with them is an answer too: for whoever looks at such a database on purpose.
    ///
    /// # Errors
    /// As any read, but for that.
    pub fn anchors_told(&mut self) -> Result<Result<AnchorsRow, StoreError>, StoreError> {
        match self.apart(|tx| tx.anchors()) {
            told @ (Ok(_) | Err(StoreError::Corrupt { .. })) => Ok(told),
            Err(error) => Err(error),
        }
    }

    /// Sets the anchors, in the place of those that were read.
    ///
    /// # Errors
    /// `Corrupt` when those are not there any more; else as any write.
    pub fn anchors_put(&mut self, old: &AnchorsRow, new: &AnchorsRow) -> Result<(), StoreError> {
        expect_changed(replace!(self, anchors, old => new, anchors::id.eq(AnchorsRow::ID))?, AnchorsRow::TABLE)
    }

    /// Writes the anchors in the place of whatever is there: for `bulla restore` alone.
    ///
    /// # Errors
    /// As any write.
    pub fn anchors_renew(&mut self, new: &AnchorsRow) -> Result<(), StoreError> {
        self.run_change(AnchorsRow::TABLE, per_backend!(|conn| diesel::delete(anchors::table).execute(conn)))?;
        insert!(self, anchors, new)
    }
}
