//! What a token refuses to be told, found once by `bulla init`, recorded with the suite, and not found again by whoever starts after it.

use std::fs;
use std::process::Stdio;

use bulla_test_support::chaos::Function;
use bulla_test_support::postgres::PostgresCluster;
use serde_json::{Value, json};

use super::rig::{self, Rig};
use super::script::Serving;
use super::text;

/// Those of a token that wants to be told less, and what an administrator reads of it.
const REFUSES: &str = "refuse attribute CKA_COPYABLE; refuse value CKA_PRIVATE 00; refuse attribute CKA_DERIVE";
const NAMES: [&str; 3] = ["CKA_COPYABLE", "CKA_DERIVE", "CKA_PRIVATE = false of public keys"];

fn ran(rig: &Rig, arguments: &[&str]) -> String {
    let output = rig.bulla(arguments).stdin(Stdio::null()).output().expect("bulla");
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a command says of the attributes: recorded, refused now.
fn attributes(rig: &Rig, command: &str) -> [Value; 2] {
    let said = ran(rig, &[command, "--json"]);
    let told: Value = serde_json::from_str(said.lines().next().unwrap_or_default()).unwrap_or_else(|e| panic!("{e}: {said}"));
    ["AttributesLeftOut", "AttributesRefused"].map(|name| told[name].clone())
}

/// The line of `bulla check` about the steps, with its hint.
fn steps(rig: &Rig) -> String {
    let said = ran(rig, &["check"]);
    let lines: Vec<&str> = said.lines().skip_while(|line| !line.contains("  steps ")).take(2).collect();
    lines.join("\n")
}

/// How many calls a server makes that make objects, from its start to the end of what makes keys of each kind.
fn makers(rig: &Rig, id: &str, secret: &str) -> [u64; 2] {
    let server = Serving::start(rig, id, secret);
    for spec in ["Aliyun_AES_256", "EC_P256"] {
        let usage = if spec == "EC_P256" { "SIGN/VERIFY" } else { "ENCRYPT/DECRYPT" };
        let made = server.client.call("CreateKey", &[("KeySpec", spec), ("KeyUsage", usage)]);
        assert_eq!(made.status, 200, "{:?}", made.json);
    }
    let chaos = server.chaos(rig);
    let calls = [Function::C_GenerateKey, Function::C_GenerateKeyPair].map(|call| chaos.calls(call));
    server.stop();
    calls
}

fn recorded(database: Option<String>) {
    let Ok(mut rig) = rig::softhsm() else { panic!("softhsm2 is installed") };
    rig.set(database.into_iter().map(|url| ("BULLA_DATABASE__URL", url.into())));
    rig.behind_chaos(REFUSES);
    rig.configure();
    let key: Value = serde_json::from_str(&ran(&rig, &["init", "--json"])).expect("an access key");
    let part = |name: &str| key[name].as_str().expect("shown once").to_owned();
    let (id, secret) = (part("AccessKeyId"), part("AccessKeySecret"));
    for command in ["check", "inventory"] {
        assert_eq!(attributes(&rig, command), [json!(NAMES), json!(NAMES)], "{command}");
    }
    assert!(!steps(&rig).contains("refuses now"), "{}", steps(&rig));
    // The canary and one key, and a pair: not one call more than where nothing is refused.
    assert_eq!(makers(&rig, &id, &secret), [2, 1]);

    // It has learnt them: what was made without is ours all the same, for every command, and after a restoration too.
    rig.behind_chaos("");
    assert_eq!(makers(&rig, &id, &secret), [2, 1]);
    for command in ["check", "inventory"] {
        assert_eq!(attributes(&rig, command), [json!(NAMES), json!([])], "{command}");
    }
    let said = steps(&rig);
    assert!(said.starts_with("ok  ") && said.contains("recorded at `bulla init`; the token refuses now: none"), "{said}");
    ran(&rig, &["verify"]);
    ran(&rig, &["rekey", "--accept"]);
    let backup = rig.folder.path().join("backup");
    let backup = backup.to_str().expect("UTF-8");
    ran(&rig, &["backup", "--to", backup]);
    ran(&rig, &["backup", "verify", backup]);
    ran(&rig, &["restore", "--from", backup, "--accept"]);
    assert_eq!(attributes(&rig, "check"), [json!(NAMES), json!([])]);

    // It refuses another one: found as before, and told.
    rig.behind_chaos(&format!("{REFUSES}; refuse attribute CKA_MODIFIABLE"));
    let calls = makers(&rig, &id, &secret);
    assert!(calls[0] > 2 && calls[1] > 1, "{calls:?}");
    let more = [&NAMES[..], &["CKA_MODIFIABLE"]].concat();
    for command in ["check", "inventory"] {
        assert_eq!(attributes(&rig, command), [json!(NAMES), json!(more)], "{command}");
    }
    let said = steps(&rig);
    assert!(said.starts_with("warn") && said.contains("keys are made without CKA_MODIFIABLE all the same"), "{said}");
    let manifest = fs::read_to_string(rig.folder.path().join("backup/manifest.json")).expect("a manifest");
    assert!(manifest.contains("C_GenerateKey/CKA_COPYABLE"), "{manifest}");
}

#[test]
fn what_a_token_refuses_to_be_told_is_recorded_on_sqlite() {
    recorded(None);
}

#[test]
fn what_a_token_refuses_to_be_told_is_recorded_on_postgres() {
    recorded(Some(PostgresCluster::shared().database()));
}
