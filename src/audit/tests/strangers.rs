//! What somebody who can write the folder does while nobody has the log open: found at the next start, and by the proof.

use super::chain::Position;
use super::*;

/// A log that was closed, or whose process was killed after three lines that no checkpoint proves.
fn left(home: &Home, killed: bool) -> LogEnd {
    let config = AuditConfig { checkpoint_every_ms: 3_600_000, ..home.config() };
    let (audit, _) = home.open_with(config);
    for _ in 0..3 {
        audit.submit(&read_record(RequestId::new())).wait().expect("durable");
    }
    let sound = std::fs::read(home.present()).expect("a file");
    let killed_at = audit.end().expect("lines");
    audit.close();
    let closed_at = audit.end().expect("lines");
    if killed {
        std::fs::write(home.present(), sound).expect("written");
        return killed_at;
    }
    closed_at
}

/// Opens the log as somebody who knows its end does, and closes it; what was set aside.
fn next_start(home: &Home, known: LogEnd) -> Option<String> {
    let (audit, recovered) = home.open_with(AuditConfig { known: Some(known), ..home.config() });
    audit.close();
    assert_eq!(recovered.open_intents, [], "no intent of a stranger is taken for ours");
    recovered.set_aside
}

/// A line with the right number and link, by somebody without the key.
fn forged(home: &Home, kind: &str) -> String {
    let lines = home.lines();
    let head = chain::Head::parse(lines.last().expect("lines").as_bytes()).expect("a line");
    let mut position = Position { next_seq: head.seq + 1, prev: hash(lines.last().expect("lines").as_bytes()) };
    let body = format!(
        r#"{{"kind":"{kind}","request_id":"{}","principal":"user/innocent","action":"DeleteSecret","code":"OK"}}"#,
        RequestId::new()
    );
    let mut line = Vec::new();
    position.append(&mut line, &LineKey::new(b"guessed"), head.time, head.node, body.as_bytes());
    String::from_utf8(line).expect("text")
}

fn write(home: &Home, lines: &[String]) {
    std::fs::write(home.present(), lines.iter().map(|line| format!("{line}\n")).collect::<String>()).expect("written");
}

