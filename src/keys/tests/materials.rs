//! Material that is on its way, or over.

use super::*;
use crate::base::words::MaterialState;
use crate::store::KeyMaterialRow;

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
        assert_eq!(bench.read(|tx| tx.key_material_by_version(&left.primary_version)), None, "and the others had their turn");
        assert!(bench.read(|tx| tx.key_material_by_version(&expired.primary_version)).is_some());
    });
}
