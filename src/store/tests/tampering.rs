//! Every column of every sealed table: changed behind the service's back, the row is refused.

use std::collections::HashSet;

use diesel::prelude::*;

use super::*;
use crate::base::ids::AccessKeyId;
use crate::store::engine::tx::every;
use crate::store::keys::key::DefaultKeyRow;
use crate::store::ledger::digests::{PartRow, ScopeRow};
use crate::store::shared::tags::TagRecord;

on_both!(
    every_column_counts,
    a_bad_row_keeps_no_other_from_its_turn,
    another_key_verifies_nothing,
    a_policy_that_is_renamed_is_found,
    a_head_of_nobodys_stops_nobody,
    a_digest_of_nobodys_hides_nothing,
    what_a_key_has_lost_is_found,
    a_list_by_alias_or_tag_is_proved
);

/// Reads all rows of a table.
type Reader = fn(&mut Tx<'_>) -> Result<(), StoreError>;

/// The sealed tables.
macro_rules! sealed {
    ($($table:ident: $row:ty),*) => {
        [$((stringify!($table), |tx| {
            tx.all(every, |conn| schema::$table::table.select((<$row>::as_select(), schema::$table::mac)).load(conn)).map(|rows| {
                assert!(!rows.is_empty(), "no row to tamper with");
            })
        })),*]
    };
}

const TABLES: &[(&str, Reader)] = &sealed!(
    accounts: AccountRow, users: UserRow, access_keys: AccessKeyRow, bearer_tokens: BearerTokenRow, policies: PolicyRow, policy_attachments: AttachmentRow,
    deployment: DeploymentRow, nodes: NodeRow, nonces: NonceRow, log_heads: LogHeadRow, anchors: AnchorsRow, default_keys: DefaultKeyRow, keys: KeyRow, key_versions: KeyVersionRow, key_rotations: KeyRotationRow, aliases: AliasRow, secrets: SecretRow,
    version_stages: StageRow,
    condemned: CondemnedRow, key_materials: KeyMaterialRow, import_parameters: ImportParametersRow,
    access_points: AccessPointRow, access_policies: AccessPolicyRow, network_rules: NetworkRuleRow, client_keys: ClientKeyRow,
    tags: TagRecord, resource_policies: ResourcePolicyRow,
    rotations: RotationRow, rotation_accounts: RotationAccountRow,
    scopes: ScopeRow, parts: PartRow
);

fn log_head() -> LogHeadRow {
    LogHeadRow {
        node: NodeId::new(),
        log: "audit".into(),
        place: "here:/audit".into(),
        generation: 1,
        token: vec![1; 16],
        seq: 7,
        hash: vec![2; 32],
        open_from: 8,
        rights: 1,
        changes: 2,
        digest: vec![3; 32],
        written_at: NOW,
    }
}

/// A database with a row in every table; the account of most of them.
pub(super) fn fill(on: &Fixture) -> AccountId {
    let (account, key, secret, _) = on.with_secret();
    on.store.node_lives(NodeId::new(), NOW).unwrap();
    let head = log_head();
    let (request_id, node) = (crate::base::ids::RequestId::new(), NodeId::new());
    on.write(|tx| {
        tx.log_head_put(None, &head)?;
        tx.nonce_insert(&NonceRow { digest: vec![7; 16], request_id, node, expires_at: NOW })?;
        let old = tx.anchors()?;
        let new = AnchorsRow { restored_at: NOW, previous_key: Some(KeyVersionId::new()), ..old.clone() };
        tx.anchors_put(&old, &new)
    });
    let user = user(&account.id, "ann");
    let (account_id, created_at) = (account.id.clone(), NOW);
    let policy_name: crate::base::ids::PolicyName = "p".parse().unwrap();
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
        tx.bearer_token_insert(&BearerTokenRow { user_id: Some(user.id), ..bearer_token(&account_id, 1) })?;
        let (account_id, document) = (account_id.clone(), "{}".to_owned());
        tx.policy_insert(&PolicyRow { account_id: account_id.clone(), name: policy_name.clone(), document, created_at })?;
        let policy_name = policy_name.clone();
        let attached = AttachmentRow { user_id: user.id, system: false, policy_name, account_id: account_id.clone() };
        tx.attachment_insert(&attached)?;
        tx.key_rotation_put(&KeyRotationRow { key_id: key.id, interval_s: Some(1), due_at: created_at })?;
        tx.default_key_insert(&account_id, &key.id)?;
        let (id, key_id, condemned_at) = (KeyVersionId::new(), key.id, created_at);
        tx.condemn(&CondemnedRow { id, key_id, account_id: account_id.clone(), condemned_at })?;
        tx.key_material_insert(&material(&key))?;
        fill_access(tx, &account_id)?;
        tx.import_parameters_insert(&parameters(&key.id))?;
        tx.tag_put(&account_id, Tagged::Key(key.id), "k", "v")?;
        let (resource, document) = (format!("key/{}", key.id), "{}".to_owned());
        tx.resource_policy_put(&ResourcePolicyRow { account_id: account_id.clone(), resource, document, updated_at: NOW })?;
        let name = "alias/a".parse().unwrap();
        tx.alias_insert(&AliasRow { account_id, name, key_id: key.id, created_at })?;
        let rotation = rotation(&secret.id);
        let account = RotationAccountRow {
            instance: rotation.instance.clone(),
            name: "app".parse().unwrap(),
            secret_id: rotation.secret_id,
        };
        tx.rotation_account_insert(&account)?;
        tx.rotation_insert(&rotation)
    });
    account_id
}

