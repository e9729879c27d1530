//! Deletion windows and their end.

use super::*;
use crate::base::ids::SecretRef;
use crate::base::secret::Plaintext;
use crate::base::words::DataType;
use crate::error::Unchanged;
use crate::secrets::{NewSecret, NewVersion, Selector as Which};

#[test]
fn a_window_ends_in_nothing() {
    isolated(softhsm::prepare, |home| {
        let bench = Bench::sqlite(home);
        let (key, other) = (bench.make(), bench.make());
        let name: Alias = "alias/a".parse().expect("an alias");
        bench.keys.alias_create(&bench.caller(), &name, &by_id(&key)).expect("an alias");
        bench.keys.set_rotation(&bench.caller(), &by_id(&key), Some(7 * 86_400)).expect("rotation");
        bench.pass(7 * DAY_MS);
        bench.keys.rotations_sweep(bench.at(), 10).expect("a sweep");
        let versions = bench.versions(&key.id);
        assert_eq!(versions.len(), 2);
        bench.keys.schedule_deletion(&bench.caller(), &by_id(&key), 30).expect("a window begins");
        let described = bench.keys.describe(&bench.caller(), &by_id(&key)).expect("it is there");
        assert_eq!(described.key.delete_at, Some(bench.now().plus_days(30)));
        bench.pass(30 * DAY_MS - 1);
        bench.keys.deletions_sweep(bench.at(), 10).expect("a sweep");
        assert!(bench.find(&key).is_ok(), "a millisecond is left");
        bench.pass(1);
        bench.keys.deletions_sweep(bench.at(), 10).expect("a sweep");
        assert_eq!(bench.row(&key.id), None);
        assert_eq!(bench.read(|tx| tx.tags_count(crate::store::Tagged::Key(key.id))), 0);
        assert_eq!(bench.read(|tx| tx.alias_by_name(&bench.account, &name)), None);
        assert_eq!(bench.read(|tx| tx.key_rotation(&key.id)), None);
        for version in versions {
            assert!(!bench.token.exists(&version.id).expect("a look"));
        }
        assert_eq!(bench.row(&other.id), Some(other));
        bench.fits();
        for action in ["DeleteKey", "DestroyKeyMaterial"] {
            let lines = bench.recorded(home, action);
            assert_eq!(lines.iter().map(|l| l["kind"].as_str()).collect::<Vec<_>>(), [Some("intent"), Some("outcome")]);
            assert_eq!(lines[1]["code"], "OK");
            assert!(lines.iter().all(|l| l["resource"].as_str().is_some_and(|r| r.ends_with(&key.id.to_string()))));
        }
    });
}

#[test]
fn a_kill_at_any_step_is_taken_up() {
    isolated(softhsm::prepare, |home| {
        let bench = Bench::sqlite(home);
        for destroyed in [false, true] {
            let key = bench.make();
            bench.keys.schedule_deletion(&bench.caller(), &by_id(&key), 7).expect("a window begins");
            bench.pass(7 * DAY_MS);
            // Killed right after the window ended, or right after the object was destroyed.
            let pending = bench.row(&key.id).expect("its row");
            let gone = KeyRow { state: KeyState::Deleted, ..pending.clone() };
            bench.write(|tx| tx.key_update(&pending, &gone));
            if destroyed {
                bench.token.destroy_own(&key.primary_version).expect("destroyed");
            }
            assert_eq!(bench.find(&key), Err(Error::KeyNotFound));
            assert_eq!(bench.keys.cancel_deletion(&bench.caller(), &by_id(&key)), Err(Error::KeyNotFound));
            bench.keys.deletions_sweep(bench.at(), 10).expect("a sweep");
            assert_eq!(bench.row(&key.id), None);
            assert!(!bench.token.exists(&key.primary_version).expect("a look"));
        }
        bench.fits();
    });
}

#[test]
fn a_cancellation_at_the_last_moment_wins_or_loses_whole() {
    isolated(softhsm::prepare, |home| {
        let bench = Bench::sqlite(home);
        for _ in 0..8 {
            let key = bench.make();
            bench.keys.schedule_deletion(&bench.caller(), &by_id(&key), 7).expect("a window begins");
            bench.pass(7 * DAY_MS);
            let cancelled = std::thread::scope(|scope| {
                let sweep = scope.spawn(|| bench.keys.deletions_sweep(bench.at(), 10).expect("a sweep"));
                let cancelled = bench.keys.cancel_deletion(&bench.caller(), &by_id(&key));
                sweep.join().expect("no panic");
                cancelled
            });
            let there = bench.token.exists(&key.primary_version).expect("a look");
            match cancelled {
                Ok(()) => assert_eq!((bench.row(&key.id).map(|k| k.state), there), (Some(KeyState::Enabled), true)),
                Err(error) => assert_eq!((error, bench.row(&key.id), there), (Error::KeyNotFound, None, false)),
            }
        }
        bench.fits();
    });
}

