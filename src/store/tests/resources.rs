//! Keys, aliases, secrets, versions, tags, nonces, leases.

use super::*;
use crate::base::ids::RequestId;

on_both!(
    keys_and_aliases,
    versions_and_rotations_of_keys,
    keys_are_filtered,
    secrets_page_in_order_and_go_whole,
    secrets_are_counted_as_they_come_and_go,
    an_account_rotates_so_often,
    lists_of_secrets_are_filtered,
    versions_and_labels,
    tags,
    a_nonce_works_once,
    rotations_wait_for_their_time_and_their_node,
    one_holds_a_lease
);

fn keys_and_aliases(on: &Fixture) {
    let (account, shown, ..) = on.with_secret();
    let made = KeyRow { state: KeyState::Creating, created_at: Timestamp(5), ..key(&account.id) };
    let due = KeyRow { state: KeyState::PendingDeletion, delete_at: Some(Timestamp(9)), ..key(&account.id) };
    let due = KeyRow { created_at: NOW.plus_ms(1), ..due };
    let alias = AliasRow { account_id: account.id.clone(), name: "alias/a".parse().unwrap(), key_id: due.id, created_at: NOW };
    let moved = AliasRow { key_id: shown.id, ..alias.clone() };
    let in_the_making = KeyVersionRow { ready: false, created_at: Timestamp(5), ..key_version(&made) };
    on.write(|tx| {
        tx.key_insert(&made)?;
        tx.key_insert(&due)?;
        tx.key_version_insert(&key_version(&due))?;
        tx.key_version_insert(&in_the_making)?;
        tx.default_key_insert(&account.id, &shown.id)?;
        tx.alias_insert(&alias)
    });
    on.read(|tx| {
        assert_eq!(tx.keys_page(&account.id, &[], 0, 10)?, [shown.clone(), due.clone()]);
        assert_eq!(tx.keys_page(&account.id, &[], 1, 10)?, std::slice::from_ref(&due));
        assert_eq!(tx.key_count(&account.id, &[])?, 2);
        assert_eq!(tx.default_key(&account.id)?.as_ref(), Some(&shown));
        assert_eq!(tx.alias_by_name(&account.id, &alias.name)?, Some(alias.clone()));
        assert_eq!(tx.aliases_page(&account.id, 0, 10)?, std::slice::from_ref(&alias));
        assert_eq!(tx.alias_count(&account.id)?, 1);
        assert_eq!(tx.key_versions_of(&due.id)?.len(), 1);
        assert!(tx.key_version_by_id(&due.primary_version)?.is_some());
        Ok(())
    });
    assert_eq!(on.sweep(|tx| tx.key_versions_unready_before(Timestamp(6))), std::slice::from_ref(&in_the_making));
    assert!(on.sweep(|tx| tx.key_versions_unready_before(Timestamp(5))).is_empty());
    assert_eq!(on.sweep(|tx| tx.keys_due(Timestamp(9), 10)), std::slice::from_ref(&due));
    assert!(on.sweep(|tx| tx.keys_due(Timestamp(8), 10)).is_empty());
    assert_eq!(on.try_write(|tx| tx.default_key_insert(&account.id, &due.id)), Err(StoreError::Conflict));
    on.write(|tx| tx.alias_update(&alias, &moved));
    assert_eq!(on.read(|tx| tx.aliases_of_key(&shown.id)), [moved]);
    assert_eq!(on.try_write(|tx| tx.key_delete(&due.id)), Err(StoreError::Conflict), "it has a version");
    assert!(on.write(|tx| tx.key_version_delete(&due.primary_version)));
    assert!(on.write(|tx| tx.key_delete(&due.id)));
    assert!(on.read(|tx| tx.key_versions_of(&due.id)).is_empty());
    on.write(|tx| tx.aliases_delete_of_key(&shown.id));
    assert!(!on.write(|tx| tx.alias_delete(&account.id, &alias.name)));
    assert!(!on.write(|tx| tx.default_key_delete(&account.id, &due.id)), "not that one");
    assert!(on.write(|tx| tx.default_key_delete(&account.id, &shown.id)));
    let enabled = KeyRow { state: KeyState::Enabled, ..made.clone() };
    on.write(|tx| tx.key_update(&made, &enabled));
    assert!(matches!(on.try_write(|tx| tx.key_update(&made, &enabled)), Err(StoreError::Fault(_))));
}

