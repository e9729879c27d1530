//! A signed write takes effect once, whoever sends it again, to which node, and when.

use std::time::Duration;

use bulla_test_support::client::{Answer, Client};
use bulla_test_support::node::Node;
use bulla_test_support::server::Server;
use bulla_test_support::sizes::size;
use diesel::connection::SimpleConnection;

use crate::{BULLA, create, database, on_postgres, on_sqlite, until};

/// Threads that replay at the same time.
const THREADS: usize = 4;

fn send(client: &Client, bytes: &[u8]) -> Answer {
    client.send_bytes(bytes).expect("an answer")
}

/// Sends a write to both nodes at once: it happens, once.
fn race(nodes: [&Client; 2], bytes: &[u8]) {
    let answers = std::thread::scope(|scope| {
        let other = scope.spawn(|| send(nodes[1], bytes));
        [send(nodes[0], bytes), other.join().expect("no panic")]
    });
    let done = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(done, 1, "{answers:?}");
}

fn replay(nodes: [&Client; 2], bytes: &[u8]) {
    for node in nodes {
        let answer = send(node, bytes);
        assert_eq!(answer.code(), "SignatureNonceUsed", "{answer:?}");
    }
}

/// Creates, deletes and creates again, with each request replayed after it would have an effect once more.
fn replay_all(nodes: [&Client; 2], name: &str) {
    let create = |value| {
        let parameters = [("SecretName", name), ("VersionId", "v1"), ("SecretData", value)];
        nodes[0].request("CreateSecret", &parameters).bytes()
    };
    let created = create("first");
    race(nodes, &created);
    let deleted = nodes[1].request("DeleteSecret", &[("SecretName", name), ("ForceDeleteWithoutRecovery", "true")]).bytes();
    race(nodes, &deleted);
    replay(nodes, &created);
    // Not there yet, or this would be refused.
    assert_eq!(send(nodes[1], &create("second")).status, 200);
    replay(nodes, &deleted);
    assert_eq!(nodes[0].call("GetSecretValue", &[("SecretName", name)]).ok().text("SecretData"), "second");
}

#[test]
fn replays_have_no_second_effect_on_this_node_or_another() {
    let (_folder, server) = on_postgres();
    let node = Node::start(BULLA, &server, "2");
    let (first, second) = (server.client(), node.client());
    // Six replays each: one in each race, and two of each request afterwards.
    let rounds = size(2_000, 100_000).div_ceil(6);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (first, second) = (&first, &second);
            scope.spawn(move || {
                for n in (thread..rounds).step_by(THREADS) {
                    replay_all([first, second], &format!("replay/{n}"));
                }
            });
        }
    });
    assert_eq!(first.call("ListSecrets", &[]).ok().json["TotalCount"], rounds);
    eprintln!("{} replays, 0 second effects", rounds * 6);
}

/// Takes a write's mark away, as somebody would who has captured the request.
fn unmark(server: &Server, answer: &Answer) -> String {
    let request = answer.text("RequestId").to_lowercase();
    let delete = format!("DELETE FROM nonces WHERE request_id = x'{}'", request.replace('-', ""));
    database(server).batch_execute(&delete).expect("a statement");
    format!("the marks of 1 changes that this node has made are gone, the first of them request {request}")
}

/// Nothing counts marks, so the node that left one looks after it: by what it remembers, and after a start by what its log tells.
#[test]
fn a_mark_that_is_taken_away_is_missed() {
    let (_folder, mut server) = on_sqlite();
    let client = server.client();
    let early = create(&client, "early", "value").ok();
    let late = create(&client, "late", "value").ok();
    let told = unmark(&server, &late);
    until(Duration::from_secs(60), "an alarm while it runs", || server.log().contains(&told));
    // Behind checkpoints, and behind more requests than a start asks for at once.
    for n in 0..3 {
        for m in 0..30 {
            create(&client, &format!("more/{n}/{m}"), "value").ok();
        }
        std::thread::sleep(Duration::from_millis(1_200));
    }
    // Commands leave marks too, and are told of in a log of their own.
    server.admin(&["user", "create", "ann"]);
    server.stop();
    unmark(&server, &early);
    server.restart();
    let request = early.text("RequestId").to_lowercase();
    let told = format!("the marks of 2 changes that this node has made are gone, the first of them request {request}");
    until(Duration::from_secs(60), "an alarm after the start", || server.log().contains(&told));
    assert!(!server.log().contains("no log of this node tells"), "{}", server.log());
}
