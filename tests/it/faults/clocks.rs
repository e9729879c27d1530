//! Clocks that step: on the only node, and on one of two. Nothing is destroyed, forgotten or taken over, readiness says so within two
//! seconds, and all goes on when the clock is right again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bulla_test_support::client::{Answer, Client};
use bulla_test_support::node::Node;
use bulla_test_support::postgres::PostgresCluster;
use bulla_test_support::relay::Relay;
use bulla_test_support::server::Server;
use serde_json::json;

use crate::vault::Bearer;
use crate::{BULLA, ahead, create, until};

/// How far clocks step, seconds.
pub(crate) const STEPS: [i64; 4] = [3_600, -3_600, 8 * 86_400, -8 * 86_400];

/// A clock that can be set while the program runs.
pub(crate) struct SetClock(PathBuf);

impl SetClock {
    /// A clock that is right, as a file in this folder.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let clock = Self(folder.join(name));
        clock.set(0);
        clock
    }

    /// Ahead by so many seconds.
    pub(crate) fn set(&self, seconds: i64) {
        // Written whole, since it is read at each look at the clock.
        let draft = self.0.with_extension("new");
        std::fs::write(&draft, format!("{seconds:+}\n")).expect("a temporary folder");
        std::fs::rename(&draft, &self.0).expect("the same folder");
    }

    /// What a program that goes by it has in its environment.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let [library, _, monotonic] = ahead(0);
        let file = self.0.display().to_string();
        vec![library, monotonic, ("FAKETIME_TIMESTAMP_FILE", file), ("FAKETIME_NO_CACHE", "1".to_owned())]
    }
}

/// A secret and a key in windows of seven days, and a signed write that was carried out.
struct AtStake {
    key: String,
    write: Vec<u8>,
}

impl AtStake {
    fn make(client: &Client) -> Self {
        create(client, "in-window", "value").ok();
        client.call("DeleteSecret", &[("SecretName", "in-window"), ("RecoveryWindowInDays", "7")]).ok();
        let key = client.call("CreateKey", &[]).ok();
        let key = key.json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned();
        client.call("ScheduleKeyDeletion", &[("KeyId", &key), ("PendingWindowInDays", "7")]).ok();
        create(client, "written", "1").ok();
        let put = [("SecretName", "written"), ("VersionId", "v2"), ("SecretData", "2")];
        let write = client.request("PutSecretValue", &put).bytes();
        client.send_raw(&write).expect("an answer").ok();
        Self { key, write }
    }

    fn is_all_there(&self, client: &Client) {
        client.call("RestoreSecret", &[("SecretName", "in-window")]).ok();
        assert_eq!(client.call("GetSecretValue", &[("SecretName", "in-window")]).ok().text("SecretData"), "value");
        client.call("CancelKeyDeletion", &[("KeyId", &self.key)]).ok();
        client.call("EnableKey", &[("KeyId", &self.key)]).ok();
        let encrypted = client.call("Encrypt", &[("KeyId", &self.key), ("Plaintext", "eA==")]).ok();
        client.call("Decrypt", &[("CiphertextBlob", encrypted.text("CiphertextBlob"))]).ok();
        let again = client.send_raw(&self.write).expect("an answer");
        assert_eq!(again.code(), "SignatureNonceUsed", "{again:?}");
    }
}

fn doubts(ready: &Answer) -> bool {
    ready.status == 503 && String::from_utf8_lossy(&ready.body).contains("the ")
}

#[test]
fn a_clock_that_is_wrong_for_a_while_ends_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (alone, second) = (SetClock::new(folder.path(), "alone"), SetClock::new(folder.path(), "second"));
    let environment = alone.environment();
    let environment: Vec<(&str, &str)> = environment.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let server = Server::dev_with(BULLA, folder.path().join("alone-data"), None, &environment);
    let url = PostgresCluster::shared().database();
    let first = Server::dev(BULLA, folder.path().join("data"), Some(&url));
    let environment = second.environment();
    let environment: Vec<(&str, &str)> = environment.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let node = Node::start_in(BULLA, &first, "2", "", &environment).answering();

    let clients = [server.client(), first.client(), node.client()];
    let stakes = [AtStake::make(&clients[0]), AtStake::make(&clients[1])];
    for client in &clients {
        until(Duration::from_secs(20), "all are ready", || client.page("/readyz").status == 200);
    }
    for seconds in STEPS {
        for clock in [&alone, &second] {
            clock.set(seconds);
        }
        for client in [&clients[0], &clients[2]] {
            until(Duration::from_secs(2), "readyz doubts the clock", || doubts(&client.page("/readyz")));
            assert_eq!(client.figure("bulla_clock_trusted") as u64, 0);
        }
        // Longer than two rounds of the jobs are apart, where something could be destroyed.
        std::thread::sleep(Duration::from_secs(if seconds > 3_600 { 25 } else { 3 }));
        assert_eq!(clients[1].page("/readyz").status, 200, "the other node's clock is right");
        for clock in [&alone, &second] {
            clock.set(0);
        }
        for client in [&clients[0], &clients[2]] {
            until(Duration::from_secs(10), "the clock is believed again", || client.page("/readyz").status == 200);
        }
    }
    stakes[0].is_all_there(&clients[0]);
    stakes[1].is_all_there(&clients[1]);
    let until_ms = PostgresCluster::shared()
        .sql(&url, "SELECT coalesce(max(until) - CAST(extract(epoch FROM now()) * 1000 AS bigint), 0) FROM leases");
    assert!(until_ms.parse::<i64>().expect("a number") <= 120_000, "a lease that runs for {until_ms} ms");
    assert!(node.log().contains("clock: "), "{}", node.log());
}

