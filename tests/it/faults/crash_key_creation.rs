//! kill -9 under a stream of CreateKey: every key that was acknowledged works, every other works or is gone, nothing is left on the
//! token that no row knows.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bulla_test_support::server::Server;

use crate::{create, on_sqlite, until, verify_audit};

/// Kills.
const KILLS: usize = 200;

/// How long what was half made may stay: a minute until its maker is taken for dead, and a round of jobs.
pub(crate) const CLEARED_WITHIN: Duration = Duration::from_secs(300);

/// Creates keys until the server dies; the ids that were acknowledged, and how many as soon as they are.
fn stream(server: &Server, count: &AtomicUsize) -> Vec<String> {
    let client = server.client();
    let mut done = Vec::new();
    loop {
        match client.request("CreateKey", &[]).send() {
            Ok(answer) if answer.status == 200 => {
                done.push(answer.json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned());
                count.fetch_add(1, Ordering::Relaxed);
            }
            _ => return done,
        }
    }
}

fn listed(server: &Server) -> Vec<String> {
    let client = server.client();
    let mut ids = Vec::new();
    for page in 1.. {
        let answer = client.call("ListKeys", &[("PageNumber", &page.to_string()), ("PageSize", "100")]).ok();
        let keys = answer.json["Keys"]["Key"].as_array().expect("a list").clone();
        ids.extend(keys.iter().map(|key| key["KeyId"].as_str().expect("an id").to_owned()));
        if keys.len() < 100 {
            break;
        }
    }
    ids
}

/// Waits until nothing is half made; meanwhile and then, token and database fit together.
pub(crate) fn nothing_half_made_stays(server: &Server) {
    until(CLEARED_WITHIN, "what was half made is cleared away", || {
        let check = server.admin(&["check"]);
        assert_eq!(check["ObjectsWithoutRow"], serde_json::json!([]));
        assert_eq!(check["VersionsWithoutObject"], serde_json::json!([]));
        std::thread::sleep(Duration::from_secs(1));
        check["HalfMade"] == serde_json::json!([])
    });
}

#[test]
fn keys_survive_two_hundred_kills() {
    let (_folder, mut server) = on_sqlite();
    server.set_environment("BULLA_KEYS__QUARANTINE_HOURS", Some("0"));
    let mut acknowledged = Vec::new();
    for round in 0..KILLS {
        let pid = i32::try_from(server.pid().expect("it runs")).expect("a process id");
        let count = AtomicUsize::new(0);
        let done = std::thread::scope(|scope| {
            let stream = scope.spawn(|| stream(&server, &count));
            // In the first creation, or, every other time, in the second.
            let begun = Instant::now();
            while round % 2 == 1 && count.load(Ordering::Relaxed) == 0 && begun.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(1 + (round as u64 * 37) % 90));
            let pid = rustix::process::Pid::from_raw(pid).expect("a process id");
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
            stream.join().expect("no panic")
        });
        acknowledged.extend(done);
        server.kill();
        server.restart();
    }
    assert!(acknowledged.len() >= KILLS / 3, "too few keys were made to mean anything: {}", acknowledged.len());
    let listed = listed(&server);
    for id in &acknowledged {
        assert!(listed.contains(id), "{id} was acknowledged and is gone");
    }
    let client = server.client();
    for (n, id) in listed.iter().enumerate() {
        let (name, key) = (format!("under/{n}"), ("EncryptionKeyId", id.as_str()));
        let parameters = [("SecretName", name.as_str()), ("VersionId", "v1"), ("SecretData", "value"), key];
        client.call("CreateSecret", &parameters).ok();
        assert_eq!(client.call("GetSecretValue", &[("SecretName", &name)]).ok().text("SecretData"), "value");
    }
    // Half-made keys are cleared away while the server serves: `bulla check` then finds nothing that does not fit.
    nothing_half_made_stays(&server);
    assert!(server.log().contains("was never finished and has been removed"), "no kill hit a creation");
    create(&client, "after", "after").ok();
    server.stop();
    verify_audit(&server);
}
