//! Versions: asked for, and due.

use super::*;
use crate::store::KeyRotationRow;

/// Seconds of a week.
const WEEK_S: i64 = 7 * 86_400;

#[test]
fn old_versions_decrypt_and_the_primary_one_encrypts() {
    isolated(softhsm::prepare, |home| {
        let bench = Bench::sqlite(home);
        let key = bench.make();
        let encrypt = || {
            let admitted =
                admit(&bench.caller(), &bench.row(&key.id).expect("its row"), Use::GenerateDataKey).expect("admitted");
            let counted = bench.keys.reserve(&admitted).expect("counted");
            let version = *counted.version();
            let made = under(&key.id, &version, |identity| bench.keys.new_data_key(counted, identity));
            let (_, wrapped) = made.expect("a data key");
            (admitted, version, wrapped)
        };
        let (admitted, first, wrapped) = encrypt();
        let ask = || bench.keys.version_create(&bench.caller(), &by_id(&key));
        assert_eq!(ask(), Err(Error::KeyVersionTooSoon));
        bench.pass(7 * DAY_MS);
        let second = ask().expect("a week later");
        assert_eq!((second.created_at, second.ready), (bench.now(), true));
        assert_eq!(encrypt().1, second.id);
        let open = |of: &KeyId, version: &KeyVersionId| {
            let opened = under(of, version, |identity| bench.keys.unwrap_data_key(&admitted, identity, &wrapped));
            opened.map(drop)
        };
        assert_eq!(open(&key.id, &first), Ok(()));
        assert!(matches!(open(&key.id, &second.id), Err(Error::Integrity(_))), "another version opens nothing");
        assert!(matches!(open(&KeyId::new(), &first), Err(Error::Integrity(_))), "nor what is under another key");
        let counted = bench.keys.reserve(&admitted).expect("counted");
        let elsewhere = under(&key.id, &second.id, |identity| bench.keys.new_data_key(counted, identity));
        assert!(matches!(elsewhere, Err(Error::Internal(_))), "what is counted is the version that encrypts");
        let page = bench.keys.versions(&bench.caller(), &by_id(&key), 0, 10).expect("a page");
        assert_eq!((page.total, page.versions[1].id), (2, second.id));
        let one = |text: &str| bench.keys.version(&bench.caller(), &by_id(&key), text);
        assert_eq!(one(&first.to_string()).map(|v| v.id), Ok(first));
        for unknown in [KeyVersionId::new().to_string(), "x".to_owned(), bench.make().primary_version.to_string()] {
            assert_eq!(one(&unknown), Err(Error::KeyVersionNotFound), "{unknown}");
        }
        bench.fits();
    });
}

#[test]
fn a_key_has_fifty_versions_at_most() {
    isolated(softhsm::prepare, |home| {
        let bench = Bench::sqlite(home);
        let key = bench.make();
        bench.write(|tx| {
            for _ in 1..versions::MAX_VERSIONS {
                let row = rows::version_row(&key, KeyVersionId::new(), bench.now());
                tx.key_version_insert(&KeyVersionRow { ready: true, ..row })?;
            }
            tx.key_rotation_put(&KeyRotationRow { key_id: key.id, interval_s: Some(WEEK_S), due_at: bench.now() })
        });
        bench.pass(365 * DAY_MS);
        assert_eq!(
            bench.keys.version_create(&bench.caller(), &by_id(&key)),
            Err(Error::LimitExceeded { most: 50, of: "versions of a key" })
        );
        bench.keys.rotations_sweep(bench.at(), 10).expect("a sweep");
        assert_eq!(bench.read(|tx| tx.key_rotation(&key.id)), None, "it is not rotated any more");
        // A version that has encrypted too often gets a successor all the same.
        bench.write(|tx| tx.key_rotation_put(&KeyRotationRow { key_id: key.id, interval_s: None, due_at: bench.now() }));
        bench.keys.rotations_sweep(bench.at(), 10).expect("a sweep");
        assert_eq!(bench.versions(&key.id).len(), 51);
    });
}

#[test]
fn rotation_is_on_time_and_once() {
    isolated(softhsm::prepare, |home| {
        let bench = Bench::sqlite(home);
        let new = NewKey { rotation_s: Some(WEEK_S), ..plain() };
        let key = bench.keys.create(&bench.caller(), &new).expect("a key").key;
        let due = |key: &KeyRow| bench.read(|tx| tx.key_rotation(&key.id)).map(|r| r.due_at);
        assert_eq!(due(&key), Some(bench.now().plus_days(7)));
        bench.pass(7 * DAY_MS - 1);
        bench.keys.rotations_sweep(bench.at(), 10).expect("a sweep");
        assert_eq!(bench.versions(&key.id).len(), 1, "a millisecond is left");
        bench.pass(1);
        let nodes: Vec<Keys> = (0..4).map(|_| bench.node(KeyLimits::default())).collect();
        std::thread::scope(|scope| {
            for node in &nodes {
                scope.spawn(|| node.rotations_sweep(bench.at(), 10).expect("a sweep"));
            }
        });
        assert_eq!(bench.versions(&key.id).len(), 2, "once, whatever number of nodes");
        assert_eq!(due(&key), Some(bench.now().plus_days(7)));
        let lines = bench.recorded(home, "CreateKeyVersion");
        assert_eq!((lines.len(), lines[1]["code"].as_str()), (2, Some("OK")), "{lines:?}");
        assert_eq!(lines[0]["version"], bench.versions(&key.id)[1].id.to_string());
        // Not while the key is Disabled; then at once.
        bench.keys.set_enabled(&bench.caller(), &by_id(&key), false).expect("disabled");
        bench.pass(30 * DAY_MS);
        bench.keys.rotations_sweep(bench.at(), 10).expect("a sweep");
        assert_eq!(bench.versions(&key.id).len(), 2);
        bench.keys.set_enabled(&bench.caller(), &by_id(&key), true).expect("enabled");
        bench.keys.rotations_sweep(bench.at(), 10).expect("a sweep");
        assert_eq!(bench.versions(&key.id).len(), 3);
        // A shorter interval counts from the last version; off is off.
        let set = |interval| bench.keys.set_rotation(&bench.caller(), &by_id(&key), interval);
        set(Some(30 * 86_400)).expect("set");
        bench.pass(8 * DAY_MS);
        set(Some(WEEK_S)).expect("set");
        bench.keys.rotations_sweep(bench.at(), 10).expect("a sweep");
        assert_eq!(bench.versions(&key.id).len(), 4);
        set(None).expect("off");
        bench.pass(1000 * DAY_MS);
        bench.keys.rotations_sweep(bench.at(), 10).expect("a sweep");
        assert_eq!(bench.versions(&key.id).len(), 4);
        bench.fits();
    });
}
