//! What a permission is enough for through the second door, what it tells besides, and what the audit log says of it.

use std::io;
use std::path::{Path, PathBuf};

use bulla::token::softhsm;
use bulla_test_support::client::Client;
use bulla_test_support::server::Server;
use serde_json::{Value, json};

use crate::BULLA;
use crate::api::policies::user;
use crate::isolated::isolated;
use crate::vault::{Bearer, send};

fn prepare(home: &Path) -> io::Result<PathBuf> {
    softhsm::prepare(&home.join("data"))
}

/// A server, and a client of its root.
fn with_a_server(home: &Path, test: impl FnOnce(&Server, &Client)) {
    let server = Server::dev(BULLA, home.join("data"), None);
    test(&server, &server.client());
}

/// A user who may do this with secrets.
fn who_may(server: &Server, name: &str, actions: &[&str]) -> Client {
    let actions: Vec<String> = actions.iter().map(|action| format!("kms:{action}")).collect();
    let statement =
        json!([{ "Effect": "Allow", "Action": actions, "Resource": ["acs:kms:*:*:secret/*", "acs:kms:*:*:secret"] }]);
    user(server, name, &[&json!({ "Version": "1", "Statement": statement }).to_string()])
}

/// The newest records: kind, action, code, and the version that was served.
fn records(server: &Server, last: usize) -> Vec<[String; 4]> {
    let lines = crate::audit_lines(server);
    let mut all: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    all.retain(|line| line["action"].as_str().is_some_and(|action| !action.is_empty()));
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let told = |line: &Value| ["kind", "action", "code", "version_id"].map(|member| text(&line[member]));
    all[all.len() - last..].iter().map(told).collect()
}

/// Kind, action and code of the newest records.
fn told_of(server: &Server, last: usize) -> Vec<String> {
    records(server, last).into_iter().map(|[kind, action, code, _]| format!("{kind} {action} {code}")).collect()
}

const DENIED: u16 = 403;

#[test]
fn who_writes_does_not_restore() {
    isolated(prepare, |home| with_a_server(home, writes));
}

fn writes(server: &Server, root: &Client) {
    let (writer, both) =
        (who_may(server, "writer", &["PutSecretValue"]), who_may(server, "both", &["PutSecretValue", "RestoreSecret"]));
    let (writer, both, root_door) = (Bearer::login(&writer), Bearer::login(&both), Bearer::login(root));
    let body = json!({ "data": { "n": 1 } });
    root_door.ask("POST", "secret/data/w/first", &body).ok();
    root_door.ask("POST", "secret/data/w/a", &body).ok();
    let told = told_of(server, 3);
    assert_eq!(told, ["intent PutSecretValue -", "read CreateSecret OK", "outcome PutSecretValue OK"]);
    root.call("DeleteSecret", &[("SecretName", "w/a")]).ok();
    let read = root_door.ask("GET", "secret/data/w/a", &Value::Null);
    assert_eq!((read.status, &read.json["data"]["data"]), (404, &Value::Null));
    // The same whether a secret is in its window or is not there, and whatever number is compared.
    let (there, absent) = (writer.ask("POST", "secret/data/w/a", &body), writer.ask("POST", "secret/data/w/none", &body));
    assert_eq!((there.status, &there.json), (DENIED, &absent.json), "{}", absent.status);
    let cas = json!({ "data": { "n": 1 }, "options": { "cas": 7 } });
    assert_eq!(writer.ask("POST", "secret/data/w/a", &cas).status, DENIED);
    let told = told_of(server, 2);
    assert_eq!(told, ["refused RestoreSecret Forbidden.NoPermission", "outcome PutSecretValue Forbidden.NoPermission"]);
    assert_eq!(root_door.ask("GET", "secret/data/w/a", &Value::Null).status, 404, "it is in its window still");
    // Numbers that name nothing which is withheld restore nothing.
    for numbers in [json!([0]), json!([-1]), json!(["9"])] {
        assert_eq!(root_door.ask("POST", "secret/undelete/w/a", &json!({ "versions": numbers })).status, 204);
        assert_eq!(root_door.ask("GET", "secret/data/w/a", &Value::Null).status, 404, "{numbers}");
    }
    assert_eq!(both.ask("POST", "secret/data/w/a", &body).ok().json["data"]["version"], 2);
    let told = told_of(server, 3);
    assert_eq!(told, ["intent PutSecretValue -", "read RestoreSecret OK", "outcome PutSecretValue OK"]);
    root_door.ask("GET", "secret/data/w/a", &Value::Null).ok();
    // Out of the window nothing more is needed.
    writer.ask("POST", "secret/data/w/a", &body).ok();
    root.call("DeleteSecret", &[("SecretName", "w/a")]).ok();
    assert_eq!(root_door.ask("POST", "secret/undelete/w/a", &json!({ "versions": [3] })).status, 204);
    root_door.ask("GET", "secret/data/w/a", &Value::Null).ok();
    crate::verify_audit(server);
}

