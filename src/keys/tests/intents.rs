//! A request's transactions, and the line of the audit log before them.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc;

use super::*;
use crate::audit::{Kind, Record};
use crate::base::ids::RequestId;

/// Has a caller's effect follow a line that is not written yet.
fn announced(bench: &Bench) -> Caller {
    let caller = bench.caller();
    let record = Record::new(Kind::Intent, caller.effect.request_id(), "CreateSecret");
    let (reserved, intent) = bench.audit.announce(&record, bench.at()).expect("a place");
    caller.effect.follows(intent);
    drop(reserved);
    caller
}

#[test]
fn a_transaction_begins_behind_the_line_before_it_and_never_without() {
    isolated(softhsm::prepare, |home| {
        let bench = Bench::sqlite(home);
        let begun = AtomicBool::new(false);
        let commit = |caller: &Caller| {
            bench.store.commit(&caller.effect, "test", |_| {
                begun.store(true, Ordering::SeqCst);
                Ok(())
            })
        };
        // The thread that writes the log is held at the record before.
        let (release, held) = mpsc::channel::<()>();
        bench.audit.submit(&Record::new(Kind::Read, RequestId::new(), "GetSecretValue")).then(move |_| _ = held.recv());
        let caller = announced(&bench);
        std::thread::scope(|scope| {
            let committed = scope.spawn(move || commit(&caller));
            std::thread::sleep(Duration::from_millis(200));
            assert!(!begun.load(Ordering::SeqCst), "the line is not durable");
            drop(release);
            assert_eq!(committed.join().expect("no panic"), Ok(()));
            assert!(begun.swap(false, Ordering::SeqCst));
        });

        let late = announced(&bench);
        bench.audit.close();
        assert_eq!(commit(&late), Ok(()), "a line that was handed over before the end is written");
        assert!(begun.swap(false, Ordering::SeqCst));
        let caller = announced(&bench);
        for _ in 0..2 {
            assert!(matches!(commit(&caller), Err(Error::Unavailable(_))));
            assert!(matches!(caller.effect.may_begin(), Err(Error::Unavailable(_))));
        }
        assert!(!begun.load(Ordering::SeqCst));
    });
}
