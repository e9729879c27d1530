//! Group commit on SQLite: transactions that queue for the one writer share a commit, and with it the sync to the disk.
//!
//! Owns: the open transaction of the writer and who takes part in it. Must not know: rows, retries. Called by: runner.
//!
//! Each transaction is a savepoint of one that all share; as long as nothing in that has to stay, it needs none. Whoever is done while
//! others wait for the writer leaves the shared one open for the next of them; whoever finds nobody waiting commits it for all. Nobody
//! hears of a result, success or refusal, before the commit that it depends on, and a commit that fails fails all that took part.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use diesel::connection::{SimpleConnection, TransactionManager};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::base::threads::waiting;
use crate::store::engine::begin::{Mode, begin};
use crate::store::engine::pool::{Loan, Pool};
use crate::store::engine::row_mac::Sealer;
use crate::store::engine::runner::{Failure, Left, Transactions, Work, run};
use crate::store::{Abort, StoreError, Tx};

/// The most transactions in one commit: the first waits for the last.
const MAX_MEMBERS: usize = 32;

/// How long a member waits for another to commit before it looks whether anybody will.
const COMMIT_POLL: Duration = Duration::from_millis(20);

/// The writer of an SQLite database.
pub(in crate::store) struct Writer {
    pool: Pool,
    /// How many want the writer and do not have it.
    waiting: AtomicUsize,
    /// How long they wait for it at most.
    wait: Duration,
    shared: Mutex<Option<Shared>>,
    /// Whether a commit failed and none has succeeded since: the log may end with what it wrote, which comes true if the process ends now.
    in_doubt: AtomicBool,
}

/// A transaction with everybody's savepoints in it.
struct Shared {
    loan: Loan,
    members: usize,
    /// Whether nothing in it has to stay: what ends one that begins now may end the whole.
    empty: bool,
    fate: Arc<Fate>,
}

/// What became of a shared transaction.
#[derive(Default)]
struct Fate {
    settled: Mutex<Option<Result<(), StoreError>>>,
    news: Condvar,
}

impl Writer {
    /// A writer with the one connection of this pool.
    pub(in crate::store) fn new(pool: Pool, wait: Duration) -> Self {
        Self { pool, waiting: AtomicUsize::new(0), wait, shared: Mutex::new(None), in_doubt: AtomicBool::new(false) }
    }

    /// The pool of the connection.
    pub(in crate::store) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Brings the log into the file and empties it.
    ///
    /// # Errors
    /// As [`Pool::take`]; `Busy` while others read or write; a failed write.
    pub(in crate::store) fn settle(&self) -> Result<(), StoreError> {
        let mut loan = self.pool.take()?;
        loan.conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)").map_err(|e| StoreError::of("database", e))
    }

    /// Runs a closure in the shared transaction, and waits for the commit.
    pub(in crate::store) fn attempt(&self, seals: &Sealer, work: Work<'_>) -> Result<(), Failure> {
        let mut shared = self.enter().map_err(Failure::of)?;
        let open = match shared.take() {
            Some(open) => open,
            None => self.open().map_err(Failure::of)?,
        };
        let fate = open.fate.clone();
        let open = shared.insert(open);
        // A panic must not leave the others waiting.
        let ended = match catch_unwind(AssertUnwindSafe(|| open.member(seals, work))) {
            Ok(Ok(ended)) => ended,
            Ok(Err(error)) => {
                abandon(&mut shared, &error);
                return Err(Failure::of(error));
            }
            Err(panic) => {
                abandon(&mut shared, &StoreError::Fault("another transaction of the same commit panicked".to_owned()));
                drop(shared);
                resume_unwind(panic);
            }
        };
        if (open.members >= MAX_MEMBERS || self.waiting.load(Ordering::SeqCst) == 0)
            && let Some(open) = shared.take()
        {
            waiting(|| open.commit(&self.in_doubt));
        }
        drop(shared);
        waiting(|| self.outcome(&fate)).map_err(Failure::of)?;
        ended
    }

    /// Waits for its turn.
    fn enter(&self) -> Result<MutexGuard<'_, Option<Shared>>, StoreError> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let shared = self.shared.try_lock().or_else(|| waiting(|| self.shared.try_lock_for(self.wait)));
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        shared.ok_or(StoreError::Busy)
    }

    /// Waits for the commit. The one to whom it was left may have given up waiting for its turn; then it is done here.
    fn outcome(&self, fate: &Arc<Fate>) -> Result<(), StoreError> {
        loop {
            let mut settled = fate.settled.lock();
            if settled.is_none() {
                fate.news.wait_for(&mut settled, COMMIT_POLL);
            }
            if let Some(outcome) = &*settled {
                return outcome.clone();
            }
            drop(settled);
            if let Some(mut shared) = self.shared.try_lock()
                && let Some(open) = shared.take_if(|open| Arc::ptr_eq(&open.fate, fate))
            {
                open.commit(&self.in_doubt);
            }
        }
    }

    /// Makes sure that a commit which failed stays undone.
    ///
    /// # Errors
    /// As any write.
    pub(in crate::store) fn end_doubt(&self) -> Result<(), StoreError> {
        if !self.in_doubt.load(Ordering::SeqCst) {
            return Ok(());
        }
        let shared = self.enter()?;
        if shared.is_none() { self.overwrite() } else { Ok(()) }
    }

    /// Commits something else over what a failed commit may have left at the end of the log.
    fn overwrite(&self) -> Result<(), StoreError> {
        if !self.in_doubt.load(Ordering::SeqCst) {
            return Ok(());
        }
        let mut loan = self.pool.take()?;
        loan.unfit = true;
        // A number that nothing uses; its page is written even where it is the same.
        let committed = loan.conn.batch_execute("BEGIN IMMEDIATE; PRAGMA user_version = 0; COMMIT");
        committed.map_err(|e| StoreError::of("commit", e))?;
        loan.unfit = false;
        self.in_doubt.store(false, Ordering::SeqCst);
        Ok(())
    }

    fn open(&self) -> Result<Shared, StoreError> {
        self.overwrite()?;
        let mut loan = self.pool.take()?;
        begin(&mut loan.conn, Mode::Write).map_err(|e| StoreError::of("begin", e))?;
        loan.unfit = true;
        Ok(Shared { loan, members: 0, empty: true, fate: Arc::default() })
    }
}