#[test]
fn who_tags_does_not_untag() {
    isolated(prepare, |home| with_a_server(home, tags));
}

fn tags(server: &Server, root: &Client) {
    let (tagger, both) =
        (who_may(server, "tagger", &["TagResource"]), who_may(server, "both", &["TagResource", "UntagResource"]));
    let (tagger, both, root) = (Bearer::login(&tagger), Bearer::login(&both), Bearer::login(root));
    root.ask("POST", "secret/data/t/a", &json!({ "data": { "n": 1 } })).ok();
    let set = |door: &Bearer<'_>, method: &str, tags: Value| {
        door.ask(method, "secret/metadata/t/a", &json!({ "custom_metadata": tags })).status
    };
    let tags = || root.ask("GET", "secret/metadata/t/a", &Value::Null).ok().json["data"]["custom_metadata"].clone();
    assert_eq!(set(&tagger, "POST", json!({ "owner": "ann", "env": "prod" })), 204);
    assert_eq!(set(&tagger, "PATCH", json!({ "owner": null })), DENIED);
    assert_eq!(set(&tagger, "POST", json!({ "owner": "ann" })), DENIED);
    assert_eq!(set(&tagger, "PATCH", json!({ "env": "test", "absent": null })), 204, "another value, and nothing goes");
    assert_eq!(tags(), json!({ "owner": "ann", "env": "test" }));
    assert_eq!(set(&both, "PATCH", json!({ "owner": null })), 204);
    assert_eq!(told_of(server, 3), ["intent TagResource -", "read UntagResource OK", "outcome TagResource OK"]);
    assert_eq!(tags(), json!({ "env": "test" }));
    // Metadata that say nothing make nothing; tags make a secret, which is recorded as that.
    assert_eq!(root.ask("POST", "secret/metadata/t/b", &json!({})).status, 204);
    assert_eq!(root.ask("GET", "secret/metadata/t/b", &Value::Null).status, 404);
    assert_eq!(tagger.ask("POST", "secret/metadata/t/b", &json!({ "custom_metadata": { "a": "b" } })).status, DENIED);
    assert_eq!(root.ask("POST", "secret/metadata/t/b", &json!({ "custom_metadata": { "a": "b" } })).status, 204);
    assert_eq!(told_of(server, 3), ["intent TagResource -", "read CreateSecret OK", "outcome TagResource OK"]);
}

#[test]
fn a_patch_says_nothing_of_what_it_changes() {
    isolated(prepare, |home| with_a_server(home, patches));
}

fn patches(server: &Server, root: &Client) {
    let writer = who_may(server, "writer", &["PutSecretValue"]);
    let (writer, root_door) = (Bearer::login(&writer), Bearer::login(root));
    let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(90), "]".repeat(90));
    let said = |name: &str, changes: Value| {
        let answer = writer.ask("PATCH", &format!("secret/data/{name}"), &json!({ "data": changes }));
        assert_eq!(answer.status, 400, "{name}");
        answer.json["errors"][0].as_str().expect("a text").to_owned()
    };
    root_door.ask("POST", "secret/data/p/short", &json!({ "data": { "password": "x" } })).ok();
    root_door.ask("POST", "secret/data/p/long", &json!({ "data": { "password": "x".repeat(100), "more": "y" } })).ok();
    crate::create(root, "p/deep", &deep).ok();
    crate::create(root, "p/surrogate", r#"{"a":{"\ud800":1}}"#).ok();
    let pad = "z".repeat(30_720);
    let one = said("p/short", json!({ "pad": pad }));
    assert!(one.contains("at most 30720 bytes"), "{one}");
    assert_eq!(one, said("p/long", json!({ "pad": pad })));
    assert_eq!(one, said("p/long", json!({ "pad": pad, "more": null })), "whether a field is there");
    assert_eq!(one, said("p/deep", json!({ "b": 1 })));
    assert_eq!(one, said("p/surrogate", json!({ "a": { "b": 1 } })));
}

