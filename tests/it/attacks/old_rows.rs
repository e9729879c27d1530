//! Rows put back as they were: what they ask for cannot be undone, so it is not done.
//!
//! On SQLite: beside PostgreSQL a clock that is ahead, as these need it, contradicts the server's, and nothing is swept at all.

use std::time::Duration;

use bulla_test_support::server::Server;

use crate::attacks::intruder::Intruder;
use crate::{ahead, create, on_sqlite, time_ahead, until};

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
    let (client, intruder) = (server.client(), Intruder::of(&server));
    intruder.run("CREATE TABLE caught AS SELECT * FROM key_versions WHERE 1 = 0");
    // What a poll, a backup or a replica catches. The row is there for as long as the token makes the key.
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let poll = scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                intruder
                    .run("INSERT INTO caught SELECT * FROM key_versions WHERE NOT ready AND id NOT IN (SELECT id FROM caught)");
            }
        });
        for _ in 0..20 {
            // Pairs take long to make.
            client.call("CreateKey", &[("KeySpec", "RSA_2048"), ("KeyUsage", "SIGN/VERIFY")]).ok();
            client.call("CreateKey", &[]).ok();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        poll.join().expect("no panic");
    });
    intruder.run("DELETE FROM caught WHERE id NOT IN (SELECT id FROM key_versions WHERE ready)");
    assert_ne!(intruder.line("SELECT CAST(count(*) AS TEXT) AS line FROM caught"), "0", "no version in the making was caught");
    create(&client, "app/db", "the value").ok();
    server.stop();
    intruder.put_back("key_versions", "caught");
    start_ahead(&mut server, TWO_MINUTES);
    until(Duration::from_secs(60), "the alarm", || server.log().contains("deleted, or put back as they were earlier"));
    let check = server.admin(&["check"]);
    assert_eq!(check["VersionsWithoutObject"], serde_json::json!([]), "{check}");
    // The row as it should be is put back, and everything works.
    intruder.run("UPDATE key_versions SET ready = (1 = 1) WHERE id IN (SELECT id FROM caught)");
}

/// The row of a deletion that was called off, put back, deletes nothing: it does not fit the digest of its key.
#[test]
fn an_old_row_of_a_deletion_deletes_nothing() {
    let (_folder, mut server) = on_sqlite();
    let (client, intruder) = (server.client(), Intruder::of(&server));
    let made = client.call("CreateKey", &[]).ok();
    let key = made.json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned();
    client.call("ScheduleKeyDeletion", &[("KeyId", &key), ("PendingWindowInDays", "7")]).ok();
    intruder.run("CREATE TABLE kept AS SELECT * FROM keys");
    client.call("CancelKeyDeletion", &[("KeyId", &key)]).ok();
    client.call("EnableKey", &[("KeyId", &key)]);
    intruder.run("CREATE TABLE good AS SELECT * FROM keys");
    server.stop();
    intruder.put_back("keys", "kept");
    start_ahead(&mut server, 8 * 86_400);
    until(Duration::from_secs(60), "the alarm", || server.log().contains("deleted, or put back as they were earlier"));
    assert!(!server.log().contains("DeleteKey on"), "{}", server.log());
    // Somebody puts back the row that was good: nothing is lost.
    server.stop();
    intruder.put_back("keys", "good");
    start_ahead(&mut server, 8 * 86_400 + TWO_DAYS);
    let later = time_ahead(8 * 86_400 + TWO_DAYS);
    let client = server.client();
    let encrypted =
        client.request("Encrypt", &[("KeyId", &key), ("Plaintext", "QQ==")]).timestamp(&later).send().expect("an answer");
    assert_eq!(encrypted.status, 200, "{:?}", encrypted.json);
    assert!(!server.log().contains("DestroyKeyMaterial on"), "{}", server.log());
}
