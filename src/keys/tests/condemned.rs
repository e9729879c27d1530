//! What asks for a destruction on the token: what speaks against it, how long it waits, and what is recorded of it.

use super::*;
use crate::base::secret::Plaintext;
use crate::base::words::MaterialState;
use crate::secrets::{NewSecret, NewVersion};
use crate::store::{CondemnedRow, KeyMaterialRow};
use crate::token::isolated::{isolated_each, second_process};

/// A row that condemns an object of a key long ago.
pub(super) fn condemned(key: &KeyRow, id: &KeyVersionId) -> CondemnedRow {
    CondemnedRow { id: *id, key_id: key.id, account_id: key.account_id.clone(), condemned_at: Timestamp(0) }
}

/// A bench with a quarantine of a day.
fn quarantined(home: &Path) -> Bench {
    let limits = KeyLimits { quarantine_ms: DAY_MS, ..KeyLimits::default() };
    Bench::on(home, &format!("sqlite:{}", home.join("bulla.db").display()), limits)
}

/// Makes a secret under a key's primary version.
fn secret_under(bench: &Bench, key: &KeyRow) {
    let value = Plaintext::new(b"value".to_vec());
    let version = NewVersion { id: "v1".parse().expect("a version"), value, data_type: DataType::Text };
    let (name, description, tags) = ("app/db".parse().expect("a name"), String::new(), Vec::new());
    let new = NewSecret { name, version, description, tags, policy: None, managed: None, kms_instance: None };
    let under = admit(&bench.caller(), key, Use::GenerateDataKey).expect("admitted");
    bench.secrets().create(&bench.caller(), new, Some(under)).expect("a secret");
}

#[test]
fn a_version_that_is_given_up_waits_out_its_quarantine() {
    isolated(softhsm::prepare, |home| {
        let bench = quarantined(home);
        let (key, version) = create::new_rows(&bench.account, &plain(), false, bench.now());
        bench.write(|tx| create::begin(tx, &key, &version));
        bench.token.create(&version.id, aes()).expect("an object");
        bench.pass(rows::STALE_MS + 1);
        bench.keys.creations_sweep(bench.at()).expect("a sweep");
        let told = |action: &str| -> Vec<_> {
            let lines = bench.recorded(home, action);
            lines.iter().map(|line| (line["kind"].clone(), line["version"].clone())).collect()
        };
        let both = [("intent".into(), version.id.to_string().into()), ("outcome".into(), version.id.to_string().into())];
        assert_eq!(told("CondemnKeyVersion"), both);
        assert_eq!(bench.read(|tx| tx.key_version_by_id(&version.id)), None);
        assert_eq!(bench.read(|tx| tx.condemned_ids()), [version.id]);
        bench.pass(DAY_MS - 1);
        bench.keys.creations_sweep(bench.at()).expect("a sweep");
        assert!(bench.token.exists(&version.id).expect("a look"), "its quarantine is not over");
        assert!(told("DestroyKeyMaterial").is_empty());
        bench.known();
        bench.pass(1);
        bench.keys.creations_sweep(bench.at()).expect("a sweep");
        assert!(!bench.token.exists(&version.id).expect("a look"));
        assert_eq!(told("DestroyKeyMaterial"), both);
        assert_eq!(bench.read(|tx| tx.condemned_ids()), []);
    });
}

