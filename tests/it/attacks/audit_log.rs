//! The audit folder changed while the server is down, by somebody who has no key: found at the next start and by the proofs.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bulla_test_support::server::Server;
use bulla_test_support::sizes::size;
use diesel::connection::SimpleConnection;

use crate::{create, database, on_sqlite, until, verify_audit};

/// How long the log may take to come out.
const PATIENCE: Duration = Duration::from_secs(10);

fn log(server: &Server) -> PathBuf {
    server.data().join("audit/audit.jsonl")
}

fn lines(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).expect("a log").lines().map(str::to_owned).collect()
}

fn write(file: &Path, lines: &[String]) {
    std::fs::write(file, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).expect("written");
}

/// What `bulla audit verify` and `bulla verify` say when they refuse.
fn proofs_refuse(server: &Server, what: &str) {
    for command in [&["audit", "verify"][..], &["verify"][..]] {
        let output = std::process::Command::new(crate::BULLA)
            .args(command)
            .arg("--data")
            .arg(server.data())
            .output()
            .expect("the program is there");
        assert_eq!(output.status.code(), Some(1), "{what}: bulla {command:?} says {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn what_is_done_while_the_server_is_down_is_found() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 8] = [
        ("the last line dropped", |file| write(file, &lines(file)[..lines(file).len() - 1])),
        ("cut behind the first checkpoint", |file| {
            let all = lines(file);
            let first = all.iter().position(|line| line.contains("\"kind\":\"checkpoint\"")).expect("a checkpoint");
            write(file, &all[..=first]);
        }),
        ("a line changed", |file| {
            write(file, &lines(file).iter().map(|line| line.replace("s1", "s9")).collect::<Vec<_>>());
        }),
        ("two lines swapped", |file| {
            let mut all = lines(file);
            let last = all.len() - 1;
            all.swap(last, last - 1);
            write(file, &all);
        }),
        ("the beginning dropped", |file| write(file, &lines(file)[5..])),
        ("the file removed", |file| std::fs::remove_file(file).expect("removed")),
        ("all files removed", |file| {
            let folder = file.parent().expect("a folder");
            std::fs::remove_dir_all(folder).expect("removed");
            std::fs::create_dir(folder).expect("made");
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).expect("private");
        }),
        ("all lines removed, and the node another one", |file| {
            let folder = file.parent().expect("a folder");
            for file in ["audit.jsonl", "admin.jsonl"] {
                let _ = std::fs::remove_file(folder.join(file));
            }
            std::fs::write(folder.join("node-id"), format!("{}\n", uuid::Uuid::new_v4())).expect("written");
        }),
    ];
    let both = if size(0, 1) == 1 { 2 } else { 1 };
    for (n, (what, change)) in changes.into_iter().cycle().take(8 * both).enumerate() {
        let killed = (n + n / 8) % 2 == 1;
        let (_folder, mut server) = on_sqlite();
        // Checkpoints come every second, and the database hears of the log as often.
        for (name, ms) in [("s1", 1500), ("s2", 2500)] {
            create(&server.client(), name, "value").ok();
            std::thread::sleep(Duration::from_millis(ms));
        }
        if killed {
            server.kill();
        } else {
            server.stop();
        }
        change(&log(&server));
        proofs_refuse(&server, what);
        server.restart();
        until(PATIENCE, what, || server.log().contains("ALARM audit"));
        until(PATIENCE, "an alarm that is counted", || server.client().figure("bulla_integrity_alarms_total") >= 1.0);
        server.client().call("GetSecretValue", &[("SecretName", "s1")]).ok();
        server.stop();
        proofs_refuse(&server, what);
    }
}

/// The lines of the last moments before a crash are bound by nothing that anybody else has signed or stored, but for what the writes among
/// them have left in the database.
#[test]
fn a_write_whose_lines_are_dropped_behind_a_crash_is_missed() {
    let told = "no log of this node tells of 1 changes that it has made";
    for attempt in 1.. {
        let (_folder, mut server) = on_sqlite();
        create(&server.client(), "s1", "value").ok();
        std::thread::sleep(Duration::from_millis(1_500));
        create(&server.client(), "s2", "value").ok();
        server.kill();
        let all = lines(&log(&server));
        let first = all.iter().rposition(|line| line.contains("\"kind\":\"intent\"")).expect("an intent");
        write(&log(&server), &all[..first]);
        let verify = std::process::Command::new(crate::BULLA).args(["verify", "--data"]).arg(server.data()).output();
        let verify = verify.expect("the program is there");
        assert_eq!(verify.status.code(), Some(1), "{}", String::from_utf8_lossy(&verify.stdout));
        server.restart();
        until(PATIENCE, "an alarm", || server.log().contains("ALARM audit"));
        if server.log().contains(told) {
            break;
        }
        // The database heard of the line in the moment between.
        assert!(attempt < 3, "{}", server.log());
    }
}

/// Whoever takes the database's word of the logs away as well: what the database counts was written by somebody.
#[test]
fn a_database_without_any_log_is_an_alarm() {
    let (_folder, mut server) = on_sqlite();
    create(&server.client(), "s1", "value").ok();
    server.stop();
    for file in ["audit.jsonl", "admin.jsonl"] {
        let _ = std::fs::remove_file(server.data().join("audit").join(file));
    }
    database(&server).batch_execute("DELETE FROM log_heads").expect("a statement");
    server.restart();
    assert!(server.log().contains("has no head of any log"), "{}", server.log());
    assert!(server.client().figure("bulla_integrity_alarms_total") >= 1.0);
}

#[test]
fn a_forged_intent_gets_no_outcome_and_a_forged_line_no_checkpoint() {
    let (_folder, mut server) = on_sqlite();
    create(&server.client(), "payroll", "value").ok();
    server.stop();
    let all = lines(&log(&server));
    let id = "6f1d0a34-52f2-4d1b-9a53-0c5a55e8f9f1";
    // A real line, made into another one; its MAC is of the right form.
    let intent = all.iter().find(|line| line.contains("\"kind\":\"intent\"")).expect("an intent");
    let (_, tail) = intent.split_once("\"request_id\":\"").expect("an id");
    let forged =
        format!("{}{}{id}{}", intent.split("\"request_id\"").next().expect("a head"), "\"request_id\":\"", &tail[36..])
            .replace("CreateSecret", "DeleteSecret");
    write(&log(&server), &[all.clone(), vec![forged]].concat());
    // And a mark in the database which says that it had an effect.
    let node = std::fs::read_to_string(server.data().join("audit/node-id")).expect("an id").trim().replace('-', "");
    let request = id.replace('-', "");
    database(&server)
        .batch_execute(&format!(
            "INSERT INTO nonces VALUES (x'{request}', x'{request}', x'{node}', 9999999999999, zeroblob(17))"
        ))
        .expect("a row whose MAC is none");
    proofs_refuse(&server, "a forged intent");
    server.restart();
    until(PATIENCE, "an alarm", || server.log().contains("ALARM audit"));
    server.stop();
    let log = crate::audit_lines(&server);
    assert!(!log.lines().any(|line| line.contains("\"kind\":\"outcome\"") && line.contains(id)), "{log}");
    assert!(!log.lines().any(|line| line.contains("\"kind\":\"intent\"") && line.contains(id)), "{log}");
    assert!(log.contains("\"kind\":\"recovered\""), "{log}");
    verify_audit(&server);
}
