//! UPDATE as a statement that a connection keeps prepared.
//!
//! Owns: its form. Must not know: tables. Called by: statements, and rows with updates of their own.
//!
//! diesel compiles each of its own anew, on either database, since a changeset may leave out columns, so that one table has many texts of it.
//! Ours have few, and nothing but its text tells one from another. That statements of INSERT are kept, too, is what
//! `treat_none_as_default_value = false` is for in each row: such a one names every column, and does not compile otherwise
//! ([`of_every_column`]).

use diesel::backend::Backend;
use diesel::expression::AppearsOnTable;
use diesel::prelude::*;
use diesel::query_builder::{AsChangeset, AstPass, QueryFragment, QueryId};
use diesel::query_source::QuerySource;
use diesel::result::QueryResult;
use diesel::sql_types::Bool;

/// An update of the rows of a table that a condition holds for.
pub(in crate::store) struct Update<F, V, W> {
    table: F,
    values: V,
    of: W,
}

/// Sets these columns in the rows of a table that the condition holds for.
pub(in crate::store) fn update<T, C, W>(table: &T, of: W, values: C) -> Update<T::FromClause, C::Changeset, W>
where
    T: QuerySource,
    C: AsChangeset<Target = T>,
    W: Expression<SqlType = Bool> + AppearsOnTable<T>,
{
    Update { table: table.from_clause(), values: values.as_changeset(), of }
}

/// An insert, which diesel finds prepared by its type, without writing its text, if it names every column.
pub(in crate::store) fn of_every_column<S: QueryId>(insert: S) -> S {
    const { assert!(S::HAS_STATIC_QUERY_ID, "the row lacks treat_none_as_default_value = false") };
    insert
}

impl<F, V, W, DB> QueryFragment<DB> for Update<F, V, W>
where
    F: QueryFragment<DB>,
    V: QueryFragment<DB>,
    W: QueryFragment<DB>,
    DB: Backend,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("UPDATE ");
        self.table.walk_ast(out.reborrow())?;
        out.push_sql(" SET ");
        self.values.walk_ast(out.reborrow())?;
        out.push_sql(" WHERE ");
        self.of.walk_ast(out)
    }
}

impl<F, V, W> QueryId for Update<F, V, W> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<F, V, W, C> RunQueryDsl<C> for Update<F, V, W> {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use diesel::SqliteConnection;
    use diesel::connection::{InstrumentationEvent, SimpleConnection};
    use parking_lot::Mutex;

    use super::*;
    use crate::store::engine::schema::nonces;

    #[test]
    fn is_compiled_once() {
        let mut conn = SqliteConnection::establish(":memory:").expect("SQLite");
        conn.batch_execute("CREATE TABLE nonces (digest BLOB, expires_at INTEGER); INSERT INTO nonces VALUES (x'01', 1)")
            .expect("a table");
        let kept = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&kept);
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            if let InstrumentationEvent::CacheQuery { sql, .. } = event {
                seen.lock().push(sql.to_owned());
            }
        });
        for time in [2_i64, 3] {
            let one = update(&nonces::table, nonces::digest.eq(vec![1_u8]), nonces::expires_at.eq(time));
            assert_eq!(one.execute(&mut conn), Ok(1));
        }
        assert_eq!(*kept.lock(), ["UPDATE `nonces` SET `expires_at` = ? WHERE (`nonces`.`digest` = ?)"]);
        assert_eq!(nonces::table.select(nonces::expires_at).load(&mut conn), Ok(vec![3_i64]));
    }
}