fn versions_and_rotations_of_keys(on: &Fixture) {
    let (_, key, ..) = on.with_secret();
    let first = key_version(&key);
    let next = KeyVersionRow { id: KeyVersionId::new(), created_at: NOW.plus_ms(1), ready: false, ..first.clone() };
    on.write(|tx| tx.key_version_insert(&next));
    let rival = KeyVersionRow { id: KeyVersionId::new(), ..next.clone() };
    assert_eq!(on.try_write(|tx| tx.key_version_insert(&rival)), Err(StoreError::Conflict), "one at a time is in the making");
    assert_eq!(on.read(|tx| tx.key_version_count(&key.id)), 1);
    let ready = KeyVersionRow { ready: true, uses: 7, ..next.clone() };
    assert!(on.write(|tx| tx.key_version_update_if(&next, &ready)));
    assert!(!on.write(|tx| tx.key_version_update_if(&next, &ready)), "it is not what it was");
    assert_eq!(on.read(|tx| tx.key_versions_page(&key.id, 1, 5)), std::slice::from_ref(&ready));
    assert_eq!(on.read(|tx| tx.key_version_ids()).len(), 2);

    let monthly = KeyRotationRow { key_id: key.id, interval_s: Some(30), due_at: Timestamp(9) };
    on.write(|tx| tx.key_rotation_put(&monthly));
    assert_eq!(on.sweep(|tx| tx.keys_to_rotate(Timestamp(9), 5)), std::slice::from_ref(&key));
    assert!(on.sweep(|tx| tx.keys_to_rotate(Timestamp(8), 5)).is_empty());
    let once = KeyRotationRow { interval_s: None, due_at: Timestamp(1), ..monthly };
    on.write(|tx| tx.key_rotation_put(&once));
    assert_eq!(on.read(|tx| tx.key_rotation(&key.id)), Some(once));
    let disabled = KeyRow { state: KeyState::Disabled, ..key.clone() };
    on.write(|tx| tx.key_update(&key, &disabled));
    assert!(on.sweep(|tx| tx.keys_to_rotate(NOW, 5)).is_empty(), "it is not Enabled");
    assert!(on.write(|tx| tx.key_rotation_delete(&key.id)));
    assert!(!on.write(|tx| tx.key_rotation_delete(&key.id)));
    assert!(on.read(|tx| tx.secrets_under(&key.id)));
    assert!(!on.read(|tx| tx.secrets_under(&KeyId::new())));
}

