//! Requests whose caller nobody knows: they are answered, and cannot fill the disk that the audit log is on.

use std::collections::BTreeMap;

use bulla_test_support::client::Client;
use bulla_test_support::server::Server;
use bulla_test_support::sizes::size;
use serde_json::{Value, json};

use crate::vault::{Bearer, send};
use crate::{audit_lines, create, on_sqlite, verify_audit};

/// Requests without a valid signature, as many as a stranger likes to send.
const REQUESTS: usize = 3_000;

/// Refusals that are recorded for an address each second, and ten times that at once.
const PER_SECOND: usize = 10;

/// A line of the log, bytes, and more.
const LINE_BYTES: usize = 1_500;

/// The server behind a proxy that says for whom it forwards, so that its clients have addresses.
fn behind_a_proxy() -> (tempfile::TempDir, Server) {
    let (folder, mut server) = on_sqlite();
    server.stop();
    server.set_environment("BULLA_SERVER__TRUSTED_PROXIES", Some("[\"127.0.0.1/32\"]"));
    server.set_environment("BULLA_LIMITS__REFUSALS_PER_SECOND", Some(&PER_SECOND.to_string()));
    server.restart();
    (folder, server)
}

/// A request with a name that would be six times as long in JSON, and an access key that there is not.
fn foreign(server: &Server, address: &str) -> u16 {
    let nobody = Client::new(&server.ready.endpoint, "LTAInobody", "secret");
    let action = "\u{1}".repeat(600);
    nobody.request(&action, &[]).header("x-forwarded-for", address).send().expect("an answer").status
}

#[test]
fn refusals_of_strangers_cost_a_bounded_number_of_lines() {
    let (_folder, server) = behind_a_proxy();
    let client = server.client();
    create(&client, "kept", "value").ok();
    let before = audit_lines(&server).len();
    let begun = std::time::Instant::now();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..REQUESTS / 4).map(|_| foreign(&server, "192.0.2.7")).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    let throttled = statuses.iter().filter(|status| **status == 429).count();
    assert!(throttled > 0, "{} of {} were turned away", throttled, statuses.len());
    assert!(statuses.iter().all(|status| [404, 429].contains(status)), "{statuses:?}");
    // Another address has a budget of its own, and whoever has an access key is served.
    assert_eq!(foreign(&server, "192.0.2.8"), 404);
    assert_eq!(client.call("GetSecretValue", &[("SecretName", "kept")]).ok().text("SecretData"), "value");
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    client.call("GetSecretValue", &[("SecretName", "kept")]).ok();
    let log = audit_lines(&server);
    let seconds = begun.elapsed().as_secs() as usize + 1;
    let most = (10 * PER_SECOND + seconds * (PER_SECOND + 1) + 20) * LINE_BYTES;
    assert!(log.len() - before < most, "{} bytes in {seconds} s, {most} are allowed", log.len() - before);
    assert!(log.contains("requests beyond the limit for refusals"), "their number is recorded");
    assert!(!log.contains("\\u0001"));
    verify_audit(&server);
}

/// Whoever guesses tokens, roles and JWTs at the second door is refused and counted like others, and finds nothing.
#[test]
fn guesses_at_the_second_door_cost_refusals_within_the_limit() {
    let (_folder, server) = behind_a_proxy();
    let client = server.client();
    let door = Bearer::login(&client);
    door.ask("POST", "secret/data/kept", &json!({ "data": { "a": 1 } })).ok();
    let (before, guesses) = (audit_lines(&server).len(), size(4_000, 1_000_000));
    let begun = std::time::Instant::now();
    let statuses: BTreeMap<u16, usize> = std::thread::scope(|scope| {
        let guess = |n: usize| {
            let client = server.client();
            let mut found = BTreeMap::new();
            for m in 0..guesses / 4 {
                let forwarded = "X-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Proto: https\r\n";
                let token = format!("s.{:043}", n * guesses + m);
                let (method, path, body) = match m % 4 {
                    0 | 1 => ("GET", "secret/data/kept", Value::Null),
                    2 => ("POST", "auth/approle/login", json!({ "role_id": client.access_key_id, "secret_id": token })),
                    _ => ("POST", "auth/token/create", json!({})),
                };
                let answer = send(&client, &token, method, path, &body, forwarded).expect("an answer");
                *found.entry(answer.status).or_insert(0) += 1;
            }
            found
        };
        let threads: Vec<_> = (0..4).map(|n| scope.spawn(move || guess(n))).collect();
        let all = threads.into_iter().flat_map(|thread| thread.join().expect("no panic"));
        all.fold(BTreeMap::new(), |mut sum, (status, count)| {
            *sum.entry(status).or_insert(0) += count;
            sum
        })
    });
    eprintln!("{guesses} guesses in {:?}: {statuses:?}", begun.elapsed());
    assert!(statuses.keys().all(|status| [400, 403, 429].contains(status)) && statuses.contains_key(&429), "{statuses:?}");
    assert_eq!(door.ask("GET", "secret/data/kept", &Value::Null).ok().json["data"]["data"], json!({ "a": 1 }));
    let seconds = begun.elapsed().as_secs() as usize + 1;
    let most = (10 * PER_SECOND + seconds * (PER_SECOND + 1) + 20) * LINE_BYTES;
    let grown = audit_lines(&server).len() - before;
    assert!(grown < most, "{grown} bytes in {seconds} s, {most} are allowed");
}