#[test]
fn appended_lines_are_put_away_and_get_no_checkpoint() {
    for (killed, kind) in [(false, "read"), (false, "intent"), (true, "outcome"), (true, "intent")] {
        let home = Home::new();
        let known = left(&home, killed);
        let line = forged(&home, kind);
        let before = std::fs::read_to_string(home.present()).expect("a file");
        std::fs::write(home.present(), before.clone() + &line + &line).expect("written");
        let proof = verify_files(&[home.present()], &home.keys()).expect_err("the proof sees it before any start");
        assert_eq!(proof.flaw, Flaw::Mac);
        let aside = next_start(&home, known).expect("noticed");
        assert!(aside.contains("written by somebody else") && aside.contains("foreign"), "{aside}");
        let after = std::fs::read_to_string(home.present()).expect("a file");
        assert!(after.starts_with(&before) && !after.contains("innocent\",\"action"), "{after}");
        assert!(after.contains(r#""kind":"recovered","reason":"line "#), "{after}");
        let report = verify_files(&log_files(home.dir.path(), "audit").expect("a folder"), &home.keys()).expect("sound");
        assert_eq!((report.recoveries, report.unproven), (1, 0));
        let kept = file::foreign(home.dir.path(), "audit", known.seq + 1);
        assert_eq!(std::fs::read_to_string(kept).expect("kept"), line.clone() + &line);
    }
}

#[test]
fn dropped_changed_and_reordered_lines_are_noticed() {
    type Change = fn(&mut Vec<String>);
    let changes: [(&str, Change); 8] = [
        ("the first line dropped", |lines| drop(lines.remove(0))),
        ("the beginning dropped", |lines| drop(lines.drain(..4))),
        ("the last line dropped", |lines| drop(lines.pop())),
        ("all but two dropped", |lines| lines.truncate(2)),
        ("one in the middle dropped", |lines| drop(lines.remove(3))),
        ("one changed", |lines| lines[3] = lines[3].replace("user/app", "user/eve")),
        ("the last changed", |lines| *lines.last_mut().expect("lines") = lines[3].replace("GetSecretValue", "DeleteSecret")),
        ("two swapped", |lines| lines.swap(3, 4)),
    ];
    for killed in [false, true] {
        for (what, change) in changes {
            let home = Home::new();
            let known = left(&home, killed);
            let mut lines = home.lines();
            change(&mut lines);
            write(&home, &lines);
            assert!(next_start(&home, known).is_some(), "{what}, killed: {killed}");
            let proof = verify_files(&log_files(home.dir.path(), "audit").expect("a folder"), &home.keys());
            assert!(proof.is_err(), "{what}, killed: {killed}: {proof:?}");
        }
    }
}

/// What is put in the place of a file is not waited for.
#[test]
fn a_fifo_is_no_log() {
    let home = Home::new();
    let made = std::process::Command::new("mkfifo").arg(home.present()).status().expect("mkfifo");
    assert!(made.success());
    let refused = Audit::open(home.config(), home.node, line_key(), home.aud.signer()).map(drop);
    assert!(refused.as_ref().is_err_and(|why| why.to_string().contains("is no regular file")), "{refused:?}");
    let refused = Audit::glance(&home.config(), home.node, &line_key());
    assert!(refused.is_err_and(|why| why.to_string().contains("is no regular file")));
}

/// Whoever proves a folder hears of a file without its beginning among all else that is wrong.
#[test]
fn a_file_without_its_beginning_is_one_log_of_many() {
    let home = Home::new();
    left(&home, false);
    let mut lines = home.lines();
    lines.remove(0);
    write(&home, &lines);
    std::fs::write(home.dir.path().join("other.jsonl"), "rubbish\n").expect("written");
    let logs = logs(&[home.dir.path().to_owned()]).expect("two logs");
    let flaws = logs.iter().map(|log| verify_files(&log.files, &home.keys()).err().map(|broken| broken.flaw));
    let mut flaws: Vec<_> = flaws.collect();
    flaws.sort_by_key(|flaw| format!("{flaw:?}"));
    assert_eq!(flaws, [Some(Flaw::Beginning), Some(Flaw::NotALine)]);
}

#[test]
fn files_that_are_gone_are_missed() {
    let home = Home::new();
    let known = left(&home, false);
    std::fs::remove_file(home.present()).expect("removed");
    assert_eq!(next_start(&home, known), Some(format!("lost: all files are missing; line {} was the last", known.seq)));
    let lines = home.lines();
    assert!(lines[0].starts_with(&format!(r#"{{"seq":{},"#, known.seq + 1)) && lines[0].contains("all files are missing"));
    assert!(lines[0].contains(&hex::encode(known.hash)), "it follows the line that is known");
    assert_eq!(home.verify().expect("sound").missing.len(), 1, "and the proof says so for ever");
}

/// The number of a line cannot be driven to where none follows it.
#[test]
fn numbers_do_not_run_out() {
    let home = Home::new();
    let known = left(&home, false);
    let mut position = Position { next_seq: u64::MAX - 1, prev: known.hash };
    let mut line = Vec::new();
    position.append(&mut line, &line_key(), "2026-11-24T05:47:40.764Z", &home.node.to_string(), br#"{"kind":"read"}"#);
    let before = std::fs::read(home.present()).expect("a file");
    std::fs::write(home.present(), [before, line].concat()).expect("written");
    assert!(next_start(&home, known).is_some_and(|aside| aside.contains("no line of an audit log")));
    let report = home.verify().expect("sound");
    assert!(report.last_seq < known.seq + 10 && report.unproven == 0, "{report:?}");
}

/// What is known elsewhere may lie behind in an older file, or be the end itself: no alarm.
#[test]
fn a_sound_log_is_no_alarm() {
    let home = Home::new();
    let first = left(&home, false);
    assert_eq!(next_start(&home, first), None);
    let (audit, _) = home.open_with(AuditConfig { max_file_bytes: 2000, ..home.config() });
    for _ in 0..30 {
        audit.submit(&read_record(RequestId::new())).wait().expect("durable");
    }
    audit.set_anchor("1.2.ab".into());
    audit.submit(&read_record(RequestId::new())).wait().expect("durable");
    audit.close();
    assert!(log_files(home.dir.path(), "audit").expect("a folder").len() > 2);
    let (audit, recovered) = home.open_with(AuditConfig { known: Some(first), ..home.config() });
    assert_eq!((recovered.set_aside, recovered.anchor.as_deref()), (None, Some("1.2.ab")));
    audit.close();
}

/// A long file of which somebody knows the end: only that is read before the log is open, and the rest behind it.
#[test]
fn the_beginning_of_a_long_file_is_proved_behind_its_end() {
    let quick = |home: &Home, known| AuditConfig { known: Some(known), first_look_bytes: 3_000, ..home.config() };
    let long = |home: &Home| {
        let (audit, _) = home.open_with(home.config());
        audit.submit(&intent(RequestId::new())).wait().expect("durable");
        audit.set_anchor("1.2.ab".into());
        for _ in 0..40 {
            audit.submit(&read_record(RequestId::new())).wait().expect("durable");
        }
        audit
    };
    let begins_anew = |home: &Home| {
        let until = Instant::now() + Duration::from_secs(30);
        while log_files(home.dir.path(), "audit").expect("a folder").len() < 2 {
            assert!(Instant::now() < until, "nobody noticed");
            std::thread::sleep(Duration::from_millis(5));
        }
    };

    // An intent is open from before: all is read.
    let home = Home::new();
    let audit = long(&home);
    audit.close();
    let known = audit.end().expect("lines");
    assert_eq!(known.open_from, 3, "behind the line of the file and of the start");
    let (audit, recovered) = home.open_with(quick(&home, known));
    assert_eq!(recovered.open_intents.len(), 1);
    let open = recovered.open_intents[0].clone();
    audit.complete(&open, Completion::Committed);
    audit.close();

    // None is: the end tells all that the whole does.
    let known = audit.end().expect("lines");
    assert_eq!(known.open_from, known.seq + 1);
    let sound = std::fs::read(home.present()).expect("a file");
    assert!(sound.len() > 10_000);
    let (audit, of_the_end) = home.open_with(quick(&home, known));
    audit.close();
    std::fs::write(home.present(), &sound).expect("written");
    let (audit, of_all) = home.open_with(AuditConfig { known: Some(known), ..home.config() });
    audit.close();
    assert_eq!(of_the_end, Recovered { done: of_the_end.done.clone(), ..of_all });
    assert_eq!(log_files(home.dir.path(), "audit").expect("a folder").len(), 1, "it is sound, and goes on in its file");
    home.verify().expect("sound");

    // A line of the beginning is changed, taken away, or the file is cut there and patched.
    type Change = fn(&mut Vec<String>);
    let changes: [Change; 3] =
        [|lines| lines[5] = lines[5].replace("user/app", "user/eve"), |lines| drop(lines.remove(5)), |lines| lines.swap(5, 6)];
    for change in changes {
        std::fs::write(home.present(), &sound).expect("written");
        let mut lines = home.lines();
        change(&mut lines);
        write(&home, &lines);
        let (audit, recovered) = home.open_with(quick(&home, known));
        assert_eq!(recovered.set_aside, None, "the end is as it was");
        begins_anew(&home);
        audit.submit(&read_record(RequestId::new())).wait().expect("durable");
        audit.close();
        let rotated = file::all_rotated(home.dir.path(), "audit").expect("a folder");
        assert!(read_lines(&rotated[0]).starts_with(&lines), "left as it is");
        let first = home.lines().remove(0);
        assert!(first.contains(r#""kind":"file""#) && first.contains(r#""reason":"line "#), "{first}");
        home.verify().expect_err("and the proof finds it");
        std::fs::remove_file(&rotated[0]).expect("removed");
    }

    // What is wrong in the end is found at once, as ever.
    std::fs::write(home.present(), &sound).expect("written");
    let mut lines = home.lines();
    let last = lines.len() - 3;
    lines[last] = lines[last].replace("user/app", "user/eve");
    write(&home, &lines);
    let (audit, recovered) = home.open_with(quick(&home, known));
    audit.close();
    assert!(recovered.set_aside.is_some());
}
