//! Two nodes on one PostgreSQL race for the labels of the same secrets.

use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bulla_test_support::client::{Answer, Client};
use bulla_test_support::node::Node;

use crate::{BULLA, create, on_postgres, verify_audit};

/// Secrets that everybody fights for.
const SECRETS: u64 = 4;

/// Clients on each node.
const CLIENTS: u64 = 3;

/// Operations of all of them together.
const OPERATIONS: u64 = 4_000;

/// Versions that are made by both nodes at once with different values; two operations each.
const DUELS: u64 = 500;

fn put(client: &Client, secret: &str, version: &str, value: &str, stages: &str) -> Answer {
    let parameters = [("SecretName", secret), ("VersionId", version), ("SecretData", value), ("VersionStages", stages)];
    client.call("PutSecretValue", &parameters)
}

/// Looks at all labels of a secret in one answer; gives the version that is current.
fn current(client: &Client, secret: &str) -> String {
    let listed = client.call("ListSecretVersionIds", &[("SecretName", secret), ("IncludeDeprecated", "true")]).ok().json;
    let versions = listed["VersionIds"]["VersionId"].as_array().expect("a list");
    assert!(versions.len() <= 10, "{listed}");
    let mut labels = HashSet::new();
    let mut current = None;
    for version in versions {
        for stage in version["VersionStages"]["VersionStage"].as_array().expect("a list") {
            assert!(labels.insert(stage.as_str().expect("a text")), "{stage} twice: {listed}");
            if stage == "ACSCurrent" {
                current = version["VersionId"].as_str();
            }
        }
    }
    current.unwrap_or_else(|| panic!("no ACSCurrent: {listed}")).to_owned()
}

/// One of the two got it, or neither where the other's part had ended: never a fault of the service.
fn expect(answer: &Answer, allowed: &[(u16, &str)]) {
    assert!(allowed.contains(&(answer.status, answer.code())), "{answer:?}");
}

#[test]
fn labels_under_two_nodes() {
    let (_folder, server) = on_postgres();
    let node = Node::start(BULLA, &server, "2");
    let (first, second) = (server.client(), node.client());
    for n in 0..SECRETS {
        create(&first, &format!("race/{n}"), "v1").ok();
    }
    let (turn, over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut looks = 0;
            while !over.load(Ordering::Relaxed) {
                let node = if looks % 2 == 0 { &first } else { &second };
                current(node, &format!("race/{}", looks % SECRETS));
                looks += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            looks
        });
        let racers: Vec<_> = (0..2 * CLIENTS)
            .map(|n| {
                let node = if n % 2 == 0 { &first } else { &second };
                let turn = &turn;
                scope.spawn(move || {
                    loop {
                        let turn = turn.fetch_add(1, Ordering::Relaxed);
                        if turn >= OPERATIONS {
                            break;
                        }
                        race(node, turn);
                    }
                })
            })
            .collect();
        let ended: Vec<_> = racers.into_iter().map(|racer| racer.join()).collect();
        over.store(true, Ordering::Relaxed);
        assert!(watcher.join().expect("the watcher saw nothing wrong") > 0);
        assert!(ended.iter().all(Result::is_ok));
    });
    for n in 0..SECRETS {
        let secret = format!("race/{n}");
        let current = current(&first, &secret);
        // The value that is served is that of the version that is current, on both nodes.
        for node in [&first, &second] {
            let read = node.call("GetSecretValue", &[("SecretName", &secret)]).ok();
            assert_eq!((read.text("VersionId"), read.text("SecretData")), (current.as_str(), current.as_str()));
        }
    }
    assert!(node.stop().success());
    verify_audit(&server);
}

/// One operation of a race: two of three put a version, the others move a label between versions that may have gone.
/// Asks again where the answer is to come again later, as clients do: so many writers of one secret may keep one waiting for too long.
fn patient(call: impl Fn() -> Answer) -> Answer {
    for _ in 0..5 {
        let answer = call();
        if answer.status != 503 {
            return answer;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    call()
}

fn race(node: &Client, turn: u64) {
    let secret = format!("race/{}", turn * 7 % SECRETS);
    let version = format!("t{turn}");
    let earlier = format!("t{}", turn.saturating_sub(1 + turn % 13));
    let mark = |label: &str, way: &[(&str, &str)]| {
        let parameters = [&[("SecretName", secret.as_str()), ("VersionStage", label)], way].concat();
        patient(|| node.call("UpdateSecretVersionStage", &parameters))
    };
    match turn % 6 {
        0..=2 => expect(&patient(|| put(node, &secret, &version, &version, "[\"ACSCurrent\"]")), &[(200, "")]),
        3 => expect(&patient(|| put(node, &secret, &version, &version, "[\"blue\"]")), &[(200, "")]),
        4 => {
            let back = mark("ACSCurrent", &[("MoveToVersion", &current(node, &secret))]);
            expect(&back, &[(200, ""), (404, "Forbidden.ResourceNotFound")]);
        }
        _ => {
            let moved = mark("ACSPrevious", &[("MoveToVersion", &earlier)]);
            expect(&moved, &[(200, ""), (404, "Forbidden.ResourceNotFound")]);
        }
    }
}

#[test]
fn one_version_two_values() {
    let (_folder, server) = on_postgres();
    let node = Node::start(BULLA, &server, "2");
    let (first, second) = (server.client(), node.client());
    create(&first, "duel", "v1").ok();
    let barrier = Barrier::new(2);
    let duel = |node: &Client, value: &str| -> Vec<bool> {
        let fight = |n| {
            barrier.wait();
            let answer = put(node, "duel", &format!("d{n}"), value, "[\"ACSCurrent\"]");
            expect(&answer, &[(200, ""), (409, "Rejected.ResourceExist")]);
            answer.status == 200
        };
        (0..DUELS).map(fight).collect()
    };
    let (ours, theirs) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| duel(&second, "theirs"));
        (duel(&first, "ours"), theirs.join().expect("no fault"))
    });
    let wins = ours.iter().filter(|won| **won).count();
    assert!(ours.iter().zip(&theirs).all(|(ours, theirs)| ours != theirs), "one success and one refusal each");
    let last = if ours[DUELS as usize - 1] { "ours" } else { "theirs" };
    assert_eq!(second.call("GetSecretValue", &[("SecretName", "duel")]).ok().text("SecretData"), last);
    eprintln!("the first node won {wins} of {DUELS}");
    assert!(node.stop().success());
}