#[test]
fn a_secret_in_the_place_of_an_id_is_not_recorded() {
    isolated(prepare, |home| with_a_server(home, logins));
}

fn logins(server: &Server, root: &Client) {
    let ann = user(server, "ann", &[]);
    let (id, secret) = (ann.access_key_id.clone(), ann.access_key_secret.clone());
    let token = Bearer::login(root).token;
    for role in [&secret, &token, "hunter2"] {
        let body = json!({ "role_id": role, "secret_id": id });
        assert_eq!(send(root, "", "POST", "auth/approle/login", &body, "").expect("an answer").status, 400);
        let swapped = server.client_as(role, &id);
        assert!(swapped.call("ListSecrets", &[]).status >= 400);
        assert!(!crate::audit_lines(server).contains(&format!("\"{role}\"")), "in the audit log");
    }
    // What can be an id is recorded, and whose it is once that is proved.
    let known = server.client_as(&id, "wrong");
    assert!(known.call("ListSecrets", &[]).status >= 400);
    assert!(crate::audit_lines(server).contains(&format!("\"access_key\":\"{id}\"")));
    let roots = root.access_key_id.clone();
    assert!(crate::audit_lines(server).contains(&format!("\"access_key\":\"{roots}\"")));
}

#[test]
fn a_read_without_a_value_is_recorded_as_that() {
    isolated(prepare, |home| with_a_server(home, reads));
}

fn reads(server: &Server, root: &Client) {
    let door = Bearer::login(root);
    for n in 1..=3 {
        door.ask("POST", "secret/data/r/a", &json!({ "data": { "n": n } })).ok();
    }
    door.ask("POST", "secret/delete/r/a", &json!({ "versions": [1] }));
    door.ask("POST", "secret/destroy/r/a", &json!({ "versions": [2] }));
    let told = |path: &str| {
        let answer = door.ask("GET", path, &Value::Null);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.json["data"]["metadata"]["version"].is_number(), "{path}: what is known is told");
        let [kind, action, code, version] = records(server, 1).remove(0);
        assert_eq!((kind.as_str(), action.as_str(), version.as_str()), ("read", "GetSecretValue", "-"), "{path}");
        code
    };
    for kind in ["data", "subkeys"] {
        assert_eq!(told(&format!("secret/{kind}/r/a?version=1")), "Rejected.ResourceInDeleteWindow");
        assert_eq!(told(&format!("secret/{kind}/r/a?version=2")), "Forbidden.ResourceNotFound");
    }
    root.call("DeleteSecret", &[("SecretName", "r/a")]).ok();
    assert_eq!(told("secret/data/r/a"), "Rejected.ResourceInDeleteWindow");
}

#[test]
fn who_describes_a_key_has_no_public_key() {
    isolated(prepare, |home| with_a_server(home, describes));
}

