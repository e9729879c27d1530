//! The read behind GetSecretValue.

use super::*;

on_both!(the_cases_of_a_read, damage_is_told_apart);

fn by_stage(on: &Fixture, account: &AccountId, name: &str, label: &str) -> Result<Option<ValueRow>, StoreError> {
    let (name, label) = (name.parse().unwrap(), label.parse().unwrap());
    on.store.read_row("value", |tx| tx.value_by_stage(account, &name, &label))
}

fn by_version(on: &Fixture, account: &AccountId, name: &str, version: &str) -> Result<Option<ValueRow>, StoreError> {
    let (name, version) = (name.parse().unwrap(), version.parse().unwrap());
    on.store.read_row("value", |tx| tx.value_by_version(account, &name, &version))
}

fn the_cases_of_a_read(on: &Fixture) {
    let (account, key, secret, v1) = on.with_secret();
    let v2 = version(&secret.id, &key.primary_version, "v2");
    on.write(|tx| tx.version_insert(&v2));
    let stages = vec![Stage::current(), "blue".parse().unwrap()];
    let whole = ValueRow { secret: secret.clone(), key: key.clone(), version: Some(v1), stages };
    let bare = ValueRow { version: Some(v2), stages: Vec::new(), ..whole.clone() };
    let none = ValueRow { version: None, ..bare.clone() };
    // Twice, the second time by the statements prepared the first.
    for _ in 0..2 {
        assert_eq!(by_stage(on, &account.id, "app/db", "ACSCurrent"), Ok(Some(whole.clone())));
        assert_eq!(by_stage(on, &account.id, "app/db", "blue"), Ok(Some(whole.clone())));
        assert_eq!(by_stage(on, &account.id, "app/db", "green"), Ok(Some(none.clone())));
        assert_eq!(by_stage(on, &account.id, "app/other", "ACSCurrent"), Ok(None));
        assert_eq!(by_stage(on, &AccountId::random(), "app/db", "ACSCurrent"), Ok(None));
        assert_eq!(by_version(on, &account.id, "app/db", "v1"), Ok(Some(whole.clone())));
        assert_eq!(by_version(on, &account.id, "app/db", "v2"), Ok(Some(bare.clone())));
        assert_eq!(by_version(on, &account.id, "app/db", "v3"), Ok(Some(none.clone())));
        assert_eq!(by_version(on, &account.id, "app/other", "v1"), Ok(None));
    }
}

fn damage_is_told_apart(on: &Fixture) {
    let (account, ..) = on.with_secret();
    let tables = [
        ("secrets", "UPDATE secrets SET updated_at = 1", "UPDATE secrets SET updated_at = 1700000000000"),
        ("keys", "UPDATE keys SET state = 'Disabled'", "UPDATE keys SET state = 'Enabled'"),
        (
            "version_stages",
            "UPDATE secret_versions SET uuid = (SELECT id FROM secrets)",
            "UPDATE secret_versions SET uuid = (SELECT version_uuid FROM version_stages LIMIT 1)",
        ),
        (
            "version_stages",
            "UPDATE version_stages SET stage = 'green' WHERE stage = 'blue'",
            "UPDATE version_stages SET stage = 'blue' WHERE stage = 'green'",
        ),
        ("version_stages", "DELETE FROM secret_versions", "SELECT 1"),
    ];
    for (table, damage, repair) in tables {
        on.intruder().batch_execute(damage).unwrap();
        let found = by_stage(on, &account.id, "app/db", "ACSCurrent");
        assert!(matches!(found, Err(StoreError::Corrupt { table: told, .. }) if told == table), "{damage}: {found:?}");
        on.intruder().batch_execute(repair).unwrap();
    }
}
