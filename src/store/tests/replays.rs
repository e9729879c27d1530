//! Rows deleted, put back and moved between, on a store that runs and on one that starts: what is refused at once, and what the pass names.

use super::*;
use crate::store::engine::scope::part_of;

on_both!(
    a_deleted_deny_is_an_alarm,
    an_old_access_key_is_an_alarm,
    an_old_label_is_an_alarm,
    the_pass_names_what_it_finds,
    exact_reads_wait_for_no_pass,
    an_old_rotation_sets_no_password_back,
    a_false_count_stops_nothing,
    a_row_that_cannot_be_read_is_nobodys,
);

fn refused<T: std::fmt::Debug>(answer: Result<T, StoreError>, says: &str) {
    assert!(matches!(&answer, Err(StoreError::Corrupt { detail, .. }) if detail.contains(says)), "{says}: {answer:?}");
}

fn ask<T>(store: &Store, f: impl Fn(&mut Tx<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
    store.read("test", |tx| f(tx).map_err(Abort::<StoreError>::Db))
}

/// On the node that runs, and on one that starts now.
fn on_each(on: &Fixture, f: &dyn Fn(&Store)) {
    f(&on.store);
    f(&on.open(on.options()).unwrap());
}

fn a_deleted_deny_is_an_alarm(on: &Fixture) {
    let account = account("main");
    let ann = user(&account.id, "ann");
    let attachment = AttachmentRow {
        user_id: ann.id,
        system: true,
        policy_name: "AliyunKMSReadOnlyAccess".parse().unwrap(),
        account_id: account.id.clone(),
    };
    let policy = ResourcePolicyRow {
        account_id: account.id.clone(),
        resource: "secret/x".to_owned(),
        document: "{}".to_owned(),
        updated_at: NOW,
    };
    on.write(|tx| {
        tx.account_insert(&account)?;
        tx.user_insert(&ann)?;
        tx.attachment_insert(&attachment)?;
        tx.resource_policy_put(&policy)
    });
    assert_eq!(ask(&on.store, |tx| tx.attachments_of(&account.id, &ann.id)).unwrap().len(), 1);
    assert_eq!(ask(&on.store, |tx| tx.resource_policy(&account.id, "secret/x")), Ok(Some(policy.clone())));
    let mut conn = on.intruder();
    conn.batch_execute("CREATE TABLE kept AS SELECT * FROM policy_attachments; DELETE FROM policy_attachments").unwrap();
    on_each(on, &|store| refused(ask(store, |tx| tx.attachments_of(&account.id, &ann.id)), &format!("user {}", ann.id)));
    conn.batch_execute("INSERT INTO policy_attachments SELECT * FROM kept; DELETE FROM resource_policies").unwrap();
    on_each(on, &|store| {
        assert!(ask(store, |tx| tx.attachments_of(&account.id, &ann.id)).is_ok(), "put right, it is believed again");
        refused(ask(store, |tx| tx.resource_policy(&account.id, "secret/x")), "policies of single keys and secrets");
        refused(ask(store, |tx| tx.resources_with_policy(&account.id)), "policies of single keys and secrets");
    });
    // With its digest gone too, the digests do not add up.
    conn.batch_execute("DELETE FROM scopes WHERE seq > 0 AND seq < (SELECT max(seq) FROM scopes)").unwrap();
    conn.batch_execute("DELETE FROM scopes WHERE length(scope) > 1").unwrap();
    refused(ask(&on.open(on.options()).unwrap(), |tx| tx.resources_with_policy(&account.id)), "do not add up");
}

fn an_old_access_key_is_an_alarm(on: &Fixture) {
    let account = account("main");
    let key = access_key(&account.id, None);
    on.write(|tx| tx.account_insert(&account));
    on.write(|tx| tx.access_key_insert(&key));
    assert_eq!(ask(&on.store, |tx| tx.access_key_by_id(&key.id)), Ok(Some(key.clone())));
    let mut conn = on.intruder();
    let copy =
        |n: u8| format!("CREATE TABLE keys{n} AS SELECT * FROM access_keys; CREATE TABLE scopes{n} AS SELECT * FROM scopes;");
    conn.batch_execute(&copy(1)).unwrap();
    on.write(|tx| tx.access_key_update(&key, &AccessKeyRow { enabled: false, ..key.clone() }));
    conn.batch_execute(&copy(2)).unwrap();
    let put = |table: &str, n: u8| {
        format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM {}{n};", &table.replace("access_", ""))
    };
    conn.batch_execute(&put("access_keys", 1)).unwrap();
    on_each(on, &|store| refused(ask(store, |tx| tx.access_key_by_id(&key.id)), "deleted, or put back"));
    // With the digests of then: the node that saw the change knows better. One that starts needs an anchor outside the database.
    conn.batch_execute(&put("scopes", 1)).unwrap();
    refused(on.store.rights_since(0), "the database was put back as it was");
    refused(on.store.head(), "the database was put back as it was");
    conn.batch_execute(&(put("scopes", 2) + &put("access_keys", 2))).unwrap();
    assert!(!ask(&on.store, |tx| tx.access_key_by_id(&key.id)).unwrap().unwrap().enabled);
    on.write(|tx| tx.access_key_delete(&key.id).map(drop));
    conn.batch_execute(&put("access_keys", 2)).unwrap();
    on_each(on, &|store| refused(ask(store, |tx| tx.access_key_by_id(&key.id)), &format!("account {}", account.id)));
}

fn an_old_label_is_an_alarm(on: &Fixture) {
    let (account, key, secret, v1) = on.with_secret();
    let v2 = VersionRow { created_at: NOW.plus_ms(1), ..version(&secret.id, &key.primary_version, "v2") };
    on.write(|tx| tx.tag_put(&account.id, Tagged::Secret(secret.id), "k", "v"));
    let mut conn = on.intruder();
    let tables = ["version_stages", "secret_versions", "tags"];
    let copy = |n: u8| tables.map(|table| format!("CREATE TABLE {table}{n} AS SELECT * FROM {table};")).concat();
    let put = |table: &str, n: u8| format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM {table}{n};");
    conn.batch_execute(&copy(1)).unwrap();
    on.write(|tx| {
        tx.version_insert(&v2)?;
        tx.stage_update(&stage(&v1, "ACSCurrent"), &stage(&v2, "ACSCurrent"))?;
        tx.tag_put(&account.id, Tagged::Secret(secret.id), "k", "w")
    });
    conn.batch_execute(&copy(2)).unwrap();
    let name = secret.name.clone();
    let current = |store: &Store| store.read_row("v", |tx| tx.value_by_stage(&account.id, &name, &Stage::current()));
    let by_name =
        |store: &Store, version: &VersionId| store.read_row("v", |tx| tx.value_by_version(&account.id, &name, version));
    assert_eq!(current(&on.store).unwrap().unwrap().version, Some(v2.clone()));
    conn.batch_execute(&put("version_stages", 1)).unwrap();
    on_each(on, &|store| {
        refused(current(store), "labels of secret app/db");
        refused(by_name(store, &v1.version_id), "labels of secret app/db");
        refused(ask(store, |tx| tx.stages_of(&secret.id)), "labels of secret app/db");
    });
    conn.batch_execute(&put("version_stages", 2)).unwrap();
    conn.batch_execute(&put("tags", 1)).unwrap();
    on_each(on, &|store| {
        assert!(current(store).is_ok());
        refused(ask(store, |tx| tx.tags_of(Tagged::Secret(secret.id))), "tags of secret app/db");
        refused(ask(store, |tx| tx.tags_of_secrets(&[secret.id])), "tags of secret app/db");
    });
    conn.batch_execute(&put("tags", 2)).unwrap();
    on.write(|tx| {
        tx.stage_delete(&stage(&v1, "blue"))?;
        tx.version_delete(&v1.head()).map(drop)
    });
    // A version that its owner's limits have removed.
    conn.batch_execute("INSERT INTO secret_versions SELECT * FROM secret_versions1").unwrap();
    on_each(on, &|store| {
        assert!(current(store).is_ok());
        refused(by_name(store, &v1.version_id), "versions of secret app/db");
        refused(ask(store, |tx| tx.versions_of(&secret.id)), "versions of secret app/db");
    });
}

fn the_pass_names_what_it_finds(on: &Fixture) {
    let (account, _, secret, _) = on.with_secret();
    let part = part_of(&secret.id);
    let mut conn = on.intruder();
    let tables = ["version_stages", "secret_versions", "secrets"];
    let copy = |n: u8| tables.map(|table| format!("CREATE TABLE {table}{n} AS SELECT * FROM {table};")).concat();
    let put = |n: u8| {
        let gone = tables.map(|table| format!("DELETE FROM {table};")).concat();
        gone + &tables.map(|table| format!("INSERT INTO {table} SELECT * FROM {table}{n};")).concat()
    };
    conn.batch_execute(&copy(1)).unwrap();
    let old = on.as_it_is(&secret);
    on.write(|tx| tx.secret_update(&old, &SecretRow { description: "new".to_owned(), ..old.clone() }));
    conn.batch_execute(&copy(2)).unwrap();
    let found = |store: &Store| store.part_check(part).unwrap().strange;
    let is_served = |store: &Store| ask(store, |tx| tx.secret_by_name(&account.id, &secret.name));
    on_each(on, &|store| assert_eq!(found(store), Vec::<String>::new()));

    conn.batch_execute(&put(1)).unwrap();
    on_each(on, &|store| {
        let named = format!("secret app/db of account {}: put back as it was earlier", account.id);
        assert_eq!(found(store), [named]);
        refused(is_served(store), "put back");
        assert_eq!(store.quarantined(), (1, 0));
    });
    conn.batch_execute("DELETE FROM version_stages; DELETE FROM secret_versions; DELETE FROM secrets").unwrap();
    on_each(on, &|store| assert_eq!(found(store), [format!("secret {}: deleted with all that belonged to it", secret.id)]));
    conn.batch_execute(&put(2)).unwrap();
    conn.batch_execute("DELETE FROM version_stages WHERE stage = 'blue'").unwrap();
    on_each(on, &|store| assert!(found(store)[0].starts_with("secret app/db of account"), "{:?}", found(store)));
    conn.batch_execute(&put(2)).unwrap();
    on_each(on, &|store| {
        assert_eq!(found(store), Vec::<String>::new());
        assert!(is_served(store).is_ok(), "what is put right is served again");
        assert_eq!(store.quarantined(), (0, 0));
    });
    // With its digest, under a node that knows better.
    let digests = on.as_it_is(&secret);
    conn.batch_execute("CREATE TABLE kept AS SELECT * FROM parts; CREATE TABLE secrets3 AS SELECT * FROM secrets").unwrap();
    let now = SecretRow { description: "new".to_owned(), ..digests };
    on.write(|tx| tx.secret_update(&now, &SecretRow { description: "newer".to_owned(), ..now.clone() }));
    conn.batch_execute("CREATE TABLE latest AS SELECT * FROM parts; CREATE TABLE secrets4 AS SELECT * FROM secrets").unwrap();
    let back = "DELETE FROM parts; INSERT INTO parts SELECT * FROM kept; DELETE FROM secrets; INSERT INTO secrets SELECT * FROM secrets3";
    conn.batch_execute(back).unwrap();
    assert!(found(&on.store)[0].contains("put back under this node"));
    refused(on.store.head(), "were put back as they were earlier");
    refused(is_served(&on.store), "put back");
    assert_eq!(on.store.quarantined_parts(), [part]);
    // Put right under the same node.
    let right = "DELETE FROM parts; INSERT INTO parts SELECT * FROM latest; DELETE FROM secrets; INSERT INTO secrets SELECT * FROM secrets4";
    conn.batch_execute(right).unwrap();
    assert!(on.store.head().is_ok());
    assert_eq!(found(&on.store), Vec::<String>::new());
    assert!(is_served(&on.store).is_ok(), "what is put right is served again");
}

/// From the middle of a rotation: whoever goes on with it would set the server's password back to that of the version that was pending.
fn an_old_rotation_sets_no_password_back(on: &Fixture) {
    let (_, _, secret, _) = on.with_secret();
    let row = rotation(&secret.id);
    on.write(|tx| tx.rotation_insert(&row));
    let mut conn = on.intruder();
    conn.batch_execute("CREATE TABLE kept AS SELECT * FROM rotations").unwrap();
    let done = RotationRow { pending_id: None, pending_uuid: None, holder: None, held_until: None, ..row.clone() };
    on.write(|tx| tx.rotation_update(&row, &done));
    conn.batch_execute("DELETE FROM rotations; INSERT INTO rotations SELECT * FROM kept").unwrap();
    on_each(on, &|store| {
        refused(ask(store, |tx| tx.rotation_of(&secret.id)), "rotation of secret app/db");
        let due = ask(store, |tx| tx.rotations_due(&NodeId::new(), Timestamp(30), 10)).map(|mut due| due.remove(0));
        refused(due.and_then(|due| due), "rotation of secret app/db");
    });
}

fn a_false_count_stops_nothing(on: &Fixture) {
    let (account, key, secret, _) = on.with_secret();
    let part = part_of(&secret.id);
    let counted = || ask(&on.store, |tx| tx.secret_count(&account.id, NOW, &SecretFilter::default())).unwrap();
    let mut conn = on.intruder();
    for count in [0, 7] {
        conn.batch_execute(&format!("UPDATE secret_counts SET secrets = {count}")).unwrap();
        assert_eq!(counted(), count);
        let found = on.store.part_check(part).unwrap().strange;
        let ids = format!("secrets whose ids begin with {part:02x}");
        assert_eq!(found, [format!("account {}: by its count it had {count} {ids}, and it has 1", account.id)]);
        assert_eq!((counted(), on.store.quarantined()), (1, (0, 0)), "put right, and nothing is kept from anybody");
        assert_eq!(on.store.part_check(part).unwrap().strange, Vec::<String>::new());
    }
    // Of parts that there are none of.
    let of_no_part = "INSERT INTO secret_counts SELECT id, -1, 9223372036854775807 FROM accounts; \
                      INSERT INTO secret_counts SELECT id, 256, 1 FROM accounts";
    conn.batch_execute(of_no_part).unwrap();
    assert_eq!(counted(), 1, "they count for nothing");
    let proof = on.store.prove(&on.options(), &mut |_, _| {}).unwrap();
    assert!(proof.flaws.iter().any(|flaw| flaw.what.contains("parts that there are none of")), "{:?}", proof.flaws);
    let strange = "secret_counts: 2 rows are of parts that there are none of".to_owned();
    assert_eq!(on.store.part_check(0).unwrap().strange, [strange]);
    assert_eq!(on.store.part_check(0).unwrap().strange, Vec::<String>::new());
    conn.batch_execute("DELETE FROM secret_counts").unwrap();
    assert_eq!(on.store.part_check(part).unwrap().strange.len(), 1);
    conn.batch_execute("UPDATE secret_counts SET secrets = 0").unwrap();
    let row = on.as_it_is(&secret);
    assert!(on.write(|tx| tx.secret_delete(&row)));
    assert_eq!(counted(), 0);
    on.write(|tx| tx.secret_insert(&super::secret(&account.id, &key.id, "another")));
    assert_eq!(counted(), 1);
}

/// Nor does it keep the rows beside it from being served, or what else is found from being told.
fn a_row_that_cannot_be_read_is_nobodys(on: &Fixture) {
    let (account, _, secret, _) = on.with_secret();
    let part = part_of(&secret.id);
    let mut nobody = *secret.id.as_bytes();
    nobody[15] ^= 1;
    let nobody = blob(on, &nobody);
    let columns = "secret_type, description, key_id, user_key, created_at, updated_at, delete_at, kms_instance, content, mac";
    for strange in [
        format!("INSERT INTO secret_counts VALUES ('x', {part}, 3)"),
        format!("INSERT INTO secret_counts VALUES ('9999999999999999', {part}, 3)"),
        format!("INSERT INTO tags VALUES ({nobody}, 'k', 'x', 2, 'v', {})", blob(on, &[1; 17])),
        format!(
            "INSERT INTO version_stages SELECT {nobody}, '', version_id, version_uuid, number, withheld, mac FROM version_stages \
             WHERE stage = 'blue'"
        ),
        format!("INSERT INTO secrets (account_id, name, id, {columns}) SELECT 'x', name, {nobody}, {columns} FROM secrets"),
    ] {
        on.intruder().batch_execute(&strange).unwrap();
    }
    let found = on.store.part_check(part).unwrap().strange;
    for table in ["secret_counts", "tags", "version_stages", "secrets"] {
        let told = format!("1 rows of {table}, among those of secrets whose ids begin with {part:02x}, do not verify");
        assert!(found.iter().any(|found| found.starts_with(&told)), "{table}: {found:?}");
    }
    assert!(found.iter().any(|found| found.starts_with("account 9999999999999999: by its count")), "{found:?}");
    assert!(!found.iter().any(|found| found.contains("could not be put right")), "{found:?}");
    assert_eq!(on.store.quarantined(), (0, 0));
    assert!(ask(&on.store, |tx| tx.secret_by_name(&account.id, &secret.name)).unwrap().is_some());
    let counts = "SELECT account_id AS line FROM secret_counts ORDER BY account_id";
    assert!(!lines(&mut on.intruder(), counts).contains(&"9999999999999999".to_owned()));
}

fn exact_reads_wait_for_no_pass(on: &Fixture) {
    let (account, key, secret, _) = on.with_secret();
    let store = on.open(StoreOptions { exact_secrets: true, ..on.options() }).unwrap();
    let value = || store.read_row("v", |tx| tx.value_by_stage(&account.id, &secret.name, &Stage::current()));
    let mut conn = on.intruder();
    conn.batch_execute("CREATE TABLE kept AS SELECT * FROM secrets").unwrap();
    assert!(value().unwrap().is_some());
    // Another node changes it: no alarm, here and on the next read.
    let old = on.as_it_is(&secret);
    on.write(|tx| tx.secret_update(&old, &SecretRow { description: "new".to_owned(), ..old.clone() }));
    assert_eq!(value().unwrap().unwrap().secret.description, "new");
    on.write(|tx| tx.secret_insert(&super::secret(&account.id, &key.id, "another")));
    assert!(value().unwrap().is_some());
    conn.batch_execute("DELETE FROM secrets WHERE name = 'app/db'; INSERT INTO secrets SELECT * FROM kept").unwrap();
    refused(value(), "put back");
    refused(ask(&store, |tx| tx.secrets_page(&account.id, NOW, &SecretFilter::default(), 0, 10)), "put back");
}