fn keys_are_filtered(on: &Fixture) {
    let (account, enabled, secret, _) = on.with_secret();
    let off = KeyRow {
        state: KeyState::Disabled,
        spec: KeySpec::Aes128,
        created_at: NOW.plus_ms(1),
        material_expires_at: Some(Timestamp(50)),
        ..key(&account.id)
    };
    let own = KeyRow { service: true, protection: ProtectionLevel::Hsm, created_at: NOW.plus_ms(2), ..key(&account.id) };
    let gone = KeyRow { state: KeyState::Deleted, ..key(&account.id) };
    let name: crate::base::ids::Alias = "alias/a".parse().unwrap();
    let alias = AliasRow { account_id: account.id.clone(), name: name.clone(), key_id: off.id, created_at: NOW };
    on.write(|tx| {
        [&off, &own, &gone].into_iter().try_for_each(|key| tx.key_insert(key))?;
        tx.alias_insert(&alias)?;
        tx.tag_put(&account.id, Tagged::Key(off.id), "k", "1")?;
        tx.tag_put(&account.id, Tagged::Key(own.id), "k", "2")?;
        tx.tag_put(&account.id, Tagged::Key(own.id), "l", "1")?;
        tx.tag_put(&account.id, Tagged::Secret(secret.id), "k", "1")
    });
    let texts = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
    use KeyCondition as If;
    let cases: Vec<(Vec<If>, Vec<&KeyRow>)> = vec![
        (vec![], vec![&enabled, &off, &own]),
        (vec![If::State(texts(&["Disabled", "PendingDeletion"]), Timestamp(0))], vec![&off]),
        (vec![If::State(texts(&["Enabled", "Disabled"]), Timestamp(0))], vec![&enabled, &off, &own]),
        (vec![If::State(texts(&["Enabled"]), Timestamp(0)), If::Service(vec![false])], vec![&enabled]),
        (vec![If::State(texts(&["Deleted", "Creating"]), Timestamp(0))], vec![]),
        (vec![If::State(texts(&["PendingImport"]), Timestamp(49))], vec![]),
        (vec![If::State(texts(&["PendingImport", "Deleted"]), Timestamp(50))], vec![&off]),
        (vec![If::State(texts(&["Enabled", "Disabled"]), Timestamp(50))], vec![&enabled, &own]),
        (vec![If::Spec(texts(&["Aliyun_AES_128", "EC_SM2"]))], vec![&off]),
        (vec![If::Usage(texts(&["SIGN/VERIFY"]))], vec![]),
        (vec![If::Protection(texts(&["HSM"]))], vec![&own]),
        (vec![If::Service(vec![true])], vec![&own]),
        (vec![If::Service(vec![])], vec![]),
        (vec![If::Id(vec![off.id, own.id, gone.id])], vec![&off, &own]),
        (vec![If::Alias(vec![name])], vec![&off]),
        (vec![If::TagKey(texts(&["k"]))], vec![&off, &own]),
        (vec![If::TagValue(texts(&["1"]))], vec![&off, &own]),
        (vec![If::Tag(texts(&["k"]), texts(&["1"]))], vec![&off]),
        (vec![If::KmsInstance(vec!["kst-1".into()])], vec![]),
    ];
    for (conditions, expected) in cases {
        let found = on.read(|tx| tx.keys_page(&account.id, &conditions, 0, 10));
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{conditions:?}");
        assert_eq!(on.read(|tx| tx.key_count(&account.id, &conditions)), expected.len() as i64);
    }
    assert!(on.read(|tx| tx.keys_page(&AccountId::random(), &[], 0, 10)).is_empty());
}

fn secrets_page_in_order_and_go_whole(on: &Fixture) {
    let (account, key, first, version) = on.with_secret();
    // Order is that of bytes on both databases: capitals before small letters, and `_` between.
    let names = ["Zebra", "_x", "app/db", "beta"];
    for name in ["beta", "Zebra", "_x"] {
        on.write(|tx| tx.secret_insert(&secret(&account.id, &key.id, name)));
    }
    let all = SecretFilter::default();
    let listed = |offset, limit| -> Vec<String> {
        let (page, total) = on.read(|tx| tx.secrets_page(&account.id, NOW, &all, offset, limit));
        assert_eq!(total, 4);
        page.iter().map(|s| s.name.to_string()).collect()
    };
    for offset in 0..6 {
        for limit in 1..6 {
            let (from, to) = (offset.min(4), (offset + limit).min(4));
            assert_eq!(listed(offset as i64, limit as i64), names[from..to], "{limit} from {offset} on");
        }
    }
    assert_eq!(on.read(|tx| tx.secret_count(&account.id, NOW, &all)), 4);
    assert_eq!(on.read(|tx| tx.secret_count(&AccountId::random(), NOW, &all)), 0);

    let deleted = SecretRow { delete_at: Some(Timestamp(9)), updated_at: NOW.plus_ms(1), ..first.clone() };
    on.write(|tx| tx.secret_update(&first, &deleted));
    assert!(matches!(on.try_write(|tx| tx.secret_update(&first, &deleted)), Err(StoreError::Fault(_))));
    assert_eq!(on.sweep(|tx| tx.secrets_due(Timestamp(9), 10)), std::slice::from_ref(&deleted));
    assert!(on.sweep(|tx| tx.secrets_due(Timestamp(8), 10)).is_empty());

    on.write(|tx| tx.tag_put(&account.id, Tagged::Secret(first.id), "k", "v"));
    let deleted = on.as_it_is(&deleted);
    let stale = on.try_write(|tx| if tx.secret_delete(&first)? { Ok(()) } else { Err(StoreError::Conflict) });
    assert_eq!(stale, Err(StoreError::Conflict), "restored meanwhile: not deleted, and nothing of it is gone");
    assert!(on.read(|tx| tx.version_by_id(&first.id, &version.version_id)).is_some());
    assert!(on.write(|tx| tx.secret_delete(&deleted)));
    assert_eq!(on.read(|tx| tx.secret_by_name(&account.id, &first.name)), None);
    assert!(on.read(|tx| tx.versions_of(&first.id)).is_empty());
    assert_eq!(on.read(|tx| tx.tags_count(Tagged::Secret(first.id))), 0);
}

