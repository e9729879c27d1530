//! Writes from before they happen until their outcome is durable.

use std::sync::mpsc::{Receiver as Hears, Sender as Says, channel};

use super::*;

fn at(ms: i64) -> Moment {
    Moment::still(Timestamp(ms))
}

fn outcome(id: RequestId) -> Record<'static> {
    Record { kind: Kind::Outcome, code: Some("OK"), ..intent(id) }
}

/// Keeps the thread that writes from its work until what it answers is dropped.
fn hold(audit: &Audit) -> Says<()> {
    let (release, held) = channel::<()>();
    let (say, holds): (_, Hears<()>) = channel();
    audit.submit(&read_record(RequestId::new())).then(move |_| {
        say.send(()).expect("awaited");
        // An error means that it is released.
        let _ = held.recv();
    });
    holds.recv().expect("it holds");
    release
}

/// The code of a request's outcome.
fn code(home: &Home, id: RequestId) -> Option<String> {
    let of = |line: &serde_json::Value| line["kind"] == "outcome" && line["request_id"] == id.to_string();
    let mut lines = home.lines().into_iter().map(|line| line.parse::<serde_json::Value>().expect("JSON")).filter(of);
    let code = lines.next().map(|line| line["code"].as_str().expect("a text").to_owned());
    assert!(lines.next().is_none(), "one outcome of {id}");
    code
}

#[test]
fn the_outcome_of_a_write_that_was_recorded_is_never_refused() {
    let home = Home::new();
    let (audit, _) = home.open_with(AuditConfig { queue_limit: 5, ..home.config() });
    let (one, other, third) = (RequestId::new(), RequestId::new(), RequestId::new());
    let reserved = [audit.intend(&intent(one), at(0)).expect("durable"), audit.intend(&intent(other), at(0)).expect("durable")];
    let release = hold(&audit);
    let waiting: Vec<_> = (0..9).map(|_| audit.submit(&read_record(RequestId::new()))).collect();
    assert_eq!(audit.stats().queued, 3, "two places are kept");
    assert_eq!(audit.intend(&intent(third), at(0)).err(), Some(AuditError::Full), "which has none, must not happen");
    let cut = Record { kind: Kind::Unknown, ..outcome(other) };
    let closed = [audit.submit(&outcome(one)), audit.submit(&cut)];
    drop(release);
    for ticket in closed {
        assert_eq!(ticket.wait(), Ok(()));
    }
    let fates: Vec<_> = waiting.into_iter().map(Ticket::wait).collect();
    assert_eq!(fates.iter().filter(|fate| **fate == Ok(())).count(), 3, "{fates:?}");
    // All places are free again when nobody needs one.
    drop(reserved);
    let release = hold(&audit);
    let waiting: Vec<_> = (0..9).map(|_| audit.submit(&read_record(RequestId::new()))).collect();
    assert_eq!(audit.stats().queued, 5);
    drop(release);
    assert_eq!(waiting.into_iter().map(Ticket::wait).filter(|fate| *fate == Ok(())).count(), 5);
    audit.close();
    assert_eq!((code(&home, one).as_deref(), code(&home, other)), (Some("OK"), None));
    assert!(!home.lines().iter().any(|line| line.contains(&third.to_string())));
}