fn describes(server: &Server, root: &Client) {
    let made = root.call("CreateKey", &[("KeySpec", "EC_P256")]).ok();
    let id = made.json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned();
    root.call("CreateAlias", &[("KeyId", &id), ("AliasName", "alias/d/pair")]).ok();
    let version =
        root.call("ListKeyVersions", &[("KeyId", &id)]).ok().json["KeyVersions"]["KeyVersion"][0]["KeyVersionId"].clone();
    let version = version.as_str().expect("an id");
    let public = root.call("GetPublicKey", &[("KeyId", &id), ("KeyVersionId", version)]).ok().json["PublicKey"].clone();
    let told = |client: &Client| {
        let answer = Bearer::login(client).ask("GET", "transit/keys/d/pair", &Value::Null).ok();
        answer.json["data"]["keys"]["1"].clone()
    };
    let told_root = told(root);
    assert_eq!((&told_root["public_key"], &told_root["name"]), (&public, &json!("P-256")));
    assert_eq!(told_of(server, 2), ["read GetPublicKey OK", "read DescribeKey OK"]);
    let allow = |action: &str| {
        let statement = json!([{ "Effect": "Allow", "Action": [action], "Resource": [format!("acs:kms:*:*:key/{id}")] }]);
        json!({ "Version": "1", "Statement": statement }).to_string()
    };
    let describer = user(server, "describer", &[&allow("kms:DescribeKey")]);
    assert_eq!(told(&describer)["public_key"], Value::Null);
    assert_eq!(told_of(server, 2), ["refused GetPublicKey Forbidden.NoPermission", "read DescribeKey OK"]);
}

#[test]
fn a_label_stands_where_its_readers_find_a_value() {
    isolated(prepare, |home| with_a_server(home, labels));
}

fn labels(_: &Server, root: &Client) {
    let door = Bearer::login(root);
    for n in 1..=3 {
        door.ask("POST", "secret/data/l/a", &json!({ "data": { "n": n } })).ok();
    }
    door.ask("POST", "secret/destroy/l/a", &json!({ "versions": [1] }));
    door.ask("POST", "secret/delete/l/a", &json!({ "versions": [2] }));
    door.ask("POST", "secret/metadata/l/b", &json!({ "custom_metadata": { "a": "b" } }));
    door.ask("POST", "secret/data/l/b", &json!({ "data": { "n": 1 } })).ok();
    let versions = |name: &str| {
        let listed = root.call("ListSecretVersionIds", &[("SecretName", name), ("IncludeDeprecated", "true")]).ok();
        let id = |version: &Value| version["VersionId"].as_str().expect("an id").to_owned();
        listed.json["VersionIds"]["VersionId"].as_array().expect("a list").iter().map(id).collect::<Vec<_>>()
    };
    let (a, b) = (versions("l/a"), versions("l/b"));
    let (destroyed, deleted, never) =
        ("Forbidden.ResourceNotFound", "Rejected.ResourceInDeleteWindow", "Forbidden.ResourceNotFound");
    for (name, current, version, code) in
        [("l/a", &a[2], &a[0], destroyed), ("l/a", &a[2], &a[1], deleted), ("l/b", &b[1], &b[0], never)]
    {
        for stage in ["ACSCurrent", "mine"] {
            let from = if stage == "mine" { vec![] } else { vec![("RemoveFromVersion", current.as_str())] };
            let to = [("SecretName", name), ("VersionStage", stage), ("MoveToVersion", version.as_str())];
            let refused = root.call("UpdateSecretVersionStage", &[&to, from.as_slice()].concat());
            assert_eq!(refused.code(), code, "{name} {stage} {version}");
        }
        assert_eq!(root.call("GetSecretValue", &[("SecretName", name)]).ok().text("VersionId"), current);
    }
    // The version is deleted, and the secret is not: each is said in its own words.
    let read = root.call("GetSecretValue", &[("SecretName", "l/a"), ("VersionId", &a[1])]);
    assert_eq!((read.code(), read.text("Message")), (deleted, "This version of the secret is deleted."));
}

#[test]
fn a_token_that_was_ended_stays_so() {
    isolated(prepare, |home| with_a_server(home, ended));
}

fn ended(server: &Server, _: &Client) {
    let eve = user(server, "eve", &[]);
    let id = eve.access_key_id.as_str();
    let looks = |door: &Bearer<'_>| door.ask("GET", "auth/token/lookup-self", &Value::Null).status;
    for (off, on) in
        [(["access-key", "disable", id], ["access-key", "enable", id]), (["user", "disable", "eve"], ["user", "enable", "eve"])]
    {
        let door = Bearer::login(&eve);
        assert_eq!(looks(&door), 200);
        server.admin(&off);
        server.admin(&on);
        std::thread::sleep(std::time::Duration::from_millis(1_200));
        assert_eq!(looks(&door), DENIED, "{off:?}");
        assert_eq!(looks(&Bearer::login(&eve)), 200);
    }
}
