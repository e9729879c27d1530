//! A transaction as its closure sees it: the row methods of the other files, and what they share.
//!
//! Owns: running a statement, sealing rows with their MAC, counting what is changed, and believing a row only if it verifies, is what was
//! asked for, and is the one of now as far as its digest tells. Must not know: retries, pools. Called by: store::Store, which makes one; the files of
//! the table groups.
//!
//! A MAC proves that a row was once written, not that it answers the question: who answers queries could give any row for any other. So
//! no row comes out of here without a comparison with what was asked.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use diesel::RunQueryDsl;
use diesel::result::{Error as SqlError, QueryResult};
use parking_lot::MutexGuard;

use crate::base::clock::Timestamp;
use crate::base::ids::{RequestId, SecretId};
use crate::base::printable::seen_in_line;
use crate::store::engine::begin::{Mode, begin};
use crate::store::engine::connection::Conn;
use crate::store::engine::digest::Digest;
use crate::store::engine::known::{PartState, Scopes};
use crate::store::engine::part_sum::PartSum;
use crate::store::engine::row_mac::{RowMac, Sealed, Sealer};
use crate::store::engine::scope::{Child, Counted, Scope, part_of};
use crate::store::engine::shape;
use crate::store::engine::together::{MISSED, Part, Together};
use crate::store::engine::waits;
use crate::store::{Contention, Each, StoreError};

/// The sums of what belongs to a secret, by [`Child`].
pub(in crate::store) type Sums = [Digest; 4];

/// What a write has changed in sets of rows, until its end.
#[derive(Default)]
pub(in crate::store) struct Changes {
    /// By the key of the scope.
    pub(in crate::store) scopes: BTreeMap<Vec<u8>, Digest>,
    /// By part.
    pub(in crate::store) parts: BTreeMap<u8, PartSum>,
    /// What belongs to secrets.
    pub(in crate::store) children: HashMap<SecretId, Sums>,
}

/// What a write leaves in memory when it is committed.
#[derive(Default)]
pub(in crate::store) struct Written {
    /// Whether callers have more rights or fewer.
    pub(in crate::store) rights: bool,
    /// The number of changes of who may do what; none where there was none.
    pub(in crate::store) root: Option<i64>,
    /// Parts that were changed.
    pub(in crate::store) parts: Vec<(u8, PartState)>,
    /// The mark of whose effect this was, and when it expires.
    pub(in crate::store) mark: Option<(Timestamp, RequestId)>,
}

/// What is open around a closure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Standing {
    /// A transaction, or nothing that anything would be written in.
    Begun,
    /// Nothing, so far: all that it changes is to go to the server at its end, as one statement. To read, it begins a transaction.
    Alone,
    /// That statement was sent.
    Sent,
    /// It found a row not as this node knew it, and has changed nothing.
    Missed,
}

/// A statement of a guarded write that waits for the others.
struct Waiting {
    table: &'static str,
    part: Part,
    /// Whether it must have changed one row.
    one: bool,
}

/// One transaction, or one read outside of any. Lives as long as the closure it is lent to.
pub struct Tx<'a> {
    conn: &'a mut Conn,
    seals: &'a Sealer,
    mode: Mode,
    standing: Standing,
    failed: bool,
    /// How many changes of who may do what there are at least: known before this transaction saw anything.
    floor: i64,
    wants_snapshot: bool,
    pub(in crate::store) changes: Changes,
    pub(in crate::store) written: Written,
    /// The digests as this transaction sees them.
    pub(in crate::store) scopes: Option<Arc<Scopes>>,
    /// The rows, and their tables, of scopes that this transaction has proved.
    pub(in crate::store) proved: HashMap<Vec<u8>, HashMap<RowMac, &'static str>>,
    /// What secrets that were read say that belongs to them.
    pub(in crate::store) contents: HashMap<SecretId, Sums>,
    /// Changes of secrets that wait for the end, so that their content is written with them: what they are knows `ledger::contents` alone.
    pub(in crate::store) kept_back: Vec<Box<dyn Any>>,
    /// What goes to the database as one statement.
    waiting: Vec<Waiting>,
    /// Its turns to change the digests of parts.
    turns: Vec<MutexGuard<'a, ()>>,
}

/// What a read found, for whoever must not depend on a stranger's row.
pub(in crate::store) struct Sifted<R> {
    /// The rows that verify, with the column `mac` of each.
    pub(in crate::store) rows: Vec<(R, Vec<u8>)>,
    /// How many others there are: they cannot be read, or their MAC is not that of their columns. They are as good as none.
    pub(in crate::store) strange: usize,
}