#[test]
fn the_mark_of_a_write_is_needed_until_its_outcome_is_durable() {
    let home = Home::new();
    let (audit, _) = home.open();
    let until = |audit: &Audit, ms| audit.marks_unneeded_until(Timestamp(ms)).0;
    assert_eq!(until(&audit, 1_000), 1_000);
    let ids: Vec<_> = (0..3).map(|_| RequestId::new()).collect();
    let began = [500, 400, 600];
    let reserved: Vec<_> = ids.iter().zip(began).map(|(id, ms)| audit.intend(&intent(*id), at(ms)).expect("durable")).collect();
    assert_eq!((until(&audit, 1_000), until(&audit, 300)), (400, 300));
    audit.submit(&outcome(ids[1])).wait().expect("durable");
    assert_eq!(until(&audit, 1_000), 500);
    // A commit that was cut says nothing, however long that lasts.
    audit.submit(&Record { kind: Kind::Unknown, ..intent(ids[0]) }).wait().expect("durable");
    drop(reserved);
    assert_eq!(until(&audit, i64::MAX), 500);
    let unresolved = audit.take_unresolved().pop().expect("one").1;
    audit.complete(&unresolved, Completion::NotCommitted);
    wait_until("its outcome is durable", || until(&audit, i64::MAX) == 600);
    audit.close();
    assert_eq!(code(&home, ids[0]).as_deref(), Some("NotCommitted"));

    // What a crash left open is asked for by the next start, and was begun who knows when.
    let (audit, recovered) = home.open();
    assert_eq!(until(&audit, 1_000), 0);
    assert_eq!(recovered.open_intents.iter().map(|open| open.request_id).collect::<Vec<_>>(), [ids[2]]);
    audit.complete(&recovered.open_intents[0], Completion::Unknown);
    wait_until("its outcome is durable", || until(&audit, 1_000) == 1_000);
    // Of an intent that is not open here nobody kept anything.
    audit.complete(&recovered.open_intents[0], Completion::NotCommitted);
    audit.close();
    let codes: Vec<_> = home.lines().into_iter().filter(|line| line.contains(r#""kind":"outcome""#)).collect();
    let unknown = |line: &&String| line.contains(&ids[2].to_string()) && line.contains(r#""code":"Unknown""#);
    assert_eq!(codes.iter().filter(unknown).count(), 2, "{codes:?}");
}

#[test]
fn a_write_that_began_too_long_ago_does_not_happen() {
    let home = Home::new();
    let (audit, _) = home.open();
    let clock = Clock::System;
    let Some(long_ago) = Instant::now().checked_sub(Duration::from_secs(601)) else { return };
    let late = Moment::since(clock.now(), long_ago);
    assert_eq!(audit.intend(&intent(RequestId::new()), late).err(), Some(AuditError::Late));
    assert_eq!(audit.marks_unneeded_until(Timestamp(i64::MAX)), Timestamp(i64::MAX));
    audit.intend(&intent(RequestId::new()), Moment::of(clock.now())).map(drop).expect("durable");
}

/// While the folder is away; the log is told once.
#[test]
fn an_outcome_that_was_handed_over_while_the_file_was_away_is_written_once() {
    let home = Home::new();
    let dir = home.dir.path().join("log");
    let (audit, _) = home.open_with(AuditConfig { dir: dir.clone(), ..home.config() });
    let id = RequestId::new();
    let reserved = audit.intend(&intent(id), at(0)).expect("durable");
    audit.submit(&Record { kind: Kind::Unknown, ..intent(id) }).wait().expect("durable");
    drop(reserved);
    let unresolved = audit.take_unresolved().pop().expect("one").1;
    let away = home.dir.path().join("away");
    std::fs::rename(&dir, &away).expect("renamed");
    wait_until("noticed", || audit.health().is_err());
    audit.complete(&unresolved, Completion::Committed);
    wait_until("taken", || audit.stats().queued == 0);
    assert_eq!(audit.marks_unneeded_until(Timestamp(1)), Timestamp(0), "it is not durable yet");
    std::fs::rename(&away, &dir).expect("renamed");
    wait_until("written", || audit.marks_unneeded_until(Timestamp(1)) == Timestamp(1));
    audit.close();
    let files = log_files(&dir, "audit").expect("a folder");
    let lines: Vec<_> = files.iter().flat_map(|file| read_lines(file)).collect();
    let of = |kind: &str| lines.iter().filter(|line| line.contains(&id.to_string()) && line.contains(kind)).count();
    assert_eq!((of(r#""kind":"unknown""#), of(r#""kind":"outcome""#)), (1, 1), "{lines:?}");
}
