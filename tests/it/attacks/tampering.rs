//! Whatever is changed in the database behind the service's back: an error and an alarm, never a value.

use std::process::Command;
use std::time::{Duration, Instant};

use bulla_test_support::server::Server;
use diesel::{RunQueryDsl, SqliteConnection, sql_query};

use crate::{BULLA, create, database, on_sqlite};

/// How long a tampered row may pass for a token that is away.
const PATIENCE: Duration = Duration::from_secs(60);

fn connect(server: &Server) -> SqliteConnection {
    let mut conn = database(server);
    for pragma in ["PRAGMA foreign_keys = OFF", "PRAGMA ignore_check_constraints = ON"] {
        sql_query(pragma).execute(&mut conn).expect(pragma);
    }
    conn
}

fn run(conn: &mut SqliteConnection, statement: &str) {
    sql_query(statement).execute(conn).unwrap_or_else(|e| panic!("{statement}: {e}"));
}

/// Changes a row, reads, puts the row back.
fn refuses(server: &Server, conn: &mut SqliteConnection, table: &str, column: &str, changed: &str) {
    run(conn, &format!("CREATE TABLE kept AS SELECT * FROM {table}"));
    run(conn, &format!("UPDATE {table} SET {column} = {changed}"));
    let alarms = server.log().matches("ALARM").count();
    let mut read = server.client().call("GetSecretValue", &[("SecretName", "sealed")]);
    // A key that is not on the token is looked for for ten seconds: another node may just have made it.
    let begun = Instant::now();
    while column == "key_version_id" && read.status == 503 && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(200));
        read = server.client().call("GetSecretValue", &[("SecretName", "sealed")]);
    }
    assert!(read.status >= 400 && read.json.get("SecretData").is_none(), "{table}.{column}: {}", read.status);
    // A name that is no longer there is simply not found; all else is an alarm.
    if read.code() != "Forbidden.ResourceNotFound" {
        assert_eq!(read.code(), "InternalFailure", "{table}.{column}");
        let log = server.log();
        let told: Vec<&str> = log.lines().filter(|line| line.contains("ALARM")).skip(alarms).collect();
        assert!(told.iter().any(|line| line.contains(":secret/sealed ")), "{table}.{column}: no alarm names it: {told:?}");
    } else {
        assert!(matches!((table, column), ("secrets", "name" | "account_id")), "{table}.{column} reads as not found");
    }
    run(conn, &format!("DELETE FROM {table}"));
    run(conn, &format!("INSERT INTO {table} SELECT * FROM kept"));
    run(conn, "DROP TABLE kept");
}

#[test]
fn every_column_that_a_value_depends_on_is_bound() {
    let (_folder, server) = on_sqlite();
    create(&server.client(), "sealed", "the value").ok();
    let mut conn = connect(&server);
    // One bit of the last byte of a blob; text and numbers that the grammar still accepts.
    let blob = |c: &str| {
        format!(
            "CAST(substr({c}, 1, length({c}) - 1) || CASE hex(substr({c}, -1)) WHEN '00' THEN x'01' ELSE x'00' END AS BLOB)"
        )
    };
    for column in ["secret_id", "uuid", "key_version_id", "wrapped", "commitment", "nonce", "ciphertext"] {
        refuses(&server, &mut conn, "secret_versions", column, &blob(column));
    }
    for (column, changed) in
        [("version_id", "'w1'"), ("data_type", "'binary'"), ("created_at", "created_at + 1"), ("suite", "2")]
    {
        refuses(&server, &mut conn, "secret_versions", column, changed);
    }
    for column in ["version_uuid", "mac"] {
        refuses(&server, &mut conn, "version_stages", column, &blob(column));
    }
    for (column, changed) in [("number", "number + 1"), ("deleted_at", "1"), ("destroyed", "1")] {
        refuses(&server, &mut conn, "secret_versions", column, changed);
    }
    for (column, changed) in [("version_id", "'w1'"), ("stage", "'ACSPrevious'"), ("number", "2"), ("withheld", "1")] {
        refuses(&server, &mut conn, "version_stages", column, changed);
    }
    for (column, changed) in [("name", "'sealee'"), ("description", "'x'"), ("user_key", "1 - user_key"), ("created_at", "1")] {
        refuses(&server, &mut conn, "secrets", column, changed);
    }
    for (column, changed) in [("state", "'Disabled'"), ("service", "0"), ("spec", "'Aliyun_AES_128'")] {
        refuses(&server, &mut conn, "keys", column, changed);
    }
    let read = server.client().call("GetSecretValue", &[("SecretName", "sealed")]).ok();
    assert_eq!(read.text("SecretData"), "the value");
}

