//! Material that is on its way, or over.

use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};

use super::condemned::condemned;
use super::*;
use crate::base::words::{ImportAlgorithm, MaterialState};
use crate::keys::import::parameters::ImportParameters;
use crate::store::{ImportParametersRow, KeyMaterialRow};

#[test]
fn expired_material_that_cannot_be_removed_keeps_none_that_was_left_on_the_token() {
    isolated(softhsm::prepare, |home| {
        let bench = Bench::sqlite(home);
        let external = NewKey { origin: Origin::External, ..plain() };
        let make = || bench.keys.create(&bench.caller(), &external).expect("a key without material").key;
        let (expired, left) = (make(), make());
        let material = |key: &KeyRow, state| KeyMaterialRow {
            key_version_id: key.primary_version,
            key_id: key.id,
            state,
            check_value: None,
            changed_at: bench.now(),
        };
        bench.write(|tx| tx.key_material_insert(&material(&left, MaterialState::Removing)));
        bench.pass(rows::STALE_MS + 1);
        // Somebody is bringing it the next.
        let over = KeyRow { material_expires_at: Some(bench.now()), ..expired.clone() };
        bench.write(|tx| {
            tx.key_update(&expired, &over)?;
            tx.key_material_insert(&material(&expired, MaterialState::Importing))
        });
        let swept = bench.keys.materials_sweep(bench.at(), 10);
        assert!(matches!(swept, Err(Error::Unavailable(_))), "the first failure is told: {swept:?}");
        bench.keys.creations_sweep(bench.at()).expect("no quarantine");
        assert_eq!(bench.read(|tx| tx.key_material_by_version(&left.primary_version)), None, "and the others had their turn");
        assert!(bench.read(|tx| tx.key_material_by_version(&expired.primary_version)).is_some());
    });
}

/// Material as a caller sends it: encrypted to the key's next pair, and the token that goes with it.
fn sent(bench: &Bench, key: &KeyRow, material: &[u8]) -> (ImportParameters, Vec<u8>) {
    let parameters = bench.keys.import_parameters(&bench.caller(), &by_id(key), ImportAlgorithm::OaepSha1).expect("a pair");
    let public = PublicEncryptingKey::from_der(&parameters.public_key).expect("a public key");
    let public = OaepPublicEncryptingKey::new(public).expect("long enough");
    let mut wrapped = vec![0; public.ciphertext_size()];
    public.encrypt(&OAEP_SHA1_MGF1SHA1, material, &mut wrapped, None).expect("it fits");
    (parameters, wrapped)
}

/// Brings material to a key.
fn import(bench: &Bench, key: &KeyRow, material: &[u8], expires_at: Option<Timestamp>) -> Result<(), Error> {
    let (parameters, wrapped) = sent(bench, key, material);
    bench.keys.import_material(&bench.caller(), &by_id(key), &parameters.token, &wrapped, expires_at)
}

/// Whoever asks for parameters fills no token with pairs.
#[test]
fn a_deployment_has_a_hundred_pairs_on_the_token() {
    isolated(softhsm::prepare, |home| {
        let bench = Bench::sqlite(home);
        let external = NewKey { origin: Origin::External, ..plain() };
        let make = || bench.keys.create(&bench.caller(), &external).expect("a key without material").key;
        let ask =
            |key: &KeyRow| bench.keys.import_parameters(&bench.caller(), &by_id(key), ImportAlgorithm::OaepSha1).map(drop);
        let full = make();
        ask(&full).expect("a pair");
        let pair = bench.read(|tx| tx.import_parameters_of_key(&full.id)).remove(0);
        let more: Vec<ImportParametersRow> = (1..100)
            .map(|n| ImportParametersRow { id: KeyVersionId::new(), token_digest: vec![n; 32], ..pair.clone() })
            .collect();
        bench.write(|tx| more.iter().try_for_each(|row| tx.import_parameters_insert(row)));
        assert_eq!(ask(&make()), Err(Error::TokenFull));
        bench.write(|tx| tx.import_parameters_delete(&more[0].id).map(drop));
        assert_eq!(ask(&make()), Ok(()));
    });
}