#[test]
fn what_contradicts_a_version_in_the_making_keeps_it() {
    isolated(softhsm::prepare, |home| {
        let bench = Bench::sqlite(home);
        // As old rows would, put back with the digests that count them.
        let change = |id: &KeyVersionId, change: &dyn Fn(&mut KeyVersionRow)| {
            bench.write(|tx| {
                let old = tx.key_version_by_id(id)?.expect("a row");
                let mut new = old.clone();
                change(&mut new);
                tx.key_version_update(&old, &new)
            });
        };

        let encrypts = bench.make();
        change(&encrypts.primary_version, &|row| row.ready = false);

        let succeeded = bench.make();
        let next = bench.write(|tx| versions::begin(tx, &succeeded, bench.now()));
        let later = bench.now().plus_ms(1);
        change(&succeeded.primary_version, &|row| row.created_at = later);

        let used = bench.make();
        let counted = bench.write(|tx| versions::begin(tx, &used, bench.now()));
        change(&counted.id, &|row| row.uses = 1);

        let wraps = bench.make();
        let under = wraps.primary_version;
        secret_under(&bench, &wraps);
        bench.pass(8 * DAY_MS);
        let second = bench.keys.version_create(&bench.caller(), &by_id(&wraps)).expect("a version");
        change(&under, &|row| {
            (row.ready, row.uses, row.created_at) = (false, 0, second.created_at.plus_ms(1));
        });

        for version in [&next, &counted] {
            bench.token.create(&version.id, aes()).expect("an object");
        }
        bench.pass(rows::STALE_MS + 2);
        for (key, version, why) in [
            (&encrypts, encrypts.primary_version, "its key encrypts with it"),
            (&succeeded, next.id, "its key has a later one"),
            (&used, counted.id, "it has encrypted"),
            (&wraps, under, "a secret is under it"),
        ] {
            let key = bench.row(&key.id).expect("the key");
            let row = bench.read(|tx| tx.key_version_by_id(&version)).expect("a row");
            let kept = bench.keys.give_up(&key, &row, bench.at());
            let Err(Error::Integrity(what)) = kept else { panic!("{why}: {kept:?}") };
            assert!(what.contains("is said to be in the making") && what.contains(why), "{what}");
        }
        let swept = bench.keys.creations_sweep(bench.at());
        assert!(matches!(swept, Err(Error::Integrity(_))), "{swept:?}");
        for version in [encrypts.primary_version, next.id, counted.id, under] {
            assert!(bench.token.exists(&version).expect("a look"));
            assert!(bench.read(|tx| tx.key_version_by_id(&version)).is_some());
        }
        assert_eq!(bench.read(|tx| tx.condemned_ids()), []);
    });
}

#[test]
fn what_is_condemned_and_in_use_is_not_destroyed() {
    isolated(softhsm::prepare, |home| {
        let bench = Bench::sqlite(home);
        let key = bench.make();
        bench.write(|tx| tx.condemn(&condemned(&key, &key.primary_version)));
        bench.pass(DAY_MS);
        let swept = bench.keys.creations_sweep(bench.at());
        assert!(matches!(&swept, Err(Error::Integrity(what)) if what.contains("condemned and in use")), "{swept:?}");
        assert!(bench.token.exists(&key.primary_version).expect("a look"));
        let found = bench.keys.look_up(&bench.caller(), &by_id(&key)).expect("a look-up").row;
        assert_eq!(found.map(|key| key.state), Ok(KeyState::Enabled));
    });
}

/// What another node made, on a module that shows it only after C_Initialize: none of it is said to be gone before it is.
#[test]
fn what_the_module_does_not_show_yet_is_destroyed_all_the_same() {
    const MAKE: &str = "BULLA_TEST_MAKE";
    let behind = softhsm::module().expect("softhsm2 is installed");
    let environment = chaos::Chaos::environment(&behind, Path::new("."), "stale");
    let environment = environment.into_iter().map(|(name, value)| (name, value.into())).collect();
    isolated_each(softhsm::prepare, &[environment], |home| {
        if let Ok(id) = std::env::var(MAKE) {
            return open_token().create(&id.parse().expect("an id"), aes()).expect("an object");
        }
        let bench = Bench::sqlite(home);
        let hidden = |id: &KeyVersionId| !bench.token.exists(id).expect("a look");
        let another_makes = |id: &KeyVersionId| {
            let made = second_process(|| (), MAKE, &id.to_string());
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
            assert!(hidden(id), "it is not shown");
        };
        // A caller's own material, at once.
        let external = NewKey { origin: Origin::External, ..plain() };
        let external = bench.keys.create(&bench.caller(), &external).expect("a key without material").key;
        let row = KeyMaterialRow {
            key_version_id: external.primary_version,
            key_id: external.id,
            state: MaterialState::Present,
            check_value: Some(vec![7; 32]),
            changed_at: bench.now(),
        };
        bench.write(|tx| tx.key_material_insert(&row));
        another_makes(&external.primary_version);
        bench.keys.delete_material(&bench.caller(), &by_id(&external)).expect("deleted");
        // What was condemned.
        let half = bench.make();
        let version = bench.write(|tx| versions::begin(tx, &half, bench.now()));
        another_makes(&version.id);
        bench.pass(rows::STALE_MS + 1);
        bench.keys.creations_sweep(bench.at()).expect("a sweep");
        // A key that is deleted.
        let deleted = bench.make();
        bench.token.destroy_own(&deleted.primary_version).expect("to be another node's");
        another_makes(&deleted.primary_version);
        bench.keys.schedule_deletion(&bench.caller(), &by_id(&deleted), 7).expect("a window begins");
        bench.pass(7 * DAY_MS);
        bench.keys.deletions_sweep(bench.at(), 10).expect("a sweep");
        chaos::Chaos::of(Path::new("."), std::process::id()).tell("stale none");
        for id in [external.primary_version, version.id, deleted.primary_version] {
            assert!(hidden(&id), "{id} is left");
        }
    });
}
