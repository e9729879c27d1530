//! A schema that is not as this program made it, and one that stands before it.

use diesel::sql_types::Text;
use diesel::{Connection, RunQueryDsl, SqliteConnection, sql_query};

use super::*;
use crate::base::ids::RequestId;
use crate::store::engine::{migrations, shape};

on_both!(what_is_no_plain_table_is_refused, a_list_of_migrations_that_has_become_shorter_is_refused);

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
            "ALTER TABLE secrets ALTER description TYPE text COLLATE \"C\"; DROP DOMAIN d",
        ),
        // Looked at before ours; and what the look itself would ask.
        (
            "SET allow_system_table_mods = on; CREATE VIEW pg_catalog.aliases AS SELECT * FROM public.aliases",
            "SET allow_system_table_mods = on; DROP VIEW pg_catalog.aliases",
        ),
        (
            "CREATE FUNCTION f(name, name) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''users PRIMARY KEY (id)''::text'; \
             CREATE OPERATOR || (LEFTARG = name, RIGHTARG = name, FUNCTION = f)",
            "DROP OPERATOR || (name, name); DROP FUNCTION f(name, name)",
        ),
        ("CREATE TYPE t AS ENUM ('a')", "DROP TYPE t"),
        ("ALTER TABLE users DISABLE TRIGGER ALL", "ALTER TABLE users ENABLE TRIGGER ALL"),
        (
            "UPDATE pg_class SET relhastriggers = false WHERE oid = 'users'::regclass",
            "UPDATE pg_class SET relhastriggers = true WHERE oid = 'users'::regclass",
        ),
        (
            "UPDATE pg_class SET relhasindex = false WHERE oid = 'users'::regclass",
            "UPDATE pg_class SET relhasindex = true WHERE oid = 'users'::regclass",
        ),
        (
            "UPDATE pg_index SET indisready = false WHERE indexrelid = 'users_pkey'::regclass",
            "UPDATE pg_index SET indisready = true WHERE indexrelid = 'users_pkey'::regclass",
        ),
        (
            "CREATE COLLATION public.\"C\" FROM pg_catalog.\"C\"; ALTER TABLE secrets ALTER description TYPE text COLLATE public.\"C\"",
            "ALTER TABLE secrets ALTER description TYPE text COLLATE pg_catalog.\"C\"; DROP COLLATION public.\"C\"",
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

/// By whoever has the database open: nothing of its schema would be compared any more.
fn a_list_of_migrations_that_has_become_shorter_is_refused(on: &Fixture) {
    on.with_secret();
    on.intruder().batch_execute("DELETE FROM __diesel_schema_migrations").unwrap();
    let looked = on.store.read_rows("test", |tx| tx.shape_checked());
    assert!(matches!(&looked, Err(StoreError::Corrupt { table: "schema", .. })), "{looked:?}");
    assert!(on.open(on.options()).is_err());
}

/// An index that is switched off for a while lets a second row of one key in.
#[test]
fn two_rows_of_one_key_are_found_by_the_proof() {
    let on = Fixture::postgres(1);
    on.with_secret();
    let switch = |to: bool| {
        format!("UPDATE pg_index SET indisready = {to}, indisvalid = {to} WHERE indexrelid = 'parts_pkey'::regclass")
    };
    on.intruder().batch_execute(&switch(false)).unwrap();
    on.intruder().batch_execute("INSERT INTO parts SELECT * FROM parts").unwrap();
    on.intruder().batch_execute(&switch(true)).unwrap();
    assert_eq!(on.open(on.options()).map(drop), Ok(()), "the schema is as it was");
    let proof = on.store.prove(&on.options(), &mut |_, _| {}).unwrap();
    assert!(proof.flaws.iter().any(|flaw| flaw.what == "parts: rows of one (part): 2"), "{:?}", proof.flaws);
}

#[test]
fn indexes_are_those_of_the_migrations() {
    let nonces = ("DROP INDEX nonces_by_expiry", "CREATE INDEX nonces_by_expiry ON nonces (node, expires_at)");
    let key = ("ALTER TABLE nonces DROP CONSTRAINT nonces_pkey", "ALTER TABLE nonces ADD PRIMARY KEY (digest)");
    let more = ("CREATE UNIQUE INDEX more ON secrets (secret_type) WHERE name > 'n'", "DROP INDEX more");
    let on_postgres = [
        nonces,
        key,
        more,
        // The same names, and other definitions.
        (
            "ALTER TABLE nonces DROP CONSTRAINT nonces_pkey; ALTER TABLE nonces ADD PRIMARY KEY (digest, request_id)",
            "ALTER TABLE nonces DROP CONSTRAINT nonces_pkey; ALTER TABLE nonces ADD PRIMARY KEY (digest)",
        ),
        (
            "DROP INDEX key_versions_in_the_making; CREATE UNIQUE INDEX key_versions_in_the_making ON key_versions (id) WHERE NOT ready",
            "DROP INDEX key_versions_in_the_making; CREATE UNIQUE INDEX key_versions_in_the_making ON key_versions (key_id) WHERE NOT ready",
        ),
        (
            "CREATE FUNCTION f(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN true; END'; \
             ALTER TABLE secrets ADD CONSTRAINT c CHECK (f(name))",
            "ALTER TABLE secrets DROP CONSTRAINT c; DROP FUNCTION f(text)",
        ),
        (
            "CREATE FUNCTION f(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END'; CREATE INDEX i ON secrets (f(name))",
            "DROP INDEX i; DROP FUNCTION f(text)",
        ),
        ("ALTER TABLE secrets ADD evil text", "ALTER TABLE secrets DROP evil"),
        ("ALTER TABLE nonces ALTER node DROP NOT NULL", "ALTER TABLE nonces ALTER node SET NOT NULL"),
        ("ALTER TABLE secrets ALTER description TYPE varchar", "ALTER TABLE secrets ALTER description TYPE text COLLATE \"C\""),
        ("ALTER TABLE secrets ALTER description SET DEFAULT 'x'", "ALTER TABLE secrets ALTER description DROP DEFAULT"),
        (
            "ALTER TABLE users DROP CONSTRAINT users_account_id_fkey",
            "ALTER TABLE users ADD FOREIGN KEY (account_id) REFERENCES accounts (id)",
        ),
    ];
    for (on, changes) in [(Fixture::sqlite(1), &[nonces, more][..]), (Fixture::postgres(1), &on_postgres)] {
        for (done, undone) in changes {
            on.intruder().batch_execute(done).unwrap();
            let refused = on.open(on.options()).map(drop);
            assert!(matches!(&refused, Err(StoreError::Corrupt { table: "schema", .. })), "{done}: {refused:?}");
            on.intruder().batch_execute(undone).unwrap();
            assert_eq!(on.open(on.options()).map(drop), Ok(()), "{undone}");
        }
    }
}

/// What REINDEX CONCURRENTLY makes, and leaves behind where it is broken off.
#[test]
fn an_index_that_is_being_made_anew_is_no_stranger() {
    let on = Fixture::postgres(1);
    let half = "CREATE INDEX nonces_by_expiry_ccnew ON nonces (node, expires_at); \
                UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'nonces_by_expiry_ccnew'::regclass";
    on.intruder().batch_execute(half).unwrap();
    assert_eq!(on.open(on.options()).map(drop), Ok(()));
    // It takes nothing's place.
    on.intruder().batch_execute("DROP INDEX nonces_by_expiry").unwrap();
    assert!(on.open(on.options()).is_err());
}

/// A migration that this program does not have is no word of honour: what keeps a request from being executed twice is compared all the same, and
/// the proof says that there is one.
#[test]
fn beside_an_unknown_migration_keys_are_compared() {
    let unknown =
        "INSERT INTO __diesel_schema_migrations (version) VALUES ('0002'); INSERT INTO schema_levels VALUES ('0002', 2);";
    let on_sqlite = "DROP TABLE nonces; CREATE TABLE nonces (digest BLOB NOT NULL, request_id BLOB NOT NULL, node BLOB NOT NULL, \
                     expires_at INTEGER NOT NULL, mac BLOB NOT NULL, PRIMARY KEY (digest, request_id)) STRICT, WITHOUT ROWID";
    let on_postgres = "ALTER TABLE nonces DROP CONSTRAINT nonces_pkey; ALTER TABLE nonces ADD PRIMARY KEY (digest, request_id)";
    let unique = "DROP INDEX key_versions_in_the_making";
    for (on, changes, ready) in
        [(Fixture::sqlite(1), [unique, on_sqlite], "ready = 0"), (Fixture::postgres(1), [unique, on_postgres], "NOT ready")]
    {
        on.intruder().batch_execute(unknown).unwrap();
        assert_eq!(on.open(on.options()).map(drop), Ok(()), "of the next level, it may be");
        let proof = on.store.prove(&on.options(), &mut |_, _| {}).unwrap();
        assert!(proof.flaws.iter().any(|flaw| flaw.to_string().starts_with("schema: migration 0002")), "{:?}", proof.flaws);
        for change in changes {
            on.intruder().batch_execute(change).unwrap();
            let refused = on.open(on.options()).map(drop);
            assert!(matches!(&refused, Err(StoreError::Corrupt { table: "schema", .. })), "{change}: {refused:?}");
            if change == unique {
                let back = format!("CREATE UNIQUE INDEX key_versions_in_the_making ON key_versions (key_id) WHERE {ready}");
                on.intruder().batch_execute(&back).unwrap();
                assert_eq!(on.open(on.options()).map(drop), Ok(()));
            }
        }
    }
}

/// Nor does anything of somebody else's run beside one, wherever it is kept.
#[test]
fn beside_an_unknown_migration_no_function_of_others_runs() {
    let on = Fixture::postgres(1);
    let unknown = "INSERT INTO __diesel_schema_migrations (version) VALUES ('0002'); INSERT INTO schema_levels VALUES ('0002', 2); CREATE SCHEMA s; \
         CREATE FUNCTION s.f(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN true; END'; \
         CREATE FUNCTION s.g() RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'; \
         CREATE OPERATOR s.# (FUNCTION = s.f, RIGHTARG = text)";
    on.intruder().batch_execute(unknown).unwrap();
    assert_eq!(on.open(on.options()).map(drop), Ok(()), "what no table of ours runs");
    for (done, undone) in [
        ("ALTER TABLE secrets ADD CONSTRAINT c CHECK (s.f(name))", "ALTER TABLE secrets DROP CONSTRAINT c"),
        ("ALTER TABLE secrets ADD CONSTRAINT c CHECK (OPERATOR(s.#) name)", "ALTER TABLE secrets DROP CONSTRAINT c"),
        ("CREATE INDEX i ON secrets (s.f(name))", "DROP INDEX i"),
        ("CREATE INDEX i ON secrets (name) WHERE s.f(description)", "DROP INDEX i"),
        ("ALTER TABLE secrets ALTER description SET DEFAULT s.g()", "ALTER TABLE secrets ALTER description DROP DEFAULT"),
    ] {
        on.intruder().batch_execute(done).unwrap();
        let refused = on.open(on.options()).map(drop);
        assert!(matches!(&refused, Err(StoreError::Corrupt { table: "schema", .. })), "{done}: {refused:?}");
        on.intruder().batch_execute(undone).unwrap();
        assert_eq!(on.open(on.options()).map(drop), Ok(()), "{undone}");
    }
}

/// The list that a database of PostgreSQL is compared with is what the migrations make.
#[test]
fn the_definitions_are_those_of_the_migrations() {
    let on = Fixture::postgres(1);
    let location = Location::parse(&on.url).unwrap();
    let Conn::Postgres(mut conn) = Conn::open(&location, Access::Admin, Duration::from_secs(5)).unwrap() else {
        panic!("PostgreSQL")
    };
    let versions = migrations::make(&mut SqliteConnection::establish(":memory:").unwrap()).unwrap();
    let mut text = versions.join(" ") + "\n";
    let of_migrations = |line: &&String| !line.starts_with("__diesel");
    for line in shape::definitions(&mut conn).unwrap().iter().filter(of_migrations) {
        text.push_str(line);
        text.push('\n');
    }
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/engine/definitions.txt");
    if std::env::var("BULLA_GOLDEN").as_deref() == Ok("write") {
        std::fs::write(&file, &text).unwrap();
    }
    let there = std::fs::read_to_string(&file).unwrap();
    assert!(there == text, "{} is old; BULLA_GOLDEN=write writes it anew", file.display());
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

/// Whoever writes into the file can have an index tell of rows that are not there.
#[test]
fn a_stale_index_ends_a_sweep_and_is_found_by_the_proof_on_sqlite() {
    let on = Fixture::sqlite(1);
    let node = NodeId::new();
    for digest in 1..4 {
        let nonce = NonceRow { digest: vec![digest; 16], request_id: RequestId::new(), node, expires_at: Timestamp(10) };
        on.write(|tx| tx.nonce_insert(&nonce));
    }
    let stale = "CREATE TEMP TABLE kept AS SELECT * FROM sqlite_schema WHERE name = 'nonces_by_expiry'; \
                 PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'nonces_by_expiry'; PRAGMA writable_schema = RESET; \
                 UPDATE nonces SET digest = randomblob(16); \
                 PRAGMA writable_schema = ON; INSERT INTO sqlite_schema SELECT * FROM kept; PRAGMA writable_schema = RESET";
    on.intruder().batch_execute(stale).unwrap();
    assert_eq!(on.store.values_check(), Ok(()), "what the pass looks at");
    let swept = on.try_write(|tx| tx.nonces_sweep(&node, Timestamp(20), 3));
    assert!(matches!(&swept, Err(StoreError::Corrupt { table: "nonces", .. })), "{swept:?}");
    let proof = on.store.prove(&on.options(), &mut |_, _| {}).unwrap();
    assert!(proof.flaws.iter().any(|flaw| flaw.what.contains("nonces_by_expiry")), "{:?}", proof.flaws);
}

/// What a column gives as its text becomes part of a statement in the copy.
#[test]
fn columns_of_other_types_are_not_copied() {
    let on = Fixture::postgres(1);
    on.intruder().batch_execute("ALTER TABLE secrets ALTER description TYPE varchar").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let saved = copy::save(&on.options(), &folder.path().join("copy.db"), &|_, _| {});
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

/// What was acknowledged may stand in the log beside the file alone, and somebody else's read may keep it there.
#[test]
fn a_database_that_is_replaced_is_kept_with_its_last_writes() {
    let (kept, other) = (Fixture::sqlite(1), Fixture::sqlite(1));
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    copy::save(&other.options(), &copy, &|_, _| {}).unwrap();
    let mut reader = kept.intruder();
    reader.batch_execute("BEGIN; SELECT count(*) FROM accounts").unwrap();
    let (account, ..) = kept.with_secret();
    let aside = copy::load(&copy, &kept.options(), &|_, _| {}).unwrap().unwrap();
    let mut old = SqliteConnection::establish(aside.to_str().unwrap()).unwrap();
    let found =
        sql_query("UPDATE secrets SET description = description WHERE account_id = ?").bind::<Text, _>(account.id.as_str());
    assert_eq!(found.execute(&mut old), Ok(1), "{}", aside.display());
}
