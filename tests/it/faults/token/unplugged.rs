//! Unplugged under load: only 503, never a wrong value, and served again soon after the token is back.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bulla_test_support::client::{Answer, Client};

use super::{Rig, never, size};
use crate::create;

/// From the token's return to the first value.
const WITHIN: Duration = Duration::from_secs(2);

/// A refusal that says: come back later.
fn is_later(answer: &Answer) -> bool {
    answer.status == 503 && answer.code() == "ServiceUnavailableTemporary" && answer.header("retry-after").is_some()
}

/// Reads and writes until told to stop. Every answer is right or says to come later.
fn load(client: &Client, thread: usize, done: &AtomicBool, served: &AtomicUsize) {
    for n in 0.. {
        if done.load(Ordering::Relaxed) {
            return;
        }
        let which = (thread + n) % 4;
        let (name, value) = (format!("plug/{which}"), format!("value {which}"));
        let read = client.call("GetSecretValue", &[("SecretName", &name)]);
        if !is_later(&read) {
            assert_eq!(read.ok().text("SecretData"), value);
            served.fetch_add(1, Ordering::Relaxed);
        }
        if n % 8 == 0 {
            let written = create(client, &format!("load/{thread}/{n}"), "x");
            assert!(written.status == 200 || is_later(&written), "{written:?}");
        }
    }
}

/// Waits for the first value; how long it took.
fn until_served(client: &Client) -> Duration {
    let start = Instant::now();
    loop {
        let read = client.call("GetSecretValue", &[("SecretName", "plug/0")]);
        if read.status == 200 {
            return start.elapsed();
        }
        assert!(is_later(&read), "{read:?}");
        assert!(start.elapsed() < Duration::from_secs(30), "not served");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_token_is_unplugged_under_load() {
    let rig = Rig::new("", vec![]);
    let (client, chaos) = (rig.server.client(), rig.chaos());
    for which in 0..4 {
        // A key each: a handle of before that means another key would open another's.
        let key = client.call("CreateKey", &[]).ok();
        let id = key.json["KeyMetadata"]["KeyId"].as_str().expect("a key id").to_owned();
        let (name, value) = (format!("plug/{which}"), format!("value {which}"));
        let new = [("SecretName", &*name), ("VersionId", "v1"), ("SecretData", &value), ("EncryptionKeyId", &id)];
        client.call("CreateSecret", &new).ok();
    }
    let (done, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut times = Vec::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (client, done, served) = (rig.server.client(), &done, &served);
            scope.spawn(move || load(&client, thread, done, served));
        }
        for round in 0..size(20, 500) {
            // 0.1 to 5 s, most of them short.
            let away =
                [100, 150, 200, 300, 400, 100, 700, 100, 1500, 100][round % 10] + if round % 20 == 19 { 4900 } else { 0 };
            chaos.tell("unplug");
            std::thread::sleep(Duration::from_millis(away));
            let read = client.call("GetSecretValue", &[("SecretName", "plug/0")]);
            assert!(is_later(&read), "while it is away: {read:?}");
            chaos.tell("replug");
            times.push(until_served(&client));
            std::thread::sleep(Duration::from_millis(100));
        }
        done.store(true, Ordering::Relaxed);
    });
    times.sort();
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    let served = served.load(Ordering::Relaxed);
    eprintln!("{served} reads served, the first {median:?} after the token was back, at worst {slowest:?}");
    assert!(slowest <= WITHIN, "{times:?}");
    assert!(served > 100, "too few reads to mean anything: {served}");
    assert_eq!(rig.server.client().figure("bulla_integrity_alarms_total"), 0.0);
    never(&chaos);
}

#[test]
fn a_login_that_ends_is_renewed() {
    let rig = Rig::new("", vec![]);
    let (client, chaos) = (rig.server.client(), rig.chaos());
    create(&client, "plug/0", "value 0").ok();
    for _ in 0..size(10, 1_000) {
        // What a session answers whose login another process, or the token's own clock, has ended.
        chaos.tell("fail C_DecryptInit CKR_USER_NOT_LOGGED_IN times=1");
        assert!(is_later(&client.call("GetSecretValue", &[("SecretName", "plug/0")])));
        assert!(until_served(&client) <= WITHIN);
    }
}
