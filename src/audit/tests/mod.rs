//! The log as its callers see it. Faults are real ones: a process that is killed, a file-size limit, files changed by others.

mod faults;
mod intents;
mod shipping;
mod strangers;
mod tamper;

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::base::ids::RequestId;

/// AUD, in memory.
struct Aud {
    pair: Arc<EcdsaKeyPair>,
    /// Whether it signs.
    there: Arc<AtomicBool>,
}

impl Aud {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key pair");
        Self { pair: Arc::new(pair), there: Arc::new(AtomicBool::new(true)) }
    }

    fn signer(&self) -> Signer {
        let (pair, there) = (Arc::clone(&self.pair), Arc::clone(&self.there));
        Box::new(move |bytes| {
            if !there.load(Ordering::Relaxed) {
                return Err("the token is away".to_owned());
            }
            Ok(pair.sign(&SystemRandom::new(), bytes).map_err(|e| e.to_string())?.as_ref().to_vec())
        })
    }

    fn pem(&self) -> Vec<u8> {
        let head = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
        let info = [hex::decode(head).expect("hex"), self.pair.public_key().as_ref().to_vec()].concat();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(info)).into_bytes()
    }
}

/// A folder, a node and a key: what stays the same when a log is opened again.
struct Home {
    dir: tempfile::TempDir,
    node: NodeId,
    aud: Aud,
}

impl Home {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder"), node: NodeId::new(), aud: Aud::new() }
    }

    fn config(&self) -> AuditConfig {
        AuditConfig::new(self.dir.path(), "audit")
    }

    fn open(&self) -> (Audit, Recovered) {
        self.open_with(self.config())
    }

    fn open_with(&self, config: AuditConfig) -> (Audit, Recovered) {
        // Another test may begin a process at this moment, which has the lock until it is its own program.
        let config = AuditConfig { lock_wait_ms: config.lock_wait_ms.max(2_000), ..config };
        Audit::open(config, self.node, line_key(), self.aud.signer()).expect("opens")
    }

    fn present(&self) -> PathBuf {
        file::present(self.dir.path(), "audit")
    }

    /// The present file's lines.
    fn lines(&self) -> Vec<String> {
        read_lines(&self.present())
    }

    /// What proves its files: with the keys of the lines, as where the token is.
    fn keys(&self) -> Keys {
        Keys { public: self.aud.pem(), lines: Some(Box::new(|_| Some(line_key()))) }
    }

    fn verify(&self) -> Result<Report, Broken> {
        verify_files(&log_files(self.dir.path(), "audit").expect("a folder"), &Keys::public(self.aud.pem()))
    }
}

/// The key of all lines here.
fn line_key() -> LineKey {
    LineKey::new(&[7; 32])
}

fn read_lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).expect("a file of text").lines().map(str::to_owned).collect()
}

fn read_record(id: RequestId) -> Record<'static> {
    Record {
        account: Some("1234567890123456"),
        principal: Some("user/app"),
        access_key: Some("BLLA2345"),
        source_ip: Some("192.0.2.7".parse().expect("an address")),
        resource: Some("acs:kms:cn-hangzhou:1234567890123456:secret/db"),
        version: Some("v1"),
        decision: Some(Verdict::Allowed),
        by: Some("AliyunKMSSecretUserAccess"),
        code: Some("OK"),
        ..Record::new(Kind::Read, id, "GetSecretValue")
    }
}

fn intent(id: RequestId) -> Record<'static> {
    Record { kind: Kind::Intent, action: "PutSecretValue", code: None, ..read_record(id) }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_report_names_the_deployment_that_a_proved_line_binds_the_log_to() {
    let submit = |audit: &Audit, (kind, action, resource): (Kind, &str, &str)| {
        let record = Record { resource: Some(resource), ..Record::new(kind, RequestId::new(), action) };
        audit.submit(&record).wait().expect("durable");
    };
    let named = |records: &[(Kind, &str, &str)]| {
        let home = Home::new();
        let (audit, _) = home.open();
        records.iter().for_each(|record| submit(&audit, *record));
        audit.close();
        home.verify().expect("sound").deployment
    };
    let init = (Kind::Admin, INITIALISE, "deployment/the-first audit-key/sha256:00");
    assert_eq!(named(&[(Kind::Admin, "Ceremony", "deployment/x"), init]).as_deref(), Some("the-first"));
    let later = (Kind::Admin, INITIALISE, "deployment/another audit-key/sha256:00");
    assert_eq!(named(&[init, later]).as_deref(), Some("the-first"));
    assert_eq!(named(&[(Kind::Refused, INITIALISE, "deployment/the-first")]), None, "what a caller asked for");
    assert_eq!(named(&[(Kind::Admin, "CreateUser", "deployment/the-first")]), None);
    let home = Home::new();
    home.aud.there.store(false, Ordering::Relaxed);
    let (audit, _) = home.open_with(AuditConfig { checkpoint_every_ms: 20, ..home.config() });
    submit(&audit, init);
    assert_eq!(home.verify().expect("sound").deployment, None, "a line that no checkpoint proves");
    home.aud.there.store(true, Ordering::Relaxed);
    wait_until("signed", || audit.stats().checkpoints > 0);
    assert_eq!(home.verify().expect("sound").deployment.as_deref(), Some("the-first"));
}

