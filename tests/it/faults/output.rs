//! What a process says and hears: a log that nobody reads or that cannot be written, a disk that does not answer, each signal. None of
//! it stops the service, and SIGTERM ends it all the same.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bulla_test_support::server::{Server, terminate};
use bulla_test_support::sizes::size;
use rustix::process::{Pid, Signal, kill_process};

use crate::faults::load::{check_audit_log, under_load};
use crate::faults::wrapped::wrapped;
use crate::{create, on_sqlite, until};

#[test]
fn a_log_that_nobody_reads_costs_lines_and_no_requests() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    assert!(made.success());
    // Open at both ends, and not read.
    let mut unread = File::options().read(true).write(true).open(&pipe).expect("a pipe");
    for redirection in [format!("2>{}", pipe.display()), "2>&-".to_owned(), "2>/dev/full".to_owned()] {
        let program = wrapped(folder.path(), "", &redirection);
        let mut server = Server::dev(program, folder.path().join("data"), None);
        let client = server.client();
        // Answers 409 from the second round on.
        create(&client, "secret", "value");
        for _ in 0..size(1_500, 100_000) {
            client.call("GetSecretValue", &[("SecretName", "secret")]).ok();
        }
        assert_eq!(client.page("/readyz").status, 200, "{redirection}");
        let begun = Instant::now();
        assert!(server.stop().success(), "{redirection}");
        assert!(begun.elapsed() < Duration::from_secs(15), "{redirection}: {:?}", begun.elapsed());
    }
    let mut some = [0; 512];
    let count = unread.read(&mut some).expect("what the pipe holds");
    assert!(String::from_utf8_lossy(&some[..count]).contains("bulla"), "what there was room for was written");
}

/// Attaches strace, so that the next sync of each thread takes so long. None where it may not.
fn slow_syncs(pid: u32, seconds: u32) -> Option<std::process::Child> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync"]);
    strace.args(["-e", &format!("inject=fdatasync:delay_enter={seconds}000000:when=1"), "-p", &pid.to_string()]);
    let mut child = strace.stdin(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
    std::thread::sleep(Duration::from_millis(500));
    child.try_wait().expect("our own child").is_none().then_some(child)
}

#[test]
fn a_disk_that_does_not_answer_is_said_and_service_returns_with_it() {
    let (_folder, mut server) = on_sqlite();
    let client = server.client();
    create(&client, "secret", "value").ok();
    let Some(mut strace) = slow_syncs(server.pid().expect("it runs"), 5) else {
        eprintln!("SKIPPED: strace is not installed, or may not trace here");
        return;
    };
    std::thread::scope(|scope| {
        scope.spawn(|| client.call("GetSecretValue", &[("SecretName", "secret")]));
        let waiting = server.client();
        until(Duration::from_secs(4), "readyz says so", || {
            let ready = waiting.page("/readyz");
            ready.status == 503 && String::from_utf8_lossy(&ready.body).contains("has not answered for")
        });
        assert!(waiting.figure("bulla_audit_oldest_wait_seconds") >= 1.0);
    });
    until(Duration::from_secs(20), "service returns", || client.page("/readyz").status == 200);
    client.call("GetSecretValue", &[("SecretName", "secret")]).ok();
    terminate(&mut strace);
    check_audit_log(&mut server, &[]);
}

/// Signals that a server goes on after; 16 is STKFLT, 34 and 64 the first and last of the real-time ones.
const GOES_ON: [i32; 13] = [1, 10, 12, 14, 16, 24, 25, 26, 27, 29, 28, 34, 64];

fn send(server: &Server, signal: i32) {
    let pid = Pid::from_raw(i32::try_from(server.pid().expect("it runs")).expect("a pid")).expect("a pid");
    // The shell's own kill knows the real-time signals too.
    let sent = Command::new("kill").args([&format!("-{signal}"), &pid.as_raw_nonzero().to_string()]).status();
    assert!(sent.expect("kill").success(), "{signal}");
}

