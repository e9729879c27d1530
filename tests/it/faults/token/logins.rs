//! Logins that are killed: SoftHSM 2.6.1 rewrites its token's file in place when a process logs in, and a kill in that moment costs all
//! keys.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use bulla_test_support::server::Server;
use bulla_test_support::sizes::size;

use crate::{BULLA, create};

/// A deployment that is stopped, and the file that a login rewrites.
fn stopped() -> (tempfile::TempDir, Server, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::dev(BULLA, folder.path().join("data"), None);
    create(&server.client(), "a", "value").ok();
    server.stop();
    let tokens = server.data().join("tokens");
    let token = std::fs::read_dir(tokens).expect("tokens").flatten().map(|entry| entry.path().join("token.object"));
    let file = token.into_iter().find(|file| file.exists()).expect("a token");
    (folder, server, file)
}

fn check(data: &Path, before: &[&str]) -> Command {
    let mut command = match before {
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(BULLA);
            command
        }
        [] => Command::new(BULLA),
    };
    // Not by --data, which would put the copy back that `bulla dev` keeps.
    command.arg("check").arg("--config").arg(data.join("bulla.toml"));
    command.env("SOFTHSM2_CONF", data.join("softhsm2.conf")).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn sound(data: &Path) -> bool {
    check(data, &[]).status().as_ref().is_ok_and(ExitStatus::success)
}

#[test]
fn a_login_is_finished_before_a_signal_ends_the_process() {
    let (_folder, server, file) = stopped();
    // Between the ftruncate and the write, as often as a start truncates.
    for when in 1..=6 {
        let inject = format!("inject=ftruncate:signal=SIGTERM:when={when}");
        let traced =
            check(server.data(), &["strace", "-f", "-o", "/dev/null", "-e", "trace=ftruncate", "-e", &inject]).status();
        assert!(traced.is_ok(), "strace is installed");
        let length = std::fs::metadata(&file).expect("the token's file").len();
        assert!(length > 0, "the token is lost at ftruncate {when}");
    }
    assert!(sound(server.data()));
}

#[test]
fn random_kills_of_starts_lose_no_token() {
    let (_folder, server, file) = stopped();
    for _ in 0..size(40, 10_000) {
        let mut child = check(server.data(), &[]).spawn().expect("bulla");
        std::thread::sleep(Duration::from_micros(fastrand::u64(0..60_000)));
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        child.wait().expect("it ends");
        assert!(std::fs::metadata(&file).expect("the token's file").len() > 0);
    }
    assert!(sound(server.data()));
}

/// What no process can hold off: a kill -9 in the middle. `bulla dev` has a copy.
#[test]
fn a_token_file_that_was_left_empty_is_put_back() {
    let (_folder, mut server, file) = stopped();
    assert!(file.with_file_name("token.object.bulla-copy").exists() || server.try_restart().map(|()| server.stop()).is_ok());
    std::fs::write(&file, b"").expect("emptied");
    server.restart();
    let read = server.client().call("GetSecretValue", &[("SecretName", "a")]).ok();
    assert_eq!(read.text("SecretData"), "value");
}
