//! Crashes, full disks, absent tokens, files that others remove or change.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::*;

/// The folder that a child process works in; set only there.
const CHILD_DIR: &str = "BULLA_TEST_AUDIT_DIR";

/// This test again, alone, in a process of its own which a write beyond the file-size limit does not kill.
fn child(dir: &Path) -> Command {
    let thread = std::thread::current();
    let test = thread.name().expect("tests run in threads that bear their names");
    let mut command = Command::new("sh");
    command.args(["-c", r#"trap '' XFSZ; exec "$0" "$@""#]).arg(std::env::current_exe().expect("this program"));
    command.args(["--exact", test, "--nocapture"]).env(CHILD_DIR, dir).stdout(Stdio::piped());
    command
}

fn child_config() -> Option<AuditConfig> {
    Some(AuditConfig::new(PathBuf::from(std::env::var_os(CHILD_DIR)?), "audit"))
}

#[test]
fn a_torn_last_line_is_cut_off_and_recorded() {
    let home = Home::new();
    let (audit, _) = home.open();
    audit.submit(&intent(RequestId::new())).wait().expect("durable");
    audit.close();
    let whole = std::fs::read(home.present()).expect("a file");
    let last = whole[..whole.len() - 1].iter().rposition(|b| *b == b'\n').expect("lines") + 1;
    for at in (last..whole.len()).step_by(7) {
        std::fs::write(home.present(), &whole[..at]).expect("written");
        let (audit, recovered) = home.open();
        assert_eq!(recovered.cut_bytes, (at - last) as u64);
        assert_eq!((recovered.open_intents.len(), recovered.set_aside), (1, None));
        audit.close();
        let report = home.verify().expect("sound");
        assert_eq!(report.recoveries, u64::from(at > last));
        if at > last {
            let line: serde_json::Value =
                home.lines().iter().find(|l| l.contains(r#""kind":"recovered""#)).expect("there").parse().expect("JSON");
            assert_eq!(line["cut_text"], String::from_utf8_lossy(&whole[last..at]).into_owned());
            assert_eq!(line["cut_sha256"], hex::encode(hash(&whole[last..at])));
        }
    }
}

/// A file whose chain does not hold is evidence: it stays as it is, and the log goes on beside it.
#[test]
fn a_broken_file_is_set_aside_untouched() {
    let home = Home::new();
    let (audit, _) = home.open();
    let open = RequestId::new();
    audit.submit(&intent(open)).wait().expect("durable");
    audit.close();
    let changed = std::fs::read_to_string(home.present()).expect("a file").replace("user/app", "user/eve");
    std::fs::write(home.present(), &changed).expect("written");
    let (audit, recovered) = home.open();
    assert!(recovered.set_aside.is_some_and(|why| why.contains("MAC")));
    assert_eq!(recovered.open_intents, [], "an intent that was changed is nobody's");
    audit.close();
    let aside = file::rotated(home.dir.path(), "audit", 1);
    assert_eq!(std::fs::read_to_string(&aside).expect("there"), changed);
    let broken = home.verify().expect_err("the proof says so for ever");
    assert_eq!((broken.file, broken.flaw), (aside, Flaw::Link));
    assert!(verify(&home.present(), &Keys::public(home.aud.pem())).expect("the new file is sound").closed);
    // Emptied, or filled with what is no log: the chain goes on from the file before.
    for content in ["", "garbage", "garbage\n"] {
        std::fs::write(home.present(), content).expect("written");
        let (audit, recovered) = home.open();
        assert!(recovered.set_aside.is_some(), "{content:?}");
        audit.close();
        assert!(verify(&home.present(), &Keys::public(home.aud.pem())).expect("sound").closed);
    }
    assert_eq!(read_lines(&file::foreign(home.dir.path(), "audit", 6).with_extension("3.jsonl")), ["garbage"]);
}

/// kill -9 at any time: what was acknowledged is in the log, the chain holds, the next process goes on.
#[test]
fn killed_processes_lose_nothing_that_was_acknowledged() {
    if let Some(config) = child_config() {
        let node = "00000000-0000-4000-8000-000000000000".parse().expect("an id");
        let aud = Aud::new();
        let (audit, _) =
            Audit::open(AuditConfig { max_file_bytes: 40_000, ..config }, node, line_key(), aud.signer()).expect("opens");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    loop {
                        let id = RequestId::new();
                        audit.submit(&intent(id)).wait().expect("durable");
                        io::stdout().write_all(format!("ack {id}\n").as_bytes()).expect("the parent reads");
                    }
                });
            }
        });
    }
    let home = Home::new();
    let mut acknowledged = HashSet::new();
    for round in 0..8u64 {
        let mut process = child(home.dir.path()).spawn().expect("starts");
        let mut output = BufReader::new(process.stdout.take().expect("piped")).lines();
        let mut acks = (&mut output).map_while(Result::ok).filter_map(|l| Some(l.strip_prefix("ack ")?.to_owned()));
        acknowledged.extend((&mut acks).take(40 + 13 * round as usize));
        process.kill().expect("killed");
        process.wait().expect("gone");
        acknowledged.extend(acks.filter(|id| id.len() == 36));
    }
    let files = log_files(home.dir.path(), "audit").expect("a folder");
    let all: Vec<String> = files.iter().flat_map(|f| read_lines(f)).collect();
    for id in &acknowledged {
        assert!(all.iter().any(|l| l.contains(id)), "{id} was acknowledged");
    }
    let node = "00000000-0000-4000-8000-000000000000".parse().expect("an id");
    let (_, recovered) = Audit::open(home.config(), node, line_key(), home.aud.signer()).expect("opens");
    assert_eq!(recovered.set_aside, None);
    let open: HashSet<_> = recovered.open_intents.iter().map(|i| i.request_id.to_string()).collect();
    assert!(acknowledged.is_subset(&open), "each is an intent that has no outcome");
    let mut position = None;
    for line in &all {
        let Some(head) = chain::Head::parse(line.as_bytes()) else { continue };
        assert!(position.is_none_or(|p| p == (head.seq, head.prev)), "line {} follows", head.seq);
        position = Some((head.seq + 1, hash(line.as_bytes())));
    }
}

