//! A disk that is full, or fails to sync: no write that was acknowledged is lost, nothing else is acknowledged, and service
//! returns with the disk, by itself.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bulla_test_support::client::Client;
use bulla_test_support::disk::SmallDisk;
use bulla_test_support::node::Node;
use bulla_test_support::server::{Server, bound_to_this_process, spawn, terminate};
use bulla_test_support::sizes::size;

use crate::faults::load::{check_audit_log, under_load, until_served};
use crate::{BULLA, create};

/// Room for the database or the audit log of a test, bytes.
const ROOM: u64 = 24 << 20;
/// How long service may take to return; half a second is usual.
const PATIENCE: Duration = Duration::from_secs(30);

/// A small disk; none, with the reason on the test's output, where this process may not mount one.
fn small_disk() -> Option<SmallDisk> {
    SmallDisk::mount(ROOM).map_err(|e| eprintln!("SKIPPED: no tmpfs can be mounted here: {e}")).ok()
}

/// Creates secrets until one is refused, 503; the names of those that were not.
fn until_refused(client: &Client, prefix: &str) -> Vec<String> {
    let value = "x".repeat(20_000);
    let begun = Instant::now();
    for n in 0.. {
        let name = format!("{prefix}/{n}");
        let parameters = [("SecretName", name.as_str()), ("VersionId", "v1"), ("SecretData", &value)];
        let answer = client.request("CreateSecret", &parameters).in_body(&["SecretData"]).send().expect("an answer");
        if answer.status == 503 {
            assert_eq!(answer.code(), "ServiceUnavailableTemporary");
            assert!(answer.header("retry-after").is_some());
            return (0..n).map(|n| format!("{prefix}/{n}")).collect();
        }
        answer.ok();
        assert!(begun.elapsed() < PATIENCE, "a full disk refuses nothing");
    }
    unreachable!("the loop has no end")
}

/// Fills the disk and empties it, again and again.
fn fill_and_free(server: &Server, disk: &SmallDisk, reads_go_on: bool) {
    let client = server.client();
    create(&client, "steady", "value").ok();
    let mut slowest = Duration::ZERO;
    for round in 0..size(10, 200) {
        disk.fill();
        let kept = until_refused(&client, &format!("pressure/{round}"));
        for _ in 0..20 {
            let read = client.call("GetSecretValue", &[("SecretName", "steady")]);
            assert_eq!(read.status, if reads_go_on { 200 } else { 503 }, "{read:?}");
        }
        disk.free();
        slowest = slowest.max(until_served(&client, &format!("back/{round}"), PATIENCE));
        for name in kept {
            let read = client.call("GetSecretValue", &[("SecretName", &name)]).ok();
            assert_eq!(read.text("SecretData").len(), 20_000);
            client.call("DeleteSecret", &[("SecretName", &name), ("ForceDeleteWithoutRecovery", "true")]).ok();
        }
    }
    eprintln!("served again after {slowest:?} at most");
}

#[test]
fn a_full_disk_under_the_database_refuses_writes_until_there_is_space() {
    let Some(disk) = small_disk() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite:{}", disk.path().join("bulla.db").display());
    let mut server = Server::dev(BULLA, folder.path().join("data"), Some(&url));
    let writers = under_load(&server, "database", |server| fill_and_free(server, &disk, true));
    check_audit_log(&mut server, &writers);
}

/// A server whose audit folder is on this disk.
fn with_audit_on(disk: &SmallDisk, data: &Path) -> Server {
    let audit = disk.path().join("audit");
    std::fs::create_dir(&audit).expect("an empty disk");
    std::fs::create_dir(data).expect("an empty folder");
    symlink(&audit, data.join("audit")).expect("an empty folder");
    Server::dev(BULLA, data, None)
}

#[test]
fn a_full_disk_under_the_audit_log_refuses_everything_until_there_is_space() {
    let Some(disk) = small_disk() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut server = with_audit_on(&disk, &folder.path().join("data"));
    let writers = under_load(&server, "audit", |server| fill_and_free(server, &disk, false));
    check_audit_log(&mut server, &writers);
}

/// A node beside another, which holds what a start would else give back: the last to close SQLite's log removes it.
#[test]
fn a_start_on_a_full_disk_waits_for_space() {
    let Some(disk) = small_disk() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite:{}", disk.path().join("bulla.db").display());
    let mut server = Server::dev(BULLA, folder.path().join("data"), Some(&url));
    create(&server.client(), "before", "value").ok();
    let audit = disk.path().join("audit-2");
    std::fs::create_dir(&audit).expect("space");
    symlink(&audit, server.data().join("audit-2")).expect("an empty folder");
    disk.fill();
    let node = Node::start_with(BULLA, &server, "2", "");
    crate::until(PATIENCE, "it says that it waits", || node.log().contains("waiting"));
    assert!(!node.log().contains("serving on"), "it waits before it serves: {}", node.log());
    disk.free();
    let node = node.answering();
    assert_eq!(node.client().call("GetSecretValue", &[("SecretName", "before")]).ok().text("SecretData"), "value");
    node.stop();
    server.stop();
    let log = std::fs::metadata(disk.path().join("bulla.db-wal")).map_or(0, |file| file.len());
    assert_eq!(log, 0, "what was written is in the database's own file");
}

