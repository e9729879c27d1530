//! Nonces of signed writes, inserted in the transaction of their effect: a replay meets the row and executes nothing.
//!
//! Owns: the rows of nonces. Must not know: signatures, how long a nonce is kept. Called by: auth, jobs, audit's recovery.

use diesel::prelude::*;
use diesel::{delete, insert_into};

use crate::base::clock::Timestamp;
use crate::base::ids::{NodeId, RequestId};
use crate::store::engine::connection::per_backend;
use crate::store::engine::schema::nonces;
use crate::store::{StoreError, Tx};

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

impl Tx<'_> {
    /// Uses a nonce up.
    ///
    /// # Errors
    /// `Conflict` on a replay.
    pub fn nonce_insert(&mut self, row: &NonceRow) -> Result<(), StoreError> {
        self.run(TABLE, per_backend!(|conn| insert_into(nonces::table).values(row).execute(conn))).map(drop)
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
