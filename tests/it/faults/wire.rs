//! The way to PostgreSQL: cut at every message of a write, slow, or silent on what is open. Nothing acknowledged is lost, and the audit
//! log says of each write what the database says.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bulla_test_support::postgres::PostgresCluster;
use bulla_test_support::relay::{Counted, Relay};
use bulla_test_support::server::Server;
use bulla_test_support::sizes::size;

use crate::faults::load::until_served;
use crate::{BULLA, audit_lines, create, until, verify_audit};

/// What a write's transaction begins with.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE";

/// A server whose way to its database can be cut.
fn behind_a_relay() -> (tempfile::TempDir, Relay, Server) {
    let cluster = PostgresCluster::shared();
    let relay = Relay::to(cluster.port());
    let url = cluster.database().replace(&format!(":{}/", cluster.port()), &format!(":{}/", relay.port()));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Server::dev(BULLA, folder.path().join("data"), Some(&url));
    (folder, relay, server)
}

/// The last code of the outcome of each secret's creation, by the log.
pub(super) fn outcomes(lines: &str) -> HashMap<String, String> {
    let member = |line: &serde_json::Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let made = lines.filter(|line| line["kind"] == "outcome" && line["action"] == "CreateSecret");
    made.filter_map(|line| Some((member(&line, "resource").split_once("secret/")?.1.to_owned(), member(&line, "code"))))
        .collect()
}

#[test]
fn a_write_that_is_cut_at_any_message_is_whole_or_not_and_the_log_says_which() {
    let (_folder, relay, mut server) = behind_a_relay();
    let client = server.client();
    create(&client, "before", "value").ok();
    let mut answers = Vec::new();
    // First the end, while writes are transactions: the commit does not arrive, and its answer does not. Another's may come first.
    for delivered in [0, 1] {
        let cut = (0..20).any(|attempt| {
            let name = format!("commit/{delivered}/{attempt}");
            relay.cut("COMMIT", delivered);
            let answer = create(&client, &name, "value");
            relay.counted();
            answers.push((name, answer.status));
            until_served(&client, &format!("after/{delivered}/{attempt}"), Duration::from_secs(15));
            answer.status == 503
        });
        assert!(cut, "a commit was cut");
    }
    // From the beginning of its transaction, and from the first message that has its name: a write that is one statement has no other.
    for (round, begun) in (0..size(1, 100)).flat_map(|round| [(round, true), (round, false)]) {
        let (text, least) = if begun { (BEGIN, 6) } else { ("/cut", 1) };
        // How many messages a write has depends on what its connection has prepared: up to the first that ends before the cut.
        for message in 0.. {
            let name = format!("{round}/{begun}/cut/{message}");
            relay.cut(text, message);
            let answer = create(&client, &name, "value");
            assert!([200, 503].contains(&answer.status), "{answer:?}");
            answers.push((name, answer.status));
            let counted = relay.counted();
            until_served(&client, &format!("after/{round}/{begun}/{message}"), Duration::from_secs(15));
            match counted {
                Counted::Whole(messages) => {
                    assert!((least..40).contains(&messages), "{messages} messages");
                    break;
                }
                Counted::Absent if answer.status == 200 => break,
                Counted::Cut | Counted::Absent => assert!(message < 40, "a write has no end"),
            }
        }
    }
    // A write that is one statement, as it is once this node has seen how its part stands: before it arrives, and before its answer does.
    for number in 0..400 {
        assert_eq!(create(&client, &format!("fill/{number}"), "value").status, 200);
    }
    for delivered in [0, 1, 2] {
        let cut = (0..20).any(|attempt| {
            let name = format!("alone/{delivered}/{attempt}");
            relay.cut("alone/", delivered);
            let answer = create(&client, &name, "value");
            relay.counted();
            answers.push((name, answer.status));
            until_served(&client, &format!("after/alone/{delivered}/{attempt}"), Duration::from_secs(15));
            answer.status == 503
        });
        assert!(cut || delivered > 1, "a statement was cut");
    }
    let unknown = answers.iter().filter(|(_, status)| *status == 503).count();
    until(Duration::from_secs(15), "what was unknown is resolved", || {
        let lines = audit_lines(&server);
        answers.iter().all(|(name, _)| outcomes(&lines).contains_key(name))
    });
    let outcomes = outcomes(&audit_lines(&server));
    let mut happened = 0;
    for (name, status) in &answers {
        let there = client.call("GetSecretValue", &[("SecretName", name)]).status == 200;
        assert!(there || *status != 200, "{name} was acknowledged and is lost");
        assert_eq!(outcomes[name] == "OK", there, "{name}: {}", outcomes[name]);
        happened += usize::from(there && *status == 503);
    }
    eprintln!("{} writes: {unknown} answered 503, of which {happened} had happened", answers.len());
    server.stop();
    verify_audit(&server);
}

#[test]
fn a_slow_way_is_served_over_and_a_silent_connection_is_given_up() {
    let (_folder, relay, mut server) = behind_a_relay();
    let client = server.client();
    create(&client, "before", "value").ok();
    // 300 ms a round trip. An answer has ten seconds, and where the connection is new each statement is prepared first.
    relay.delay(Duration::from_millis(150));
    let begun = Instant::now();
    until(Duration::from_secs(60), "a read is served", || {
        let answer = client.call("GetSecretValue", &[("SecretName", "before")]);
        assert!([200, 503].contains(&answer.status), "{answer:?}");
        answer.status == 200 && answer.text("SecretData") == "value"
    });
    let read = begun.elapsed();
    let written = create(&client, "slow", "value");
    assert!([200, 503].contains(&written.status), "{written:?}");
    eprintln!("with 300 ms a round trip: a read {read:?}, a write {:?}, {}", begun.elapsed() - read, written.status);
    relay.delay(Duration::ZERO);
    relay.strand();
    let begun = Instant::now();
    until_served(&client, "after", Duration::from_secs(40));
    eprintln!("served {:?} after all connections fell silent", begun.elapsed());
    let slow = client.call("GetSecretValue", &[("SecretName", "slow")]);
    assert!(written.status == 503 || slow.status == 200, "what was acknowledged is there: {slow:?}");
    server.stop();
    verify_audit(&server);
}