/// A request that waits for the database while the clock steps is told its time once, when it came: its window does not begin in a past in
/// which it would be over already.
#[test]
fn a_clock_that_steps_under_a_request_moves_no_window() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cluster = PostgresCluster::shared();
    let relay = Relay::to(cluster.port());
    let url = cluster.database().replace(&format!(":{}/", cluster.port()), &format!(":{}/", relay.port()));
    let clock = SetClock::new(folder.path(), "clock");
    let environment = clock.environment();
    let environment: Vec<(&str, &str)> = environment.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let server = Server::dev_with(BULLA, folder.path().join("data"), Some(&url), &environment);
    let client = server.client();
    let key = client.call("CreateKey", &[]).ok();
    let key = key.json["KeyMetadata"]["KeyId"].as_str().expect("an id");
    let window = ("RecoveryWindowInDays", "7");
    for (n, seconds) in STEPS.into_iter().enumerate() {
        let name = format!("in-window/{n}");
        create(&client, &name, "value").ok();
        let planned = |action: &str, (field, value): (&str, &str)| {
            let answer = client.call(action, &[(field, value)]).ok();
            let planned = answer.json.pointer("/KeyMetadata/DeleteDate").or(answer.json.get("PlannedDeleteTime"));
            let planned: jiff::Timestamp = planned?.as_str()?.parse().ok()?;
            Some((planned.duration_since(jiff::Timestamp::now()).as_secs_f64() / 86_400.0).round() as i64)
        };
        let (secret, key) = (("SecretName", name.as_str()), ("KeyId", key));
        let steps = [
            ("DeleteSecret", vec![secret, window], "DescribeSecret", secret, Some(7)),
            ("RestoreSecret", vec![secret], "DescribeSecret", secret, None),
            ("ScheduleKeyDeletion", vec![key, ("PendingWindowInDays", "7")], "DescribeKey", key, Some(7)),
            ("CancelKeyDeletion", vec![key], "DescribeKey", key, None),
        ];
        for (action, parameters, look, at, days) in steps {
            // What is known of the caller is asked for again then, before anything else of the request: the clock steps meanwhile.
            std::thread::sleep(Duration::from_millis(600));
            relay.delay(Duration::from_millis(300));
            std::thread::scope(|scope| {
                let request = scope.spawn(|| client.call(action, &parameters));
                std::thread::sleep(Duration::from_millis(150));
                clock.set(seconds);
                relay.delay(Duration::ZERO);
                let answer = request.join().expect("no panic");
                assert_eq!(answer.status, 200, "{action} under a step of {seconds} s: {}\n{}", answer.code(), server.log());
            });
            clock.set(0);
            assert_eq!(planned(look, at), days, "{action} under a step of {seconds} s");
        }
    }
}

#[test]
fn a_start_in_another_time_waits_for_a_word() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::dev(BULLA, folder.path().join("data"), None);
    let stake = AtStake::make(&server.client());
    server.stop();
    for (name, value) in ahead(8 * 86_400) {
        server.set_environment(name, Some(&value));
    }
    server.restart();
    until(Duration::from_secs(5), "it says that nothing speaks for the clock", || {
        let ready = server.client().page("/readyz");
        ready.status == 200 && String::from_utf8_lossy(&ready.body).contains("ahead of when it was last believed")
    });
    // Nothing that a token sends speaks for the time: by this clock the window is over, and another secret could take the place.
    let client = server.client();
    let door = Bearer::login(&client);
    let put = door.send("POST", "secret/data/in-window", &json!({ "data": { "a": "b" } })).expect("an answer");
    assert_eq!(put.status, 503, "{put:?}");
    std::thread::sleep(Duration::from_secs(25));
    server.stop();
    // The audit log has lines of that time now. It is no more believed for them.
    server.restart();
    until(Duration::from_secs(5), "it doubts as before", || {
        String::from_utf8_lossy(&server.client().page("/readyz").body).contains("ahead of when it was last believed")
    });
    std::thread::sleep(Duration::from_secs(12));
    server.stop();
    for (name, _) in ahead(0) {
        server.set_environment(name, None);
    }
    server.restart();
    until(Duration::from_secs(5), "the right time is believed", || {
        let ready = server.client().page("/readyz");
        ready.status == 200 && !String::from_utf8_lossy(&ready.body).contains("ahead")
    });
    server.admin(&["clock", "accept"]);
    stake.is_all_there(&server.client());
}
