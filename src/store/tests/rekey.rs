//! Everything under another row key: what was there reads the same, and who has the key of before forges nothing any more.

use std::cell::RefCell;

use super::tampering::fill;
use super::*;
use crate::base::ids::RequestId;
use crate::store::Proof;

on_both!(
    everything_reads_the_same_under_the_next_key,
    who_has_the_key_of_before_forges_nothing_any_more,
    what_does_not_verify_is_not_written_anew,
    a_node_that_ran_on_through_it_writes_nothing,
);

fn next_key() -> RowKey {
    RowKey::new(&[8; 32])
}

/// The deployment's row once the next key is in use.
fn rekeyed(on: &Fixture) -> DeploymentRow {
    let old = &on.deployment;
    let row_key = old.spare_row_key.expect("one that is named");
    DeploymentRow { row_key, spare_row_key: Some(old.row_key), ..old.clone() }
}

fn rekey(on: &Fixture) -> Result<u64, StoreError> {
    on.store.rekey(&on.options(), &rekeyed(on), next_key(), &|_| Ok(()), &mut |_, _, _| {})
}

/// A node that begins with the next key.
fn next(on: &Fixture) -> Store {
    Store::open(on.options(), &rekeyed(on), next_key()).unwrap()
}

fn read<T>(store: &Store, f: impl Fn(&mut Tx<'_>) -> Result<T, StoreError>) -> T {
    store.read("test", |tx| f(tx).map_err(Abort::<StoreError>::Db)).unwrap()
}

fn proof(on: &Fixture, store: &Store) -> Proof {
    store.prove(&on.options(), &mut |_, _| {}).unwrap()
}

fn everything_reads_the_same_under_the_next_key(on: &Fixture) {
    let account = fill(on);
    let shown = |store: &Store| {
        read(store, |tx| {
            let secrets = tx.secrets_page(&account, NOW, &SecretFilter::default(), 0, 100)?.0;
            let mut told = format!("{:?} {:?} {:?}", tx.accounts()?, tx.users_of(&account)?, tx.key_version_ids()?);
            for secret in &secrets {
                told += &format!("{:?} {:?} {:?}", secret.name, tx.stages_of(&secret.id)?, tx.versions_of(&secret.id)?);
            }
            Ok((told, secrets.len(), tx.log_heads()?, tx.anchors()?, tx.nodes()?))
        })
    };
    let (before, head) = (shown(&on.store), on.store.head().unwrap());
    assert_eq!(proof(on, &on.store).flaws, []);
    let told = RefCell::new(Vec::new());
    let (request_id, node) = (RequestId::new(), NodeId::new());
    let mark = |tx: &mut Tx<'_>| tx.nonce_insert(&NonceRow { digest: vec![8; 16], request_id, node, expires_at: NOW });
    let done = on.store.rekey(&on.options(), &rekeyed(on), next_key(), &mark, &mut |stage, done, all| {
        told.borrow_mut().push((stage, done, all));
    });
    assert!(done.is_ok(), "{done:?}");
    let (_, done, all) = told.borrow().iter().copied().rfind(|(stage, ..)| *stage == RekeyStage::Writing).unwrap();
    assert!(done > 20 && done < all, "{done} of {all}: all but digests, the deployment's row and bearer tokens");
    let store = next(on);
    assert_eq!(proof(on, &store).flaws, []);
    assert_eq!(shown(&store), before);
    assert!(read(&store, |tx| tx.nonce_of_request(&request_id, &node, NOW)), "what was to be done beside");
    assert_eq!(read(&store, |tx| tx.rights_counted()).bearer_tokens, 0);
    // Whoever remembers where it stood finds that it went on.
    let now = store.head().unwrap();
    assert_eq!(now.contradicts(&head), None);
    assert_ne!(now, head);
    // It goes on, and writes.
    store.write("test", |tx| change(tx).map_err(Abort::<StoreError>::Db)).unwrap();
    assert_eq!(proof(on, &store).flaws, []);
}

/// The whole of it is as it was, by copies of all tables.
fn kept(on: &Fixture, table: &str) {
    on.intruder().batch_execute(&format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}")).unwrap();
}

fn put_back(on: &Fixture, table: &str) {
    let sql = format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table}; DROP TABLE kept_{table}");
    on.intruder().batch_execute(&sql).unwrap();
}