fn lists_of_secrets_are_filtered(on: &Fixture) {
    let (account, key, first, _) = on.with_secret();
    let blue = SecretRow { description: "blue".to_owned(), ..secret(&account.id, &key.id, "b") };
    let doomed = SecretRow { delete_at: Some(NOW.plus_ms(1)), ..secret(&account.id, &key.id, "c") };
    let gone = SecretRow { delete_at: Some(NOW), ..secret(&account.id, &key.id, "d") };
    let tag =
        |tx: &mut Tx<'_>, on: &SecretRow, key: &str, value: &str| tx.tag_put(&account.id, Tagged::Secret(on.id), key, value);
    on.write(|tx| {
        for row in [&blue, &doomed, &gone] {
            tx.secret_insert(row)?;
            tag(tx, row, "env", "prod")?;
        }
        tag(tx, &first, "env", "test")?;
        tag(tx, &first, "tier", "prod")
    });
    let listed = |filter: &SecretFilter| -> String {
        let (page, total) = on.read(|tx| tx.secrets_page(&account.id, NOW, filter, 0, 10));
        assert_eq!(total, page.len() as i64);
        page.iter().map(|s| s.name.to_string()).collect::<Vec<_>>().join(" ")
    };
    let texts = |texts: &[&str]| Some(texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
    let names = Some(["b", "d", "x"].map(|n| n.parse().unwrap()).to_vec());
    let any = SecretFilter::default;
    assert_eq!(listed(&any()), "app/db b c", "none whose time has come");
    assert_eq!(listed(&SecretFilter { names, ..any() }), "b");
    assert_eq!(listed(&SecretFilter { descriptions: texts(&["blue", ""]), ..any() }), "app/db b c");
    assert_eq!(listed(&SecretFilter { descriptions: texts(&["blu"]), ..any() }), "");
    assert_eq!(listed(&SecretFilter { types: Some(vec![SecretType::Generic]), ..any() }), "app/db b c");
    assert_eq!(listed(&SecretFilter { types: Some(vec![]), ..any() }), "");
    assert_eq!(listed(&SecretFilter { nothing: true, ..any() }), "");
    assert_eq!(listed(&SecretFilter { tag_keys: texts(&["tier", "x"]), ..any() }), "app/db");
    assert_eq!(listed(&SecretFilter { tag_values: texts(&["prod"]), ..any() }), "app/db b c");
    assert_eq!(listed(&SecretFilter { tag_keys: texts(&["env"]), tag_values: texts(&["prod"]), ..any() }), "b c");
    assert_eq!(listed(&SecretFilter { tag_keys: texts(&["env"]), descriptions: texts(&["blue"]), ..any() }), "b");

    let tags = on.read(|tx| tx.tags_of_secrets(&[first.id, blue.id]));
    let shown =
        |id| tags.iter().filter(|(of, _)| *of == id).map(|(_, t)| format!("{}={}", t.tag_key, t.tag_value)).collect::<Vec<_>>();
    assert_eq!(
        (shown(first.id), shown(blue.id)),
        (vec!["env=test".to_owned(), "tier=prod".to_owned()], vec!["env=prod".to_owned()])
    );
    assert!(on.read(|tx| tx.tags_of_secrets(&[])).is_empty());
}

fn versions_and_labels(on: &Fixture) {
    let (_, _, secret, v1) = on.with_secret();
    let v2 = VersionRow { created_at: NOW.plus_ms(1), ..version(&secret.id, &v1.key_version_id, "v2") };
    on.write(|tx| tx.version_insert(&v2));
    assert_eq!(on.try_write(|tx| tx.version_insert(&v2)), Err(StoreError::Conflict));
    let heads = on.read(|tx| tx.versions_of(&secret.id));
    assert_eq!(heads.iter().map(|h| h.uuid).collect::<Vec<_>>(), [v1.uuid, v2.uuid]);
    assert_eq!(on.read(|tx| tx.version_by_id(&secret.id, &v2.version_id)), Some(v2.clone()));
    let (was, now) = (stage(&v1, "ACSCurrent"), stage(&v2, "ACSCurrent"));
    on.write(|tx| tx.stage_update(&was, &now));
    assert!(
        matches!(on.try_write(|tx| tx.stage_update(&was, &now)), Err(StoreError::Fault(_))),
        "it does not stand there any more"
    );
    assert_eq!(on.read(|tx| tx.stage_by_name(&secret.id, &now.stage)), Some(now.clone()));
    assert_eq!(on.read(|tx| tx.stage_by_name(&secret.id, &now.stage)), Some(now.clone()));
    assert_eq!(on.read(|tx| tx.stages_of(&secret.id)), [now, stage(&v1, "blue")]);
    assert_eq!(on.try_write(|tx| tx.version_delete(&v1.head())), Err(StoreError::Conflict));
    assert!(on.write(|tx| tx.stage_delete(&stage(&v1, "blue"))));
    assert!(on.write(|tx| tx.version_delete(&v1.head())));
    assert!(on.try_write(|tx| tx.stage_insert(&stage(&v1, "blue"))).is_err(), "no label without a version");
}

fn tags(on: &Fixture) {
    let (account, key, secret, _) = on.with_secret();
    let tagged = Tagged::Secret(secret.id);
    on.write(|tx| {
        tx.tag_put(&account.id, tagged, "b", "1")?;
        tx.tag_put(&account.id, tagged, "a", "")?;
        tx.tag_put(&account.id, tagged, "b", "2")?;
        tx.tag_put(&account.id, Tagged::Key(key.id), "c", "3")
    });
    let tag = |key: &str, value: &str| TagRow { tag_key: key.to_owned(), tag_value: value.to_owned() };
    assert_eq!(on.read(|tx| tx.tags_of(tagged)), [tag("a", ""), tag("b", "2")]);
    assert_eq!(on.read(|tx| tx.tags_count(tagged)), 2);
    assert!(on.write(|tx| tx.tag_delete(tagged, "a")));
    assert!(!on.write(|tx| tx.tag_delete(tagged, "a")));
    assert_eq!(on.read(|tx| tx.tags_of(Tagged::Key(key.id))), [tag("c", "3")]);
}

fn rotations_wait_for_their_time_and_their_node(on: &Fixture) {
    let (_, _, secret, _) = on.with_secret();
    let row = rotation(&secret.id);
    let holder = row.holder.unwrap();
    let one = RotationAccountRow { instance: row.instance.clone(), name: "one".parse().unwrap(), secret_id: secret.id };
    let two = RotationAccountRow { name: "two".parse().unwrap(), ..one.clone() };
    on.write(|tx| {
        tx.rotation_insert(&row)?;
        tx.rotation_account_insert(&two)?;
        tx.rotation_account_insert(&one)
    });
    assert_eq!(on.read(|tx| tx.rotation_of(&secret.id)), Some(row.clone()));
    assert_eq!(on.read(|tx| tx.rotation_accounts_of(&secret.id)), [one.clone(), two.clone()]);
    assert_eq!(on.read(|tx| tx.rotation_account(&one.instance, &two.name)), Some(two));
    assert_eq!(on.try_write(|tx| tx.rotation_account_insert(&one)), Err(StoreError::Conflict));
    assert_eq!(on.read(|tx| tx.rotations_failing()), 1);

    let due = |node: &NodeId, now| -> Vec<RotationRow> {
        on.sweep(|tx| tx.rotations_due(node, Timestamp(now), 10)).into_iter().map(|(_, rotation)| rotation).collect()
    };
    assert_eq!(due(&holder, 20), std::slice::from_ref(&row), "its own, held or not");
    assert!(due(&holder, 19).is_empty(), "not its time");
    assert!(due(&NodeId::new(), 29).is_empty(), "another is at it");
    assert_eq!(due(&NodeId::new(), 30), std::slice::from_ref(&row));
    let free = RotationRow { holder: None, held_until: None, failures: 0, ..row.clone() };
    on.write(|tx| tx.rotation_update(&row, &free));
    assert!(
        matches!(on.try_write(|tx| tx.rotation_update(&row, &free)), Err(StoreError::Fault(_))),
        "it is not that row any more"
    );
    assert_eq!(due(&NodeId::new(), 20), std::slice::from_ref(&free));
    let secret = on.as_it_is(&secret);
    let deleted = SecretRow { delete_at: Some(Timestamp(99)), ..secret.clone() };
    on.write(|tx| tx.secret_update(&secret, &deleted));
    assert_eq!(due(&holder, 20), std::slice::from_ref(&free), "what is begun is ended");
    let begun = RotationRow { pending_id: None, pending_uuid: None, ..free.clone() };
    on.write(|tx| tx.rotation_update(&free, &begun));
    assert!(due(&holder, 20).is_empty(), "nothing begins in the deletion window");
    on.write(|tx| tx.rotation_update(&begun, &free));
    on.write(|tx| tx.secret_update(&on.as_it_is(&deleted), &secret));
    let waits = RotationRow { attempt_at: None, pending_id: None, pending_uuid: None, ..free.clone() };
    on.write(|tx| tx.rotation_update(&free, &waits));
    assert!(due(&holder, i64::MAX).is_empty());
    assert_eq!(on.read(|tx| tx.rotation_of(&secret.id)), Some(waits), "none is stored as such");
    assert_eq!(on.read(|tx| tx.rotations_failing()), 0);

    assert_eq!(on.read(|tx| tx.secret_by_id(&secret.id)), Some(secret.clone()));
    let secret = on.as_it_is(&secret);
    assert!(on.write(|tx| tx.secret_delete(&secret)));
    assert_eq!(on.read(|tx| tx.rotation_of(&secret.id)), None);
    assert!(on.read(|tx| tx.rotation_accounts_of(&secret.id)).is_empty());
}

fn an_account_rotates_so_often(on: &Fixture) {
    let account = on.with_secret().0.id;
    let begin = |now: i64, since: i64| {
        let begun = SecretVersionUuid::new();
        on.write(|tx| tx.rotation_call_insert(&account, &begun, Timestamp(now), Timestamp(since), 5))
    };
    let counted: usize = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..8).map(|_| scope.spawn(|| usize::from(begin(100, 0)))).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    assert_eq!(counted, 5, "however many at once");
    assert!(!begin(199, 99));
    assert!(begin(200, 100), "the hour is over");
    let later = "INSERT INTO rotation_calls SELECT account_id, 9000000000000 + n, version_uuid FROM rotation_calls, \
                 (SELECT 1 AS n UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5) numbers";
    on.intruder().batch_execute(later).unwrap();
    assert!(begin(201, 100), "what is yet to come counts for nothing");
}

