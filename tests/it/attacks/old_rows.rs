//! Rows put back as they were: what they ask for cannot be undone, so it is not done.

use std::time::Duration;

use bulla_test_support::server::Server;
use diesel::RunQueryDsl;
use diesel::connection::SimpleConnection;
use diesel::sql_query;

use crate::{ahead, create, database, on_sqlite, time_ahead, until};

const TWO_MINUTES: i64 = 120;
const TWO_DAYS: i64 = 2 * 86_400;

/// Starts a server that was stopped, with a clock that is ahead.
fn start_ahead(server: &mut Server, seconds: i64) {
    for (name, value) in ahead(seconds) {
        server.set_environment(name, Some(&value));
    }
    server.restart();
    server.admin(&["clock", "accept"]);
}

/// The row of a key version in the making is caught while CreateKey runs, and put back when the key is in use: its destruction is
/// refused with an alarm.
#[test]
fn an_old_row_of_a_version_destroys_nothing() {
    let (_folder, mut server) = on_sqlite();
    let client = server.client();
    let mut conn = database(&server);
    conn.batch_execute("CREATE TABLE caught AS SELECT * FROM key_versions WHERE 0").expect("a table");
    // What a poll, a backup or a replica catches. The row is there for as long as the token makes the key.
    let stop = std::sync::atomic::AtomicBool::new(false);
    let caught = std::thread::scope(|scope| {
        let poll = scope.spawn(|| {
            let mut conn = database(&server);
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let insert =
                    "INSERT INTO caught SELECT * FROM key_versions WHERE ready = 0 AND id NOT IN (SELECT id FROM caught)";
                let _ = sql_query(insert).execute(&mut conn);
            }
        });
        for _ in 0..20 {
            // Pairs take long to make.
            client.call("CreateKey", &[("KeySpec", "RSA_2048"), ("KeyUsage", "SIGN/VERIFY")]).ok();
            client.call("CreateKey", &[]).ok();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        poll.join().expect("no panic");
        sql_query("DELETE FROM caught WHERE id NOT IN (SELECT id FROM key_versions WHERE ready = 1)").execute(&mut conn)
    });
    caught.expect("rows were caught");
    create(&client, "app/db", "the value").ok();
    server.stop();
    let put_back = "INSERT OR REPLACE INTO key_versions SELECT * FROM caught";
    let rows = sql_query(put_back).execute(&mut database(&server)).expect("rows that are as they were");
    assert!(rows > 0, "no row of a version in the making was caught");
    drop(conn);
    start_ahead(&mut server, TWO_MINUTES);
    until(Duration::from_secs(60), "the alarm", || server.log().contains("deleted, or put back as they were earlier"));
    let check = server.admin(&["check"]);
    assert_eq!(check["VersionsWithoutObject"], serde_json::json!([]), "{check}");
    // The row as it should be is put back, and everything works.
    database(&server).batch_execute("UPDATE key_versions SET ready = 1 WHERE id IN (SELECT id FROM caught)").expect("rows");
}

/// The row of a deletion that was called off, put back, deletes nothing: it does not fit the digest of its key.
#[test]
fn an_old_row_of_a_deletion_deletes_nothing() {
    let (_folder, mut server) = on_sqlite();
    let client = server.client();
    let made = client.call("CreateKey", &[]).ok();
    let key = made.json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned();
    client.call("ScheduleKeyDeletion", &[("KeyId", &key), ("PendingWindowInDays", "7")]).ok();
    let mut conn = database(&server);
    conn.batch_execute("CREATE TABLE kept AS SELECT * FROM keys").expect("a table");
    client.call("CancelKeyDeletion", &[("KeyId", &key)]).ok();
    client.call("EnableKey", &[("KeyId", &key)]);
    conn.batch_execute("CREATE TABLE good AS SELECT * FROM keys").expect("a table");
    server.stop();
    conn.batch_execute("INSERT OR REPLACE INTO keys SELECT * FROM kept").expect("a row that is as it was");
    start_ahead(&mut server, 8 * 86_400);
    until(Duration::from_secs(60), "the alarm", || server.log().contains("deleted, or put back as they were earlier"));
    assert!(!server.log().contains("DeleteKey on"), "{}", server.log());
    // Somebody puts back the row that was good: nothing is lost.
    server.stop();
    conn.batch_execute("INSERT OR REPLACE INTO keys SELECT * FROM good").expect("a row that is as it was");
    start_ahead(&mut server, 8 * 86_400 + TWO_DAYS);
    let later = time_ahead(8 * 86_400 + TWO_DAYS);
    let client = server.client();
    let encrypted =
        client.request("Encrypt", &[("KeyId", &key), ("Plaintext", "QQ==")]).timestamp(&later).send().expect("an answer");
    assert_eq!(encrypted.status, 200, "{:?}", encrypted.json);
    assert!(!server.log().contains("DestroyKeyMaterial on"), "{}", server.log());
}
