//! An upgrade: an old program and a new one on one database, the raise of the level, and the old program after it.
//!
//! The new program is the same one, told to be its own successor: it has a migration more, which adds a column to `secrets`, and seals
//! rows in the layout of level 2 once the level is raised (migrations/README.md).

use std::process::Command;

use bulla_test_support::client::Client;
use bulla_test_support::node::Node;
use bulla_test_support::server::Server;

use crate::{BULLA, create, on_postgres, on_sqlite};

const NEXT: (&str, &str) = ("BULLA_LEVELS", "1-2");

fn reads(client: &Client, names: &[&str]) {
    for name in names {
        let read = client.call("GetSecretValue", &[("SecretName", name)]).ok();
        assert_eq!(read.text("SecretData"), format!("value of {name}"));
    }
}

/// Writes what touches sealed rows of many tables: a secret, its description, its label, a key.
fn writes(client: &Client, name: &str) {
    create(client, name, &format!("value of {name}")).ok();
    changes(client, name);
}

fn changes(client: &Client, name: &str) {
    client.call("UpdateSecret", &[("SecretName", name), ("Description", "changed")]).ok();
    client.call("TagResource", &[("SecretName", name), ("Tags", r#"[{"TagKey":"k","TagValue":"v"}]"#)]).ok();
    let key = client.call("CreateKey", &[]).ok().json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned();
    client.call("DisableKey", &[("KeyId", &key)]).ok();
    client.call("EnableKey", &[("KeyId", &key)]).ok();
}

fn raise(server: &Server) -> (bool, String) {
    let mut command = Command::new(BULLA);
    command.args(["level", "--raise", "--data"]).arg(server.data()).env(NEXT.0, NEXT.1);
    let output = command.env("SOFTHSM2_CONF", server.data().join("softhsm2.conf")).output().expect("the program is there");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn an_upgrade((_folder, mut server): (tempfile::TempDir, Server)) {
    let old = server.client();
    writes(&old, "first");
    server.set_environment(NEXT.0, Some(NEXT.1));
    server.admin(&["migrate"]);
    server.set_environment(NEXT.0, None);
    let new = Node::start_in(BULLA, &server, "new", "", &[NEXT]).answering();
    writes(&new.client(), "by the new one".replace(' ', "-").as_str());
    writes(&old, "by-the-old-one");
    server.stop();
    server.restart();
    let old = server.client();
    let names = ["first", "by-the-new-one", "by-the-old-one"];
    for client in [&old, &new.client()] {
        reads(client, &names);
        names.iter().for_each(|name| changes(client, name));
    }
    let (raised, why) = raise(&server);
    assert!(!raised && why.contains("not every node serves level 2"), "{why}");
    server.stop();
    let (raised, why) = raise(&server);
    assert!(raised, "{why}");
    // The new node writes at the old level until it hears of the raise, and reads both.
    reads(&new.client(), &names);
    new.stop();
    let new = Node::start_in(BULLA, &server, "newer", "", &[NEXT]).answering();
    reads(&new.client(), &names);
    names.iter().for_each(|name| changes(&new.client(), name));
    writes(&new.client(), "last");
    reads(&new.client(), &["last", "first"]);

    server.try_restart().expect_err("an old program");
    let log = server.log();
    assert!(log.contains("the deployment is at level 2") && log.contains("run a program that serves level 2"), "{log}");
    for log in [log, new.log()] {
        assert!(!log.contains("ALARM"), "{log}");
    }
}

#[test]
fn an_upgrade_on_sqlite() {
    an_upgrade(on_sqlite());
}

#[test]
fn an_upgrade_on_postgres() {
    an_upgrade(on_postgres());
}
