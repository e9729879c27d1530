//! Nonces of signed writes, inserted in the transaction of their effect: a replay meets the row and executes nothing.
//!
//! Owns: the rows of nonces. Must not know: signatures, how long a nonce is kept. Called by: effect, jobs, app (what became of a write).

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;

use crate::base::canonical::Canonical;
use crate::base::clock::Timestamp;
use crate::base::ids::{NodeId, RequestId};
use crate::store::engine::connection::{Conn, per_backend};
use crate::store::engine::level::Level;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::nonces;
use crate::store::engine::scope::Counted;
use crate::store::engine::statements::{all, insert, load_each, remove};
use crate::store::engine::tx::MOST_PAGES;
use crate::store::{Store, StoreError, Tx};

const TABLE: &str = "nonces";

/// A nonce that was used.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = nonces, treat_none_as_default_value = false)]
pub struct NonceRow {
    /// Digest of the access key and the nonce, 16 bytes.
    pub digest: Vec<u8>,
    /// The request that used it.
    pub request_id: RequestId,
    /// The node that served the request.
    pub node: NodeId,
    /// When a replay is refused by its time alone.
    pub expires_at: Timestamp,
}

/// A place among the marks of a node, which are in the order in which they expire.
#[derive(Debug, Clone)]
pub struct MarkPlace {
    expires_at: Timestamp,
    digest: Vec<u8>,
}

impl MarkPlace {
    /// Before all that expire at this time or later.
    pub fn before(expires_at: Timestamp) -> Self {
        Self { expires_at, digest: Vec::new() }
    }
}

/// Marks by when they expire, and the place behind them where others may follow.
pub type MarksPage = (Vec<(Timestamp, RequestId)>, Option<MarkPlace>);

impl Sealed for NonceRow {
    const TABLE: &'static str = "nonces";

    fn name(&self) -> String {
        format!("of request {}", self.request_id)
    }

    fn fields(&self, _: Level, row: Canonical) -> Canonical {
        row.field(&self.digest).field(self.request_id.as_bytes()).field(self.node.as_bytes()).integer(self.expires_at.0)
    }

    fn counted(&self) -> Counted {
        Counted::Nowhere
    }
}

/// Transactions of this database that may still commit and began before so many milliseconds ago.
#[derive(QueryableByName)]
struct UnderWay {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

impl Store {
    /// Requests whose marks this process has left since it began, but for those that expire before a time.
    pub fn marks_left(&self, expires_from: Timestamp) -> Vec<RequestId> {
        let marks = self.seals.known().marks();
        marks.forget(expires_from);
        marks.all()
    }

    /// Says that marks are gone, and are not to be looked for again.
    pub fn marks_gone(&self, requests: &[RequestId]) {
        self.seals.known().marks().forget_these(requests);
    }

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
        if !had && let Some(writer) = &self.writer {
            writer.end_doubt()?;
        }
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
        insert!(self, nonces, row)?;
        self.written.mark = Some((row.expires_at, row.request_id));
        Ok(())
    }

    /// A page of the marks of a node that verify, behind a place in the order in which they expire: when, and of which request; and the
    /// place of the next page, if there may be one.
    ///
    /// # Errors
    /// As any read.
    pub fn marks_page(&mut self, node: &NodeId, behind: &MarkPlace, limit: i64) -> Result<MarksPage, StoreError> {
        let MarkPlace { expires_at, digest } = behind;
        let later = nonces::expires_at.eq(expires_at).and(nonces::digest.gt(digest));
        let query = nonces::table
            .filter(nonces::node.eq(node))
            .filter(nonces::expires_at.ge(expires_at))
            .filter(nonces::expires_at.gt(expires_at).or(later))
            .order((nonces::expires_at, nonces::digest))
            .limit(limit);
        let found: Vec<QueryResult<(NonceRow, Vec<u8>)>> =
            self.run(TABLE, load_each!(query.select((NonceRow::as_select(), nonces::mac))))?;
        let is_last = (found.len() as i64) < limit;
        let (mut marks, mut place) = (Vec::with_capacity(found.len()), None);
        for row in found {
            let Some((row, mac)) = self.readable(TABLE, row)? else { continue };
            if self.seals().verify(&row, &mac) && row.node == *node && row.expires_at >= *expires_at {
                marks.push((row.expires_at, row.request_id));
            }
            place = Some(MarkPlace { expires_at: row.expires_at, digest: row.digest });
        }
        Ok((marks, place.filter(|_| !is_last)))
    }

    /// Whether a request of a node had its effect, told by its nonce. Looks only at nonces that expire at `expires_from` or
    /// later, of which a node that has just come back has few.
    ///
    /// # Errors
    /// As [`Tx::nonces_of_requests`].
    pub fn nonce_of_request(
        &mut self,
        request: &RequestId,
        node: &NodeId,
        expires_from: Timestamp,
    ) -> Result<bool, StoreError> {
        self.nonces_of_requests(&[*request], node, expires_from).map(|found| found > 0)
    }

    /// Of these requests of a node, how many have left their mark among those that expire at `expires_from` or later.
    ///
    /// # Errors
    /// `Corrupt` where a mark does not verify: nobody knows then whether there was one.
    pub fn nonces_of_requests(
        &mut self,
        requests: &[RequestId],
        node: &NodeId,
        expires_from: Timestamp,
    ) -> Result<usize, StoreError> {
        let query = nonces::table
            .filter(nonces::node.eq(node))
            .filter(nonces::expires_at.ge(expires_from))
            .filter(nonces::request_id.eq_any(requests.iter().map(|id| id.as_bytes().to_vec())));
        let is_one = |row: &NonceRow| row.node == *node && row.expires_at >= expires_from && requests.contains(&row.request_id);
        all!(self, nonces: NonceRow, query, |row| is_one(row)).map(|found| found.len())
    }

    /// Deletes up to `limit` nonces of a node that expired before `now`; how many. One that does not verify stays: whoever asks for it hears
    /// that nobody knows what it was, and not that there was none.
    ///
    /// # Errors
    /// `Corrupt` where none of those that were found is there to be deleted; else as any write.
    pub fn nonces_sweep(&mut self, node: &NodeId, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
        self.seals().known().marks().forget(now);
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let (mut deleted, mut passed_over, mut missing) = (0, 0, 0);
        for _ in 0..MOST_PAGES {
            let expired = nonces::table.filter(nonces::node.eq(node)).filter(nonces::expires_at.lt(now));
            let page = expired.order((nonces::expires_at, nonces::digest)).offset(passed_over).limit(limit);
            let page = page.select(nonces::digest);
            let digests: Vec<Vec<u8>> = self.run(TABLE, per_backend!(|conn| page.load(conn)))?;
            let rows = nonces::table.filter(nonces::digest.eq_any(digests.clone()));
            let found = self.sifted::<NonceRow>(load_each!(rows.select((NonceRow::as_select(), nonces::mac))))?;
            missing += digests.len().saturating_sub(found.rows.len() + found.strange);
            let mut here = 0;
            for (row, _) in found.rows.iter().filter(|(row, _)| row.node == *node && row.expires_at < now) {
                if deleted + here < most {
                    here += usize::from(remove!(self, nonces, row, nonces::digest.eq(&row.digest))?);
                }
            }
            deleted += here;
            passed_over += (digests.len() - here) as i64;
            if digests.len() < most || deleted >= most {
                break;
            }
        }
        self.swept(TABLE, deleted + missing, deleted)?;
        Ok(deleted)
    }
}
