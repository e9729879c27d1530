//! The statements that every sealed table has, as macros over diesel's tables, whose types are too long to be written.
//!
//! Owns: insert, replace (compare and set), remove and delete, each of which counts in the digests what it changes, and the two ways to
//! read. Must not know: any table. Called by: the files of the rows.

/// Runs a statement that changes rows of a table, or lets it wait where the write is guarded; `one` where it must change one row then:
/// `change!(tx, table, one, statement)`. How many rows it has changed, or is to change.
macro_rules! change {
    ($tx:ident, $table:expr, $one:expr, $statement:expr) => {
        if $tx.puts_off() {
            $tx.put_off($table, Box::new($statement), $one);
            Ok::<usize, StoreError>(1)
        } else {
            $tx.run_change($table, per_backend!(|conn| $statement.execute(conn)))
        }
    };
}

/// Inserts a sealed row: `insert!(tx, table, row)`.
macro_rules! insert {
    ($tx:ident, $table:ident, $row:expr) => {{
        let mac = $tx.mac($row);
        let values = ($row.clone(), $table::mac.eq(mac.to_vec()));
        let inserted = $crate::store::engine::statements::change!(
            $tx,
            stringify!($table),
            true,
            $crate::store::engine::update::of_every_column(diesel::insert_into($table::table).values(values))
        )
        .and_then(|count| $crate::store::expect_changed(count == 1, stringify!($table)));
        $tx.came($row, &mac);
        inserted
    }};
}

/// Puts a row in the place of another with the same key, if that is still there: `replace!(tx, table, old => new, key)`. Whether it was.
macro_rules! replace {
    ($tx:ident, $table:ident, $old:expr => $new:expr, $key:expr) => {{
        let mac = $tx.mac($new);
        let mut changed = false;
        for was in $tx.seals().macs($old) {
            let row = $key.and($table::mac.eq(&was[..]));
            let update = $crate::store::engine::update::update(&$table::table, row, ($new, $table::mac.eq(&mac[..])));
            changed = $tx.changed(stringify!($table), per_backend!(|conn| update.execute(conn)))?;
            if changed {
                $tx.went($old, &was);
                $tx.came($new, &mac);
                break;
            }
        }
        Ok::<bool, StoreError>(changed)
    }};
}

/// As [`replace`], of rows that guarded writes replace: there it waits, and is found out at the end if the row is not there any more. The
/// key owns what it compares.
macro_rules! exchange {
    ($tx:ident, $table:ident, $old:expr => $new:expr, $key:expr) => {{
        let mut may_be = $tx.seals().macs($old);
        match (may_be.next(), may_be.next()) {
            (Some(was), None) if $tx.puts_off() => {
                let mac = $tx.mac($new);
                let row = $key.and($table::mac.eq(was.to_vec()));
                let update = $crate::store::engine::update::update(&$table::table, row, ($new.clone(), $table::mac.eq(mac.to_vec())));
                $tx.put_off(stringify!($table), Box::new(update), true);
                $tx.went($old, &was);
                $tx.came($new, &mac);
                Ok::<bool, StoreError>(true)
            }
            _ => $crate::store::engine::statements::replace!($tx, $table, $old => $new, $key),
        }
    }};
}

/// Deletes a sealed row that was read, if it is still there: `remove!(tx, table, row, key)`. Whether it was.
macro_rules! remove {
    ($tx:ident, $table:ident, $row:expr, $key:expr) => {{
        let mut changed = false;
        for was in $tx.seals().macs($row) {
            let row = $table::table.filter($key).filter($table::mac.eq(&was[..]));
            changed = $tx.changed(stringify!($table), per_backend!(|conn| diesel::delete(row).execute(conn)))?;
            if changed {
                $tx.went($row, &was);
                break;
            }
        }
        Ok::<bool, StoreError>(changed)
    }};
}

/// Deletes the sealed rows that a filter lets through, each of which must be what was meant: `delete!(tx, table: Row, filter, |row| …)`.
/// How many there were.
macro_rules! delete {
    ($tx:ident, $table:ident: $row:ty, $filter:expr, |$found:pat_param| $asked:expr) => {{
        let rows = $table::table.filter($filter);
        let load = per_backend!(|conn| rows.select((<$row>::as_select(), $table::mac)).load(conn));
        let found: Vec<($row, Vec<u8>)> = $tx.run(stringify!($table), load)?;
        let count = found.len();
        if count > 0 {
            let rows = $table::table.filter($filter);
            $tx.run_change(stringify!($table), per_backend!(|conn| diesel::delete(rows).execute(conn)))?;
        }
        for (row, mac) in found {
            let row = $tx.verified_alone((row, mac.clone()), |$found: &$row| $asked)?;
            $tx.went(&row, &mac);
        }
        Ok::<usize, StoreError>(count)
    }};
}

/// Loads at most one sealed row, which must be what was asked for: `one!(tx, table: Row, query, |row| is_what_was_asked_for)`.
macro_rules! one {
    ($tx:ident, $table:ident: $row:ty, $query:expr, |$found:ident| $asked:expr) => {
        $tx.one(
            |$found: &$row| $asked,
            per_backend!(|conn| $query.select((<$row>::as_select(), $table::mac)).get_result(conn).optional()),
        )
    };
}

/// Loads sealed rows, each of which must be what was asked for.
macro_rules! all {
    ($tx:ident, $table:ident: $row:ty, $query:expr, |$found:pat_param| $asked:expr) => {
        $tx.all(|$found: &$row| $asked, per_backend!(|conn| $query.select((<$row>::as_select(), $table::mac)).load(conn)))
    };
}

/// Loads sealed rows, each by itself ([`Tx::each`](crate::store::engine::tx::Tx::each)).
macro_rules! each {
    ($tx:ident, $table:ident: $row:ty, $query:expr, |$found:pat_param| $asked:expr) => {
        $tx.each(
            |$found: &$row| $asked,
            $crate::store::engine::statements::load_each!($query.select((<$row>::as_select(), $table::mac))),
        )
    };
}

/// Loads up to `limit` sealed rows that verify for a sweep ([`Tx::each_due`](crate::store::engine::tx::Tx::each_due)). The query is a
/// closure that is given where a page begins; its order must be that of a unique key in the end, so that no row is between two pages.
macro_rules! each_due {
    ($tx:ident, $table:ident: $row:ty, $limit:expr, $page:expr, |$found:pat_param| $asked:expr) => {{
        let page = $page;
        $tx.each_due(
            <$row>::TABLE,
            $limit,
            |conn: &mut $crate::store::engine::connection::Conn,
             offset|
             -> diesel::QueryResult<Vec<diesel::QueryResult<($row, Vec<u8>)>>> {
                let query = page(offset).limit($limit);
                let load = $crate::store::engine::statements::load_each!(query.select((<$row>::as_select(), $table::mac)));
                load(conn)
            },
            |tx, row| tx.verified(row, |$found: &$row| $asked),
        )
    }};
}

/// Loads rows, each with whether it can be read.
macro_rules! load_each {
    ($query:expr) => {
        per_backend!(|conn| Ok($query.load_iter::<_, diesel::connection::DefaultLoadingMode>(conn)?.collect()))
    };
}

pub(in crate::store) use {all, change, delete, each, each_due, exchange, insert, load_each, one, remove, replace};
