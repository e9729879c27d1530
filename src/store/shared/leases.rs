//! Leases: of many nodes, one does a job.
//!
//! Owns: the rows of leases. Must not know: the jobs. Called by: jobs.

use diesel::prelude::*;
use diesel::{insert_into, update};

use crate::base::clock::Timestamp;
use crate::base::ids::NodeId;
use crate::store::engine::connection::per_backend;
use crate::store::engine::schema::leases;
use crate::store::{StoreError, Tx};

const TABLE: &str = "leases";

/// How far the clocks of two nodes may be apart, ms; their databases' clock allows each of them half of that.
const SKEW_MS: i64 = 60_000;

impl Tx<'_> {
    /// Takes a lease that is free, has run out, or is the holder's own (which prolongs it); false while another holds it. One that
    /// runs for longer than this one would, and [`SKEW_MS`], was written by a clock that was ahead, and is not believed; nor is one of a
    /// node that has not said of late that it runs: the lease has no MAC, and that word has.
    ///
    /// # Errors
    /// As any write.
    pub fn lease_take(&mut self, name: &str, holder: &NodeId, now: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        let row = leases::table.find(name);
        let query = row.select((leases::holder, leases::until));
        let held: Option<(NodeId, Timestamp)> = self.run(TABLE, per_backend!(|conn| query.get_result(conn).optional()))?;
        let values = (leases::holder.eq(holder), leases::until.eq(until));
        match held {
            Some((other, end))
                if other != *holder && end > now && end <= until.plus_ms(SKEW_MS) && self.node_runs(&other, now)? =>
            {
                Ok(false)
            }
            Some(_) => self.changed(TABLE, per_backend!(|conn| update(row).set(values).execute(conn))),
            None => {
                let values = (leases::name.eq(name), values.0, values.1);
                let inserted =
                    self.run_change(TABLE, per_backend!(|conn| insert_into(leases::table).values(values).execute(conn)));
                match inserted {
                    Ok(_) => Ok(true),
                    // Another node was faster; the next attempt sees its row.
                    Err(StoreError::Conflict) => Err(StoreError::Busy),
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// Leaves a lease to whoever takes it next; false where the holder has none.
    ///
    /// # Errors
    /// As any write.
    pub fn lease_leave(&mut self, name: &str, holder: &NodeId, now: Timestamp) -> Result<bool, StoreError> {
        let own = leases::table.find(name).filter(leases::holder.eq(holder)).filter(leases::until.gt(now));
        self.changed(TABLE, per_backend!(|conn| update(own).set(leases::until.eq(now)).execute(conn)))
    }
}
