//! Accounts, users, access keys, policies, the deployment.

use super::*;
use crate::base::ids::{AccessKeyId, DeploymentId, PolicyName};

on_both!(
    every_identity_change_raises_the_revision,
    tokens_end_with_their_parents_and_their_time,
    a_token_that_was_put_back_is_not_believed,
    a_strange_token_keeps_no_other_from_its_end,
    what_is_needed_stays,
    compare_and_set,
    the_deployment_is_one
);

fn digest_of(row: &BearerTokenRow) -> TokenDigest {
    row.token().unwrap()
}

fn tokens_end_with_their_parents_and_their_time(on: &Fixture) {
    let account = account("main");
    let row = |first: u8, parent: Option<&BearerTokenRow>| BearerTokenRow {
        parent: parent.map(|row| row.digest.clone()),
        ..bearer_token(&account.id, first)
    };
    let first = row(1, None);
    let (child, other) = (row(2, Some(&first)), row(255, None));
    let grandchild = row(3, Some(&child));
    on.write(|tx| {
        tx.account_insert(&account)?;
        [&first, &child, &grandchild, &other].into_iter().try_for_each(|row| tx.bearer_token_insert(row))
    });
    let before = on.read(|tx| tx.rights_revision());
    let renewed = BearerTokenRow { expires_at: NOW.plus_ms(2000), ..other.clone() };
    on.write(|tx| tx.bearer_token_update(&other, &renewed));
    assert_eq!(on.read(|tx| tx.bearer_token(&digest_of(&other))), Some(renewed.clone()));
    assert_eq!(on.read(|tx| tx.bearer_tokens_of(&account.id, 9)).len(), 4);
    on.write(|tx| tx.bearer_token_end(&first));
    for ended in [&first, &child, &grandchild] {
        assert_eq!(on.read(|tx| tx.bearer_token(&digest_of(ended))), None);
    }
    let (now, changed) = on.store.rights_since(before).unwrap();
    assert_eq!(now, before + 2);
    let changed = changed.unwrap();
    assert_eq!(changed.accounts, [], "a token is no change of its account");
    assert!([1, 2, 3, 255].iter().all(|part| changed.tokens.contains(&(account.id.clone(), *part))));
    assert_eq!(on.write(|tx| tx.bearer_tokens_sweep(NOW.plus_ms(2000), 9)), 0);
    assert_eq!(on.write(|tx| tx.bearer_tokens_sweep(NOW.plus_ms(2001), 9)), 1);
    assert_eq!(on.read(|tx| tx.bearer_tokens_of(&account.id, 9)), []);
}

fn a_token_that_was_put_back_is_not_believed(on: &Fixture) {
    let account = account("main");
    let row = bearer_token(&account.id, 0);
    on.write(|tx| {
        tx.account_insert(&account)?;
        tx.bearer_token_insert(&row)
    });
    on.intruder().batch_execute("CREATE TABLE kept AS SELECT * FROM bearer_tokens").unwrap();
    on.write(|tx| tx.bearer_token_end(&row));
    assert_eq!(on.read(|tx| tx.bearer_token(&digest_of(&row))), None);
    on.intruder().batch_execute("INSERT INTO bearer_tokens SELECT * FROM kept; DROP TABLE kept").unwrap();
    let found = on.store.read("test", |tx| tx.bearer_token(&digest_of(&row)).map_err(Abort::<StoreError>::Db));
    assert!(matches!(found, Err(StoreError::Corrupt { .. })), "{found:?}");
}

