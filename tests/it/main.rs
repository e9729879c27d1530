//! The program as its users run it: real processes, real tokens, real databases.

mod api;
mod attacks;
mod faults;
#[path = "../../softhsm/isolated.rs"]
mod isolated;
mod state;
mod tokens;
mod vault;

use std::path::Path;
use std::time::{Duration, Instant};

use bulla_test_support::client::Client;
use bulla_test_support::postgres::PostgresCluster;
use bulla_test_support::server::Server;
use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};

/// The program under test.
const BULLA: &str = env!("CARGO_BIN_EXE_bulla");

/// A fresh server on SQLite, in a folder that goes with it.
fn on_sqlite() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Server::dev(BULLA, folder.path().join("data"), None);
    (folder, server)
}

/// A fresh server on a fresh database of the shared PostgreSQL.
fn on_postgres() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = PostgresCluster::shared().database();
    let server = Server::dev(BULLA, folder.path().join("data"), Some(&url));
    (folder, server)
}

/// Waits until something is so, for this long at most.
#[track_caller]
fn until(patience: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < patience, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The environment of a program whose clock is ahead by so many seconds.
fn ahead(seconds: i64) -> [(&'static str, String); 3] {
    let library = ["x86_64-linux-gnu", "aarch64-linux-gnu"].map(|a| format!("/usr/lib/{a}/faketime/libfaketime.so.1"));
    let library = library.into_iter().find(|f| Path::new(f).exists()).expect("libfaketime (apt-get install libfaketime)");
    [("LD_PRELOAD", library), ("FAKETIME", format!("+{seconds}")), ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned())]
}

/// The time of a program whose clock is ahead, as requests tell it.
fn time_ahead(seconds: i64) -> String {
    let time = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Starts a server again with a clock that is ahead, and says as its operator that this is right.
fn restart_ahead(server: &mut Server, seconds: i64) {
    if server.pid().is_some() {
        server.stop();
    }
    for (name, value) in ahead(seconds) {
        server.set_environment(name, Some(&value));
    }
    server.restart();
    server.admin(&["clock", "accept"]);
}

/// The SQLite database of a server, beside it.
fn database(server: &Server) -> SqliteConnection {
    let file = server.data().join("bulla.db");
    let mut database = SqliteConnection::establish(file.to_str().expect("UTF-8")).expect("a database");
    database.batch_execute("PRAGMA busy_timeout = 5000").expect("a setting");
    database
}

/// Creates a secret with version v1.
fn create(client: &Client, name: &str, value: &str) -> bulla_test_support::client::Answer {
    client.call("CreateSecret", &[("SecretName", name), ("VersionId", "v1"), ("SecretData", value)])
}

/// Proves the audit log of a server's data folder with the key of its token.
fn verify_audit(server: &Server) {
    let data = server.data();
    let conf = data.join("softhsm2.conf");
    let key = std::process::Command::new(BULLA)
        .args(["audit", "public-key", "--data"])
        .arg(data)
        .env("SOFTHSM2_CONF", &conf)
        .output()
        .expect("the program is there");
    let pem = data.join("aud.pem");
    std::fs::write(&pem, &key.stdout).expect("the folder can be written");
    let verified = std::process::Command::new(BULLA)
        .args(["audit", "verify"])
        .args(audit_files(server))
        .arg("--public-key")
        .arg(&pem)
        .output()
        .expect("the program is there");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

/// The files of a server's audit log, oldest first.
fn audit_files(server: &Server) -> Vec<std::path::PathBuf> {
    bulla::audit::log_files(&server.data().join("audit"), "audit").expect("the folder of the log")
}

/// All lines of a server's audit log, oldest first.
fn audit_lines(server: &Server) -> String {
    audit_files(server).iter().map(|file| std::fs::read_to_string(file).expect("lines of text")).collect()
}