fn who_has_the_key_of_before_forges_nothing_any_more(on: &Fixture) {
    let (account, ..) = on.with_secret();
    let forged = user(&account.id, "mallory");
    // With the key he is believed: all that a running service can do he can do with the database alone.
    let leaked = on.open(on.options()).unwrap();
    leaked.write("test", |tx| tx.user_insert(&forged).map_err(Abort::<StoreError>::Db)).unwrap();
    assert!(on.read(|tx| tx.users_of(&account.id)).contains(&forged));
    kept(on, "deployment");
    kept(on, "users");
    rekey(on).unwrap();
    let store = next(on);
    // What he had forged before stays, as nobody can tell it: it is looked through by people.
    assert!(read(&store, |tx| tx.users_of(&account.id)).contains(&forged));
    // A row under the key of before.
    let another = user(&account.id, "oscar");
    let mac = row_key().seal(&another, on.deployment.level);
    let mut conn = on.intruder();
    let values = (&another, schema::users::mac.eq(&mac[..]));
    diesel::insert_into(schema::users::table).values(values).execute(&mut conn).unwrap();
    let found = store.read_rows("test", |tx| tx.user_by_id(&another.id));
    assert!(matches!(found, Err(StoreError::Corrupt { table: "users", .. })), "{found:?}");
    assert!(!proof(on, &store).flaws.is_empty());
    // The rows of before, and the row that names the key of before.
    put_back(on, "users");
    let found = store.read_rows("test", |tx| tx.user_by_id(&forged.id));
    assert!(matches!(found, Err(StoreError::Corrupt { table: "users", .. })), "{found:?}");
    put_back(on, "deployment");
    let old = Store::open(on.options(), &rekeyed(on), next_key()).map(drop);
    assert!(matches!(old, Err(StoreError::Corrupt { table: "deployment", .. })), "{old:?}");
    assert!(store.node_lives(NodeId::new(), NOW).is_err());
}

fn what_does_not_verify_is_not_written_anew(on: &Fixture) {
    let (account, _, secret, _) = on.with_secret();
    let harms = [
        ("accounts", "UPDATE accounts SET name = 'another'"),
        ("version_stages", "DELETE FROM version_stages WHERE stage = 'blue'"),
        ("secret_versions", "UPDATE secret_versions SET number = 7"),
        ("scopes", "DELETE FROM scopes"),
        ("anchors", "DELETE FROM anchors"),
        ("log_heads", "INSERT INTO log_heads SELECT id, 'audit', 'x', 1, id, 1, id, 1, 1, 1, id, 1, mac FROM deployment"),
    ];
    for (table, harm) in harms {
        kept(on, table);
        on.intruder().batch_execute(harm).unwrap();
        let refused = rekey(on);
        assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "{harm}: {refused:?}");
        put_back(on, table);
        on.open(on.options()).unwrap();
        assert_eq!(proof(on, &on.store).flaws, [], "{harm}: nothing was changed");
    }
    // Nor is the key exchanged for one that the row does not name.
    let to = DeploymentRow { row_key: KeyVersionId::new(), ..rekeyed(on) };
    let refused = on.store.rekey(&on.options(), &to, next_key(), &|_| Ok(()), &mut |_, _, _| {});
    assert_eq!(refused, Err(StoreError::Conflict));
    // What is to be done beside fails.
    let failing = |_: &mut Tx<'_>| Err(StoreError::Conflict);
    assert_eq!(on.store.rekey(&on.options(), &rekeyed(on), next_key(), &failing, &mut |_, _, _| {}), Err(StoreError::Conflict));
    assert_eq!(proof(on, &on.store).flaws, []);
    assert_eq!(on.read(|tx| tx.secret_by_id(&secret.id)).map(|row| row.account_id), Some(account.id));
}

fn a_node_that_ran_on_through_it_writes_nothing(on: &Fixture) {
    let (account, key, ..) = on.with_secret();
    let node = NodeId::new();
    on.store.node_lives(node, NOW).unwrap();
    on.store.head().unwrap();
    rekey(on).unwrap();
    let old = &on.store;
    let (user, new) = (user(&account.id, "late"), secret(&account.id, &key.id, "app/late"));
    let version = version(&new.id, &key.primary_version, "v1");
    let refused = [
        old.node_lives(node, NOW),
        on.try_write(|tx| tx.user_insert(&user)),
        on.try_write(|tx| {
            tx.secret_insert(&new)?;
            tx.version_insert(&version)?;
            tx.stage_insert(&stage(&version, "ACSCurrent"))
        }),
        old.write_guarded("test", |tx| {
            tx.secret_insert_with(&new, &version, &stage(&version, "ACSCurrent")).map_err(Abort::<StoreError>::Db)
        }),
        old.head().map(drop),
        old.read_rows("test", |tx| tx.anchors()).map(drop),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "{refused:?}");
    }
    assert_eq!(proof(on, &next(on)).flaws, [], "it left nothing behind");
}