/// An access point with everything that there is round one.
fn fill_access(tx: &mut Tx<'_>, account: &AccountId) -> Result<(), StoreError> {
    let (account_id, description, created_at) = (account.clone(), String::new(), NOW);
    tx.network_rule_insert(&NetworkRuleRow {
        account_id: account_id.clone(),
        name: "r".parse().unwrap(),
        description: description.clone(),
        source_ips: "[]".to_owned(),
        created_at,
    })?;
    tx.access_policy_insert(&AccessPolicyRow {
        account_id: account_id.clone(),
        name: "p".parse().unwrap(),
        description: description.clone(),
        kms_instance: String::new(),
        permissions: "[]".to_owned(),
        resources: "[]".to_owned(),
        network_rules: "[]".to_owned(),
        created_at,
    })?;
    let (name, policies) = ("a".parse::<crate::base::ids::AccessPointName>().unwrap(), "[]".to_owned());
    let point = AccessPointRow { account_id: account_id.clone(), name: name.clone(), description, policies, created_at };
    tx.access_point_insert(&point)?;
    tx.client_key_insert(&ClientKeyRow {
        id: AccessKeyId::of_client_key(),
        account_id,
        access_point: name,
        public_key: vec![1; 16],
        not_before: NOW,
        not_after: NOW.plus_days(1),
        created_at,
    })
}

/// Another value that the column may hold, and that parses where the column's type has more than one.
fn other(table: &str, column: &str, kind: &str, sqlite: bool) -> String {
    match (column, kind) {
        ("account_id", _) => "'9999999999999999'".to_owned(),
        ("region", _) => "'cn-beijing'".to_owned(),
        ("suite", _) => "3 - suite".to_owned(),
        ("state", _) if table == "key_materials" => "'Absent'".to_owned(),
        ("state", _) => "'Disabled'".to_owned(),
        ("algorithm", _) => "'RSAES_OAEP_SHA_1'".to_owned(),
        ("digest", _) if table == "bearer_tokens" => other(table, "token_digest", kind, sqlite),
        ("token_digest", _) if sqlite => "randomblob(32)".to_owned(),
        ("token_digest", _) => "sha256('x'::bytea)".to_owned(),
        ("wrapped_suite", _) => "1".to_owned(),
        ("usage", _) => "'SIGN/VERIFY'".to_owned(),
        ("spec", _) => "'Aliyun_AES_128'".to_owned(),
        ("sub_type", _) => "'DoubleUsers'".to_owned(),
        ("protection", _) => "'HSM'".to_owned(),
        (_, "text") => "'tampered'".to_owned(),
        (_, "int") => format!("COALESCE({column}, 0) + 1"),
        (_, "bool") if sqlite => format!("1 - {column}"),
        (_, "bool") => format!("NOT {column}"),
        _ if sqlite => "x'00112233445566778899aabbccddeeff'".to_owned(),
        _ => "'\\x00112233445566778899aabbccddeeff'".to_owned(),
    }
}

