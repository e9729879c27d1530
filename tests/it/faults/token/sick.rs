//! Failures of single calls, and starts on a token that refuses.

use std::process::Command;
use std::time::{Duration, Instant};

use bulla_test_support::chaos::{Chaos, Function};
use bulla_test_support::client::Client;

use super::{Rig, never, size};
use crate::{BULLA, create};

/// One call fails, whichever of those that a request makes: nobody notices, or is told to come later.
#[test]
fn a_call_that_fails_once_costs_no_answer() {
    let rig = Rig::new("", vec![]);
    let (client, chaos) = (rig.server.client(), rig.chaos());
    create(&client, "a", "value").ok();
    for (code, passes) in [
        ("CKR_DEVICE_ERROR", true),
        ("CKR_GENERAL_ERROR", true),
        ("CKR_SESSION_HANDLE_INVALID", true),
        ("CKR_OPERATION_ACTIVE", true),
        ("CKR_DEVICE_REMOVED", false),
        ("CKR_CRYPTOKI_NOT_INITIALIZED", false),
        ("CKR_HOST_MEMORY", false),
    ] {
        for after in 0..6 {
            let well = |status: u16| status == 200 || (status == 503 && !passes);
            chaos.tell(&format!("fail * {code} times=1 after={after}"));
            let read = client.call("GetSecretValue", &[("SecretName", "a")]);
            assert!(well(read.status), "{code} after {after}: {read:?}");
            assert!(read.status == 503 || read.text("SecretData") == "value");
            chaos.tell("clear");
            until_served(&client);
            chaos.tell(&format!("fail * {code} times=1 after={after}"));
            let name = format!("sick/{code}/{after}");
            let written = create(&client, &name, &name);
            assert!(well(written.status), "{code} after {after}: {written:?}");
            chaos.tell("clear");
            until_served(&client);
            let read = client.call("GetSecretValue", &[("SecretName", &name)]);
            assert_eq!(read.status == 200, written.status == 200, "what was acknowledged is there, and nothing else");
        }
    }
    assert_eq!(rig.server.client().figure("bulla_integrity_alarms_total"), 0.0, "a sick token is no tampered row");
    never(&chaos);
}

fn until_served(client: &Client) {
    let start = Instant::now();
    while client.call("GetSecretValue", &[("SecretName", "a")]).status != 200 {
        assert!(start.elapsed() < Duration::from_secs(20), "not back");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Stored bytes that were changed are an alarm each time, and nothing else, whatever the token calls it.
#[test]
fn tampered_rows_are_alarms_and_no_outage() {
    use diesel::prelude::*;
    let rig = Rig::new("forged CKR_DEVICE_ERROR", vec![]);
    let (client, chaos) = (rig.server.client(), rig.chaos());
    create(&client, "good", "value").ok();
    create(&client, "spoiled", "value").ok();
    let mut conn = crate::database(&rig.server);
    let spoil = "UPDATE secret_versions SET wrapped = CAST(substr(wrapped, 1, 20) || zeroblob(length(wrapped) - 20) AS BLOB) \
                 WHERE secret_id = (SELECT id FROM secrets WHERE name = 'spoiled')";
    assert_eq!(diesel::sql_query(spoil).execute(&mut conn), Ok(1));
    let times = size(200, 20_000);
    for _ in 0..times {
        let read = client.call("GetSecretValue", &[("SecretName", "spoiled")]);
        assert_eq!((read.status, read.code()), (500, "InternalFailure"));
    }
    assert_eq!(client.call("GetSecretValue", &[("SecretName", "good")]).ok().text("SecretData"), "value");
    assert_eq!(rig.server.client().figure("bulla_integrity_alarms_total"), times as f64);
    assert_eq!(rig.server.client().figure("bulla_token_epochs_total"), 1.0);
    never(&chaos);
}

/// A start with the wrong PIN, and the token is asked once.
#[test]
fn a_start_with_the_wrong_pin_presents_it_once() {
    let mut rig = Rig::new("", vec![]);
    rig.server.stop();
    let data = rig.server.data().to_owned();
    std::fs::write(data.join("pin"), "wrong").expect("writable");
    let behind = bulla::token::softhsm::module().expect("softhsm2 is installed");
    // A socket would go with the process; so the second attempt to log in would end it at once instead of being counted.
    let environment = Chaos::environment(&behind, rig.folder.path(), "delay C_Login 60000 after=1");
    let start = Instant::now();
    let output = Command::new(BULLA)
        .args(["serve", "--config"])
        .arg(data.join("bulla.toml"))
        .env("SOFTHSM2_CONF", data.join("softhsm2.conf"))
        .envs(environment)
        .output()
        .expect("the program is there");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("refuses the PIN"), "{output:?}");
    assert!(start.elapsed() < Duration::from_secs(50), "it was tried again");
}

#[test]
fn the_token_is_asked_for_no_more_than_is_needed() {
    let rig = Rig::new("", vec![]);
    let (client, chaos) = (rig.server.client(), rig.chaos());
    create(&client, "a", "value").ok();
    client.call("GetSecretValue", &[("SecretName", "a")]).ok();
    let of = |function| chaos.calls(function);
    let before = (of(Function::C_DecryptInit), of(Function::C_FindObjectsInit), of(Function::C_OpenSession));
    let begun = Instant::now();
    for _ in 0..50 {
        client.call("GetSecretValue", &[("SecretName", "a")]).ok();
    }
    let after = (of(Function::C_DecryptInit), of(Function::C_FindObjectsInit), of(Function::C_OpenSession));
    // Readiness decrypts too, every half a second.
    let looks = begun.elapsed().as_millis() as u64 / 500 + 1;
    assert!((before.0 + 50..=before.0 + 50 + looks).contains(&after.0), "one decryption a read: {before:?}, {after:?}");
    assert_eq!((after.1, after.2), (before.1, before.2), "no look-up, no session");
    never(&chaos);
}
