//! What operators do with a token besides serving: give its PIN by hand, make its keys before witnesses.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use bulla_test_support::server::{spawn, terminate};

use super::rig::{self, PIN, Rig};
use super::text;
use crate::until;

fn ran(rig: &Rig, arguments: &[&str]) -> String {
    let output = rig.bulla(arguments).stdin(Stdio::null()).output().expect("bulla");
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `bulla unlock` with this PIN on its standard input.
fn unlock(rig: &Rig, pin: &str) -> Output {
    let mut command = rig.bulla(&["unlock"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn(command).expect("bulla");
    writeln!(child.stdin.take().expect("a pipe"), "{pin}").expect("it reads");
    child.wait_with_output().expect("it ends")
}

#[test]
fn a_server_without_a_pin_waits_for_bulla_unlock() {
    let Ok(rig) = rig::softhsm() else { panic!("softhsm2 is installed") };
    rig.configure();
    ran(&rig, &["init"]);
    let (file, folder) = (rig.folder.path().join("bulla.toml"), rig.folder.path().display().to_string());
    let first = fs::read_to_string(&file).expect("a configuration");
    let socket = first.replace(&format!("pin_file = \"{folder}/pin\""), &format!("unlock_socket = \"{folder}/unlock\""));
    assert_ne!(first, socket);
    fs::write(&file, socket).and_then(|()| fs::remove_file(rig.folder.path().join("pin"))).expect("our own folder");
    let log = rig.folder.path().join("log");
    let mut command = rig.bulla(&["serve"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).expect("writable"));
    let mut server = spawn(command).expect("bulla");
    let says = |what: &str| fs::read_to_string(&log).unwrap_or_default().contains(what);
    until(Duration::from_secs(30), "it waits", || says("waiting for `bulla unlock`"));
    let wrong = unlock(&rig, "00000000");
    assert_eq!(wrong.status.code(), Some(8), "{}", text(&wrong));
    assert!(server.try_wait().expect("our own child").is_none() && !says("serving on"), "it goes on waiting");
    // Half of a line is nobody's PIN: no try of the token's is used up.
    let mut half = UnixStream::connect(rig.folder.path().join("unlock")).expect("it listens");
    half.write_all(&PIN.as_bytes()[..4]).and_then(|()| half.shutdown(Shutdown::Write)).expect("it reads");
    let mut said = String::new();
    half.read_to_string(&mut said).expect("an answer");
    assert!(said.starts_with("not presented: "), "{said}");
    let right = unlock(&rig, PIN);
    assert!(right.status.success(), "{}", text(&right));
    until(Duration::from_secs(30), "it serves", || says("serving on"));
    // One that is logged in wants none, and keeps none for the next login.
    let begun = Instant::now();
    let other = unlock(&rig, "11111111");
    assert!(other.status.success() && text(&other).contains("nothing kept"), "{}", text(&other));
    assert!(begun.elapsed() < Duration::from_secs(10), "it is answered at once");
    for secret in [PIN, "00000000"] {
        assert!(!says(secret), "a PIN is in the log");
    }
    assert!(terminate(&mut server).success());
}

#[test]
fn a_pin_file_that_is_no_file_is_said_and_not_waited_for() {
    let Ok(rig) = rig::softhsm() else { panic!("softhsm2 is installed") };
    rig.configure();
    ran(&rig, &["init"]);
    let pin = rig.folder.path().join("pin");
    let make: [&dyn Fn(); 2] =
        [&|| assert!(std::process::Command::new("mkfifo").arg(&pin).status().expect("mkfifo").success()), &|| {
            std::os::unix::fs::symlink("/dev/zero", &pin).expect("our own folder")
        }];
    for made in make {
        fs::remove_file(&pin).expect("it is there");
        made();
        for (command, code) in [("check", 1), ("serve", 7), ("inventory", 7)] {
            let ended = rig.bulla(&[command]).stdin(Stdio::null()).output().expect("bulla");
            assert_eq!(ended.status.code(), Some(code), "{command}: {}", text(&ended));
            assert!(text(&ended).contains("no regular file"), "{command}: {}", text(&ended));
        }
    }
}

#[test]
fn a_ceremony_writes_down_what_was_made_and_the_log_names_it() {
    let Ok(rig) = rig::softhsm() else { panic!("softhsm2 is installed") };
    rig.configure();
    let transcript = ran(&rig, &["ceremony"]);
    let (above, below) = transcript.split_once("\nSHA-256 of all above: ").expect("its own hash");
    let fingerprint = below.lines().next().expect("a line");
    let sum = |bytes: &[u8]| hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes));
    assert_eq!(sum(above.as_bytes()), fingerprint);
    let module = bulla::token::softhsm::module().expect("softhsm2 is installed");
    assert!(above.contains(&sum(&fs::read(module).expect("readable"))), "the module's hash");
    for key in ["SYS", "INT", "AUD", "ROW"] {
        let (_, object) = above.split_once(&format!("\n{key} ")).expect("each system key");
        for attribute in ["CKA_SENSITIVE", "CKA_NEVER_EXTRACTABLE", "CKA_LOCAL"] {
            let line = object.lines().find(|line| line.contains(attribute)).expect("told");
            assert!(line.ends_with("true") || key == "AUD", "{key}: {line}");
        }
    }
    assert!(above.contains("-----BEGIN PUBLIC KEY-----"));
    let audit = rig.folder.path().join("audit");
    let kept = fs::read_to_string(audit.join(format!("ceremony-{}.txt", &fingerprint[..16]))).expect("kept");
    assert_eq!(kept, above);
    let lines = fs::read_to_string(audit.join("admin.jsonl")).expect("the log of commands");
    assert!(lines.contains(&format!("ceremony/sha256:{fingerprint}")));
    ran(&rig, &["check"]);
    ran(&rig, &["audit", "verify"]);
}