/// A key that waits for material, on a bench with a quarantine of a day.
fn waiting(home: &Path) -> (Bench, KeyRow) {
    let limits = KeyLimits { quarantine_ms: DAY_MS, ..KeyLimits::default() };
    let bench = Bench::on(home, &format!("sqlite:{}", home.join("bulla.db").display()), limits);
    let external = NewKey { origin: Origin::External, ..plain() };
    let key = bench.keys.create(&bench.caller(), &external).expect("a key without material").key;
    (bench, key)
}

/// What the service does for all in a round, as far as it concerns material.
fn sweep(bench: &Bench) {
    bench.keys.materials_sweep(bench.at(), 10).expect("a sweep of material");
    bench.keys.import_parameters_sweep(bench.at(), 10).expect("a sweep of pairs");
    bench.keys.creations_sweep(bench.at()).expect("a sweep of what is condemned");
}

impl Bench {
    /// Every object has a row, and every row its object.
    pub(super) fn known(&self) {
        let found = self.keys.mismatch(&[]).expect("a comparison");
        assert_eq!((found.without_row, found.without_object), (Vec::new(), Vec::new()));
    }

    fn on_token(&self, id: &KeyVersionId) -> bool {
        self.token.exists(id).expect("a look")
    }

    fn material(&self, key: &KeyRow) -> Option<MaterialState> {
        self.read(|tx| tx.key_material_by_version(&key.primary_version)).map(|row| row.state)
    }

    fn state(&self, key: &KeyRow) -> KeyState {
        self.row(&key.id).expect("the key").state_at(self.now())
    }
}

#[test]
fn expired_material_is_unusable_at_once_and_destroyed_after_its_quarantine() {
    isolated(softhsm::prepare, |home| {
        let (bench, key) = waiting(home);
        let version = key.primary_version;
        import(&bench, &key, &[7; 32], Some(bench.now().plus_ms(DAY_MS))).expect("an import");
        bench.pass(DAY_MS);
        assert_eq!(bench.state(&key), KeyState::PendingImport, "at once, before any sweep");
        sweep(&bench);
        assert_eq!(bench.recorded(home, "DeleteKeyMaterial").len(), 2, "an intent and its outcome");
        assert_eq!((bench.state(&key), bench.material(&key)), (KeyState::PendingImport, Some(MaterialState::Absent)));
        bench.pass(DAY_MS - 1);
        sweep(&bench);
        assert!(bench.on_token(&version), "its quarantine is not over");
        assert_eq!(bench.recorded(home, "DestroyKeyMaterial"), Vec::<serde_json::Value>::new());
        bench.known();

        // What comes again within it is out of it.
        assert_eq!(import(&bench, &key, &[8; 32], None), Err(Error::KeyMaterialInvalid), "only the same");
        import(&bench, &key, &[7; 32], None).expect("an import");
        bench.pass(2 * DAY_MS);
        sweep(&bench);
        assert!(bench.on_token(&version), "it is in use");
        assert_eq!((bench.state(&key), bench.material(&key)), (KeyState::Enabled, Some(MaterialState::Present)));

        // And once it is over, the object goes, recorded.
        import(&bench, &key, &[7; 32], Some(bench.now().plus_ms(1))).expect("another expiry");
        bench.pass(1);
        sweep(&bench);
        bench.pass(DAY_MS);
        sweep(&bench);
        assert!(!bench.on_token(&version));
        assert!(bench.recorded(home, "DestroyKeyMaterial").iter().any(|line| line["version"] == version.to_string()));
        assert_eq!(bench.material(&key), Some(MaterialState::Absent));
        import(&bench, &key, &[7; 32], None).expect("it may still come again");
    });
}

#[test]
fn a_caller_deletes_at_once_also_what_waits_out_its_quarantine() {
    isolated(softhsm::prepare, |home| {
        let (bench, key) = waiting(home);
        import(&bench, &key, &[7; 32], Some(bench.now().plus_ms(1))).expect("an import");
        bench.pass(1);
        sweep(&bench);
        assert!(bench.on_token(&key.primary_version));
        bench.keys.delete_material(&bench.caller(), &by_id(&key)).expect("it goes");
        assert!(!bench.on_token(&key.primary_version));
        bench.known();
    });
}