/// The file-size limit stands for a full disk: a write gets shorter, then fails, until there is room again.
#[test]
fn a_full_disk_refuses_and_service_returns_by_itself() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Some(config) = child_config() else {
        let home = Home::new();
        let output = child(home.dir.path()).output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(home.present().exists(), "the child did its work");
        return;
    };
    let limit = |bytes| {
        setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: getrlimit(Resource::Fsize).maximum }).expect("allowed")
    };
    let home = Home::new();
    let config = AuditConfig { dir: config.dir, ..home.config() };
    let (audit, _) = home.open_with(config.clone());
    let write = || {
        let id = RequestId::new();
        (id.to_string(), audit.submit(&read_record(id)).wait())
    };
    let (mut durable, mut refused) = (Vec::new(), Vec::new());
    for round in 1..=20u64 {
        limit(Some(round * 7_001));
        while refused.len() < 5 * round as usize {
            match write() {
                (id, Ok(())) => durable.push(id),
                (id, Err(error)) => {
                    assert!(matches!(error, AuditError::Write(_)) && audit.health() == Err(error));
                    refused.push(id);
                }
            }
        }
        limit(None);
        let (id, result) = write();
        assert_eq!((result, audit.health()), (Ok(()), Ok(())), "without a restart");
        durable.push(id);
    }
    limit(Some(1));
    assert!(write().1.is_err());
    limit(None);
    wait_until("healthy again with nobody calling", || audit.health().is_ok());
    audit.close();
    let report = verify(&file::present(&config.dir, "audit"), &Keys::public(home.aud.pem())).expect("sound");
    assert!(report.closed);
    assert!(report.recoveries >= 21);
    let text = std::fs::read_to_string(file::present(&config.dir, "audit")).expect("a file");
    assert!(durable.iter().all(|id| text.contains(id)), "what was acknowledged is there");
    assert!(refused.iter().all(|id| !text.contains(id)), "what was refused is not");
    assert!(text.contains(r#""kind":"recovered","reason":"File too large (os error 27)","refused":5,"mac":"#));
}

/// A sync that failed may have dropped what it should have written, and the next one may say yes all the same.
#[test]
fn after_a_failed_sync_a_new_file_begins() {
    let home = Home::new();
    let gauges = Arc::new(Gauges::default());
    let (mut writer, ..) =
        Writer::open(home.config(), home.node, line_key(), home.aud.signer(), Arc::clone(&gauges), &|_| Ok(())).expect("opens");
    let open = RequestId::new();
    let serve = |writer: &mut Writer, record: &Record<'_>| {
        let (promise, ticket) = promise();
        writer.serve(vec![(Line::of(record), promise)]);
        ticket.wait()
    };
    serve(&mut writer, &intent(open)).expect("durable");
    // Whole lines of the batch whose sync failed are in the file.
    let mut file = std::fs::OpenOptions::new().append(true).open(home.present()).expect("opens");
    file.write_all(b"{\"never\":\"acknowledged\"}\n").expect("written");
    writer.note(file::Trouble::Sync("Input/output error (os error 5)".to_owned()));
    assert!(gauges.trouble.lock().is_some());
    let id = RequestId::new();
    serve(&mut writer, &read_record(id)).expect("durable in the next file");
    assert!(gauges.trouble.lock().is_none());
    let (queue, jobs) = std::sync::mpsc::sync_channel(1);
    drop(queue);
    writer.run(&jobs);
    let lines = home.lines();
    assert!(lines[0].contains("Input/output error") && lines[0].contains(&open.to_string()), "{}", lines[0]);
    assert!(lines[2].contains(&id.to_string()));
    let report = home.verify().expect("sound over both files");
    assert!(report.closed && report.first_seq == 1);
}

