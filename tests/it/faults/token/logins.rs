//! Logins that are killed: SoftHSM 2.6.1 rewrites its token's file in place when a process logs in, and a kill in that moment costs all
//! keys.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use bulla_test_support::chaos::Chaos;
use bulla_test_support::server::{Server, spawn};
use bulla_test_support::sizes::size;

use crate::{BULLA, create, until};

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

/// A command of the deployment, behind the words of another program.
fn command(data: &Path, before: &[&str], name: &str) -> Command {
    let mut command = match before {
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(BULLA);
            command
        }
        [] => Command::new(BULLA),
    };
    // Not by --data, which would put the copy back that `bulla dev` keeps.
    command.arg(name).arg("--config").arg(data.join("bulla.toml"));
    command.env("SOFTHSM2_CONF", data.join("softhsm2.conf")).env("BULLA_SERVER__LISTEN", "127.0.0.1:0");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The words of strace that send SIGTERM when this file is truncated the nth time.
fn at_truncation(file: &Path, nth: usize) -> Vec<String> {
    let inject = format!("inject=ftruncate:signal=SIGTERM:when={nth}");
    let words = ["strace", "-f", "-o", "/dev/null", "-P", &file.display().to_string(), "-e", "trace=ftruncate", "-e", &inject];
    words.map(str::to_owned).to_vec()
}

fn sound(data: &Path) -> bool {
    command(data, &[], "check").status().as_ref().is_ok_and(ExitStatus::success)
}

#[test]
fn a_login_is_finished_before_a_signal_ends_the_process() {
    let (_folder, server, file) = stopped();
    // Between the ftruncate and the write.
    for name in ["check", "serve"] {
        let strace = at_truncation(&file, 1);
        let strace: Vec<&str> = strace.iter().map(String::as_str).collect();
        let ended = command(server.data(), &strace, name).status().expect("strace is installed");
        assert!(!ended.success(), "{name} was ended");
        assert!(std::fs::metadata(&file).expect("the token's file").len() > 0, "the token is lost in {name}");
    }
    assert!(sound(server.data()));
}

/// The login of a reconnect, which a thread of its own does.
#[test]
fn a_reconnect_is_finished_before_a_signal_ends_the_server() {
    let (folder, server, file) = stopped();
    let strace = at_truncation(&file, 2);
    let strace: Vec<&str> = strace.iter().map(String::as_str).collect();
    let log = folder.path().join("serve.log");
    let mut serve = command(server.data(), &strace, "serve");
    let behind = bulla::token::softhsm::module().expect("softhsm2 is installed");
    serve.envs(Chaos::environment(&behind, folder.path(), "")).stderr(File::create(&log).expect("writable"));
    let mut serve = spawn(serve).expect("strace is installed");
    let says = |what: &str| std::fs::read_to_string(&log).unwrap_or_default().matches(what).count();
    until(Duration::from_secs(30), "it serves", || says("serving on") > 0);
    let socket = std::fs::read_dir(folder.path()).expect("our own folder").flatten().map(|entry| entry.path());
    let socket = socket.into_iter().find(|path| path.extension().is_some_and(|e| e == "sock")).expect("a control socket");
    let pid = socket.file_stem().and_then(|pid| pid.to_str()?.parse().ok()).expect("a pid");
    // strace counts for each thread by itself, or for all together: the second login at least is one of a reconnect.
    let mut ended = None;
    for reconnects in 1..=3 {
        Chaos::of(folder.path(), pid).tell("fail C_Decrypt CKR_DEVICE_REMOVED times=1");
        until(Duration::from_secs(30), "a reconnect", || {
            ended = serve.try_wait().expect("our own child");
            ended.is_some() || says("bulla::token::epoch] token: epoch") > reconnects
        });
        if ended.is_some() {
            break;
        }
    }
    assert!(ended.is_some(), "it was ended");
    assert!(std::fs::metadata(&file).expect("the token's file").len() > 0, "the token is lost");
    assert!(sound(server.data()));
}

#[test]
fn random_kills_of_starts_lose_no_token() {
    let (_folder, server, file) = stopped();
    for n in 0..size(40, 10_000) {
        let name = if n % 2 == 0 { "check" } else { "serve" };
        let mut child = command(server.data(), &[], name).spawn().expect("bulla");
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
