//! Imported material and the pairs it is wrapped with.

use super::*;

on_both!(material_moves_and_goes_with_its_key, pairs_are_counted_and_fall_due, material_expires);

fn material_moves_and_goes_with_its_key(on: &Fixture) {
    let (_, key, ..) = on.with_secret();
    let present = material(&key);
    let moving = KeyMaterialRow { state: MaterialState::Removing, changed_at: Timestamp(5), ..present.clone() };
    on.write(|tx| tx.key_material_insert(&present));
    assert_eq!(on.try_write(|tx| tx.key_material_insert(&present)), Err(StoreError::Conflict));
    assert_eq!(on.read(|tx| tx.key_material_by_version(&key.primary_version)), Some(present.clone()));
    assert!(on.sweep(|tx| tx.key_materials_moving_before(NOW.plus_ms(1), 10)).is_empty());
    assert!(on.read(|tx| tx.key_materials_moving_ids()).is_empty());
    assert!(on.write(|tx| tx.key_material_update_if(&present, &moving)));
    assert_eq!(on.read(|tx| tx.key_materials_moving_ids()), [moving.key_version_id]);
    assert!(!on.write(|tx| tx.key_material_update_if(&present, &moving)));
    assert_eq!(on.sweep(|tx| tx.key_materials_moving_before(Timestamp(6), 10)), std::slice::from_ref(&moving));
    assert!(on.sweep(|tx| tx.key_materials_moving_before(Timestamp(5), 10)).is_empty());

    let other = self::key(&key.account_id);
    on.write(|tx| {
        tx.key_insert(&other)?;
        tx.key_material_insert(&material(&other))
    });
    assert!(on.write(|tx| tx.key_delete(&other.id)));
    assert_eq!(on.read(|tx| tx.key_material_by_version(&other.primary_version)), None);
    assert!(on.write(|tx| tx.key_material_delete(&key.primary_version)));
}

fn pairs_are_counted_and_fall_due(on: &Fixture) {
    let (_, key, ..) = on.with_secret();
    let first = parameters(&key.id);
    let kept = ImportParametersRow {
        expires_at: Timestamp(7),
        wrapped_suite: Some(Suite::AesGcmCallerIv),
        wrapped: Some(vec![1; 40]),
        ..parameters(&key.id)
    };
    on.write(|tx| {
        tx.import_parameters_insert(&first)?;
        tx.import_parameters_insert(&kept)
    });
    assert_eq!(on.read(|tx| tx.import_parameters_count(&key.id)), 2);
    assert_eq!(on.read(|tx| tx.import_parameters_count(&KeyId::new())), 0);
    assert_eq!(on.read(|tx| tx.import_parameters_by_id(&kept.id)), Some(kept.clone()));
    let due = |now: i64, unready: i64| on.sweep(|tx| tx.import_parameters_due(Timestamp(now), Timestamp(unready), 10));
    assert_eq!(due(7, 0), std::slice::from_ref(&kept));
    assert!(due(6, i64::MAX).is_empty(), "both are ready");
    let failed = ImportParametersRow { failures: 1, ready: false, ..first.clone() };
    assert!(on.write(|tx| tx.import_parameters_update_if(&first, &failed)));
    assert_eq!(due(6, failed.expires_at.0), std::slice::from_ref(&failed), "nobody makes it any more");
    assert!(due(6, failed.expires_at.0 - 1).is_empty());
    let mut ids = on.read(|tx| tx.import_parameters_ids());
    ids.sort_by_key(|(_, ready)| *ready);
    assert_eq!(ids, [(failed.id, false), (kept.id, true)]);
    assert!(!on.write(|tx| tx.import_parameters_update_if(&first, &failed)));
    assert!(on.write(|tx| tx.import_parameters_delete(&kept.id)));
    assert!(!on.write(|tx| tx.import_parameters_delete(&kept.id)));
}

fn material_expires(on: &Fixture) {
    let (_, key, ..) = on.with_secret();
    let expiring = KeyRow { material_expires_at: Some(Timestamp(9)), ..key.clone() };
    on.write(|tx| tx.key_update(&key, &expiring));
    assert_eq!(on.sweep(|tx| tx.keys_expired(Timestamp(9), 10)), std::slice::from_ref(&expiring));
    assert!(on.sweep(|tx| tx.keys_expired(Timestamp(8), 10)).is_empty());
    assert_eq!(expiring.state_at(Timestamp(8)), KeyState::Enabled);
    assert_eq!(expiring.state_at(Timestamp(9)), KeyState::PendingImport);
    let doomed = KeyRow { state: KeyState::PendingDeletion, ..expiring };
    assert_eq!(doomed.state_at(Timestamp(9)), KeyState::PendingDeletion);
}
