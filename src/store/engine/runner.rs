//! Running a closure in a transaction, again when the database asks for it.
//!
//! Owns: beginning, ending and repeating transactions. Must not know: rows. Called by: all users of the store.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use diesel::Connection;
use diesel::connection::TransactionManager;
use uuid::Uuid;

use crate::base::threads::waiting;
use crate::store::engine::begin::{Mode, begin_with, line_up};
use crate::store::engine::connection::Conn;
use crate::store::engine::pool::{Loan, Pool, Slot};
use crate::store::engine::tx::{Standing, Written};
use crate::store::engine::waits::Watch;
use crate::store::{Abort, Contention, Store, StoreError, Tx};

pub(in crate::store) type Transactions = <Conn as Connection>::TransactionManager;

/// The caller decided to leave; why, it keeps to itself.
pub(in crate::store) struct Left;

/// What runs in a transaction. What it comes to is kept by whoever made it, so that all transactions are one code.
pub(in crate::store) type Work<'w> = &'w dyn Fn(&mut Tx<'_>) -> Result<(), Abort<Left>>;

/// How an attempt failed.
pub(in crate::store) enum Failure {
    /// The closure decided so.
    Left,
    /// Final.
    Final(StoreError),
    /// Nothing was written, and another attempt may succeed.
    Again(StoreError),
    /// Nothing was written, as a constraint stood in the way of a guarded write: as a serializable one it finds out why.
    Unguarded,
    /// A read of one query turned out to need more.
    NeedsSnapshot,
    /// A write that asked nothing turned out to need to.
    NeedsTransaction,
}

impl Failure {
    /// What the store's own failure means for an attempt of which nothing is left.
    pub(in crate::store) fn of(error: StoreError) -> Self {
        match error {
            StoreError::Busy | StoreError::Contended(_) => Failure::Again(error),
            error => Failure::Final(error),
        }
    }
}

impl Store {
    /// Runs reads that all see the same state of the database.
    ///
    /// # Errors
    /// What the closure decides, or the store's own. Never `Busy` for a writer's sake.
    pub fn read<T, E: From<StoreError>>(
        &self,
        name: &'static str,
        f: impl Fn(&mut Tx<'_>) -> Result<T, Abort<E>>,
    ) -> Result<T, E> {
        self.run(name, Mode::Snapshot, f)
    }

    /// Runs a read of one query as a rule, without the two round trips that a transaction costs. Where it has to prove what it read
    /// with further queries, it runs again with a snapshot.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn read_one<T, E: From<StoreError>>(
        &self,
        name: &'static str,
        f: impl Fn(&mut Tx<'_>) -> Result<T, Abort<E>>,
    ) -> Result<T, E> {
        self.run(name, Mode::One, f)
    }

    /// Runs a transaction as if it were alone, and commits it durably. The closure may run again: it has no other effects, and
    /// calls no token.
    ///
    /// # Errors
    /// What the closure decides (nothing is written then), or the store's own; see [`StoreError::Unavailable`] for a commit whose
    /// end is unknown.
    pub fn write<T, E: From<StoreError>>(
        &self,
        name: &'static str,
        f: impl Fn(&mut Tx<'_>) -> Result<T, Abort<E>>,
    ) -> Result<T, E> {
        self.write_as(name, Mode::Write, f)
    }

    /// [`Store::write`] for a closure that is guarded: of everything that it relies on, either it replaces the row, or a constraint
    /// refuses the write where that has changed. PostgreSQL then need not watch what was read, which it does by pages: of writes side by
    /// side in small tables it would refuse most. Inserts and replacements wait for the end, or for a read of their table, and go as one
    /// statement (adr/0022). What a constraint refuses, or others keep changing, runs again as serializable, at whose end it counts what
    /// the closure says of it.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn write_guarded<T, E: From<StoreError>>(
        &self,
        name: &'static str,
        f: impl Fn(&mut Tx<'_>) -> Result<T, Abort<E>>,
    ) -> Result<T, E> {
        self.write_as(name, Mode::Guarded, f)
    }

    fn write_as<T, E: From<StoreError>>(
        &self,
        name: &'static str,
        mode: Mode,
        f: impl Fn(&mut Tx<'_>) -> Result<T, Abort<E>>,
    ) -> Result<T, E> {
        let written = Cell::new(Written::default());
        let ended = self.run(name, mode, |tx| {
            let done = f(tx)?;
            tx.end_of_write()?;
            written.set(std::mem::take(&mut tx.written));
            Ok(done)
        });
        let written = written.into_inner();
        if ended.is_ok() {
            written.root.into_iter().for_each(|seq| self.seals.known().raise_floor(seq));
            written.parts.iter().for_each(|(part, state)| self.seals.known().saw_part(*part, *state));
            written.mark.into_iter().for_each(|(expires_at, request)| self.seals.known().marks().left(expires_at, request));
        }
        // However the commit ended: one whose end is unknown may have changed them.
        if written.rights {
            self.rights_changes.fetch_add(1, Ordering::AcqRel);
        }
        ended
    }

    /// [`Store::read`] for closures that decide nothing.
    ///
    /// # Errors
    /// The store's own.
    pub fn read_rows<T>(&self, name: &'static str, f: impl Fn(&mut Tx<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.read(name, |tx| f(tx).map_err(Abort::Db))
    }

    /// [`Store::read_one`] for closures that decide nothing.
    ///
    /// # Errors
    /// The store's own.
    pub fn read_row<T>(&self, name: &'static str, f: impl Fn(&mut Tx<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.read_one(name, |tx| f(tx).map_err(Abort::Db))
    }

    /// [`Store::write`] for closures that decide nothing.
    ///
    /// # Errors
    /// The store's own.
    pub fn write_rows<T>(&self, name: &'static str, f: impl Fn(&mut Tx<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.write(name, |tx| f(tx).map_err(Abort::Db))
    }

    /// How often a transaction of this process has changed what callers may do. Who remembers that asks again when it has moved.
    pub fn rights_changes(&self) -> u64 {
        self.rights_changes.load(Ordering::Acquire)
    }

    fn run<T, E: From<StoreError>>(
        &self,
        name: &'static str,
        mode: Mode,
        f: impl Fn(&mut Tx<'_>) -> Result<T, Abort<E>>,
    ) -> Result<T, E> {
        let came_to = Cell::new(None);
        let ended = self.repeat(name, mode, &|tx| match f(tx) {
            Ok(value) => {
                came_to.set(Some(Ok(value)));
                Ok(())
            }
            Err(Abort::App(error)) => {
                came_to.set(Some(Err(error)));
                Err(Abort::App(Left))
            }
            Err(Abort::Db(error)) => Err(Abort::Db(error)),
        });
        match (ended, came_to.into_inner()) {
            (Ok(()) | Err(None), Some(result)) => result,
            (Err(Some(error)), _) => Err(error.into()),
            (_, None) => Err(StoreError::Fault("a transaction ended without its closure".to_owned()).into()),
        }
    }

    /// Attempts until one ends, well or not; without an error where the closure decided so.
    fn repeat(&self, name: &'static str, mut mode: Mode, work: Work<'_>) -> Result<(), Option<StoreError>> {
        let started = Instant::now();
        let mut attempts = 0;
        let mut alone = mode == Mode::Guarded && self.seals.known().is_likely();
        self.disbelief.check(name)?;
        loop {
            let attempt = || self.attempt(mode, attempts > 0, alone, work);
            // All that is asked of a server is waited for.
            let attempted = if self.writer.is_none() { waiting(attempt) } else { attempt() };
            let error = match attempted {
                Ok(()) => return Ok(()),
                Err(Failure::Left) => return Err(None),
                Err(Failure::Final(error)) => return Err(Some(error)),
                Err(Failure::Again(error)) => error,
                Err(Failure::NeedsSnapshot) => {
                    mode = Mode::Snapshot;
                    continue;
                }
                Err(Failure::NeedsTransaction) => {
                    alone = false;
                    *self.retried.lock().entry((name, "stale")).or_default() += 1;
                    continue;
                }
                Err(Failure::Unguarded) => {
                    (mode, alone) = (Mode::Write, false);
                    *self.retried.lock().entry((name, "constraint")).or_default() += 1;
                    continue;
                }
            };
            if attempts == self.retries || started.elapsed() >= self.wait {
                log::warn!("transaction {name} given up after {} attempts: {error}", attempts + 1);
                return Err(Some(if matches!(error, StoreError::Contended(_)) { StoreError::Busy } else { error }));
            }
            attempts += 1;
            alone = false;
            if mode == Mode::Guarded && attempts == GUARDED_ATTEMPTS {
                mode = Mode::Write;
            }
            *self.retried.lock().entry((name, cause(&error))).or_default() += 1;
            waiting(|| std::thread::sleep(pause(attempts)));
        }
    }

    fn attempt(&self, mode: Mode, again: bool, alone: bool, work: Work<'_>) -> Result<(), Failure> {
        if let (true, Some(writer)) = (mode.writes(), &self.writer) {
            return writer.attempt(&self.seals, work);
        }
        let pool = &self.connections;
        let _turn = match (mode, &self.write_gate) {
            (Mode::Write | Mode::Guarded, Some(gate)) => {
                Some(gate.enter(self.wait).ok_or_else(|| Failure::of(StoreError::Busy))?)
            }
            _ => None,
        };
        let mut loan = pool.take().map_err(Failure::Final)?;
        let _wait = Watch::begin(loan.watch.as_ref());
        let mode = if mode == Mode::One && loan.each.is_some() { Mode::Snapshot } else { mode };
        if mode == Mode::One {
            let mut tx = Tx::new(&mut loan.conn, &self.seals, mode);
            let ended = work(&mut tx);
            let wants_snapshot = tx.wants_snapshot();
            drop(tx);
            if wants_snapshot {
                return Err(Failure::NeedsSnapshot);
            }
            return ended.map_err(|abort| failure(pool, &mut loan, abort));
        }
        loan.unfit = true;
        let Slot { conn, each, .. } = &mut *loan;
        // A pooler's session knows no settings but those that a transaction says.
        let alone = alone && each.is_none();
        if !alone && let Err(error) = begin_with(conn, mode, each.as_deref()).map_err(|e| StoreError::of("begin", e)) {
            loan.unfit = false;
            return Err(failure(pool, &mut loan, Abort::Db(error)));
        }
        if again && let Err(error) = line_up(&mut loan.conn, mode).map_err(|e| StoreError::of("begin", e)) {
            loan.unfit = Transactions::rollback_transaction(&mut loan.conn).is_err();
            return Err(failure(pool, &mut loan, Abort::Db(error)));
        }
        let mut tx = if alone { Tx::alone(&mut loan.conn, &self.seals) } else { Tx::new(&mut loan.conn, &self.seals, mode) };
        let ended = run(&mut tx, work);
        let standing = tx.standing();
        drop(tx);
        if standing != Standing::Begun {
            loan.unfit = false;
            return match (standing, ended) {
                (_, Ok(())) => Ok(()),
                (Standing::Missed, Err(_)) => Err(Failure::NeedsTransaction),
                (Standing::Sent, Err(Abort::Db(StoreError::Conflict))) => Err(Failure::Unguarded),
                (Standing::Sent, Err(Abort::Db(error))) => Err(uncommitted(pool, &mut loan, error)),
                (_, Err(abort)) => Err(failure(pool, &mut loan, abort)),
            };
        }
        if let Err(abort) = ended {
            loan.unfit = Transactions::rollback_transaction(&mut loan.conn).is_err();
            return Err(match abort {
                Abort::Db(StoreError::Conflict) if mode == Mode::Guarded => Failure::Unguarded,
                abort => failure(pool, &mut loan, abort),
            });
        }
        match Transactions::commit_transaction(&mut loan.conn).map_err(|e| StoreError::of("commit", e)) {
            Ok(()) => {
                loan.unfit = false;
                Ok(())
            }
            // diesel has rolled back.
            Err(error @ StoreError::Contended(_)) => {
                loan.unfit = false;
                Err(Failure::Again(error))
            }
            Err(error) if mode.writes() => Err(uncommitted(pool, &mut loan, error)),
            Err(error) => Err(failure(pool, &mut loan, Abort::Db(error))),
        }
    }
}

/// Runs a closure in a transaction.
pub(in crate::store) fn run(tx: &mut Tx<'_>, work: Work<'_>) -> Result<(), Abort<Left>> {
    match work(tx) {
        Ok(_) if tx.failed() => Err(Abort::Db(StoreError::Fault("a closure went on after a statement had failed".to_owned()))),
        ended => ended,
    }
}

/// What the failure of a commit means: where the connection is lost, nobody knows whether there was one, so it is not repeated.
fn uncommitted(pool: &Pool, loan: &mut Loan, error: StoreError) -> Failure {
    match failure(pool, loan, Abort::Db(error)) {
        again @ Failure::Again(StoreError::Contended(_)) => again,
        Failure::Again(error) => Failure::Final(StoreError::Unknown(error.to_string())),
        failure => failure,
    }
}

/// Whether what ended an attempt before its commit allows another.
fn failure(pool: &Pool, loan: &mut Loan, abort: Abort<Left>) -> Failure {
    match abort {
        Abort::App(Left) => Failure::Left,
        Abort::Db(error @ (StoreError::Busy | StoreError::Contended(_))) => Failure::Again(error),
        Abort::Db(error @ StoreError::Unavailable(_)) if pool.examine(loan) => Failure::Again(error),
        Abort::Db(error) => Failure::Final(error),
    }
}

/// The attempts that a guarded write has before it runs as serializable.
const GUARDED_ATTEMPTS: u32 = 3;

/// Why a transaction is run again, in a word.
fn cause(error: &StoreError) -> &'static str {
    match error {
        StoreError::Contended(Contention::Serialization) => "serialization",
        StoreError::Contended(Contention::Deadlock) => "deadlock",
        StoreError::Contended(Contention::Timeout) => "timeout",
        StoreError::Unavailable(_) => "connection",
        // Another was faster with the same row, or had the connection for too long.
        _ => "busy",
    }
}

/// The pause before an attempt: random, up to a bound that doubles from 1 ms to 64 ms, so that rivals part.
fn pause(attempts: u32) -> Duration {
    let bound = 1_000_u64 << attempts.min(6);
    let random = Uuid::new_v4().as_u64_pair().1 % bound;
    Duration::from_micros(random)
}