#[test]
fn secrets_under_a_deleted_key_say_so() {
    isolated(softhsm::prepare, |home| {
        let bench = Bench::sqlite(home);
        let (key, secrets) = (bench.make(), bench.secrets());
        let name: SecretRef = "app/db".to_owned().try_into().expect("a name");
        let new = |name: &SecretRef| NewSecret {
            name: name.name.clone(),
            version: NewVersion {
                id: "v1".parse().expect("a version"),
                value: Plaintext::new(b"value".to_vec()),
                data_type: DataType::Text,
            },
            description: String::new(),
            tags: Vec::new(),
            policy: None,
            managed: None,
            kms_instance: None,
        };
        let read = || {
            let which = Which::Version("v1".parse().expect("a version"), None);
            secrets.value(&bench.caller(), &name, &which).map(drop)
        };
        let under = admit(&bench.caller(), &key, Use::GenerateDataKey).expect("admitted");
        secrets.create(&bench.caller(), new(&name), Some(under)).expect("a secret");
        bench.keys.schedule_deletion(&bench.caller(), &by_id(&key), 7).expect("a window begins");
        assert_eq!(read(), Err(Error::KeyState(crate::error::RejectedState::PendingDeletion)));
        bench.pass(7 * DAY_MS);
        bench.keys.deletions_sweep(bench.at(), 10).expect("a sweep");
        assert_eq!(read(), Err(Error::KeyNotFound));
        assert!(secrets.describe(&bench.caller(), &name, false).is_ok(), "what needs no value works");
        assert!(!bench.token.exists(&key.primary_version).expect("a look"));
        // Nobody sees the row that stays for the secret's sake.
        let shown = bench.keys.list(&bench.account, &[], 0, 10).expect("a list");
        assert_eq!((shown.total, shown.keys), (0, Vec::new()));
        assert_eq!(bench.find(&key), Err(Error::KeyNotFound));
        bench.keys.deletions_sweep(bench.at(), 10).expect("nothing is left to do");
        assert_eq!(bench.recorded(home, "DestroyKeyMaterial").len(), 2);
        bench.fits();
        // The ended window of a secret is recorded as well.
        secrets.delete(&bench.caller(), &name, crate::secrets::Deletion::AfterDays(7)).expect("a window begins");
        bench.pass(7 * DAY_MS);
        secrets.deletions_sweep(bench.at(), 10).expect("a sweep");
        assert_eq!(secrets.describe(&bench.caller(), &name, false).map(drop), Err(Error::SecretNotFound));
        assert_eq!(bench.recorded(home, "DeleteSecret").len(), 2);
    });
}

#[test]
fn what_protects_a_key() {
    isolated(softhsm::prepare, |home| {
        let bench = Bench::sqlite(home);
        let key = bench.make();
        bench.keys.set_deletion_protection(&bench.caller(), &by_id(&key), true, "payments").expect("protection");
        let schedule = |key: &KeyRow| bench.keys.schedule_deletion(&bench.caller(), &by_id(key), 7);
        assert_eq!(schedule(&key), Err(Error::KeyStateChange(Unchanged::Protected)));
        assert_eq!(bench.row(&key.id).expect("its row").deletion_protection.as_deref(), Some("payments"));
        bench.keys.set_deletion_protection(&bench.caller(), &by_id(&key), false, "").expect("protection");
        assert_eq!(schedule(&key), Ok(()));
        let default = bench.keys.default_key(&bench.caller(), || Ok(())).expect("a default key");
        assert!(matches!(schedule(&default), Err(Error::UnsupportedOperation(_))));
        let rotation = bench.keys.set_rotation(&bench.caller(), &by_id(&default), None);
        assert!(matches!(rotation, Err(Error::UnsupportedOperation(_))));
        let lines = bench.recorded(home, "CreateKey");
        assert_eq!((lines.len(), lines[1]["code"].as_str()), (2, Some("OK")), "{lines:?}");
        assert_eq!(lines[0]["by"], "the account's default key");
    });
}