/// Whether it cannot be read, or does not verify.
fn a_bad_row_keeps_no_other_from_its_turn(on: &Fixture) {
    let (account, key, ..) = on.with_secret();
    let of_key =
        |due: i64| KeyRow { state: KeyState::PendingDeletion, delete_at: Some(Timestamp(due)), ..super::key(&account.id) };
    let of_secret =
        |due: i64| SecretRow { delete_at: Some(Timestamp(due)), ..secret(&account.id, &key.id, &format!("app/{due}")) };
    let (keys, secrets) = ([1, 2, 3].map(of_key), [1, 2, 3].map(of_secret));
    on.write(|tx| {
        keys.iter().try_for_each(|key| tx.key_insert(key))?;
        secrets.iter().try_for_each(|secret| tx.secret_insert(secret))
    });
    let mut conn = on.intruder();
    for change in [
        "UPDATE keys SET state = 'Gone' WHERE delete_at = 1",
        "UPDATE keys SET description = 'another' WHERE delete_at = 2",
        "UPDATE secrets SET name = '' WHERE delete_at = 1",
        "UPDATE secrets SET description = 'another' WHERE delete_at = 2",
    ] {
        conn.batch_execute(change).unwrap();
    }
    let due = on.read(|tx| Ok((tx.keys_due(Timestamp(9), 10)?, tx.secrets_due(Timestamp(9), 10)?)));
    let corrupt = |error: &StoreError| matches!(error, StoreError::Corrupt { .. });
    assert!(matches!(&due.0[..], [Err(a), Err(b), Ok(row)] if corrupt(a) && corrupt(b) && *row == keys[2]), "{:?}", due.0);
    assert!(
        matches!(&due.1[..], [Err(a), Err(b), Ok(row)] if corrupt(a) && corrupt(b) && row.id == secrets[2].id),
        "{:?}",
        due.1
    );
}