/// How many pages of rows a sweep looks through for those that verify.
pub(in crate::store) const MOST_PAGES: i64 = 100;

/// What is said of a row that does not verify.
pub(in crate::store) const NOT_ITS_MAC: &str = "its MAC is not that of its columns";

/// What is said of a row that verifies and does not fit what was asked.
pub(in crate::store) const ANOTHER_QUESTION: &str = "the database gave it as the answer to another question";

/// The question whose answer is every row of a table.
pub(in crate::store) fn every<R>(_: &R) -> bool {
    true
}

impl<'a> Tx<'a> {
    pub(in crate::store) fn new(conn: &'a mut Conn, seals: &'a Sealer, mode: Mode) -> Self {
        let floor = seals.known().floor();
        Self {
            conn,
            seals,
            mode,
            standing: Standing::Begun,
            failed: false,
            floor,
            wants_snapshot: false,
            changes: Changes::default(),
            written: Written::default(),
            scopes: None,
            proved: HashMap::new(),
            contents: HashMap::new(),
            kept_back: Vec::new(),
            waiting: Vec::new(),
            turns: Vec::new(),
        }
    }

    /// A guarded write on PostgreSQL around which no transaction is open yet.
    pub(in crate::store) fn alone(conn: &'a mut Conn, seals: &'a Sealer) -> Self {
        Self { standing: Standing::Alone, ..Self::new(conn, seals, Mode::Guarded) }
    }

    /// What is open around it.
    pub(in crate::store) fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether it asks nothing: all that it relies on stands in the statement that it becomes.
    pub fn asks_nothing(&self) -> bool {
        self.standing == Standing::Alone
    }

    /// Whether a statement failed: PostgreSQL then turns the commit into a rollback without a word, so nobody may commit.
    pub(in crate::store) fn failed(&self) -> bool {
        self.failed
    }

    /// Whether it needs more than one query, which must see the same state.
    pub(in crate::store) fn wants_snapshot(&self) -> bool {
        self.wants_snapshot
    }

    /// Goes on only where several queries see the same state.
    ///
    /// # Errors
    /// `Busy`, upon which the runner gives the closure a snapshot.
    pub(in crate::store) fn in_snapshot(&mut self) -> Result<(), StoreError> {
        if self.mode == Mode::One {
            self.wants_snapshot = true;
            return Err(StoreError::Busy);
        }
        Ok(())
    }

    /// Whether what it reads is committed: a write also sees what others do in the same shared commit.
    pub(in crate::store) fn reads_only(&self) -> bool {
        !self.mode.writes()
    }

    /// How many changes of who may do what its state has at least.
    pub(in crate::store) fn floor(&self) -> i64 {
        self.floor
    }

    /// Runs one statement on a table.
    pub(in crate::store) fn run<T>(
        &mut self,
        table: &'static str,
        statement: impl FnOnce(&mut Conn) -> QueryResult<T>,
    ) -> Result<T, StoreError> {
        if self.waiting.iter().any(|waiting| waiting.table == table) {
            self.send_waiting()?;
        }
        self.run_now(table, statement)
    }

    /// Whether statements that change something wait for each other.
    pub(in crate::store) fn puts_off(&self) -> bool {
        self.mode == Mode::Guarded
    }

    /// Lets a statement wait until the end of the write, or the next statement on its table; `one` where it must change a row.
    pub(in crate::store) fn put_off(&mut self, table: &'static str, part: Part, one: bool) {
        self.waiting.push(Waiting { table, part, one });
    }

    /// Runs what has waited, and this statement behind it; how many rows that has changed.
    pub(in crate::store) fn send_with(&mut self, table: &'static str, part: Part) -> Result<usize, StoreError> {
        self.put_off(table, part, false);
        Ok(self.send_waiting()?.pop().map_or(0, |count| usize::try_from(count).unwrap_or(0)))
    }

    /// Runs what has waited; how many rows each statement has changed.
    ///
    /// # Errors
    /// As any write; `Contended` where a row was not there any more.
    pub(in crate::store) fn send_waiting(&mut self) -> Result<Vec<i64>, StoreError> {
        let waiting = std::mem::take(&mut self.waiting);
        let Some(table) = waiting.last().map(|last| last.table) else { return Ok(Vec::new()) };
        let (ones, parts): (Vec<_>, Vec<_>) = waiting.into_iter().map(|waiting| (waiting.one, (waiting.part, false))).unzip();
        let counts: Vec<i64> = self.run_now(table, |conn| match conn {
            Conn::Postgres(conn) => Together(parts).get_result(conn),
            Conn::Sqlite(_) => Err(SqlError::QueryBuilderError("SQLite's writes are not put off".into())),
        })?;
        if counts.iter().zip(ones).any(|(count, one)| one && *count != 1) {
            self.failed = true;
            return Err(StoreError::Contended(Contention::Serialization));
        }
        Ok(counts)
    }