#[test]
fn each_signal_does_what_it_is_meant_to() {
    let (_folder, mut server) = on_sqlite();
    let writers = under_load(&server, "signals", |server| {
        for _ in 0..size(20, 500) {
            for signal in GOES_ON {
                send(server, signal);
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        until(Duration::from_secs(10), "the log says what was read again", || server.log().contains("limits: read again"));
    });
    // TERM, INT, QUIT and PWR end it in good order, once it has begun to serve.
    for (n, signal) in [15, 2, 3, 30].into_iter().enumerate() {
        let client = server.client();
        create(&client, &format!("last/{n}"), "value").ok();
        send(&server, signal);
        assert!(server.wait().success(), "signal {signal}: {}", server.log());
        server.restart();
        assert_eq!(
            server.client().call("GetSecretValue", &[("SecretName", &format!("last/{n}"))]).ok().text("SecretData"),
            "value"
        );
    }
    check_audit_log(&mut server, &writers);
}

#[test]
fn a_hup_brings_other_limits_and_other_servers() {
    const HUP: i32 = 1;
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let file = server.data().join("bulla.toml");
    let first = std::fs::read_to_string(&file).expect("written by dev");
    let set = |more: &str| {
        std::fs::write(&file, format!("{first}{more}")).expect("writable");
        send(&server, HUP);
    };
    let managed = |n: u32| {
        let config = r#"{"SecretSubType":"SingleUser","DBInstanceId":"pg-1"}"#;
        let data = r#"{"Accounts":[{"AccountName":"a","AccountPassword":"b"}]}"#;
        let name = format!("managed/{n}");
        let parameters = [
            ("SecretName", name.as_str()),
            ("VersionId", "v1"),
            ("SecretType", "Rds"),
            ("ExtendedConfig", config),
            ("SecretData", data),
        ];
        client.call("CreateSecret", &parameters).status
    };
    assert_eq!(managed(0), 400, "there is no such server");
    let password = server.data().join("password");
    std::fs::write(&password, "x").expect("writable");
    set("[[rotation.instance]]\nid = \"pg-1\"\nengine = \"postgresql\"\nhost = \"127.0.0.1\"\nport = 1\n\
         administrator = \"a\"\npassword_file = \"password\"\ntls = false\n");
    // Nothing listens there.
    until(Duration::from_secs(10), "the server is known", || managed(1) == 503);
    set("[limits]\nrequests_per_second = 1\n");
    let throttled = || client.call("DescribeRegions", &[]).code() == "Rejected.Throttling";
    until(Duration::from_secs(10), "more than one request a second is refused", || throttled() || throttled());
    set("[limits]\nrequests_per_minute = 1\n");
    until(Duration::from_secs(10), "what does not fit is refused", || server.log().contains("limits: cannot be read again"));
    assert!(throttled() || throttled(), "it goes on with what it had");
    set("");
    until(Duration::from_secs(10), "there is no limit any more", || !(0..5).any(|_| throttled()));
    assert_eq!(managed(2), 400, "nor such a server");
}

#[test]
fn nothing_that_hangs_keeps_the_process() {
    let (_folder, mut server) = on_sqlite();
    let client = server.client();
    create(&client, "secret", "value").ok();
    let Some(mut strace) = slow_syncs(server.pid().expect("it runs"), 60) else {
        eprintln!("SKIPPED: strace is not installed, or may not trace here");
        return;
    };
    std::thread::scope(|scope| {
        // Its record hangs with the disk.
        scope.spawn(|| client.request("GetSecretValue", &[("SecretName", "secret")]).send());
        std::thread::sleep(Duration::from_millis(500));
        let pid = Pid::from_raw(i32::try_from(server.pid().expect("it runs")).expect("a pid")).expect("a pid");
        kill_process(pid, Signal::TERM).expect("it runs");
        let begun = Instant::now();
        // A traced process in a delayed call ends only with its tracer.
        std::thread::sleep(Duration::from_secs(1));
        until(Duration::from_secs(30), "it gives up", || {
            server.log().contains("does not answer") || server.log().contains("as at a crash")
        });
        let _ = strace.kill();
        let _ = strace.wait();
        server.wait();
        assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    });
    server.restart();
    assert_eq!(server.client().call("GetSecretValue", &[("SecretName", "secret")]).ok().text("SecretData"), "value");
}