#[test]
fn exchanged_ciphertexts_do_not_open() {
    let (_folder, server) = on_sqlite();
    for name in ["a", "b"] {
        create(&server.client(), name, &format!("value of {name}")).ok();
    }
    let mut conn = connect(&server);
    run(&mut conn, "CREATE TABLE kept AS SELECT * FROM secret_versions");
    for columns in ["ciphertext", "ciphertext, nonce, commitment", "ciphertext, nonce, commitment, wrapped"] {
        for column in columns.split(", ") {
            run(
                &mut conn,
                &format!(
                    "UPDATE secret_versions SET {column} = \
                     (SELECT k.{column} FROM kept k WHERE k.secret_id <> secret_versions.secret_id)"
                ),
            );
        }
        for name in ["a", "b"] {
            let read = server.client().call("GetSecretValue", &[("SecretName", name)]);
            assert_eq!((read.status, read.code()), (500, "InternalFailure"), "{columns}");
        }
    }
    assert!(server.log().contains("ALARM"));
}

/// Whoever reads the alarms learns which row is not ours, and on which request's way it stood.
#[test]
fn alarms_name_the_row_and_what_was_asked_for() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    for name in ["app/db", "app/other"] {
        create(&client, name, "value").ok();
    }
    let account = &server.ready.account_id;
    let mut conn = connect(&server);
    run(&mut conn, "UPDATE secrets SET description = 'evil' WHERE name = 'app/other'");
    assert_eq!(client.call("ListSecrets", &[]).code(), "InternalFailure");
    let told = |what: &str| assert!(server.log().contains(what), "{what}: {}", server.log());
    told(&format!("a row of secrets does not verify: app/other of {account}: its MAC is not that of its columns"));
    server.admin(&["user", "create", "ann"]);
    let ann = server.admin(&["access-key", "create", "--user", "ann"]);
    let [key, secret] = ["AccessKeyId", "AccessKeySecret"].map(|name| ann[name].as_str().expect("shown"));
    run(&mut conn, &format!("UPDATE access_keys SET created_at = 1 WHERE id = '{key}'"));
    assert_eq!(server.client_as(key, secret).call("ListKeys", &[]).code(), "InternalFailure");
    told(&format!("access_key={key} a row of access_keys does not verify: {key}: its MAC"));
}

/// A row that does not verify keeps `bulla verify` from none of the others, whatever table it is in.
#[test]
fn every_flaw_is_told_and_not_the_first() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    create(&client, "app/changed", "value").ok();
    let [described, rotating] = ["a", "b"].map(|text| {
        let key = client
            .call("CreateKey", &[("Description", text), ("EnableAutomaticRotation", "true"), ("RotationInterval", "30d")])
            .ok();
        key.json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned()
    });
    let mut conn = connect(&server);
    run(&mut conn, "UPDATE secrets SET description = 'evil' WHERE name = 'app/changed'");
    run(&mut conn, "UPDATE keys SET description = 'evil' WHERE description = 'a'");
    run(&mut conn, "DELETE FROM key_rotations WHERE key_id = (SELECT id FROM keys WHERE description = 'b')");
    for more in [&["verify", "--json"][..], &["verify", "--json", "--open-data-keys"]] {
        let output = Command::new(BULLA).args(more).arg("--data").arg(server.data()).output().expect("it runs");
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert!(!output.status.success() && found["AuditLines"].as_u64() > Some(3), "{found}");
        let flaws = found["Flaws"].to_string();
        for told in ["app/changed", described.as_str(), rotating.as_str()] {
            assert!(flaws.contains(told), "{told}: {found}");
        }
    }
    // What is not there is no answer.
    let shown = client.call("DescribeKey", &[("KeyId", &rotating)]);
    assert_eq!(shown.status, 500, "{shown:?}");
}