    /// Waits until nobody else of this process changes this part as the last thing of a write, and then tells how it stands; none where
    /// that is not known here, or it took too long.
    pub(in crate::store) fn take_turn(&mut self, part: u8) -> Option<PartState> {
        self.turns.push(self.seals.known().turn(part)?);
        self.seals.known().part(part)
    }

    /// Something is not as this node knows it: the write begins again, and reads.
    pub(in crate::store) fn missed(&mut self) -> StoreError {
        self.standing = Standing::Missed;
        StoreError::Contended(Contention::Serialization)
    }

    /// Sends a write around which no transaction is open as one statement, which commits it.
    ///
    /// # Errors
    /// As any write, a lost connection among them: then nobody knows. `Contended` where a row was not there any more.
    pub(in crate::store) fn send_alone(&mut self) -> Result<(), StoreError> {
        let waiting = std::mem::take(&mut self.waiting);
        self.standing = Standing::Sent;
        let Some(table) = waiting.last().map(|last| last.table) else { return Ok(()) };
        let parts = waiting.into_iter().map(|waiting| (waiting.part, waiting.one)).collect();
        let sent: QueryResult<Vec<i64>> = match self.conn {
            Conn::Postgres(conn) => Together(parts).get_result(conn),
            Conn::Sqlite(_) => Err(SqlError::QueryBuilderError("SQLite's writes are not put off".into())),
        };
        waits::progress();
        match sent {
            Ok(_) => Ok(()),
            Err(SqlError::DatabaseError(_, said)) if said.message().contains(MISSED) => {
                self.seals.known().missed();
                Err(self.missed())
            }
            Err(error) => {
                self.failed = true;
                Err(StoreError::of(table, error))
            }
        }
    }

    fn run_now<T>(
        &mut self,
        table: &'static str,
        statement: impl FnOnce(&mut Conn) -> QueryResult<T>,
    ) -> Result<T, StoreError> {
        if self.standing == Standing::Alone {
            begin(self.conn, self.mode).map_err(|error| StoreError::of("begin", error))?;
            self.standing = Standing::Begun;
        }
        let ended = statement(self.conn);
        waits::progress();
        ended.map_err(|error| {
            self.failed = true;
            StoreError::of(table, error)
        })
    }

    /// Refuses a schema that is not as this program makes it: it may have become another since this connection was opened.
    ///
    /// # Errors
    /// `Corrupt`, with what was found.
    pub fn shape_checked(&mut self) -> Result<(), StoreError> {
        self.conn.check_shape()
    }

    /// Refuses values that are not of the kinds of their columns, and, where `indexes` are to be looked at, indexes that tell of other rows than
    /// there are; reads the whole file. PostgreSQL keeps no such values, and its indexes are its own.
    ///
    /// # Errors
    /// `Corrupt`, with what was found.
    pub(in crate::store) fn values_checked(&mut self, indexes: bool) -> Result<(), StoreError> {
        match self.conn {
            Conn::Sqlite(conn) => shape::check_values(conn, indexes),
            Conn::Postgres(_) => Ok(()),
        }
    }