fn secrets_are_counted_as_they_come_and_go(on: &Fixture) {
    let (account, key, first, _) = on.with_secret();
    let all = SecretFilter::default();
    let count = |now: Timestamp| on.read(|tx| tx.secret_count(&account.id, now, &all));
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (account, key) = (&account, &key);
            scope.spawn(move || {
                for m in 0..10 {
                    let row = secret(&account.id, &key.id, &format!("{n}-{m}"));
                    on.write(|tx| tx.secret_insert(&row));
                    if m % 2 == 0 {
                        assert!(on.write(|tx| tx.secret_delete(&row)));
                        assert!(!on.write(|tx| tx.secret_delete(&row)), "not twice");
                    }
                }
            });
        }
    });
    assert_eq!(count(NOW), 41);
    let doomed = SecretRow { delete_at: Some(NOW.plus_ms(1)), ..first.clone() };
    on.write(|tx| tx.secret_update(&first, &doomed));
    assert_eq!((count(NOW), count(NOW.plus_ms(1))), (41, 40), "gone when its time has come, removed or not");
    let refused = on.try_write(|tx| {
        tx.secret_insert(&secret(&account.id, &key.id, "new"))?;
        Err::<(), _>(StoreError::Corrupt { table: "none", detail: String::new() })
    });
    assert!(refused.is_err());
    assert_eq!(count(NOW), 41, "what was rolled back does not count");
}