/// What `bulla dev` comes to on a folder: its exit code and words; or none where it serves, after which it is ended.
fn dev(data: &Path, more: &[&str]) -> Option<(Option<i32>, String)> {
    let said = tempfile::NamedTempFile::new().expect("another disk has space");
    let output = said.reopen().expect("it is there");
    let mut command = bound_to_this_process(Path::new(BULLA));
    command.args(["dev", "--json", "--listen", "127.0.0.1:0", "--data"]).arg(data).args(more).stdin(Stdio::null());
    command.stdout(output.try_clone().expect("it is open")).stderr(output);
    let mut child = spawn(command).expect("the program is there");
    let words = || std::fs::read_to_string(said.path()).expect("text");
    let mut ended = None;
    crate::until(PATIENCE, "it serves or ends", || {
        ended = child.try_wait().expect("our own child");
        ended.is_some() || words().contains("\"Endpoint\"")
    });
    match ended {
        Some(status) => Some((status.code(), words())),
        None => {
            terminate(&mut child);
            None
        }
    }
}

/// With 80 KiB more each time, from nothing to what is enough.
#[test]
fn a_first_start_of_dev_without_space_names_the_disk_and_goes_on_once_there_is_some() {
    let Some(disk) = small_disk() else { return };
    let mut refused = 0;
    for left in (0..).map(|round| round * (80 << 10)) {
        let data = disk.path().join(format!("with-{left}"));
        disk.fill_but(left);
        let ended = dev(&data, &[]);
        disk.free();
        let Some((code, words)) = ended else { break };
        assert_eq!(code, Some(7), "{left} bytes left: {words}");
        assert!(words.contains("the disk is full") || words.contains("No space left on device"), "{left} bytes left: {words}");
        assert_eq!(dev(&data, &[]), None, "{left} bytes were left, and then there was space");
        std::fs::remove_dir_all(&data).expect("it is there");
        refused += 1;
    }
    assert!(refused > 1, "a full disk is no obstacle");
}

/// Named once, it is in the folder's configuration.
#[test]
fn a_full_disk_under_the_database_of_dev_alone_is_named_at_each_start() {
    let Some(disk) = small_disk() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, url) = (folder.path().join("data"), format!("sqlite:{}", disk.path().join("bulla.db").display()));
    disk.fill();
    for more in [&["--database", url.as_str()][..], &[]] {
        let (code, words) = dev(&data, more).expect("it ends");
        assert_eq!(code, Some(7), "{words}");
        assert!(words.contains(&format!("{}: the disk is full", disk.path().display())), "{words}");
    }
    disk.free();
    assert_eq!(dev(&data, &[]), None);
}

/// Attaches strace to a process, so that these system calls fail, for as long as the closure runs. False where there is no strace
/// or it may not do so.
fn with_failing(pid: u32, calls: &str, error: &str, when: &str, meanwhile: impl FnOnce()) -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
    strace.args(["-e", &format!("inject={calls}:error={error}:when={when}"), "-p", &pid.to_string()]);
    let Ok(mut strace) = strace.stdin(Stdio::null()).stderr(Stdio::null()).spawn() else { return false };
    let traced = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|tracer| tracer.trim() != "0"))
    };
    while !traced() {
        if strace.try_wait().expect("our own child").is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    meanwhile();
    terminate(&mut strace);
    true
}

#[test]
fn a_sync_or_a_write_that_fails_is_never_acknowledged() {
    let (_folder, mut server) = crate::on_sqlite();
    let writers = under_load(&server, "syncs", |server| {
        let (client, pid) = (server.client(), server.pid().expect("it runs"));
        for round in 0..size(3, 60) {
            // Of each thread's calls: the first, every second, every one from the third on.
            for (n, when) in ["1", "1+2", "3+"].iter().enumerate() {
                for (m, (calls, error)) in
                    [("fdatasync,fsync", "EIO"), ("fdatasync,fsync", "ENOSPC"), ("pwrite64", "ENOSPC")].iter().enumerate()
                {
                    let done = with_failing(pid, calls, error, when, || std::thread::sleep(Duration::from_millis(150)));
                    if !done {
                        eprintln!("SKIPPED: strace is not installed, or may not trace here");
                        return;
                    }
                    until_served(&client, &format!("after/{round}/{n}/{m}"), PATIENCE);
                }
            }
        }
    });
    check_audit_log(&mut server, &writers);
}