fn a_strange_token_keeps_no_other_from_its_end(on: &Fixture) {
    let account = account("main");
    let first = bearer_token(&account.id, 1);
    let child = BearerTokenRow { parent: Some(first.digest.clone()), ..bearer_token(&account.id, 2) };
    let late = bearer_token(&account.id, 255);
    on.write(|tx| {
        tx.account_insert(&account)?;
        [&first, &child, &late].into_iter().try_for_each(|row| tx.bearer_token_insert(row))
    });
    let strange = format!(
        "CREATE TABLE kept AS SELECT * FROM bearer_tokens WHERE accessor = 'accessor1'; \
         UPDATE kept SET digest = {}, parent = digest, accessor = 'strange', expires_at = 0; \
         INSERT INTO bearer_tokens SELECT * FROM kept",
        blob(on, &[9; 32])
    );
    on.intruder().batch_execute(&strange).unwrap();
    let there = || lines(&mut on.intruder(), "SELECT accessor AS line FROM bearer_tokens ORDER BY accessor");
    on.write(|tx| tx.bearer_tokens_end(&account.id, |row| row.digest == first.digest));
    assert_eq!(there(), ["accessor255", "strange"]);
    assert_eq!(on.write(|tx| tx.bearer_tokens_sweep(NOW.plus_ms(1001), 1)), 1, "behind one that is nobody's");
    assert_eq!(there(), ["strange"]);
    assert_eq!(on.write(|tx| tx.bearer_tokens_sweep(NOW.plus_ms(1001), 1)), 0);
}

