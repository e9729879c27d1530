//! Who writes the database names other objects as the system keys, or system keys as callers' keys: nothing starts, nothing is
//! destroyed, and put back as it was everything works.

use bulla_test_support::client::Client;
use bulla_test_support::server::Server;
use diesel::connection::SimpleConnection;
use diesel::sql_types::Text;
use diesel::{QueryableByName, RunQueryDsl, sql_query};

use crate::{create, database, on_sqlite};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

fn line(server: &Server, query: &str) -> String {
    let line: Line = sql_query(query).get_result(&mut database(server)).expect(query);
    line.line
}

fn run(server: &Server, statement: &str) {
    database(server).batch_execute(&format!("PRAGMA foreign_keys = OFF; {statement}")).expect(statement);
}

/// The id of the only version of a caller's key of this kind.
fn key(server: &Server, client: &Client, spec: &str, usage: &str) -> String {
    let made = client.call("CreateKey", &[("KeySpec", spec), ("KeyUsage", usage)]).ok();
    let id = made.json["KeyMetadata"]["KeyId"].as_str().expect("an id").replace('-', "");
    line(server, &format!("SELECT hex(primary_version) AS line FROM keys WHERE lower(hex(id)) = '{id}'"))
}

#[test]
fn callers_keys_are_no_system_keys() {
    let (_folder, mut server) = on_sqlite();
    let client = server.client();
    create(&client, "app/db", "the value").ok();
    // The same template as INT and ROW, AUD and SYS, but for the label.
    let hmac = key(&server, &client, "HMAC_SHA_256", "GENERATE/VERIFY_MAC");
    let pair = key(&server, &client, "EC_P256", "SIGN/VERIFY");
    let aes = key(&server, &client, "Aliyun_AES_256", "ENCRYPT/DECRYPT");
    server.stop();
    run(&server, "CREATE TABLE kept AS SELECT * FROM deployment");
    let lies = [
        ("int_key", hmac.as_str()),
        ("row_key", &hmac),
        ("aud_key", &pair),
        ("sys_key", &aes),
        // A system key in the role of another.
        ("sys_key", &line(&server, "SELECT hex(int_key) AS line FROM deployment")),
        ("row_key", &line(&server, "SELECT hex(int_key) AS line FROM deployment")),
        ("int_key", "00112233445566778899AABBCCDDEEFF"),
    ];
    let refused = |server: &mut Server, what: &str| {
        let before = server.log().len();
        server.try_restart().expect_err(what);
        server.log()[before..].to_owned()
    };
    for (column, id) in lies {
        run(&server, &format!("UPDATE deployment SET {column} = x'{id}'"));
        let log = refused(&mut server, column);
        let name = column.split('_').next().expect("a name").to_uppercase();
        assert!(log.contains(&format!("token: {name}")), "{column}: {log}");
        // Not ready, init is what `serve` asks for. It destroys nothing and says what is wrong.
        run(&server, "UPDATE deployment SET ready = 0");
        let log = refused(&mut server, "ready");
        assert!(log.contains("it was initialised"), "{log}");
        run(&server, "DELETE FROM deployment; INSERT INTO deployment SELECT * FROM kept");
    }
    // Every other column: the row does not verify.
    for changed in ["suite = 2", "created_at = created_at + 1", "level = 1, mac = x'00'"] {
        run(&server, &format!("UPDATE deployment SET {changed}"));
        let log = refused(&mut server, changed);
        assert!(log.contains("deployment") || log.contains("INT"), "{changed}: {log}");
        run(&server, "DELETE FROM deployment; INSERT INTO deployment SELECT * FROM kept");
    }
    // A system key among the callers' keys.
    run(
        &server,
        "INSERT INTO key_versions (id, key_id, created_at, ready, uses, mac) \
         SELECT d.int_key, k.id, 1, 1, 0, x'00' FROM deployment AS d, keys AS k LIMIT 1",
    );
    let log = refused(&mut server, "a system key as a caller's");
    assert!(log.contains("its system keys are not those of the token"), "{log}");
    run(&server, "DELETE FROM key_versions WHERE id = (SELECT int_key FROM deployment); DROP TABLE kept");

    server.restart();
    assert_eq!(server.client().call("GetSecretValue", &[("SecretName", "app/db")]).ok().text("SecretData"), "the value");
    let check = server.admin(&["check"]);
    assert_eq!(
        (&check["VersionsWithoutObject"], &check["ObjectsWithoutRow"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
}