fn a_nonce_works_once(on: &Fixture) {
    let node = NodeId::new();
    let nonce = |digest: u8, expires: i64| NonceRow {
        digest: vec![digest; 16],
        request_id: RequestId::new(),
        node,
        expires_at: Timestamp(expires),
    };
    let first = nonce(1, 10);
    let name = account("effect");
    on.write(|tx| {
        tx.nonce_insert(&first)?;
        tx.account_insert(&name)
    });
    let replay = on.try_write(|tx| {
        tx.account_insert(&account("second effect"))?;
        tx.nonce_insert(&NonceRow { request_id: RequestId::new(), ..first.clone() })
    });
    assert_eq!(replay, Err(StoreError::Conflict));
    assert_eq!(on.read(|tx| tx.accounts()), [name], "a replay has no effect");
    let had_effect =
        |request: &RequestId, node: &NodeId, from| on.read(|tx| tx.nonce_of_request(request, node, Timestamp(from)));
    assert!(had_effect(&first.request_id, &node, 10));
    assert!(!had_effect(&first.request_id, &node, 11));
    assert!(!had_effect(&RequestId::new(), &node, 0));
    assert!(!had_effect(&first.request_id, &NodeId::new(), 0));
    for digest in 2..6 {
        on.write(|tx| tx.nonce_insert(&nonce(digest, i64::from(digest) * 10)));
    }
    assert_eq!(on.write(|tx| tx.nonces_sweep(&node, Timestamp(40), 2)), 2);
    assert_eq!(on.write(|tx| tx.nonces_sweep(&node, Timestamp(40), 2)), 1);
    assert_eq!(on.write(|tx| tx.nonces_sweep(&node, Timestamp(40), 2)), 0);
    on.write(|tx| tx.nonce_insert(&first));
}