fn every_identity_change_raises_the_revision(on: &Fixture) {
    let account = account("main");
    let user = user(&account.id, "ann");
    let access_key = access_key(&account.id, Some(user.id));
    let root_key = AccessKeyRow { id: AccessKeyId::random(), user_id: None, ..access_key.clone() };
    let name: PolicyName = "readers".parse().unwrap();
    let policy = PolicyRow { account_id: account.id.clone(), name: name.clone(), document: "{}".to_owned(), created_at: NOW };
    let attachment =
        AttachmentRow { user_id: user.id, system: false, policy_name: name.clone(), account_id: account.id.clone() };
    let disabled = AccountRow { enabled: false, ..account.clone() };
    let renamed = UserRow { name: "bob".parse().unwrap(), ..user.clone() };
    let off = AccessKeyRow { enabled: false, ..access_key.clone() };

    let raised = std::cell::Cell::new(0);
    let step = |f: &dyn Fn(&mut Tx<'_>) -> Result<(), StoreError>| {
        on.write(f);
        raised.set(raised.get() + 1);
        assert_eq!(on.read(|tx| tx.rights_revision()), raised.get());
    };
    let done = |changed: Result<bool, StoreError>| changed.map(|changed| assert!(changed));
    step(&|tx| tx.account_insert(&account));
    step(&|tx| tx.user_insert(&user));
    step(&|tx| tx.access_key_insert(&access_key));
    step(&|tx| tx.access_key_insert(&root_key));
    step(&|tx| tx.policy_insert(&policy));
    step(&|tx| tx.attachment_insert(&attachment));
    on.read(|tx| {
        assert_eq!(tx.account_by_id(&account.id)?, Some(account.clone()));
        assert_eq!(tx.account_by_name("main")?, Some(account.clone()));
        assert_eq!(tx.user_by_id(&user.id)?, Some(user.clone()));
        assert_eq!(tx.user_by_name(&account.id, &user.name)?, Some(user.clone()));
        assert_eq!(tx.users_of(&account.id)?, std::slice::from_ref(&user));
        assert_eq!(tx.access_key_by_id(&access_key.id)?, Some(access_key.clone()));
        assert_eq!(tx.access_keys_of(&account.id, Some(&user.id))?, std::slice::from_ref(&access_key));
        assert_eq!(tx.access_keys_of(&account.id, None)?, std::slice::from_ref(&root_key));
        assert_eq!(tx.policy_by_name(&account.id, &name)?, Some(policy.clone()));
        assert_eq!(tx.policies_of(&account.id)?, std::slice::from_ref(&policy));
        assert_eq!(tx.attachments_of(&user.account_id, &user.id)?, std::slice::from_ref(&attachment));
        assert_eq!(tx.attachments_of_policy(&account.id, &name, false)?, std::slice::from_ref(&attachment));
        assert_eq!(tx.attachments_of_policy(&account.id, &name, true)?, []);
        Ok(())
    });
    let said = PolicyRow { document: r#"{"Version":"1"}"#.into(), ..policy.clone() };
    step(&|tx| tx.policy_update(&policy, &said));
    assert_eq!(on.read(|tx| tx.policy_by_name(&account.id, &name)), Some(said));
    step(&|tx| tx.account_update(&account, &disabled));
    step(&|tx| tx.user_update(&user, &renamed));
    step(&|tx| tx.access_key_update(&access_key, &off));
    step(&|tx| done(tx.attachment_delete(&attachment)));
    step(&|tx| done(tx.policy_delete(&account.id, &name)));
    step(&|tx| done(tx.access_key_delete(&access_key.id)));
    step(&|tx| done(tx.access_key_delete(&root_key.id)));
    step(&|tx| done(tx.user_delete(&user.id)));
    step(&|tx| done(tx.account_delete(&account.id)));
    assert!(!on.write(|tx| tx.account_delete(&account.id)));
    assert_eq!(on.read(|tx| tx.rights_revision()), raised.get(), "nothing was changed, nothing is raised");
}

fn what_is_needed_stays(on: &Fixture) {
    let (account, key, ..) = on.with_secret();
    let user = user(&account.id, "ann");
    on.write(|tx| tx.user_insert(&user));
    assert_eq!(on.try_write(|tx| tx.account_delete(&account.id)), Err(StoreError::Conflict));
    assert_eq!(on.try_write(|tx| tx.key_delete(&key.id)), Err(StoreError::Conflict));
    assert!(on.read(|tx| tx.key_by_id(&key.id)).is_some());
}

fn compare_and_set(on: &Fixture) {
    let old = account("old");
    on.write(|tx| tx.account_insert(&old));
    let new = AccountRow { name: "new".to_owned(), ..old.clone() };
    on.write(|tx| tx.account_update(&old, &new));
    assert!(
        matches!(
            on.try_write(|tx| tx.account_update(&old, &AccountRow { enabled: false, ..old.clone() })),
            Err(StoreError::Fault(_))
        ),
        "old is not there any more"
    );
    assert_eq!(on.read(|tx| tx.account_by_id(&old.id)), Some(new));
}

fn the_deployment_is_one(on: &Fixture) {
    on.intruder().batch_execute("DELETE FROM deployment").unwrap();
    assert_eq!(deployment::read(&on.url).unwrap(), None);
    let done = DeploymentRow { level: Level(1), ..deployment(Level(1)) };
    let row = DeploymentRow { ready: false, ..done.clone() };
    deployment::insert(&on.url, &row).unwrap();
    let second = DeploymentRow { id: DeploymentId::new(), ..row.clone() };
    assert_eq!(deployment::insert(&on.url, &second), Err(StoreError::Conflict));
    let early = Store::open(on.options(), &row, row_key()).map(drop);
    assert!(matches!(early, Err(StoreError::Corrupt { .. })), "a row that is not complete does not verify");
    let renamed = deployment::rename(&on.url, &row, row.aud_key, KeyVersionId::new()).unwrap();
    assert_ne!(renamed.aud_key, row.aud_key);
    assert!(!deployment::is_used(&on.url).unwrap());
    assert!(!deployment::complete(&on.url, &second, &anchors(), &row_key()).unwrap());
    assert!(deployment::complete(&on.url, &renamed, &anchors(), &row_key()).unwrap());
    assert!(!deployment::complete(&on.url, &renamed, &anchors(), &row_key()).unwrap());
    assert_eq!(deployment::rename(&on.url, &renamed, renamed.aud_key, row.aud_key), Err(StoreError::Conflict));
    let ready = DeploymentRow { ready: true, ..renamed };
    assert_eq!(deployment::read(&on.url).unwrap(), Some(ready.clone()));
    Store::open(on.options(), &ready, row_key()).unwrap();
    let claimed = Store::open(on.options(), &done, row_key()).map(drop);
    assert!(matches!(claimed, Err(StoreError::Corrupt { table: "deployment", .. })), "{claimed:?}");
}
