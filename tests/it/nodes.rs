//! Two nodes on one PostgreSQL and one token.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use bulla_test_support::client::Client;
use bulla_test_support::server::{Server, bound_to_this_process, spawn};

use super::{BULLA, create, on_postgres};

/// `bulla serve` beside a dev server: the same token and database, an audit folder of its own.
pub(super) fn second_node(server: &Server, environment: &[(&str, &str)]) -> (Child, Client) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port();
    let data = server.data();
    let first = std::fs::read_to_string(data.join("bulla.toml")).expect("written by dev");
    let own = first.replace("/audit\"", "/audit-2\"");
    assert_ne!(first, own);
    let file = data.join("node-2.toml");
    std::fs::write(&file, format!("{own}\n[server]\nlisten = \"127.0.0.1:{port}\"\n")).expect("writable");
    let mut command = bound_to_this_process(BULLA.as_ref());
    command.args(["serve", "--config"]).arg(&file).env("SOFTHSM2_CONF", data.join("softhsm2.conf")).stderr(Stdio::null());
    command.envs(environment.iter().copied());
    let child = spawn(command).expect("it starts");
    let ready = &server.ready;
    let client = Client::new(&format!("127.0.0.1:{port}"), &ready.access_key_id, &ready.access_key_secret);
    let begun = Instant::now();
    while client.request("ListSecrets", &[]).send().is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the second node does not answer");
        std::thread::sleep(Duration::from_millis(20));
    }
    (child, client)
}

#[test]
fn nodes_share_everything_and_make_one_default_key() {
    let (_folder, server) = on_postgres();
    let (mut child, second) = second_node(&server, &[]);
    let first = server.client();
    std::thread::scope(|scope| {
        for n in 0..50 {
            let node = if n % 2 == 0 { &first } else { &second };
            scope.spawn(move || create(node, &format!("race/{n}"), &format!("value {n}")).ok());
        }
    });
    let keys = first.call("ListKeys", &[]).ok();
    assert_eq!(keys.json["TotalCount"], 1);
    for n in 0..50 {
        let other = if n % 2 == 0 { &second } else { &first };
        let read = other.call("GetSecretValue", &[("SecretName", &format!("race/{n}"))]).ok();
        assert_eq!(read.text("SecretData"), format!("value {n}"));
    }
    // A revocation works on the other node within a second.
    server.admin(&["user", "create", "leaver"]);
    server.admin(&["policy", "attach", "AliyunKMSSecretAdminAccess", "--user", "leaver"]);
    let key = server.admin(&["access-key", "create", "--user", "leaver"]);
    let text = |name: &str| key[name].as_str().expect("shown").to_owned();
    let endpoint = second.request("ListSecrets", &[]).bytes();
    let host = String::from_utf8_lossy(&endpoint).into_owned();
    let host = host.lines().find_map(|l| l.to_lowercase().strip_prefix("host: ").map(str::to_owned)).expect("a Host header");
    let leaver = Client::new(host.trim(), &text("AccessKeyId"), &text("AccessKeySecret"));
    leaver.call("ListSecrets", &[]).ok();
    server.admin(&["access-key", "disable", &text("AccessKeyId")]);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(leaver.call("ListSecrets", &[]).code(), "Forbidden.AccessKey");
    child.kill().expect("it runs");
    child.wait().expect("our own child");
}