#[test]
fn a_line_has_the_documented_form() {
    let home = Home::new();
    let clock = Clock::Fixed(Arc::new(AtomicI64::new(1_764_000_000_007)));
    let (audit, recovered) = home.open_with(AuditConfig { clock, ..home.config() });
    assert_eq!(recovered, Recovered::default());
    let id = RequestId::new();
    audit.submit(&read_record(id)).wait().expect("durable");
    let long = "é\"\n".repeat(400);
    let refused = Record { access_key: Some(&long), ..Record::new(Kind::Refused, id, "No\u{1b}Such") };
    audit.submit(&refused).wait().expect("durable");
    audit.close();
    let lines = home.lines();
    let node = home.node;
    let head =
        |n: usize, prev: &str| format!(r#"{{"seq":{n},"time":"2025-11-24T16:00:00.007Z","node":"{node}","prev":"{prev}","#);
    let prev = |n: usize| hex::encode(hash(lines[n - 2].as_bytes()));
    let expected = head(1, &"0".repeat(64)) + r#""kind":"file","log":"audit","format":1,"reason":"first","open":[]}"#;
    let members = |n: usize| {
        let (members, _) = line_mac::split(lines[n].as_bytes()).expect("a MAC");
        assert!(line_key().verifies(lines[n].as_bytes()));
        String::from_utf8(members.to_vec()).expect("text") + "}"
    };
    assert_eq!(members(0), expected);
    assert_eq!(members(1), head(2, &prev(2)) + r#""kind":"start"}"#);
    let record = format!(
        "{}{}{}{}",
        r#""kind":"read","request_id":""#,
        id,
        r#"","account":"1234567890123456","principal":"user/app","access_key":"BLLA2345","source_ip":"192.0.2.7","action":"GetSecretValue","#,
        r#""resource":"acs:kms:cn-hangzhou:1234567890123456:secret/db","version":"v1","decision":"allowed","by":"AliyunKMSSecretUserAccess","code":"OK"}"#,
    );
    assert_eq!(members(2), head(3, &prev(3)) + &record);
    let json: serde_json::Value = serde_json::from_str(&lines[3]).expect("JSON");
    let kept = json["access_key"].as_str().expect("text");
    let shown = long.replace('\n', "?");
    assert!(kept.len() <= MAX_TEXT_BYTES && kept.ends_with('…') && shown.starts_with(kept.trim_end_matches('…')), "{kept}");
    assert_eq!(json["action"], "No?Such", "control characters are replaced: JSON would write each as six bytes");
    assert_eq!(members(4), head(5, &prev(5)) + r#""kind":"stop"}"#);
    assert!(lines[5].starts_with(&(head(6, &prev(6)) + r#""kind":"checkpoint","at":5,"hash":""#)), "{}", lines[5]);
    assert_eq!(lines.len(), 6);
    let report = home.verify().expect("sound");
    assert_eq!((report.lines, report.checkpoints, report.proved, report.unproven, report.closed), (6, 1, 6, 0, true));
}

#[test]
fn files_are_private() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let home = Home::new();
    let dir = home.dir.path().join("made/here");
    drop(home.open_with(AuditConfig { dir: dir.clone(), ..home.config() }));
    let mode = |path: &Path| std::fs::metadata(path).expect("there").mode() & 0o777;
    assert_eq!((mode(&dir), mode(&dir.join("audit.jsonl"))), (0o700, 0o600));
    std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o770)).expect("chmod");
    let refused = Audit::open(AuditConfig { dir, ..home.config() }, home.node, line_key(), home.aud.signer()).map(|_| ());
    assert!(matches!(refused, Err(AuditError::Open(..))), "{refused:?}");
}

#[test]
fn what_follows_a_record_is_done_when_its_fate_is_known() {
    let home = Home::new();
    let (audit, _) = home.open();
    let (say, hear) = std::sync::mpsc::channel();
    let follow = |ticket: Ticket| {
        let say = say.clone();
        ticket.then(move |fate| say.send(fate).expect("awaited"));
        hear.recv().expect("told")
    };
    assert_eq!(follow(audit.submit(&read_record(RequestId::new()))), Ok(()));
    assert!(home.lines().iter().any(|line| line.contains(r#""kind":"read""#)), "durable by then");
    audit.close();
    assert_eq!(follow(audit.submit(&read_record(RequestId::new()))), Err(AuditError::Closed));
    assert_eq!(follow(Ticket::for_nothing()), Ok(()));
    assert_eq!(audit.health(), Err(AuditError::Closed));
}

#[test]
fn many_threads_share_syncs_and_every_line_is_there() {
    const THREADS: usize = 16;
    const EACH: usize = 1000;
    let home = Home::new();
    let (audit, _) = home.open_with(AuditConfig { max_file_bytes: 1 << 20, ..home.config() });
    let ids: Vec<RequestId> = std::thread::scope(|scope| {
        let work = || {
            let ids: Vec<_> = (0..EACH).map(|_| RequestId::new()).collect();
            ids.iter().for_each(|id| audit.submit(&read_record(*id)).wait().expect("durable"));
            ids
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|t| t.join().expect("no panic")).collect()
    });
    let stats = audit.stats();
    assert_eq!(stats.queued, 0);
    assert!(stats.syncs < stats.lines, "{stats:?}");
    audit.close();
    let report = home.verify().expect("sound");
    assert_eq!(report.unproven, 0);
    let files = log_files(home.dir.path(), "audit").expect("a folder");
    assert!(files.len() > 4, "files of 1 MiB: {files:?}");
    let all: Vec<String> = files.iter().flat_map(|f| read_lines(f)).collect();
    let found: Vec<String> = all.iter().filter_map(|l| Some(l.split_once(r#""request_id":""#)?.1[..36].to_owned())).collect();
    assert_eq!(found.len(), THREADS * EACH);
    assert_eq!(found.into_iter().collect::<HashSet<_>>(), ids.iter().map(ToString::to_string).collect());
}

#[test]
fn full_files_are_rotated_and_each_is_proved_alone() {
    let home = Home::new();
    let (audit, _) = home.open_with(AuditConfig { max_file_bytes: 4000, ..home.config() });
    let left_open = RequestId::new();
    audit.submit(&intent(left_open)).wait().expect("durable");
    for _ in 0..100 {
        let id = RequestId::new();
        audit.submit(&intent(id)).wait().expect("durable");
        audit.submit(&intent(id)).wait().expect("durable");
        audit.submit(&Record { kind: Kind::Outcome, ..intent(id) }).wait().expect("durable");
    }
    audit.close();
    let files = log_files(home.dir.path(), "audit").expect("a folder");
    assert!(files.len() > 10, "{files:?}");
    for file in &files {
        let report = verify(file, &Keys::public(home.aud.pem())).expect("sound");
        assert_eq!((report.unproven, report.torn_bytes), (0, 0), "{}", file.display());
    }
    let report = home.verify().expect("sound");
    assert_eq!((report.first_seq, report.lines), (1, report.last_seq));
    assert!(home.lines()[0].contains(&left_open.to_string()), "a new file names the intents that are open");
    let mut gap = files.clone();
    gap.remove(3);
    assert!(matches!(verify_files(&gap, &Keys::public(home.aud.pem())).expect_err("gap").flaw, Flaw::Sequence { .. }));
    let (_, recovered) = home.open();
    assert_eq!(recovered.open_intents.iter().map(|i| i.request_id).collect::<Vec<_>>(), [left_open]);
}

#[test]
fn a_rotation_that_a_power_cut_broke_off_is_ended() {
    let home = Home::new();
    let small = || AuditConfig { max_file_bytes: 4000, ..home.config() };
    let (audit, _) = home.open_with(small());
    while log_files(home.dir.path(), "audit").expect("a folder").len() < 3 {
        audit.submit(&intent(RequestId::new())).wait().expect("durable");
    }
    audit.close();
    let named = |name: &str| home.dir.path().join(name);
    std::fs::rename(named("audit.jsonl"), named("audit.jsonl.new")).expect("one process");
    let (audit, recovered) = home.open_with(small());
    assert_eq!(recovered.set_aside, None);
    audit.close();
    assert!(!named("audit.jsonl.new").exists());
    let report = home.verify().expect("sound");
    assert_eq!((report.first_seq, report.lines), (1, report.last_seq));
    // One that does not follow the last full file takes nobody's place.
    let files = log_files(home.dir.path(), "audit").expect("a folder");
    std::fs::copy(&files[0], named("audit.jsonl.new")).expect("copied");
    std::fs::remove_file(named("audit.jsonl")).expect("there");
    let (_, recovered) = home.open_with(small());
    assert_eq!(recovered.set_aside.as_deref(), Some("the present file was missing"));
}

#[test]
fn intents_stay_open_until_they_are_completed() {
    let home = Home::new();
    let (audit, _) = home.open();
    let ids: Vec<_> = (0..3).map(|_| RequestId::new()).collect();
    for id in &ids {
        audit.submit(&intent(*id)).wait().expect("durable");
    }
    audit.submit(&Record { kind: Kind::Outcome, ..intent(ids[1]) }).wait().expect("durable");
    drop(audit);
    let (audit, recovered) = home.open();
    assert_eq!(recovered.open_intents.iter().map(|i| i.request_id).collect::<Vec<_>>(), [ids[0], ids[2]]);
    let open = &recovered.open_intents[0];
    assert_eq!((open.action.as_str(), open.version.as_deref()), ("PutSecretValue", Some("v1")));
    audit.complete(open, Completion::Committed);
    audit.complete(&recovered.open_intents[1], Completion::NotCommitted);
    drop(audit);
    let again = home.open().1;
    assert_eq!(again, Recovered { last_time: again.last_time, ..Recovered::default() });
    assert!(again.last_time.is_some());
    let codes = [(ids[0], "OK"), (ids[2], "NotCommitted")];
    for (id, code) in codes {
        let end = format!(r#""code":"{code}","mac":""#);
        let outcome = |l: &&String| l.contains(r#""kind":"outcome""#) && l.contains(&id.to_string());
        assert!(home.lines().iter().find(outcome).expect("there").contains(&end));
    }
}

#[test]
fn one_process_at_a_time() {
    let home = Home::new();
    let (audit, _) = home.open();
    let second = Audit::open(home.config(), home.node, line_key(), home.aud.signer()).map(|_| ());
    assert_eq!(second, Err(AuditError::InUse(home.dir.path().join("audit.lock"))));
    std::thread::scope(|scope| {
        let patient =
            || Audit::open(AuditConfig { lock_wait_ms: 10_000, ..home.config() }, home.node, line_key(), home.aud.signer());
        let waiting = scope.spawn(move || patient().map(|_| ()));
        std::thread::sleep(Duration::from_millis(50));
        drop(audit);
        waiting.join().expect("no panic").expect("opens when the first is closed");
    });
}

#[test]
fn a_full_queue_refuses_at_once() {
    let home = Home::new();
    let (audit, _) = home.open_with(AuditConfig { queue_limit: 1, ..home.config() });
    let tickets: Vec<_> = (0..5000).map(|_| audit.submit(&read_record(RequestId::new()))).collect();
    let results: Vec<_> = tickets.into_iter().map(Ticket::wait).collect();
    let durable = results.iter().filter(|r| r.is_ok()).count();
    assert!(results.contains(&Err(AuditError::Full)));
    audit.close();
    let written = home.lines().iter().filter(|l| l.contains(r#""kind":"read""#)).count();
    assert_eq!(written, durable, "what was refused is not in the file, the rest is");
}

#[test]
fn checkpoints_come_by_time_and_by_count() {
    let home = Home::new();
    let (audit, _) = home.open_with(AuditConfig { checkpoint_every_ms: 30, ..home.config() });
    audit.submit(&read_record(RequestId::new())).wait().expect("durable");
    wait_until("a checkpoint by time", || audit.stats().checkpoints == 1);
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(audit.stats().checkpoints, 1, "none without new lines");
    drop(audit);
    let config = AuditConfig { checkpoint_every_ms: 3_600_000, checkpoint_lines: 10, ..home.config() };
    let (audit, _) = home.open_with(config);
    for _ in 0..10 {
        audit.submit(&read_record(RequestId::new())).wait().expect("durable");
    }
    wait_until("a checkpoint by count", || audit.stats().checkpoints == 1);
}