    /// Tables of PostgreSQL in which two rows have one key, in words: an index that was switched off for a while has let the second in.
    /// SQLite's own look at its indexes finds them ([`Tx::values_checked`]).
    pub(in crate::store) fn keys_twice(&mut self) -> Result<Vec<String>, StoreError> {
        self.run("schema", |conn| match conn {
            Conn::Sqlite(_) => Ok(Vec::new()),
            Conn::Postgres(conn) => shape::keys_twice(conn),
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

    /// Counts a row that this write inserted.
    pub(in crate::store) fn came<R: Sealed>(&mut self, row: &R, mac: &RowMac) {
        if let Some(rows) = self.proved_in(row) {
            rows.insert(*mac, R::TABLE);
        }
        self.count(row.counted(), self.seals.element(R::TABLE, row.bound(), mac), true);
    }

    /// Counts a row that this write took away.
    pub(in crate::store) fn went<R: Sealed>(&mut self, row: &R, mac: &[u8]) {
        if let Some(rows) = self.proved_in(row) {
            rows.retain(|known, _| known != mac);
        }
        self.count(row.counted(), self.seals.element(R::TABLE, row.bound(), mac), false);
    }

    fn proved_in<R: Sealed>(&mut self, row: &R) -> Option<&mut HashMap<RowMac, &'static str>> {
        match row.counted() {
            Counted::In(scope) if !self.proved.is_empty() => self.proved.get_mut(&scope.key()),
            _ => None,
        }
    }

    fn count(&mut self, counted: Counted, element: Digest, came: bool) {
        let sum = match counted {
            Counted::Nowhere => return,
            Counted::In(scope) => {
                self.written.rights |= scope.is_of_callers();
                self.changes.scopes.entry(scope.key()).or_default()
            }
            Counted::Part(secret) => {
                let sum = self.changes.parts.entry(part_of(&secret)).or_default();
                let one = PartSum::of(&secret, element);
                *sum = if came { sum.plus(one) } else { sum.minus(one) };
                return;
            }
            Counted::Child(secret, child) => &mut self.changes.children.entry(secret).or_default()[child as usize],
        };
        *sum = if came { sum.plus(element) } else { sum.minus(element) };
    }

    /// Counts what belongs to a secret and has no MAC.
    pub(in crate::store) fn count_child(&mut self, secret: SecretId, child: Child, element: Digest, came: bool) {
        self.count(Counted::Child(secret, child), element, came);
    }

    /// The row, if its MAC verifies, it is what was asked for, and its digest or a quarantine says nothing against it.
    pub(in crate::store) fn verified<R: Sealed>(
        &mut self,
        (row, mac): (R, Vec<u8>),
        asked: impl Fn(&R) -> bool,
    ) -> Result<R, StoreError> {
        let sealed = RowMac::try_from(mac.as_slice()).unwrap_or_default();
        let row = self.verified_alone((row, mac), asked)?;
        match row.counted() {
            Counted::In(scope) => {
                let known = self.seals().remembered_as(R::TABLE, row.bound(), &sealed);
                self.fresh(&scope, &known)?;
            }
            Counted::Part(secret) => self.served(&secret, &sealed)?,
            Counted::Child(..) | Counted::Nowhere => {}
        }
        Ok(row)
    }

    /// The row, if its MAC verifies and it is what was asked for. For what is compared with its digest elsewhere.
    pub(in crate::store) fn verified_alone<R: Sealed>(
        &mut self,
        (row, mac): (R, Vec<u8>),
        asked: impl Fn(&R) -> bool,
    ) -> Result<R, StoreError> {
        if !self.seals.verify(&row, &mac) {
            return Err(self.disbelieved(&row, NOT_ITS_MAC));
        }
        if asked(&row) { Ok(row) } else { Err(self.disbelieved(&row, ANOTHER_QUESTION)) }
    }

    /// A row is not believed, under the name that it gives itself.
    pub(in crate::store) fn disbelieved<R: Sealed>(&mut self, row: &R, why: &str) -> StoreError {
        self.corrupt(R::TABLE, format!("{}: {why}", seen_in_line(&row.name())))
    }

    /// The row, if it is what was asked for. For rows that carry no MAC.
    pub(in crate::store) fn fitting<R>(
        &mut self,
        table: &'static str,
        row: R,
        asked: impl Fn(&R) -> bool,
    ) -> Result<R, StoreError> {
        if asked(&row) { Ok(row) } else { Err(self.corrupt(table, ANOTHER_QUESTION)) }
    }

    /// What was found is not believed, and nothing that this transaction did stays.
    pub(in crate::store) fn corrupt(&mut self, table: &'static str, detail: impl Into<String>) -> StoreError {
        self.failed = true;
        StoreError::Corrupt { table, detail: detail.into() }
    }

    /// How many rows a sweep found, of which it deleted some. Where it deleted none an index tells of rows that are not there: whoever
    /// sweeps until nothing is found would go on for ever.
    pub(in crate::store) fn swept(&mut self, table: &'static str, found: usize, deleted: usize) -> Result<usize, StoreError> {
        if found > 0 && deleted == 0 {
            return Err(self.corrupt(table, format!("an index tells of {found} rows that are not there")));
        }
        Ok(found)
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

    /// Loads sealed rows for a sweep, each by itself: one that is not what was asked for, or cannot even be read, keeps no other from
    /// its turn.
    pub(in crate::store) fn each<R: Sealed>(
        &mut self,
        asked: impl Fn(&R) -> bool,
        query: impl FnOnce(&mut Conn) -> QueryResult<Vec<QueryResult<(R, Vec<u8>)>>>,
    ) -> Result<Each<R>, StoreError> {
        let found = self.run(R::TABLE, query)?;
        let mut proved = |row: QueryResult<_>| {
            let row = row.map_err(|e| StoreError::of(R::TABLE, e))?;
            self.apart(|tx| tx.verified(row, &asked))
        };
        Ok(found.into_iter().map(&mut proved).collect())
    }

    /// The same of no more than `limit` rows that verify, from as many pages as they are behind rows that do not: somebody who writes the
    /// database can put any number of those before the others, and none of them takes a row's turn. There is an end to that
    /// ([`MOST_PAGES`]), so that a sweep has one.
    pub(in crate::store) fn each_due<R, T>(
        &mut self,
        table: &'static str,
        limit: i64,
        page: impl Fn(&mut Conn, i64) -> QueryResult<Vec<QueryResult<R>>>,
        mut proved: impl FnMut(&mut Self, R) -> Result<T, StoreError>,
    ) -> Result<Each<T>, StoreError> {
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let (mut due, mut verified, mut strange) = (Vec::new(), 0, 0);
        for offset in (0..MOST_PAGES).map(|number| number * limit) {
            let found = self.run(table, |conn| page(conn, offset))?;
            let is_last = found.len() < most;
            for row in found {
                let row = row.map_err(|e| StoreError::of(table, e)).and_then(|row| self.apart(|tx| proved(tx, row)));
                // More of those that do not verify tell no more.
                strange += usize::from(row.is_err());
                verified += usize::from(row.is_ok());
                if row.is_ok() || strange <= most {
                    due.push(row);
                }
                if verified == most {
                    return Ok(due);
                }
            }
            if is_last {
                break;
            }
        }
        Ok(due)
    }

    /// Loads the sealed rows that verify, and counts the others.
    pub(in crate::store) fn sifted<R: Sealed>(
        &mut self,
        query: impl FnOnce(&mut Conn) -> QueryResult<Vec<QueryResult<(R, Vec<u8>)>>>,
    ) -> Result<Sifted<R>, StoreError> {
        let mut sifted = Sifted { rows: Vec::new(), strange: 0 };
        for row in self.run(R::TABLE, query)? {
            match self.readable(R::TABLE, row)? {
                Some((row, mac)) if self.seals.verify(&row, &mac) => sifted.rows.push((row, mac)),
                _ => sifted.strange += 1,
            }
        }
        Ok(sifted)
    }

    /// A row, where it can be read; none where its columns hold what no row of ours does.
    pub(in crate::store) fn readable<R>(&mut self, table: &'static str, row: QueryResult<R>) -> Result<Option<R>, StoreError> {
        match row {
            Ok(row) => Ok(Some(row)),
            Err(SqlError::DeserializationError(_)) => Ok(None),
            Err(error) => {
                self.failed = true;
                Err(StoreError::of(table, error))
            }
        }
    }

    /// Looks at one thing of many in a read: that it does not verify says nothing of the others.
    ///
    /// # Errors
    /// Those of `look`.
    pub fn apart<T>(&mut self, look: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let failed = self.failed;
        let seen = look(self);
        if matches!(seen, Err(StoreError::Corrupt { .. })) && !self.mode.writes() {
            self.failed = failed;
        }
        seen
    }

    /// Loads all sealed rows that a table has of a scope, each of which must be what was asked for.
    pub(in crate::store) fn all_of<R: Sealed>(
        &mut self,
        scope: &Scope,
        asked: impl Fn(&R) -> bool,
        query: impl FnOnce(&mut Conn) -> QueryResult<Vec<(R, Vec<u8>)>>,
    ) -> Result<Vec<R>, StoreError> {
        let found = self.run(R::TABLE, query)?;
        let mut known = Vec::with_capacity(found.len());
        let mut rows = Vec::with_capacity(found.len());
        for (row, mac) in found {
            let sealed = RowMac::try_from(mac.as_slice()).unwrap_or_default();
            let row = self.verified_alone((row, mac), &asked)?;
            known.push(self.seals().remembered_as(R::TABLE, row.bound(), &sealed));
            rows.push(row);
        }
        self.whole(scope, R::TABLE, &known)?;
        Ok(rows)
    }

    /// Runs a statement that changes at most one row; whether it did.
    pub(in crate::store) fn changed(
        &mut self,
        table: &'static str,
        statement: impl FnOnce(&mut Conn) -> QueryResult<usize>,
    ) -> Result<bool, StoreError> {
        self.run_change(table, statement).map(|count| count > 0)
    }

    /// Runs a statement that changes rows; how many. A read has none: its session could.
    pub(in crate::store) fn run_change(
        &mut self,
        table: &'static str,
        statement: impl FnOnce(&mut Conn) -> QueryResult<usize>,
    ) -> Result<usize, StoreError> {
        if !self.mode.writes() {
            return Err(StoreError::Fault(format!("a read was to change {table}")));
        }
        self.run(table, statement)
    }
}