#[test]
fn a_token_that_is_away_delays_checkpoints_only() {
    let home = Home::new();
    home.aud.there.store(false, Ordering::Relaxed);
    let config = AuditConfig { checkpoint_every_ms: 20, checkpoint_lines: 2, ..home.config() };
    let (audit, _) = home.open_with(config);
    for _ in 0..20 {
        audit.submit(&read_record(RequestId::new())).wait().expect("durable");
    }
    wait_until("tried again", || audit.stats().checkpoint_failures >= 3);
    assert_eq!((audit.stats().checkpoints, audit.health()), (0, Ok(())));
    home.aud.there.store(true, Ordering::Relaxed);
    wait_until("signed", || audit.stats().checkpoints == 1);
    let report = home.verify().expect("sound");
    assert_eq!(report.unproven, 0, "one checkpoint proves them all");
}

#[test]
fn a_token_that_hangs_holds_up_neither_lines_nor_the_end() {
    let home = Home::new();
    let hang: Signer = Box::new(|_| {
        loop {
            std::thread::park();
        }
    });
    let config = AuditConfig { checkpoint_every_ms: 10, max_file_bytes: 3000, ..home.config() };
    let (audit, _) = Audit::open(config, home.node, line_key(), hang).expect("opens");
    let begin = Instant::now();
    for _ in 0..10 {
        audit.submit(&read_record(RequestId::new())).wait().expect("durable");
        std::thread::sleep(Duration::from_millis(5));
    }
    audit.close();
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    let report = home.verify().expect("sound");
    assert_eq!((report.checkpoints, report.unproven), (0, report.lines));
}

/// Removed, replaced, changed: noticed within a second or so, and the log goes on in a new file that says why.
#[test]
fn others_changes_to_the_file_are_noticed() {
    type Change = fn(&Path);
    let changes: [(&str, Change, bool); 4] = [
        ("removed or replaced", |p| std::fs::remove_file(p).expect("removed"), true),
        ("removed or replaced", |p| std::fs::rename(p, p.with_extension("away")).expect("renamed"), true),
        (
            "removed or replaced",
            |p| {
                std::fs::remove_file(p).expect("removed");
                std::fs::write(p, "another\n").expect("written");
            },
            true,
        ),
        ("was changed", |p| std::fs::write(p, "").expect("emptied"), false),
    ];
    for (reason, change, restored) in changes {
        let home = Home::new();
        let (audit, _) = home.open();
        let id = RequestId::new();
        audit.submit(&intent(id)).wait().expect("durable");
        change(&home.present());
        let begin = Instant::now();
        wait_until("noticed", || audit.stats().failures == 1);
        assert!(begin.elapsed() < Duration::from_millis(1_000), "{:?}", begin.elapsed());
        audit.submit(&read_record(RequestId::new())).wait().expect("durable again");
        assert_eq!(audit.health(), Ok(()));
        audit.close();
        let lines = home.lines();
        assert!(lines[0].contains(reason) && lines[0].contains(&id.to_string()), "{}", lines[0]);
        match home.verify() {
            Ok(report) => assert!(restored && report.first_seq == 1 && report.closed),
            Err(broken) => assert!(!restored, "{broken}"),
        }
    }
}

/// With a log that nobody writes any more the process would serve nothing, and look alive to whoever supervises it.
#[test]
fn a_writer_that_panics_ends_the_process() {
    if let Some(config) = child_config() {
        let home = Home::new();
        let (audit, _) = home.open_with(config);
        audit.submit(&read_record(RequestId::new())).then(|_| panic!("meant"));
        loop {
            std::thread::park();
        }
    }
    let home = Home::new();
    let mut process = child(home.dir.path()).spawn().expect("starts");
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = process.try_wait().expect("a child") {
            break Some(status);
        }
        if begun.elapsed() > Duration::from_secs(30) {
            process.kill().expect("killed");
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.and_then(|status| status.code()), Some(1), "it ended by itself, as at a crash");
    assert!(home.present().exists(), "the child did its work");
}

