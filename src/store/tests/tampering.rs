//! Every column of every sealed table: changed behind the service's back, the row is refused.

use diesel::prelude::*;

use super::*;
use crate::ids::AccessKeyId;
use crate::store::schema;
use crate::store::tags::TagRecord;

on_both!(every_column_counts, another_key_verifies_nothing);

/// Reads all rows of a table.
type Reader = fn(&mut Tx<'_>) -> Result<(), StoreError>;

/// The sealed tables.
macro_rules! sealed {
    ($($table:ident: $row:ty),*) => {
        [$((stringify!($table), |tx| {
            tx.all(|conn| schema::$table::table.select((<$row>::as_select(), schema::$table::mac)).load(conn)).map(|rows| {
                assert!(!rows.is_empty(), "no row to tamper with");
            })
        })),*]
    };
}

const TABLES: [(&str, Reader); 13] = sealed!(
    accounts: AccountRow, users: UserRow, access_keys: AccessKeyRow, policies: PolicyRow, policy_attachments: AttachmentRow,
    keys: KeyRow, key_versions: KeyVersionRow, key_rotations: KeyRotationRow, aliases: AliasRow, secrets: SecretRow,
    version_stages: StageRow, tags: TagRecord, resource_policies: ResourcePolicyRow
);

fn fill(on: &Fixture) -> AccountId {
    let (account, key, ..) = on.with_secret();
    let user = user(&account.id, "ann");
    let (account_id, created_at) = (account.id.clone(), NOW);
    let policy_name: crate::ids::PolicyName = "p".parse().unwrap();
    on.write(|tx| {
        tx.user_insert(&user)?;
        tx.access_key_insert(&AccessKeyRow {
            id: AccessKeyId::random(),
            account_id: account_id.clone(),
            user_id: Some(user.id),
            enabled: true,
            created_at,
            suite: Suite::AesGcmCallerIv,
            wrapped: vec![9; 60],
        })?;
        let (account_id, document) = (account_id.clone(), "{}".to_owned());
        tx.policy_insert(&PolicyRow { account_id: account_id.clone(), name: policy_name.clone(), document, created_at })?;
        let policy_name = policy_name.clone();
        let attached = AttachmentRow { user_id: user.id, system: false, policy_name, account_id: account_id.clone() };
        tx.attachment_insert(&attached)?;
        tx.key_rotation_put(&KeyRotationRow { key_id: key.id, interval_s: Some(1), due_at: created_at })?;
        tx.default_key_insert(&account_id, &key.id)?;
        tx.tag_put(&account_id, Tagged::Key(key.id), "k", "v")?;
        let (resource, document) = (format!("key/{}", key.id), "{}".to_owned());
        tx.resource_policy_put(&ResourcePolicyRow { account_id: account_id.clone(), resource, document, updated_at: NOW })?;
        let name = "alias/a".parse().unwrap();
        tx.alias_insert(&AliasRow { account_id, name, key_id: key.id, created_at })
    });
    account_id
}

/// Another value that the column may hold, and that parses where the column's type has more than one.
fn other(column: &str, kind: &str, sqlite: bool) -> String {
    match (column, kind) {
        ("account_id", _) => "'9999999999999999'".to_owned(),
        ("state", _) => "'Disabled'".to_owned(),
        ("usage", _) => "'SIGN/VERIFY'".to_owned(),
        ("spec", _) => "'Aliyun_AES_128'".to_owned(),
        ("protection", _) => "'HSM'".to_owned(),
        (_, "text") => "'tampered'".to_owned(),
        (_, "int") => format!("COALESCE({column}, 0) + 1"),
        (_, "bool") if sqlite => format!("1 - {column}"),
        (_, "bool") => format!("NOT {column}"),
        _ if sqlite => "x'00112233445566778899aabbccddeeff'".to_owned(),
        _ => "'\\x00112233445566778899aabbccddeeff'".to_owned(),
    }
}

fn every_column_counts(on: &Fixture) {
    fill(on);
    // One row each, so that a primary key can be set to a constant.
    on.intruder().batch_execute("DELETE FROM version_stages WHERE stage = 'blue'").unwrap();
    for (table, reader) in TABLES {
        on.read(reader);
        let mut conn = on.intruder();
        conn.batch_execute(&format!("CREATE TABLE kept AS SELECT * FROM {table}")).unwrap();
        let columns = columns(on, table);
        assert!(columns.iter().any(|c| c == "mac blob"), "{table}: {columns:?}");
        for line in columns {
            let mut words = line.split(' ');
            let (column, kind) = (words.next().unwrap(), words.next().unwrap());
            let mut values = vec![other(column, kind, on.is_sqlite())];
            if line.ends_with(" null") {
                values.push("NULL".to_owned());
            }
            for value in values {
                let changed = format!("UPDATE {table} SET {column} = {value}");
                let was_null = value == "NULL" && column == "delete_at";
                conn.batch_execute(&changed).unwrap();
                let read = on.store.read("test", |tx| reader(tx).map_err(Abort::<StoreError>::Db));
                match read {
                    Ok(()) if was_null => {}
                    Err(StoreError::Corrupt { table: told, .. }) if told == table => {}
                    other => panic!("{changed}: {other:?}"),
                }
                conn.batch_execute(&format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept")).unwrap();
            }
        }
        conn.batch_execute("DROP TABLE kept").unwrap();
        on.read(reader);
    }
    let account = on.read(|tx| tx.accounts()).remove(0).id;
    assert!(on.read(|tx| tx.default_key(&account)).is_some());
    on.intruder().batch_execute("UPDATE default_keys SET key_id = (SELECT id FROM key_versions)").unwrap();
    let read = on.store.read("test", |tx| Ok::<_, Abort<StoreError>>(tx.default_key(&account)?));
    assert!(matches!(read, Err(StoreError::Corrupt { table: "default_keys", .. })), "{read:?}");
}

fn another_key_verifies_nothing(on: &Fixture) {
    fill(on);
    let other = Store::open(options(&on.url), RowKey::new(&[8; 32])).unwrap();
    for (table, reader) in TABLES {
        let read = other.read("test", |tx| reader(tx).map_err(Abort::<StoreError>::Db));
        assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{table}");
    }
}