fn every_column_counts(on: &Fixture) {
    fill(on);
    // One row each, so that a primary key can be set to a constant.
    on.intruder().batch_execute("DELETE FROM version_stages WHERE stage = 'blue'").unwrap();
    let sealed = if on.is_sqlite() {
        "SELECT m.name AS line FROM sqlite_schema AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table' AND c.name = 'mac'"
    } else {
        "SELECT table_name::text AS line FROM information_schema.columns WHERE column_name = 'mac' AND table_schema = 'public'"
    };
    let mut sealed = lines(&mut on.intruder(), sealed);
    sealed.sort();
    let mut tested: Vec<&str> = TABLES.iter().map(|(table, _)| *table).collect();
    tested.sort_unstable();
    assert_eq!(sealed, tested, "every table with a mac is tested");
    assert_eq!(sealed, ledger::verify::TABLES, "and proved by `bulla verify`");
    let mut proved = HashSet::new();
    for (table, reader) in TABLES {
        on.read(reader);
        let mut conn = on.intruder();
        conn.batch_execute(&format!("CREATE TABLE kept AS SELECT * FROM {table}")).unwrap();
        let columns = columns(on, table);
        assert!(columns.iter().any(|c| c == "mac blob"), "{table}: {columns:?}");
        for line in columns {
            let mut words = line.split(' ');
            let (column, kind) = (words.next().unwrap(), words.next().unwrap());
            // Of the next level, which the rows of this program do not know (see `levels`).
            if column == "note" {
                continue;
            }
            let mut values = vec![other(table, column, kind, on.is_sqlite())];
            if line.ends_with(" null") {
                values.push("NULL".to_owned());
            }
            for value in values {
                let one = match *table {
                    "scopes" if on.is_sqlite() => " WHERE scope = x'72'",
                    "scopes" => " WHERE scope = '\\x72'",
                    _ => "",
                };
                let changed = format!("UPDATE {table} SET {column} = {value}{one}");
                let was_null =
                    value == "NULL" && ["delete_at", "material_expires_at", "wrapped_suite", "wrapped"].contains(&column);
                conn.batch_execute(&changed).unwrap();
                // A proof of the whole store takes half a second on PostgreSQL, where the same code looks: once a table there.
                if on.is_sqlite() || proved.insert(*table) {
                    let proof = on.store.prove(&on.options(), &mut |_, _| {}).unwrap();
                    assert!(was_null || proof.flaws.iter().any(|flaw| flaw.table == *table), "{changed}: {proof:?}");
                }
                let read = on.store.read("test", |tx| reader(tx).map_err(Abort::<StoreError>::Db));
                match read {
                    Ok(()) if was_null => {}
                    Err(StoreError::Corrupt { table: told, .. }) if told == *table => {}
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
    let read = on.store.read_rows("test", |tx| tx.default_key(&account));
    assert!(matches!(read, Err(StoreError::Corrupt { table: "default_keys", .. })), "{read:?}");
}

fn another_key_verifies_nothing(on: &Fixture) {
    fill(on);
    let other = {
        // Who has another key does not even open the store; this one does, and finds nothing else.
        let mac = RowKey::new(&[8; 32]).seal(&on.deployment, on.deployment.level);
        let mut conn = on.intruder();
        let mac = schema::deployment::mac.eq(&mac[..]);
        diesel::update(schema::deployment::table).set(mac).execute(&mut conn).unwrap();
        Store::open(on.options(), &on.deployment, RowKey::new(&[8; 32])).unwrap()
    };
    for (table, reader) in TABLES.iter().filter(|(table, _)| *table != "deployment") {
        let read = other.read("test", |tx| reader(tx).map_err(Abort::<StoreError>::Db));
        assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{table}");
    }
}

/// Who has proved the names of an account's policies remembers more than their MACs, which are not of the names alone.
fn a_policy_that_is_renamed_is_found(on: &Fixture) {
    let account = fill(on);
    let names = on.read(|tx| tx.resources_with_policy(&account));
    on.intruder().batch_execute("UPDATE resource_policies SET resource = resource || 'x'").unwrap();
    let read = on.store.read_rows("test", |tx| tx.resources_with_policy(&account));
    assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{read:?}");
    let read = on.store.read_rows("test", |tx| tx.resource_policy(&account, &names[0]));
    assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{read:?}");
}

/// What the pass finds in all parts.
fn passed(on: &Fixture) -> Vec<String> {
    (0..=u8::MAX).flat_map(|part| on.store.scopes_check(part).unwrap()).collect()
}

/// Reads that find nothing are proved as those that find something.
fn what_a_key_has_lost_is_found(on: &Fixture) {
    fill(on);
    let rotating = on.read(|tx| {
        tx.all(every, |conn| {
            schema::key_rotations::table.select((KeyRotationRow::as_select(), schema::key_rotations::mac)).load(conn)
        })
    });
    let key = rotating[0].key_id;
    assert_eq!(passed(on), Vec::<String>::new());
    let mut conn = on.intruder();
    for (table, reader) in [
        ("key_rotations", (|tx, key| tx.key_rotation(key).map(drop)) as fn(&mut Tx<'_>, &KeyId) -> Result<(), StoreError>),
        ("key_versions", |tx, key| tx.key_version_count(key).map(drop)),
        ("key_versions", |tx, key| tx.key_versions_page(key, 0, 10).map(drop)),
        ("aliases", |tx, key| tx.aliases_of_key(key).map(drop)),
        ("keys", |tx, key| tx.key_by_id(key).map(drop)),
    ] {
        let read = || on.store.read_rows("test", |tx| reader(tx, &key));
        assert_eq!(read(), Ok(()), "{table}");
        if on.is_sqlite() {
            conn.batch_execute("PRAGMA foreign_keys = OFF").unwrap();
        } else {
            conn.batch_execute("SET session_replication_role = replica").unwrap();
        }
        conn.batch_execute(&format!("CREATE TABLE kept AS SELECT * FROM {table}; DELETE FROM {table}")).unwrap();
        assert!(matches!(read(), Err(StoreError::Corrupt { .. })), "{table}: {:?}", read());
        assert!(passed(on).iter().any(|strange| strange.contains(&key.to_string())), "{table}: {:?}", passed(on));
        conn.batch_execute(&format!("INSERT INTO {table} SELECT * FROM kept; DROP TABLE kept")).unwrap();
        assert_eq!(read(), Ok(()), "{table}, put back");
    }
}

/// Keys and secrets that are listed by what belongs to them are those to which it belongs, whatever the database says.
fn a_list_by_alias_or_tag_is_proved(on: &Fixture) {
    let account = fill(on);
    let secret = on.read(|tx| tx.secrets_page(&account, NOW, &SecretFilter::default(), 0, 10)).0.remove(0);
    on.write(|tx| tx.tag_put(&account, Tagged::Secret(secret.id), "k", "v"));
    let texts = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let keys = |condition| on.store.read_rows("test", |tx| tx.keys_page(&account, std::slice::from_ref(&condition), 0, 10));
    let by_alias = |name: &str| keys(KeyCondition::Alias(vec![name.parse().unwrap()]));
    let secrets = |filter| on.store.read_rows("test", |tx| tx.secrets_page(&account, NOW, &filter, 0, 10));
    let by_key = |name: &str| SecretFilter { tag_keys: Some(texts(&[name])), ..SecretFilter::default() };
    let by_value = |value: &str| SecretFilter { tag_values: Some(texts(&[value])), ..SecretFilter::default() };
    let found = |alias: &str, key: &str, value: &str| {
        [
            by_alias(alias).map(|keys| keys.len()),
            keys(KeyCondition::TagKey(texts(&[key]))).map(|keys| keys.len()),
            keys(KeyCondition::TagValue(texts(&[value]))).map(|keys| keys.len()),
            keys(KeyCondition::Tag(texts(&[key]), texts(&[value]))).map(|keys| keys.len()),
            secrets(by_key(key)).map(|(secrets, _)| secrets.len()),
            secrets(by_value(value)).map(|(secrets, _)| secrets.len()),
            secrets(SecretFilter { tag_values: Some(texts(&[value])), ..by_key(key) }).map(|(secrets, _)| secrets.len()),
        ]
    };
    assert_eq!(found("alias/a", "k", "v"), [const { Ok(1) }; 7]);
    assert_eq!(found("alias/b", "x", "y"), [const { Ok(0) }; 7]);
    on.intruder().batch_execute("UPDATE aliases SET name = 'alias/b'; UPDATE tags SET tag_key = 'x', tag_value = 'y'").unwrap();
    for (n, found) in found("alias/b", "x", "y").into_iter().enumerate() {
        assert!(matches!(found, Err(StoreError::Corrupt { .. })), "question {n}: {found:?}");
    }
}

/// A row that nobody wrote is counted, and keeps no node from reading those that are.
fn a_head_of_nobodys_stops_nobody(on: &Fixture) {
    let head = log_head();
    on.write(|tx| tx.log_head_put(None, &head));
    let whole = LogHeads { rows: vec![head.clone()], strange: 0 };
    assert_eq!(on.read(|tx| tx.log_heads()), whole);
    let all = "place, generation, token, seq, hash, open_from, rights, changes, digest, written_at, mac";
    let copied = format!("INSERT INTO log_heads (node, log, {all}) SELECT node, 'admin', {all} FROM log_heads");
    on.intruder().batch_execute(&copied).unwrap();
    assert_eq!(on.read(|tx| tx.log_heads()), LogHeads { strange: 1, ..whole });
    // Nor is its own node's believed where it was changed.
    on.intruder().batch_execute("UPDATE log_heads SET seq = 9").unwrap();
    assert_eq!(on.read(|tx| tx.log_heads()), LogHeads { rows: Vec::new(), strange: 2 });
    let one = on.store.read_rows("test", |tx| tx.log_head(&head.node, "audit"));
    assert!(matches!(one, Err(StoreError::Corrupt { .. })), "{one:?}");
}

/// Rows of digests that nobody wrote stop nobody, and leave it to be seen that others were put back.
fn a_digest_of_nobodys_hides_nothing(on: &Fixture) {
    let (account, _, secret, _) = on.with_secret();
    let mut conn = on.intruder();
    conn.batch_execute("CREATE TABLE kept AS SELECT * FROM parts").unwrap();
    let old = on.as_it_is(&secret);
    on.write(|tx| tx.secret_update(&old, &SecretRow { description: "new".to_owned(), ..old.clone() }));
    let now = on.store.head_told().unwrap();
    let (nothing, mac, scope) = (blob(on, &[0]), blob(on, &[1, 0]), blob(on, b"a\0"));
    let strange = format!(
        "INSERT INTO parts VALUES (300, 1, {nothing}, {mac}); INSERT INTO scopes VALUES ({scope}, 1000000, {nothing}, {mac})"
    );
    conn.batch_execute(&strange).unwrap();
    let other = on.open(on.options()).unwrap();
    assert_eq!(other.head_told(), Ok(now.clone()));
    assert_eq!(other.head(), Ok(now.clone()));
    assert!(other.read_rows("test", |tx| tx.account_by_id(&account.id)).unwrap().is_some());
    let told = other.scopes_check(0).unwrap();
    assert!(told[0].starts_with("1 rows of scopes do not verify"), "{told:?}");
    assert_eq!(other.part_check(0).unwrap().strange, ["parts: 1 rows are of parts that there are none of"]);
    on.write(change);
    let fallen = |what: &str| {
        let then = on.open(on.options()).unwrap().head_told().unwrap();
        assert!(then.contradicts(&now).is_some_and(|why| why.contains("changes of secrets")), "{what}: {then:?}");
    };
    conn.batch_execute("DELETE FROM parts WHERE part < 256; INSERT INTO parts SELECT * FROM kept").unwrap();
    fallen("put back");
    if on.is_sqlite() {
        conn.batch_execute("INSERT INTO parts SELECT part + 65536, seq, digest, mac FROM kept").unwrap();
        fallen("under a number that is read as that of its part");
    }
    conn.batch_execute("UPDATE parts SET seq = seq + 5").unwrap();
    fallen("changed");
}