/// `truncate -s` behind the last line, or in the place of the file: no line is that long, so it is read no further, and put aside as it is.
#[test]
fn more_than_a_line_can_be_is_put_aside_and_not_read() {
    use super::lines::MOST_TORN;
    let lengthen = |path: &Path, begin: &[u8]| {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).expect("opens");
        file.write_all(begin).expect("written");
        // A hole.
        let length = file.metadata().expect("there").len() + MOST_TORN + 1;
        file.set_len(length).expect("a file with a hole");
        length
    };
    let home = Home::new();
    let (audit, _) = home.open();
    audit.submit(&intent(RequestId::new())).wait().expect("durable");
    audit.close();
    let length = lengthen(&home.present(), b"");
    assert_eq!(home.verify().expect_err("the proof ends there").flaw, Flaw::NotALine);
    let (audit, recovered) = home.open();
    let why = recovered.set_aside.expect("it is strange");
    assert!(why.contains("longer than any line"), "{why}");
    assert_eq!((recovered.cut_bytes, recovered.open_intents.len()), (0, 1));
    audit.close();
    let aside = file::rotated(home.dir.path(), "audit", 1);
    assert_eq!(std::fs::metadata(&aside).expect("renamed").len(), length);
    let lines = home.lines();
    assert!(lines[0].contains("longer than any line"), "{}", lines[0]);
    assert!(verify(&home.present(), &Keys::public(home.aud.pem())).expect("the new file is sound").closed);

    // No line at all.
    std::fs::remove_file(home.present()).expect("there");
    lengthen(&home.present(), b"x");
    let (audit, recovered) = home.open();
    assert!(recovered.set_aside.is_some());
    audit.close();

    // In the part of a long file that is proved behind its end.
    let home = Home::new();
    let (audit, _) = home.open();
    audit.set_anchor("1.2.ab".into());
    for _ in 0..40 {
        audit.submit(&read_record(RequestId::new())).wait().expect("durable");
    }
    audit.close();
    let sound = home.lines();
    std::fs::remove_file(home.present()).expect("there");
    lengthen(&home.present(), format!("{}\n", sound[0]).as_bytes());
    let mut file = std::fs::OpenOptions::new().append(true).open(home.present()).expect("opens");
    file.write_all(format!("\n{}\n", sound[1..].join("\n")).as_bytes()).expect("written");
    let config = AuditConfig { known: audit.end(), first_look_bytes: 3_000, ..home.config() };
    let (audit, recovered) = home.open_with(config);
    assert_eq!(recovered.set_aside, None, "its end is as it was");
    let begins_with = |text: String| text.lines().next().is_some_and(|line| line.contains("longer than any line"));
    wait_until("noticed", || std::fs::read_to_string(home.present()).is_ok_and(begins_with));
    audit.close();
}

#[test]
fn a_file_of_another_log_under_this_ones_name_is_refused_as_it_is() {
    let home = Home::new();
    let (audit, _) = home.open();
    audit.submit(&read_record(RequestId::new())).wait().expect("durable");
    audit.close();
    let as_it_was = std::fs::read(home.present()).expect("there");
    let other = file::present(home.dir.path(), "admin");
    std::fs::rename(home.present(), &other).expect("renamed");
    let config = AuditConfig { name: "admin".to_owned(), lock_wait_ms: 2_000, ..home.config() };
    let refused = Audit::open(config.clone(), home.node, line_key(), home.aud.signer()).err().expect("another log");
    let glanced = Audit::glance(&config, home.node, &line_key()).expect_err("another log");
    for error in [refused, glanced] {
        assert!(error.to_string().contains("admin.jsonl holds lines of the log \"audit\""), "{error}");
    }
    assert_eq!(std::fs::read(&other).expect("there"), as_it_was);
    std::fs::rename(&other, home.present()).expect("renamed");
    assert_eq!(home.open().1.set_aside, None);
}

#[test]
fn a_fifo_is_no_log_and_is_not_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("audit.jsonl");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo").success());
    let refused = logs(&[fifo]).expect_err("no file").to_string();
    assert!(refused.contains("no regular file"), "{refused}");
}
