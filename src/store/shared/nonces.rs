//! Nonces of signed writes, inserted in the transaction of their effect: a replay meets the row and executes nothing.
//!
//! Owns: the rows of nonces. Must not know: signatures, how long a nonce is kept. Called by: auth, jobs, audit's recovery.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::{delete, insert_into, sql_query};

use crate::base::clock::Timestamp;
use crate::base::ids::{NodeId, RequestId};
use crate::store::engine::connection::{Conn, per_backend};
use crate::store::engine::schema::nonces;
use crate::store::engine::statements::change;
use crate::store::{Store, StoreError, Tx};

const TABLE: &str = "nonces";

/// A nonce that was used.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = nonces)]
pub struct NonceRow {
    /// Digest of the access key and the nonce.
    pub digest: [u8; 16],
    /// The request that used it.
    pub request_id: RequestId,
    /// The node that served the request.
    pub node: NodeId,
    /// When a replay is refused by its time alone.
    pub expires_at: Timestamp,
}

/// Transactions of this database that may still commit and began before so many milliseconds ago.
#[derive(QueryableByName)]
struct UnderWay {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

impl Store {
    /// Whether a request of a node had its effect, asked so long after the connection that committed it was lost; none while that
    /// commit may still be under way on the server.
    ///
    /// # Errors
    /// As any read.
    pub fn request_settled(&self, request: &RequestId, node: &NodeId, lost: Duration) -> Result<Option<bool>, StoreError> {
        let lost = i64::try_from(lost.as_millis()).unwrap_or(i64::MAX);
        // Asked first: what ends meanwhile is seen by the question for the nonce.
        let under_way = self.read_row("under_way", |tx| tx.transactions_since(lost))?;
        let from = Timestamp(0);
        let had = self.read_row("settled", |tx| tx.nonce_of_request(request, node, from))?;
        Ok(if had { Some(true) } else { (under_way == 0).then_some(false) })
    }
}

impl Tx<'_> {
    fn transactions_since(&mut self, ms: i64) -> Result<i64, StoreError> {
        let query = "SELECT count(*) AS count FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL \
                     AND xact_start < clock_timestamp() - $1 * interval '1 millisecond'";
        self.run(TABLE, |conn| match conn {
            Conn::Postgres(conn) => {
                sql_query(query).bind::<BigInt, _>(ms).get_result::<UnderWay>(conn).map(|found| found.count)
            }
            // Its commits are this process's own.
            Conn::Sqlite(_) => Ok(0),
        })
    }

    /// Uses a nonce up.
    ///
    /// # Errors
    /// `Conflict` on a replay; of a guarded write at its end.
    pub fn nonce_insert(&mut self, row: &NonceRow) -> Result<(), StoreError> {
        change!(self, TABLE, false, insert_into(nonces::table).values(row.clone())).map(drop)
    }

    /// Whether a request of a node had its effect, told by its nonce. Looks only at nonces that expire at `expires_from` or
    /// later, of which a node that has just come back has few.
    ///
    /// # Errors
    /// As any read.
    pub fn nonce_of_request(
        &mut self,
        request: &RequestId,
        node: &NodeId,
        expires_from: Timestamp,
    ) -> Result<bool, StoreError> {
        let query = nonces::table
            .filter(nonces::node.eq(node))
            .filter(nonces::expires_at.ge(expires_from))
            .filter(nonces::request_id.eq(request));
        self.run(TABLE, per_backend!(|conn| query.count().get_result::<i64>(conn))).map(|count| count > 0)
    }

    /// Deletes up to `limit` nonces of a node that expired before `now`; how many.
    ///
    /// # Errors
    /// As any write.
    pub fn nonces_sweep(&mut self, node: &NodeId, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
        let expired = nonces::table.filter(nonces::node.eq(node)).filter(nonces::expires_at.lt(now));
        let query = expired.order(nonces::expires_at).limit(limit).select(nonces::digest);
        let digests: Vec<Vec<u8>> = self.run(TABLE, per_backend!(|conn| query.load(conn)))?;
        for digest in &digests {
            self.run(TABLE, per_backend!(|conn| delete(nonces::table.find(digest)).execute(conn)))?;
        }
        Ok(digests.len())
    }
}
