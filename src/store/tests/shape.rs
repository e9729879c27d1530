//! A schema that is not as this program made it, and one that stands before it.

use super::*;

on_both!(what_is_no_plain_table_is_refused);

fn what_is_no_plain_table_is_refused(on: &Fixture) {
    on.with_secret();
    let on_postgres: &[(&str, &str)] = &[
        ("CREATE VIEW extra AS SELECT 1 AS one", "DROP VIEW extra"),
        (
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'; \
             CREATE TRIGGER t BEFORE UPDATE ON access_keys FOR EACH ROW EXECUTE FUNCTION f()",
            "DROP TRIGGER t ON access_keys; DROP FUNCTION f()",
        ),
        ("CREATE RULE r AS ON DELETE TO policy_attachments DO INSTEAD NOTHING", "DROP RULE r ON policy_attachments"),
        ("ALTER TABLE secrets ENABLE ROW LEVEL SECURITY", "ALTER TABLE secrets DISABLE ROW LEVEL SECURITY"),
        ("CREATE TABLE more () INHERITS (users)", "DROP TABLE more"),
        (
            "ALTER TABLE tags RENAME TO tags_; CREATE VIEW tags AS SELECT * FROM tags_",
            "DROP VIEW tags; ALTER TABLE tags_ RENAME TO tags",
        ),
        (
            "CREATE DOMAIN d AS text; ALTER TABLE secrets ALTER description TYPE d",
            "ALTER TABLE secrets ALTER description TYPE text; DROP DOMAIN d",
        ),
    ];
    let on_sqlite: &[(&str, &str)] = &[
        ("CREATE VIEW extra AS SELECT 1 AS one", "DROP VIEW extra"),
        ("CREATE TRIGGER t AFTER UPDATE ON access_keys BEGIN UPDATE access_keys SET enabled = 1; END", "DROP TRIGGER t"),
        (
            "PRAGMA legacy_alter_table = ON; ALTER TABLE tags RENAME TO tags_; CREATE VIEW tags AS SELECT * FROM tags_",
            // What SQLite keeps of the table's text then is another one; so this comes last.
            "",
        ),
    ];
    for (done, undone) in if on.is_sqlite() { on_sqlite } else { on_postgres } {
        on.intruder().batch_execute(done).unwrap();
        let refused = on.open(on.options()).map(drop);
        assert!(matches!(&refused, Err(StoreError::Corrupt { table: "schema", .. })), "{done}: {refused:?}");
        // Whoever has a connection already finds it as well.
        let looked = on.store.read_rows("test", |tx| tx.shape_checked());
        assert!(matches!(&looked, Err(StoreError::Corrupt { table: "schema", .. })), "{done}: {looked:?}");
        if undone.is_empty() {
            break;
        }
        on.intruder().batch_execute(undone).unwrap();
        let opened = on.open(on.options()).map(drop);
        assert_eq!(opened, Ok(()), "{undone}");
    }
}

#[test]
fn indexes_are_those_of_the_migrations() {
    let nonces = ("DROP INDEX nonces_by_expiry", "CREATE INDEX nonces_by_expiry ON nonces (node, expires_at)");
    let key = ("ALTER TABLE nonces DROP CONSTRAINT nonces_pkey", "ALTER TABLE nonces ADD PRIMARY KEY (digest)");
    let more = ("CREATE UNIQUE INDEX more ON secrets (secret_type) WHERE name > 'n'", "DROP INDEX more");
    for (on, changes) in [(Fixture::sqlite(1), [nonces, more]), (Fixture::postgres(1), [nonces, key])] {
        for (done, undone) in changes {
            on.intruder().batch_execute(done).unwrap();
            let refused = on.open(on.options()).map(drop);
            assert!(matches!(&refused, Err(StoreError::Corrupt { table: "schema", .. })), "{done}: {refused:?}");
            on.intruder().batch_execute(undone).unwrap();
            assert_eq!(on.open(on.options()).map(drop), Ok(()), "{undone}");
        }
    }
}

#[test]
fn another_table_of_the_same_name_is_refused_on_sqlite() {
    let on = Fixture::sqlite(1);
    let looser = "DROP TABLE nonces; CREATE TABLE nonces (digest BLOB, request_id BLOB, node BLOB, expires_at INTEGER)";
    on.intruder().batch_execute(looser).unwrap();
    assert!(matches!(on.open(on.options()).map(drop), Err(StoreError::Corrupt { table: "schema", .. })));
}

/// The text of the schema is as it was, and a row is where its name alone finds it.
#[test]
fn values_of_another_kind_are_found_on_sqlite() {
    let on = Fixture::sqlite(1);
    on.with_secret();
    assert_eq!(on.store.values_check(), Ok(()));
    let text = |from: &str, to: &str| {
        format!(
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, '{from}', '{to}') WHERE name = 'secrets'; \
             PRAGMA writable_schema = RESET;"
        )
    };
    let (strict, loose) = (") STRICT, WITHOUT ROWID", ")   WITHOUT  ROWID");
    on.intruder().batch_execute(&text(strict, loose)).unwrap();
    on.intruder().batch_execute("UPDATE secrets SET name = CAST(name AS BLOB)").unwrap();
    on.intruder().batch_execute(&text(loose, strict)).unwrap();
    assert_eq!(on.open(on.options()).map(drop), Ok(()), "the schema is as it was");
    let looked = on.store.values_check();
    assert!(matches!(&looked, Err(StoreError::Corrupt { table: "schema", .. })), "{looked:?}");
    assert!(matches!(on.store.distrusted(), Some(Distrust::Lie(_))));
    let proof = on.store.prove(&on.options(), &mut |_, _| {}).unwrap();
    assert!(proof.flaws.iter().any(|flaw| flaw.to_string().contains("secrets")), "{:?}", proof.flaws.len());
}

/// What a column gives as its text becomes part of a statement in the copy.
#[test]
fn columns_of_other_types_are_not_copied() {
    let on = Fixture::postgres(1);
    on.intruder().batch_execute("ALTER TABLE secrets ALTER description TYPE varchar").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let saved = copy::save(&on.options(), &folder.path().join("copy.db"));
    assert!(matches!(&saved, Err(StoreError::Corrupt { table: "schema", .. })), "{saved:?}");
}

/// A schema of the role's own name stands before `public` in PostgreSQL's default search path; who may create schemas could put empty
/// tables there, and a policy that denies would be gone.
#[test]
fn a_schema_before_ours_is_not_looked_at() {
    let on = Fixture::postgres(1);
    let (account, ..) = on.with_secret();
    let row = ResourcePolicyRow {
        account_id: account.id.clone(),
        resource: "secret/app/db".to_owned(),
        document: "{}".to_owned(),
        updated_at: NOW,
    };
    on.write(|tx| tx.resource_policy_put(&row));
    on.intruder()
        .batch_execute(
            "DO $$ BEGIN EXECUTE format('CREATE SCHEMA %I', current_user); \
             EXECUTE format('CREATE TABLE %I.resource_policies (LIKE public.resource_policies)', current_user); END $$",
        )
        .unwrap();
    for store in [&on.store, &on.open(on.options()).unwrap()] {
        let found = store.read_rows("test", |tx| tx.resource_policy(&account.id, &row.resource));
        assert_eq!(found, Ok(Some(row.clone())));
    }
}