#[test]
fn material_that_was_left_on_its_way_waits_out_a_quarantine() {
    isolated(softhsm::prepare, |home| {
        let (bench, key) = waiting(home);
        let version = key.primary_version;
        let left = KeyMaterialRow {
            key_version_id: version,
            key_id: key.id,
            state: MaterialState::Importing,
            check_value: None,
            changed_at: bench.now(),
        };
        bench.write(|tx| tx.key_material_insert(&left));
        bench.token.create(&version, aes()).expect("an object");
        bench.pass(rows::STALE_MS + 1);
        sweep(&bench);
        assert!(bench.on_token(&version), "it may be what an old row asks for");
        assert_eq!(bench.recorded(home, "DeleteKeyMaterial").len(), 2);
        // Any material takes its place: nothing was ever in use.
        import(&bench, &key, &[9; 32], None).expect("an import");
        bench.pass(2 * DAY_MS);
        sweep(&bench);
        assert!(bench.on_token(&version));

        // A row that says so of a key in use is contradicted.
        let present = bench.read(|tx| tx.key_material_by_version(&version)).expect("a row");
        let moving = KeyMaterialRow { state: MaterialState::Removing, changed_at: Timestamp(0), ..present.clone() };
        bench.write(|tx| tx.key_material_update_if(&present, &moving));
        let swept = bench.keys.materials_sweep(bench.at(), 10);
        assert!(matches!(&swept, Err(Error::Integrity(what)) if what.contains("the key is in use")), "{swept:?}");
        bench.write(|tx| tx.condemn(&condemned(&key, &version)));
        let swept = bench.keys.creations_sweep(bench.at());
        assert!(matches!(&swept, Err(Error::Integrity(what)) if what.contains("condemned and in use")), "{swept:?}");
        assert!(bench.on_token(&version));
    });
}

#[test]
fn wrapping_pairs_are_useless_after_their_day_and_destroyed_after_their_quarantine() {
    isolated(softhsm::prepare, |home| {
        let (bench, key) = waiting(home);
        let (parameters, wrapped) = sent(&bench, &key, &[7; 32]);
        let pair = bench.read(|tx| tx.import_parameters_of_key(&key.id)).remove(0);
        // Another, whose maker died.
        let unready = ImportParametersRow { id: KeyVersionId::new(), ready: false, ..pair.clone() };
        bench.write(|tx| tx.import_parameters_insert(&unready));
        bench.token.create_wrapping_pair(&unready.id, pair.algorithm).expect("a pair");
        bench.pass(rows::STALE_MS + 1);
        sweep(&bench);
        assert_eq!(bench.read(|tx| tx.import_parameters_of_key(&key.id)), std::slice::from_ref(&pair));
        assert!(bench.on_token(&unready.id), "its quarantine is not over");
        bench.pass(DAY_MS);
        sweep(&bench);
        assert!(!bench.on_token(&unready.id) && bench.on_token(&pair.id));
        assert_eq!(bench.recorded(home, "DeleteWrappingPair").len(), 4, "of each an intent and its outcome");
        let late = bench.keys.import_material(&bench.caller(), &by_id(&key), &parameters.token, &wrapped, None);
        assert_eq!(late, Err(Error::ImportTokenExpired));
        bench.known();
        bench.pass(DAY_MS);
        sweep(&bench);
        assert!(!bench.on_token(&pair.id));
        assert_eq!(bench.recorded(home, "DestroyKeyMaterial").len(), 4);

        // A row of a pair in use, put back among what is condemned, destroys nothing.
        sent(&bench, &key, &[7; 32]);
        let pair = bench.read(|tx| tx.import_parameters_of_key(&key.id)).remove(0);
        bench.write(|tx| tx.condemn(&condemned(&key, &pair.id)));
        let swept = bench.keys.creations_sweep(bench.at());
        assert!(matches!(&swept, Err(Error::Integrity(what)) if what.contains("condemned and in use")), "{swept:?}");
        assert!(bench.on_token(&pair.id));
    });
}
