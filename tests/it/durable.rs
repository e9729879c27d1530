//! What is on disk, and what a nonce is worth after a restart.

use std::path::Path;

use super::{create, on_sqlite};

fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).expect("readable")));
        }
    }
}

#[test]
fn no_value_and_no_access_key_secret_is_on_disk_or_in_the_log() {
    let (_folder, mut server) = on_sqlite();
    server.admin(&["user", "create", "reader"]);
    let key = server.admin(&["access-key", "create", "--user", "reader"]);
    let canary = "canary-7d1f0c52-value";
    create(&server.client(), "canary", canary).ok();
    let read = server.client().call("GetSecretValue", &[("SecretName", "canary")]).ok();
    assert_eq!(read.text("SecretData"), canary);
    server.stop();
    let mut found = Vec::new();
    files(server.data(), &mut found);
    found.push(("the log".to_owned(), server.log().into_bytes()));
    let secrets =
        [canary, &server.ready.access_key_secret, key["AccessKeySecret"].as_str().expect("shown once at its creation")];
    for secret in secrets {
        for (name, bytes) in &found {
            let hit = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(!hit, "a secret stands in {name}");
        }
    }
}

#[test]
fn a_replayed_write_changes_nothing_also_after_a_restart() {
    let (_folder, mut server) = on_sqlite();
    let client = server.client();
    let parameters = [("SecretName", "once"), ("VersionId", "v1"), ("SecretData", "x")];
    let request = client.request("CreateSecret", &parameters).nonce("replayed-nonce-1");
    let bytes = request.bytes();
    assert_eq!(client.send_raw(&bytes).expect("an answer").status, 200);
    let forced = [("SecretName", "once"), ("ForceDeleteWithoutRecovery", "true")];
    client.call("DeleteSecret", &forced).ok();
    assert_eq!(client.send_raw(&bytes).expect("an answer").code(), "SignatureNonceUsed");
    server.stop();
    server.restart();
    let client = server.client();
    assert_eq!(client.send_raw(&bytes).expect("an answer").code(), "SignatureNonceUsed");
    assert_eq!(client.call("GetSecretValue", &[("SecretName", "once")]).code(), "Forbidden.ResourceNotFound");
}
