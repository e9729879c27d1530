//! SoftHSM's own files are away for a while, as when their disk is unmounted, or cannot be read or written: served again soon after they
//! are back, and no alarm, since nothing was lost.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bulla_test_support::client::Client;
use bulla_test_support::server::{Server, terminate};
use bulla_test_support::sizes::size;

use crate::faults::load::until_served;
use crate::{create, on_sqlite, until};

/// From the return of the files to the first value.
const WITHIN: Duration = Duration::from_secs(3);

/// Until a node has noticed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is done to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The folder of all tokens.
    FolderAway,
    /// One object's file.
    FileAway,
    /// Every attempt to open one fails so.
    Open(&'static str),
}

const FAULTS: [Fault; 5] =
    [Fault::FolderAway, Fault::FileAway, Fault::Open("EIO"), Fault::Open("EMFILE"), Fault::Open("ENOSPC")];

/// A fault that lasts until it is dropped.
enum Meanwhile {
    Moved(PathBuf, PathBuf),
    Traced(Child),
    /// It could not be made here.
    Nothing,
}

impl Meanwhile {
    fn begin(server: &Server, fault: Fault, round: usize) -> Self {
        let tokens = server.data().join("tokens");
        let moved = |from: PathBuf, to: PathBuf| {
            std::fs::rename(&from, &to).expect("on one disk");
            Self::Moved(from, to)
        };
        match fault {
            Fault::FolderAway => moved(tokens, server.data().join("away")),
            Fault::FileAway => {
                let token = std::fs::read_dir(&tokens).expect("tokens").flatten().next().expect("a token").path();
                let is_object =
                    |path: &PathBuf| path.extension().is_some_and(|e| e == "object") && !path.ends_with("token.object");
                let mut objects: Vec<PathBuf> =
                    std::fs::read_dir(&token).expect("a token").flatten().map(|entry| entry.path()).filter(is_object).collect();
                objects.sort();
                moved(objects.swap_remove(round % objects.len()), server.data().join("one-away"))
            }
            Fault::Open(error) => {
                let mut strace = Command::new("strace");
                strace
                    .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=openat", "-e"])
                    .arg(format!("inject=openat:error={error}"));
                strace.arg("-P").arg(&tokens);
                let token = std::fs::read_dir(&tokens).expect("tokens").flatten().next().expect("a token").path();
                strace.arg("-P").arg(&token);
                for entry in std::fs::read_dir(&token).expect("a token").flatten() {
                    strace.arg("-P").arg(entry.path());
                }
                strace.args(["-p", &server.pid().expect("it runs").to_string()]);
                strace.stdin(Stdio::null()).stderr(Stdio::null()).spawn().map_or(Self::Nothing, Self::Traced)
            }
        }
    }

    fn end(self) {
        match self {
            Self::Moved(from, to) => std::fs::rename(to, from).expect("on one disk"),
            Self::Traced(mut strace) => drop(terminate(&mut strace)),
            Self::Nothing => {}
        }
    }
}

/// One value of each key.
fn read(server: &Server, client: &Client, which: usize) -> bool {
    let (name, value) = (format!("files/{which}"), format!("value {which}"));
    let read = client.call("GetSecretValue", &[("SecretName", &name)]);
    match read.status {
        200 => read.text("SecretData") == value || panic!("{read:?}"),
        503 => false,
        status => panic!("{status}; the log:\n{}", server.log()),
    }
}

/// A balancer must not send anybody to a node that has no keys.
#[test]
fn a_node_whose_token_is_away_is_not_ready() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    for round in 0..2 {
        let meanwhile = Meanwhile::begin(&server, Fault::FolderAway, round);
        until(PATIENCE, "not ready", || client.page("/readyz").status == 503);
        meanwhile.end();
        until(PATIENCE, "ready again", || client.page("/readyz").status == 200);
    }
    assert_eq!(client.figure("bulla_integrity_alarms_total"), 0.0, "{}", server.log());
}

#[test]
fn files_of_the_token_are_away_for_a_while() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    for which in 0..4 {
        let key = client.call("CreateKey", &[]).ok();
        let id = key.json["KeyMetadata"]["KeyId"].as_str().expect("a key id").to_owned();
        let (name, value) = (format!("files/{which}"), format!("value {which}"));
        let new = [("SecretName", &*name), ("VersionId", "v1"), ("SecretData", &value), ("EncryptionKeyId", &id)];
        client.call("CreateSecret", &new).ok();
    }
    create(&client, "default", "value").ok();
    let mut slowest = (Duration::ZERO, FAULTS[0]);
    for round in 0..size(30, 1_000) {
        let fault = FAULTS[round % FAULTS.len()];
        let under_load = (round / FAULTS.len()).is_multiple_of(2);
        let lasts = Duration::from_millis([100, 300, 600, 1_000][round % 4] + if round % 15 == 6 { 4_000 } else { 0 });
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            if under_load {
                for thread in 0..2 {
                    let (server, client, over) = (&server, server.client(), &over);
                    scope.spawn(move || {
                        for n in 0.. {
                            read(server, &client, (n + thread) % 4);
                            if over.load(Ordering::Relaxed) {
                                return;
                            }
                            std::thread::sleep(Duration::from_millis(5));
                        }
                    });
                }
            }
            let meanwhile = Meanwhile::begin(&server, fault, round);
            std::thread::sleep(lasts);
            meanwhile.end();
            over.store(true, Ordering::Relaxed);
        });
        let back = Instant::now();
        while !(0..4).all(|which| read(&server, &client, which)) {
            assert!(back.elapsed() < Duration::from_secs(30), "{fault:?} for {lasts:?}: not back; {}", server.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        until_served(&client, &format!("after/{round}"), Duration::from_secs(30));
        eprintln!("{fault:?} for {lasts:?}, {}: back after {:?}", if under_load { "load" } else { "idle" }, back.elapsed());
        if back.elapsed() > slowest.0 {
            slowest = (back.elapsed(), fault);
        }
    }
    eprintln!("back after {slowest:?} at most");
    assert_eq!(client.figure("bulla_integrity_alarms_total"), 0.0, "{}", server.log());
    assert!(slowest.0 <= WITHIN, "{slowest:?}");
}
