//! Transactions: retries, clean ends, snapshots.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

on_both!(
    contention_is_retried,
    a_conflict_leaves_the_transaction_clean,
    a_swallowed_failure_commits_nothing,
    the_caller_can_leave,
    a_panic_leaves_no_open_transaction,
    writers_side_by_side_keep_to_themselves,
    a_read_is_one_snapshot,
    reads_cannot_write,
    busy_comes_back_in_bounded_time
);

/// Sixteen threads raise one number; none is lost and no lock error comes out.
fn contention_is_retried(on: &Fixture) {
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..10 {
                    on.write(|tx| {
                        tx.rights_revision()?;
                        change(tx)
                    });
                }
            });
        }
    });
    assert_eq!(on.read(|tx| tx.rights_revision()), 160);
    let status = on.store.status();
    assert!(status.connections <= status.limit && status.idle <= status.connections, "{status:?}");
    assert!(on.is_sqlite() || !status.retries.is_empty(), "SERIALIZABLE must have refused some");
}

fn a_conflict_leaves_the_transaction_clean(on: &Fixture) {
    let (first, twin) = (account("same"), account("same"));
    on.write(|tx| tx.account_insert(&first));
    let refused = on.try_write(|tx| {
        tx.account_insert(&account("before"))?;
        tx.account_insert(&twin)
    });
    assert_eq!(refused, Err(StoreError::Conflict));
    let orphan = user(&AccountId::random(), "nobody");
    assert_eq!(on.try_write(|tx| tx.user_insert(&orphan)), Err(StoreError::Conflict));
    assert_eq!(on.read(|tx| tx.accounts()), [first], "nothing of the refused transaction remains");
    on.write(|tx| tx.account_insert(&account("after")));
}

/// PostgreSQL would turn the commit into a rollback and call it success.
fn a_swallowed_failure_commits_nothing(on: &Fixture) {
    let one = account("one");
    on.write(|tx| tx.account_insert(&one));
    let ended = on.try_write(|tx| {
        tx.account_insert(&account("two"))?;
        let _ = tx.account_insert(&one);
        Ok(())
    });
    assert!(matches!(ended, Err(StoreError::Fault(_))), "{ended:?}");
    assert_eq!(on.read(|tx| tx.accounts()).len(), 1);
}

fn the_caller_can_leave(on: &Fixture) {
    #[derive(Debug, PartialEq)]
    struct Mine;
    impl From<StoreError> for Mine {
        fn from(_: StoreError) -> Self {
            panic!("the store has nothing to say")
        }
    }
    let left = on.store.write("leave", |tx| {
        tx.account_insert(&account("x"))?;
        Err::<(), _>(Abort::App(Mine))
    });
    assert_eq!(left, Err(Mine));
    assert!(on.read(|tx| tx.accounts()).is_empty());
}

fn a_panic_leaves_no_open_transaction(on: &Fixture) {
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        on.write(|tx| {
            tx.account_insert(&account("x"))?;
            if true { panic!("a bug in a closure") } else { Ok(()) }
        })
    }));
    assert!(panicked.is_err());
    on.write(|tx| tx.account_insert(&account("y")));
    assert_eq!(on.read(|tx| tx.accounts()).len(), 1);
}

/// On SQLite they share commits: a refusal undoes its own writes only, a panic may take others with it but never one that was told
/// of its success, and nobody waits for ever.
fn writers_side_by_side_keep_to_themselves(on: &Fixture) {
    let bump = |number: u32| {
        on.store.write("side by side", move |tx| {
            change(tx)?;
            match number % 10 {
                3 => Err(Abort::App(StoreError::Conflict)),
                7 if number == 97 => panic!("a bug in a closure"),
                _ => Ok(()),
            }
        })
    };
    let succeeded = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (bump, succeeded) = (&bump, &succeeded);
            scope.spawn(move || {
                for number in 0..25 {
                    let number = thread * 25 + number;
                    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bump(number))) {
                        Ok(Ok(())) => drop(succeeded.fetch_add(1, Ordering::Relaxed)),
                        Ok(Err(StoreError::Conflict)) => assert_eq!(number % 10, 3),
                        Ok(Err(StoreError::Fault(why))) => assert!(why.contains("panicked"), "{why}"),
                        Ok(Err(other)) => panic!("{number}: {other}"),
                        Err(_) => assert_eq!(number, 97),
                    }
                }
            });
        }
    });
    assert_eq!(on.read(|tx| tx.rights_revision()), i64::from(succeeded.into_inner()));
}

fn a_read_is_one_snapshot(on: &Fixture) {
    let runs = AtomicU32::new(0);
    let (before, after) = on.read(|tx| {
        let before = tx.accounts()?.len();
        let name = format!("account {}", runs.fetch_add(1, Ordering::Relaxed));
        on.write(|tx| tx.account_insert(&account(&name)));
        Ok((before, tx.accounts()?.len()))
    });
    assert_eq!((before, after), (0, 0));
    assert_eq!(on.read(|tx| tx.accounts()).len(), 1);
}

fn reads_cannot_write(on: &Fixture) {
    let row = account("x");
    let in_read = on.store.read_rows("test", |tx| tx.account_insert(&row));
    let in_one = on.store.read_row("test", |tx| tx.account_insert(&row));
    assert!(in_read.is_err() && in_one.is_err());
    assert!(on.read(|tx| tx.accounts()).is_empty());
}

/// A lock held elsewhere ends in Busy, not in a hang and not in the database's words.
fn busy_comes_back_in_bounded_time(on: &Fixture) {
    let mut rival = on.intruder();
    let lock = if on.is_sqlite() { "BEGIN IMMEDIATE" } else { "BEGIN; LOCK TABLE scopes IN SHARE MODE" };
    rival.batch_execute(lock).unwrap();
    let busy_timeout = Duration::from_millis(50);
    let options = StoreOptions { busy_timeout, wait: Duration::from_millis(300), ..on.options() };
    let store = on.open(options).unwrap();
    let ended = store.write_rows("blocked", change);
    assert_eq!(ended, Err(StoreError::Busy));
    store.health().unwrap();
    rival.batch_execute("ROLLBACK").unwrap();
    store.write_rows("free", change).unwrap();
}
