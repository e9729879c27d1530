//! Who writes the database names other objects as the system keys, or system keys as callers' keys: nothing starts, nothing is
//! destroyed, and put back as it was everything works.

use bulla_test_support::client::Client;
use bulla_test_support::server::Server;

use crate::attacks::intruder::Intruder;
use crate::{create, on_postgres, on_sqlite};

/// The id of the only version of a caller's key of this kind.
fn key(intruder: &Intruder, client: &Client, spec: &str, usage: &str) -> String {
    let made = client.call("CreateKey", &[("KeySpec", spec), ("KeyUsage", usage)]).ok();
    let id = made.json["KeyMetadata"]["KeyId"].as_str().expect("an id").replace('-', "");
    let (version, key) = (intruder.hex("primary_version"), intruder.hex("id"));
    intruder.line(&format!("SELECT {version} AS line FROM keys WHERE {key} = '{id}'"))
}

#[test]
fn callers_keys_are_no_system_keys_on_sqlite() {
    callers_keys_are_no_system_keys(on_sqlite());
}

#[test]
fn callers_keys_are_no_system_keys_on_postgres() {
    callers_keys_are_no_system_keys(on_postgres());
}

fn callers_keys_are_no_system_keys((_folder, mut server): (tempfile::TempDir, Server)) {
    let intruder = Intruder::of(&server);
    let client = server.client();
    create(&client, "app/db", "the value").ok();
    // The same template as INT and ROW, AUD and SYS, but for the label.
    let hmac = key(&intruder, &client, "HMAC_SHA_256", "GENERATE/VERIFY_MAC");
    let pair = key(&intruder, &client, "EC_P256", "SIGN/VERIFY");
    let aes = key(&intruder, &client, "Aliyun_AES_256", "ENCRYPT/DECRYPT");
    server.stop();
    intruder.run("CREATE TABLE kept AS SELECT * FROM deployment");
    let lies = [
        ("int_key", hmac.as_str()),
        ("row_key", &hmac),
        ("aud_key", &pair),
        ("sys_key", &aes),
        // A system key in the role of another.
        ("sys_key", &intruder.line(&format!("SELECT {} AS line FROM deployment", intruder.hex("int_key")))),
        ("row_key", &intruder.line(&format!("SELECT {} AS line FROM deployment", intruder.hex("int_key")))),
        ("int_key", "00112233445566778899aabbccddeeff"),
    ];
    let refused = |server: &mut Server, what: &str| {
        let before = server.log().len();
        server.try_restart().expect_err(what);
        server.log()[before..].to_owned()
    };
    for (column, id) in lies {
        intruder.run(&format!("UPDATE deployment SET {column} = {}", intruder.blob(id)));
        let log = refused(&mut server, column);
        let name = column.split('_').next().expect("a name").to_uppercase();
        assert!(log.contains(&format!("token: {name}")), "{column}: {log}");
        // Not ready, init is what `serve` asks for. It destroys nothing and says what is wrong.
        intruder.run("UPDATE deployment SET ready = (1 = 0)");
        let log = refused(&mut server, "ready");
        assert!(log.contains("it was initialised"), "{log}");
        intruder.run("DELETE FROM deployment; INSERT INTO deployment SELECT * FROM kept");
    }
    // Every other column: the row does not verify.
    for changed in ["suite = 2", "created_at = created_at + 1", &format!("level = 1, mac = {}", intruder.blob("00"))] {
        intruder.run(&format!("UPDATE deployment SET {changed}"));
        let log = refused(&mut server, changed);
        assert!(log.contains("deployment") || log.contains("INT"), "{changed}: {log}");
        intruder.run("DELETE FROM deployment; INSERT INTO deployment SELECT * FROM kept");
    }
    // A system key among the callers' keys.
    intruder.run(&format!(
        "INSERT INTO key_versions (id, key_id, created_at, ready, uses, mac) \
         SELECT d.int_key, k.id, 1, (1 = 1), 0, {} FROM deployment AS d, keys AS k LIMIT 1",
        intruder.blob("00")
    ));
    let log = refused(&mut server, "a system key as a caller's");
    assert!(log.contains("its system keys are not those of the token"), "{log}");
    intruder.run("DELETE FROM key_versions WHERE id = (SELECT int_key FROM deployment); DROP TABLE kept");

    server.restart();
    assert_eq!(server.client().call("GetSecretValue", &[("SecretName", "app/db")]).ok().text("SecretData"), "the value");
    let check = server.admin(&["check"]);
    assert_eq!(
        (&check["VersionsWithoutObject"], &check["ObjectsWithoutRow"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
}
