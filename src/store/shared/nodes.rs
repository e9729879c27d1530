//! The nodes that run, and which levels each serves.
//!
//! Owns: the rows of nodes. Must not know: what a level changes. Called by: app and jobs (which say that a node lives), admin.

use diesel::prelude::*;

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::NodeId;
use crate::store::engine::connection::per_backend;
use crate::store::engine::level::{Level, Levels};
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::nodes;
use crate::store::engine::scope::Counted;
use crate::store::engine::statements::{all, delete, insert, one, replace};
use crate::store::engine::tx::every;
use crate::store::{Store, StoreError, Tx, expect_changed};

/// A node that has said nothing for so long, ms, does not run any more.
const GONE_MS: i64 = 5 * 60_000;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = nodes, treat_none_as_default_value = false)]
pub struct NodeRow {
    /// Its id.
    pub id: NodeId,
    /// The lowest level that it serves.
    pub lowest: Level,
    /// The highest.
    pub highest: Level,
    /// When it last said so.
    pub seen_at: Timestamp,
}

impl NodeRow {
    /// The levels that it serves.
    pub fn levels(&self) -> Levels {
        Levels { lowest: self.lowest, highest: self.highest }
    }

    /// Whether it may still run.
    pub fn runs(&self, now: Timestamp) -> bool {
        self.seen_at.plus_ms(GONE_MS) > now
    }
}

impl Sealed for NodeRow {
    const TABLE: &'static str = "nodes";

    fn name(&self) -> String {
        self.id.to_string()
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.field(self.id.as_bytes()).integer(self.lowest.0.into()).integer(self.highest.0.into()).integer(self.seen_at.0)
    }

    fn counted(&self) -> Counted {
        Counted::Nowhere
    }
}

impl Tx<'_> {
    /// Every node that has said that it runs and not that it stops.
    ///
    /// # Errors
    /// `Corrupt` when a row does not verify.
    pub fn nodes(&mut self) -> Result<Vec<NodeRow>, StoreError> {
        all!(self, nodes: NodeRow, nodes::table.order(nodes::id), |row| every(row))
    }

    /// Forgets a node; false when there is none.
    ///
    /// # Errors
    /// As any write.
    pub fn node_delete(&mut self, id: &NodeId) -> Result<bool, StoreError> {
        Ok(delete!(self, nodes: NodeRow, nodes::id.eq(id), |row| row.id == *id)? > 0)
    }

    /// Whether a node may still run.
    ///
    /// # Errors
    /// `Corrupt` when its row does not verify.
    pub(in crate::store) fn node_runs(&mut self, id: &NodeId, now: Timestamp) -> Result<bool, StoreError> {
        let found = one!(self, nodes: NodeRow, nodes::table.find(id), |found| found.id == *id)?;
        Ok(found.is_some_and(|node| node.runs(now)))
    }

    fn node_put(&mut self, row: &NodeRow) -> Result<(), StoreError> {
        match one!(self, nodes: NodeRow, nodes::table.find(row.id), |found| found.id == row.id)? {
            None => insert!(self, nodes, row),
            Some(old) => expect_changed(replace!(self, nodes, &old => row, nodes::id.eq(row.id))?, NodeRow::TABLE),
        }
    }
}

impl Store {
    /// Says that a node runs, and takes over the level of the deployment if that was raised. At its start, and now and then. A raise
    /// and a start exclude each other: each reads what the other writes.
    ///
    /// # Errors
    /// `Fault` when the deployment's level is not served any more; else as any write.
    pub fn node_lives(&self, id: NodeId, now: Timestamp) -> Result<(), StoreError> {
        let Levels { lowest, highest } = self.seals.levels();
        let row = NodeRow { id, lowest, highest, seen_at: now };
        let level = self.write_rows("node_lives", |tx| {
            let level = tx.deployment()?.level;
            tx.node_put(&row)?;
            Ok(level)
        })?;
        if level != self.seals.level() {
            log::info!("the deployment is at level {level}");
            self.seals.set_level(level);
        }
        Ok(())
    }
}
