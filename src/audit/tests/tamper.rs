//! Whatever is done to the files, the proof notices.

use super::chain::Position;
use super::*;

/// A small log that was closed, and what its proof says.
fn closed_log() -> (Home, Report) {
    let home = Home::new();
    let (audit, _) = home.open_with(AuditConfig { checkpoint_lines: 3, ..home.config() });
    let id = RequestId::new();
    audit.submit(&read_record(RequestId::new())).wait().expect("durable");
    wait_until("a checkpoint", || audit.stats().checkpoints == 1);
    audit.submit(&intent(id)).wait().expect("durable");
    audit.submit(&Record { kind: Kind::Outcome, ..intent(id) }).wait().expect("durable");
    audit.close();
    let report = home.verify().expect("sound");
    assert!(report.closed && report.unproven == 0 && report.checkpoints >= 2);
    (home, report)
}

/// Puts other bytes in place of the log; they must not pass for it.
fn assert_noticed(home: &Home, report: &Report, bytes: &[u8], what: &str) {
    let path = home.dir.path().join("changed");
    std::fs::write(&path, bytes).expect("written");
    let result = verify(&path, &Keys::public(home.aud.pem()));
    // The MAC of the checkpoint that ends the log, which its signature proves without it.
    let last =
        |bytes: &[u8]| bytes.rsplit(|b| *b == b'\n').nth(1).and_then(line_mac::split).map(|(members, _)| members.to_vec());
    if result.as_ref() == Ok(report)
        && last(bytes) == home.lines().last().map(|line| line.as_bytes()[..line.len() - 42].to_vec())
    {
        assert_eq!(verify(&path, &home.keys()).expect_err(what).flaw, Flaw::Mac);
        return;
    }
    assert_ne!(result.as_ref(), Ok(report), "{what}");
    assert!(!result.is_ok_and(|r| r.closed), "{what}: passes for a log that was closed");
}

#[test]
fn any_byte_changed() {
    let (home, report) = closed_log();
    let sound = std::fs::read(home.present()).expect("a file");
    for at in 0..sound.len() {
        for flip in [0x01, 0x02, 0x20, 0x80] {
            let mut bytes = sound.clone();
            bytes[at] ^= flip;
            assert_noticed(&home, &report, &bytes, &format!("byte {at} ^ {flip:#x}"));
        }
    }
}

#[test]
fn any_byte_removed_and_any_tail_cut() {
    let (home, report) = closed_log();
    let sound = std::fs::read(home.present()).expect("a file");
    for at in 0..sound.len() {
        assert_noticed(&home, &report, &[&sound[..at], &sound[at + 1..]].concat(), &format!("byte {at} removed"));
        assert_noticed(&home, &report, &sound[..at], &format!("cut at {at}"));
    }
}

#[test]
fn any_line_removed_doubled_moved_or_swapped() {
    let (home, report) = closed_log();
    let sound = std::fs::read(home.present()).expect("a file");
    let lines: Vec<&[u8]> = sound.split_inclusive(|b| *b == b'\n').collect();
    for i in 0..lines.len() {
        let mut fewer = lines.clone();
        let line = fewer.remove(i);
        assert_noticed(&home, &report, &fewer.concat(), &format!("line {i} removed"));
        for j in 0..lines.len() {
            let mut more = lines.clone();
            more.insert(j, line);
            assert_noticed(&home, &report, &more.concat(), &format!("line {i} again at {j}"));
            if i != j {
                let mut swapped = lines.clone();
                swapped.swap(i, j);
                assert_noticed(&home, &report, &swapped.concat(), &format!("lines {i} and {j} swapped"));
                let mut moved = fewer.clone();
                moved.insert(j.min(fewer.len()), line);
                if moved != lines {
                    assert_noticed(&home, &report, &moved.concat(), &format!("line {i} moved to {j}"));
                }
            }
        }
    }
}

/// Someone who can write the file, but not sign, makes a chain of his own from some line on.
#[test]
fn a_chain_made_anew_has_no_checkpoints() {
    let (home, report) = closed_log();
    let lines = home.lines();
    for from in 0..lines.len() {
        let mut position = Position::ORIGIN;
        let mut forged = Vec::new();
        for (i, line) in lines.iter().enumerate() {
            let head = chain::Head::parse(line.as_bytes()).expect("a line");
            let (_, body) = line.split_once(r#"","kind""#).expect("a kind");
            let body = format!(r#"{{"kind"{body}"#).replace(if i == from { "user/app" } else { "\0" }, "user/eve");
            position.append(&mut forged, &LineKey::new(b"another"), head.time, head.node, body.as_bytes());
        }
        if forged != [lines.join("\n").as_bytes(), b"\n"].concat() {
            assert_noticed(&home, &report, &forged, &format!("forged from line {from}"));
        }
    }
}

#[test]
fn the_report_says_where_and_what() {
    let (home, _) = closed_log();
    let mut lines = home.lines();
    let path = home.dir.path().join("changed");
    let broken = |change: &mut dyn FnMut(&mut Vec<String>)| {
        let mut copy = lines.clone();
        change(&mut copy);
        std::fs::write(&path, copy.join("\n") + "\n").expect("written");
        let broken = verify(&path, &Keys::public(home.aud.pem())).expect_err("broken");
        (broken.line, broken.flaw)
    };
    assert_eq!(broken(&mut |l| l[2] = l[2].replace("user/app", "user/eve")), (4, Flaw::Link));
    assert_eq!(broken(&mut |l| drop(l.remove(2))), (3, Flaw::Sequence { expected: 3, found: 4 }));
    assert_eq!(broken(&mut |l| drop(l.remove(0))), (1, Flaw::Beginning));
    assert_eq!(broken(&mut |l| l[1] = "{}".to_owned()), (2, Flaw::NotALine));
    let last = lines.len() - 1;
    let stranger = verify(&home.present(), &Keys::public(Aud::new().pem())).expect_err("another key");
    assert_eq!(stranger.flaw, Flaw::Signature);
    assert_eq!(verify(&home.present(), &Keys::public(*b"no key")).expect_err("no key").flaw, Flaw::PublicKey);
    assert_eq!(verify(Path::new("/nowhere"), &Keys::public(home.aud.pem())).expect_err("no file").line, 0);
    let text = stranger.to_string();
    assert!(text.contains("audit.jsonl, line ") && text.ends_with("the checkpoint's signature is not valid"), "{text}");
    // A log that is being written: no stop, no checkpoint, half a line.
    lines.truncate(last - 1);
    std::fs::write(&path, lines.join("\n") + "\n{\"seq\":").expect("written");
    let report = verify(&path, &Keys::public(home.aud.pem())).expect("sound as far as it goes");
    assert_eq!((report.closed, report.torn_bytes), (false, 7));
    assert_eq!(report.unproven, report.last_seq - report.proved);
    assert!(report.unproven > 0);
}
