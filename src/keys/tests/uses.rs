//! The count of a key version's uses.

use super::*;

fn limits(rotate: i64, stop: i64) -> KeyLimits {
    KeyLimits { uses: UseLimits { rotate, stop }, ..KeyLimits::default() }
}

fn admission(bench: &Bench, key: &KeyRow) -> AdmittedKey {
    admit(&bench.caller(), &bench.row(&key.id).expect("its row"), Use::GenerateDataKey).expect("admitted")
}

#[test]
fn a_version_stops_where_it_must() {
    isolated(softhsm::prepare, |home| {
        let limits = limits(1000, 1100);
        let bench = Bench::on(home, &format!("sqlite:{}", home.join("bulla.db").display()), limits);
        let key = bench.make();
        let admitted = admission(&bench, &key);
        let uses = || bench.versions(&key.id)[0].uses;
        bench.keys.reserve(&admitted).expect("the first use");
        assert_eq!(uses(), 62, "a sixteenth of the limit at once");
        // A node that dies wastes what it had reserved: nothing is counted too low.
        let mut done = 1;
        bench.node(limits).reserve(&admitted).expect("a use");
        let second = bench.node(limits);
        done += 1;
        std::thread::scope(|scope| {
            let counts: Vec<_> = [&bench.keys, &second, &bench.keys, &second]
                .into_iter()
                .map(|node| {
                    let (bench, admitted) = (&bench, &admitted);
                    scope.spawn(move || {
                        let mut count = 0;
                        loop {
                            match node.reserve(admitted) {
                                Ok(_) => count += 1,
                                Err(error) => break (count, error, bench),
                            }
                        }
                    })
                })
                .collect();
            for count in counts {
                let (count, error, _) = count.join().expect("no panic");
                assert_eq!(error, Error::KeyUsesExhausted);
                done += count;
            }
        });
        assert_eq!(uses(), 1100);
        assert_eq!(done, 1100 - 61, "all but the block of the node that died");
        let figures = [bench.keys.use_figures(), second.use_figures()];
        assert_eq!(figures.iter().filter_map(|f| f.reserved.first()).max(), Some(&(key.id, 1100)));
        assert_eq!(figures.iter().map(|f| f.uses).sum::<u64>(), done - 1, "and the node that died did one");
        // The key was due since it came near; its next version encrypts again.
        bench.pass(1);
        bench.keys.rotations_sweep(bench.at(), 10).expect("a sweep");
        assert_eq!(bench.versions(&key.id).len(), 2);
        assert_eq!(bench.read(|tx| tx.key_rotation(&key.id)), None, "once, as rotation is off");
        assert_eq!(bench.keys.reserve(&admitted).map(drop), Err(Error::KeyUsesExhausted), "the old version still does not");
        let next = bench.keys.reserve(&admission(&bench, &key)).expect("the new version does");
        assert_eq!(*next.version(), bench.versions(&key.id)[1].id);
        assert_eq!(bench.versions(&key.id)[1].uses, 62);
    });
}

#[test]
fn the_usual_use_costs_no_query() {
    isolated(softhsm::prepare, |home| {
        let bench = Bench::sqlite(home);
        let key = bench.make();
        let admitted = admission(&bench, &key);
        bench.keys.reserve(&admitted).expect("the first use");
        assert_eq!(bench.versions(&key.id)[0].uses, 65_536);
        // Behind the service's back: whoever asked the database now would be refused.
        bench.write(|tx| {
            let row = tx.key_version_by_id(&key.primary_version)?.expect("its row");
            tx.key_version_update(&row, &KeyVersionRow { uses: UseLimits::HIGHEST.stop, ..row.clone() })
        });
        for _ in 1..65_536 {
            bench.keys.reserve(&admitted).expect("from the block");
        }
        assert_eq!(bench.keys.reserve(&admitted).map(drop), Err(Error::KeyUsesExhausted));
        assert_eq!(bench.keys.use_figures().uses, 65_536);
    });
}

#[test]
fn a_busy_key_keeps_its_schedule() {
    isolated(softhsm::prepare, |home| {
        let limits = limits(160, 1000);
        let bench = Bench::on(home, &format!("sqlite:{}", home.join("bulla.db").display()), limits);
        let new = NewKey { rotation_s: Some(30 * 86_400), ..plain() };
        let key = bench.keys.create(&bench.caller(), &new).expect("a key").key;
        let admitted = admission(&bench, &key);
        let due = || bench.read(|tx| tx.key_rotation(&key.id)).expect("a rotation").due_at;
        for _ in 0..150 {
            bench.keys.reserve(&admitted).expect("a use");
        }
        assert_eq!(due(), bench.now().plus_days(30));
        bench.keys.reserve(&admitted).expect("a use");
        assert_eq!(due(), bench.now(), "the block that reaches the limit makes the key due");
        bench.keys.rotations_sweep(bench.at(), 10).expect("a sweep");
        assert_eq!(bench.versions(&key.id).len(), 2);
        assert_eq!(due(), bench.now().plus_days(30));
    });
}
