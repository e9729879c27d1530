//! A server that goes away and comes back, and servers that would lose writes.

use std::sync::Barrier;
use std::time::Instant;

use super::*;

fn bump(store: &Store) -> Result<(), StoreError> {
    store.write_rows("bump", change)
}

#[test]
fn the_store_comes_back_with_the_server() {
    let cluster = PostgresCluster::start().unwrap();
    let url = cluster.database();
    let row = initialise(&url, up_to(1), Level(1));
    let options = StoreOptions { readers: 8, wait: Duration::from_secs(5), ..StoreOptions::new(&url) };
    let store = Store::open(options, &row, row_key()).unwrap();
    // All eight connections are open when the server restarts, and none is on its way: each is held until all are there.
    let together = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let held = store.read_rows("hold", |_| Ok(together.wait())).map(drop);
                held.unwrap();
            });
        }
    });
    cluster.halt();
    cluster.resume(&[]).unwrap();
    for _ in 0..20 {
        store.health().unwrap();
        bump(&store).unwrap();
    }
    // Away for longer: refused, soon without waiting; and served again after it.
    cluster.halt();
    assert!(matches!(bump(&store), Err(StoreError::Unavailable(_) | StoreError::Busy)));
    std::thread::sleep(Duration::from_secs(2));
    let asked = Instant::now();
    assert!(matches!(store.health(), Err(StoreError::Unavailable(_))));
    assert!(asked.elapsed() < Duration::from_secs(4), "a database known to be away is not waited for");
    cluster.resume(&[]).unwrap();
    let back = Instant::now();
    while bump(&store).is_err() {
        assert!(back.elapsed() < Duration::from_secs(10), "still away");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(store.read_rows("r", |tx| tx.rights_revision()), Ok(21));

    // A server that would lose acknowledged writes.
    drop(store);
    for setting in ["fsync=off", "synchronous_commit=off", "full_page_writes=off"] {
        cluster.halt();
        cluster.resume(&[setting]).unwrap();
        let refused = Store::open(StoreOptions::new(&url), &deployment(Level(1)), row_key()).map(drop);
        assert!(matches!(&refused, Err(StoreError::Fault(text)) if text.contains(setting)), "{setting}: {refused:?}");
    }
}

/// A backend ended in the middle of a transaction: the attempt is repeated on another connection.
#[test]
fn a_connection_cut_in_a_transaction_is_replaced() {
    let on = Fixture::postgres(1);
    let runs = std::sync::atomic::AtomicU32::new(0);
    on.write(|tx| {
        change(tx)?;
        if runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 {
            let others = "SELECT count(pg_terminate_backend(pid))::text AS line FROM pg_stat_activity \
                          WHERE datname = current_database() AND pid <> pg_backend_pid()";
            lines(&mut on.intruder(), others);
        }
        tx.rights_revision().map(drop)
    });
    assert_eq!(runs.into_inner(), 2);
    assert_eq!(on.read(|tx| tx.rights_revision()), 1);
}
