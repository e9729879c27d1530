//! Statements that reach PostgreSQL as one, so that a write costs as few messages as it can.
//!
//! Owns: the form of that one statement. Must not know: which statements wait for it, or what for. Called by: tx.
//!
//! Each is a part of `WITH … AS (…)`; the answer counts the rows that each has changed. The parts see the same state, and not each other's
//! rows; foreign keys and unique keys are held at the end of the whole. diesel has no such clause, but writes the parts.

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Array, BigInt};

/// A statement that inserts, updates or deletes, and has no RETURNING of its own.
pub(in crate::store) type Part = Box<dyn QueryFragment<Pg> + Send>;

/// What the server's words hold where a part that must change one row did not.
pub(in crate::store) const MISSED: &str = "bulla: a row is not as it was read";

/// The most parts of a statement that a connection keeps prepared: those of a write without many tags. There are as many texts as ways to
/// put parts together, and the server holds the plan of each for each session.
const PREPARED_PARTS: usize = 12;

/// Statements as one; with each, whether the whole fails unless it changes one row.
pub(in crate::store) struct Together(pub(in crate::store) Vec<(Part, bool)>);

impl QueryFragment<Pg> for Together {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        for (number, (part, _)) in self.0.iter().enumerate() {
            out.push_sql(if number == 0 { "WITH " } else { ", " });
            out.push_sql(&format!("p{number} AS ("));
            part.walk_ast(out.reborrow())?;
            out.push_sql(" RETURNING 1)");
        }
        // No text that is not a number ever becomes one.
        let missed = format!("CASE count(*) WHEN 1 THEN 1 ELSE CAST('{MISSED}' || count(*) AS bigint) END");
        let count = |(number, (_, must)): (usize, &(Part, bool))| {
            format!("(SELECT {} FROM p{number})", if *must { &missed } else { "count(*)" })
        };
        let counts: Vec<_> = self.0.iter().enumerate().map(count).collect();
        out.push_sql(&format!(" SELECT ARRAY[{}]", counts.join(", ")));
        if self.0.len() > PREPARED_PARTS {
            out.unsafe_to_cache_prepared();
        }
        Ok(())
    }
}

impl QueryId for Together {
    type QueryId = ();
    // Which parts there are is told by the text alone.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Together {
    type SqlType = Array<BigInt>;
}

impl RunQueryDsl<PgConnection> for Together {}

#[cfg(test)]
mod tests {
    use diesel::{debug_query, delete, insert_into};

    use super::*;
    use crate::store::engine::schema::nonces;

    #[test]
    fn parts_are_one_statement_and_each_is_counted() {
        let insert = insert_into(nonces::table).values((nonces::digest.eq(vec![1]), nonces::expires_at.eq(2)));
        let parts: Vec<(Part, bool)> = vec![(Box::new(insert), false), (Box::new(delete(nonces::table.find(vec![3]))), true)];
        assert_eq!(
            debug_query::<Pg, _>(&Together(parts)).to_string(),
            "WITH p0 AS (INSERT INTO \"nonces\" (\"digest\", \"expires_at\") VALUES ($1, $2) RETURNING 1), \
             p1 AS (DELETE FROM \"nonces\" WHERE (\"nonces\".\"digest\" = $3) RETURNING 1) \
             SELECT ARRAY[(SELECT count(*) FROM p0), \
             (SELECT CASE count(*) WHEN 1 THEN 1 ELSE CAST('bulla: a row is not as it was read' || count(*) AS bigint) END FROM p1)] \
             -- binds: [[1], 2, [3]]"
        );
    }
}