impl Shared {
    /// Runs a closure, in a savepoint where there is something to keep. An error means that the whole transaction is lost.
    fn member(&mut self, seals: &Sealer, work: Work<'_>) -> Result<Result<(), Failure>, StoreError> {
        let of = |e| StoreError::of("savepoint", e);
        let keeps = !self.empty;
        if keeps {
            Transactions::begin_transaction(&mut self.loan.conn).map_err(of)?;
        }
        self.members += 1;
        let ended = run(&mut Tx::new(&mut self.loan.conn, seals, Mode::Write), work);
        match ended {
            Ok(()) => {
                if keeps {
                    Transactions::commit_transaction(&mut self.loan.conn).map_err(of)?;
                }
                self.empty = false;
                Ok(Ok(()))
            }
            // Nothing can be relied on after an I/O error; SQLite may have rolled back everything already.
            Err(Abort::Db(error @ StoreError::Unavailable(_))) => Err(error),
            Err(abort) => {
                Transactions::rollback_transaction(&mut self.loan.conn).map_err(of)?;
                if !keeps {
                    begin(&mut self.loan.conn, Mode::Write).map_err(of)?;
                }
                Ok(Err(match abort {
                    Abort::App(Left) => Failure::Left,
                    Abort::Db(error) => Failure::of(error),
                }))
            }
        }
    }

    fn commit(mut self, in_doubt: &AtomicBool) {
        let committed = Transactions::commit_transaction(&mut self.loan.conn).map_err(|e| StoreError::of("commit", e));
        // diesel has rolled back what was only busy.
        self.loan.unfit = !matches!(committed, Ok(()) | Err(StoreError::Contended(_)));
        let committed = committed.map_err(|error| match error {
            // Nobody knows whether all of it was written, and only not synced.
            StoreError::Unavailable(detail) => {
                in_doubt.store(true, Ordering::SeqCst);
                StoreError::Unknown(detail)
            }
            error => error,
        });
        // The connection is free before those who wait ask for it again.
        drop(self.loan);
        self.fate.settle(committed);
    }
}

/// Gives a transaction up with its connection, which rolls it back.
fn abandon(shared: &mut Option<Shared>, error: &StoreError) {
    if let Some(Shared { loan, fate, .. }) = shared.take() {
        drop(loan);
        fate.settle(Err(error.clone()));
    }
}

impl Fate {
    fn settle(&self, outcome: Result<(), StoreError>) {
        *self.settled.lock() = Some(outcome);
        self.news.notify_all();
    }
}