fn one_holds_a_lease(on: &Fixture) {
    let (a, b) = (NodeId::new(), NodeId::new());
    let take = |node: &NodeId, now, until| on.write(|tx| tx.lease_take("sweep", node, Timestamp(now), Timestamp(until)));
    let lives = |node: &NodeId| on.store.node_lives(*node, Timestamp(0)).unwrap();
    lives(&a);
    lives(&b);
    assert!(take(&a, 0, 10));
    assert!(!take(&b, 9, 20));
    assert!(take(&a, 9, 20), "its own");
    assert!(!take(&b, 19, 30));
    assert!(take(&b, 20, 30), "run out");
    assert!(!take(&a, 21, 30));
    // Whoever writes the database names a node that there never was, or one that is gone.
    for (holder, now) in [(NodeId::new(), 40_000), (a, 5 * 60_000)] {
        let hex = hex::encode(holder.as_bytes());
        let quoted = if on.is_sqlite() { format!("x'{hex}'") } else { format!("'\\x{hex}'") };
        let frozen = format!("UPDATE leases SET holder = {quoted}, until = {}", now + 100_000);
        on.intruder().batch_execute(&frozen).unwrap();
        assert!(take(&b, now, now + 60_000), "{holder}");
    }
    let nodes: Vec<NodeId> = (0..8).map(|_| NodeId::new()).collect();
    nodes.iter().for_each(lives);
    let winners: u32 = std::thread::scope(|scope| {
        let race = |node| scope.spawn(move || on.write(|tx| tx.lease_take("race", node, Timestamp(0), Timestamp(9))));
        let racers: Vec<_> = nodes.iter().map(race).collect();
        racers.into_iter().map(|racer| u32::from(racer.join().unwrap())).sum()
    });
    assert_eq!(winners, 1);
}
