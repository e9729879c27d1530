//! Rotations that come by themselves: on time, once, and again after a failure.

use std::path::Path;

use bulla_test_support::node::Node;
use bulla_test_support::postgres::PostgresCluster;

use super::*;

/// Seconds by which the clocks of nodes are ahead.
const AHEAD: i64 = 7 * 3600;

/// The outcomes of rotations that a node's audit folder tells of.
fn outcomes(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("audit.jsonl")).expect("an audit log");
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let rotations = lines.filter(|l| l["kind"] == "outcome" && l["action"] == "RotateSecret" && l["principal"] == "service");
    rotations.map(|l| l["code"].as_str().expect("a code").to_owned()).collect()
}

#[test]
fn of_two_nodes_one_rotates_when_it_is_time() {
    let managed = Managed::start();
    let url = PostgresCluster::shared().database();
    let mut server = managed.service(Some(&url));
    let client = server.client();
    let by_itself = [("EnableAutomaticRotation", "true"), ("RotationInterval", "6h")];
    for (name, account) in [("one", "a"), ("two", "b"), ("three", "c")] {
        create(&client, name, "pg-1", &[account], &by_itself).ok();
    }
    server.stop();
    // All nodes find all three due at their start.
    let environment = [&ahead(AHEAD)[..], &[managed.setting()]].concat();
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let second = Node::start_in(BULLA, &server, "2", "", &environment).answering();
    let node = second.client();
    let first = Node::start_in(BULLA, &server, "1", "", &environment).answering();
    // Their clocks are six hours ahead of the database's.
    first.admin(BULLA, &["clock", "accept"], &environment);
    second.admin(BULLA, &["clock", "accept"], &environment);
    let later = time_ahead(AHEAD);
    let read =
        |name: &str| node.request("GetSecretValue", &[("SecretName", name)]).timestamp(&later).send().expect("an answer").ok();
    // A version is stored before the server hears of it; the rotation is over when it is the one that is served.
    eventually("three rotations", || ["one", "two", "three"].iter().all(|name| read(name).text("VersionId") != "v1"));
    for name in ["one", "two", "three"] {
        let read = read(name);
        assert!(managed.logs_in(&read), "{name}");
        let date = |field: &str| -> jiff::Timestamp { read.text(field).parse().expect("a time") };
        assert_eq!(date("NextRotationDate").as_second() - date("LastRotationDate").as_second(), 21_600);
    }
    first.stop();
    second.stop();
    let done: Vec<_> = ["audit-1", "audit-2"].iter().flat_map(|folder| outcomes(&server.data().join(folder))).collect();
    assert_eq!(done.iter().filter(|code| *code == "OK").count(), 3, "{done:?}");
}

#[test]
fn a_failure_is_seen_and_repaired() {
    let managed = Managed::start();
    let server = managed.service(None);
    let client = server.client();
    create(&client, "db", "pg-1", &["a"], &[("EnableAutomaticRotation", "true"), ("RotationInterval", "7d")]).ok();
    managed.cluster.halt();
    let away = rotate(&client, "db", "v2");
    assert_eq!((away.status, away.code()), (503, "ServiceUnavailableTemporary"));
    let described = client.call("DescribeSecret", &[("SecretName", "db")]).ok();
    assert_eq!(described.text("AutomaticRotation"), "Invalid");
    assert_ne!((described.text("NextRotationDate"), described.text("RotationInterval")), ("", ""));
    let metrics = || client.metrics();
    assert!(metrics().lines().any(|line| line == "bulla_rotations_failing 1"), "{}", metrics());
    assert!(metrics().lines().any(|line| line == "bulla_rotations_total{result=\"failed\"} 1"), "{}", metrics());
    assert_eq!(read(&client, "db").text("VersionId"), "v1");
    let audit = server.data().join("audit");
    eventually("an attempt of the service", || outcomes(&audit).contains(&"RotationFailed".to_owned()));
    managed.cluster.resume(&[]).expect("it starts again");
    eventually("the rotation", || read(&client, "db").text("VersionId") == "v2");
    let repaired = read(&client, "db");
    assert_eq!(repaired.text("AutomaticRotation"), "Enabled");
    assert!(managed.logs_in(&repaired));
    assert!(outcomes(&audit).contains(&"OK".to_owned()));

    // An administrator that may not: refused, nothing changed, and the old password still served.
    managed.cluster.sql("postgres", "ALTER ROLE bulla_rotation NOCREATEROLE");
    assert_eq!(rotate(&client, "db", "v3").status, 503);
    assert!(managed.logs_in(&read(&client, "db")));
    managed.cluster.sql("postgres", "ALTER ROLE bulla_rotation CREATEROLE");
    rotate(&client, "db", "v3").ok();
    assert!(managed.logs_in(&read(&client, "db")));

    // An account that may not log in with what it was given gets back what it had.
    managed.cluster.sql("postgres", "ALTER ROLE a NOLOGIN");
    assert_eq!(rotate(&client, "db", "v4").status, 503);
    managed.cluster.sql("postgres", "ALTER ROLE a LOGIN");
    assert!(managed.logs_in(&read(&client, "db")), "the old password was set again");
}
