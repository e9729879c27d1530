//! What stays in the memory of the process when its requests are over.

use std::time::{Duration, Instant};

use bulla_test_support::client::Scheme;
use bulla_test_support::memory;
use bulla_test_support::sizes::size;

use crate::on_sqlite;

/// How all values of this test begin.
const CANARY: &str = "canary7d1f0c52x";
/// How long memory may take to be wiped.
const PATIENCE: Duration = Duration::from_secs(1);

#[test]
fn no_value_stays_in_memory_after_its_requests() {
    let (_folder, server) = on_sqlite();
    server.admin(&["user", "create", "writer"]);
    server.admin(&["policy", "attach", "AliyunKMSFullAccess", "--user", "writer"]);
    let key = server.admin(&["access-key", "create", "--user", "writer"]);
    let text = |name: &str| key[name].as_str().expect("shown once").to_owned();
    let access_key_secret = text("AccessKeySecret");
    let client = server.client_as(&text("AccessKeyId"), &access_key_secret);
    for n in 0..size(200, 5_000) {
        let (name, value) = (format!("canary/{n}"), format!("{CANARY}{n:08}{}", "v".repeat(n * 7 % 3_000)));
        let parameters = [("SecretName", name.as_str()), ("VersionId", "v1"), ("SecretData", &value)];
        let request = client.request("CreateSecret", &parameters);
        let request = match n % 4 {
            0 => request,
            1 => request.in_body(&["SecretData"]),
            2 => request.scheme(Scheme::Acs3),
            _ => request.scheme(Scheme::Acs3).in_body(&["SecretData"]),
        };
        request.send().expect("an answer").ok();
        let read = client.request("GetSecretValue", &[("SecretName", &name)]);
        let read = if n % 2 == 0 { read.xml() } else { read };
        assert_eq!(read.send().expect("an answer").status, 200);
    }
    // What a connection holds of its last request goes with the connection.
    drop(client);
    let pid = server.pid().expect("it runs");
    let left = |needle: &str| memory::find(pid, needle.as_bytes()).expect("root may read it");
    std::thread::sleep(PATIENCE);
    let begun = Instant::now();
    let values = left(CANARY);
    eprintln!("{} values are left {PATIENCE:?} after the last request; looked for in {:?}", values.len(), begun.elapsed());
    assert!(values.is_empty(), "{values:#?}");
    assert!(left(&access_key_secret).is_empty(), "verification keeps a key made of it, not itself");
    // The token layer keeps the PIN to log in again.
    let pin = std::fs::read_to_string(server.data().join("pin")).expect("written by dev");
    assert!(left(pin.trim()).len() <= 1, "more than one copy of the PIN");
    let metrics = server.client().metrics();
    assert!(metrics.contains("bulla_") && !metrics.contains(CANARY));
}

#[test]
fn a_process_that_holds_secrets_cannot_be_dumped() {
    let (_folder, server) = on_sqlite();
    let of = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", server.pid().expect("it runs"))).expect("it runs");
    let limits = of("limits");
    let limit = |name: &str| limits.lines().find_map(|line| line.strip_prefix(name)).expect(name).split_whitespace();
    assert_eq!(limit("Max core file size").take(2).collect::<Vec<_>>(), ["0", "0"]);
    let files: Vec<&str> = limit("Max open files").take(2).collect();
    assert_eq!(files[0], files[1], "as many files as may be open");
    let locked = of("status").lines().any(|l| l.strip_prefix("VmLck:").is_some_and(|size| size.trim() != "0 kB"));
    assert_ne!(locked, server.log().contains("memory is not locked"), "it is locked, or the log says that it is not");
    let pin = std::fs::read_to_string(server.data().join("pin")).expect("written by dev");
    assert!(!of("cmdline").contains(pin.trim()) && !of("environ").contains(pin.trim()));
}
