//! A token that does not answer: callers are answered at their deadline, everything else goes on, and all of it comes back.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::{Rig, never, size};
use crate::create;

/// What the server is told: milliseconds in which a request is answered, sessions.
const DEADLINE: Duration = Duration::from_secs(5);
const SESSIONS: usize = 4;

#[test]
fn a_token_hangs() {
    let own = vec![
        ("BULLA_SERVER__ANSWER_TIMEOUT_MS", DEADLINE.as_millis().to_string()),
        ("BULLA_TOKEN__SESSIONS", SESSIONS.to_string()),
    ];
    let rig = Rig::new("", own);
    let (client, chaos) = (rig.server.client(), rig.chaos());
    create(&client, "a", "value").ok();
    let functions = ["C_Decrypt", "C_DecryptInit", "*"];
    let (slowest, slowest_meanwhile) = (Mutex::new(Duration::ZERO), Mutex::new(Duration::ZERO));
    let ended = |slowest: &Mutex<Duration>, begun: Instant| {
        let mut slowest = slowest.lock().expect("no panic before");
        *slowest = begun.elapsed().max(*slowest);
    };
    for round in 0..size(10, 200) {
        chaos.tell(&format!("hang {}", functions[round % functions.len()]));
        std::thread::scope(|scope| {
            // Many more than there are sessions.
            for _ in 0..40 {
                let (client, slowest) = (rig.server.client(), &slowest);
                scope.spawn(move || {
                    let start = Instant::now();
                    let read = client.call("GetSecretValue", &[("SecretName", "a")]);
                    assert_eq!((read.status, read.code()), (503, "ServiceUnavailableTemporary"));
                    assert!(read.header("retry-after").is_some());
                    ended(slowest, start);
                });
            }
            let start = Instant::now();
            while chaos.hanging() == 0 {
                assert!(start.elapsed() < Duration::from_secs(10), "nothing hangs");
                std::thread::sleep(Duration::from_millis(1));
            }
            // What needs no token is served meanwhile.
            for n in 0..20 {
                let start = Instant::now();
                match n % 4 {
                    0 => assert_eq!(rig.server.client().page("/healthz").status, 200),
                    1 => assert!(rig.server.client().figure("bulla_token_sessions_limit") >= 1.0),
                    2 => drop(client.call("DescribeSecret", &[("SecretName", "a")]).ok()),
                    _ => drop(client.call("ListSecrets", &[]).ok()),
                }
                ended(&slowest_meanwhile, start);
            }
            // What it says is a second old at most, and a second may pass before a call counts as one that hangs.
            let readiness = || rig.server.client().page("/readyz").status;
            crate::until(Duration::from_secs(4), "not ready", || readiness() == 503);
        });
        // One of each session, the writer, the audit's signature: no more.
        assert!(chaos.hanging() <= SESSIONS + 2, "{} hang", chaos.hanging());
        chaos.tell("release");
        let start = Instant::now();
        loop {
            let read = client.call("GetSecretValue", &[("SecretName", "a")]);
            if read.status == 200 {
                break assert_eq!(read.text("SecretData"), "value");
            }
            assert_eq!(read.status, 503, "{read:?}");
            assert!(start.elapsed() < Duration::from_secs(20), "not served after the release");
        }
    }
    let [slowest, meanwhile] = [slowest, slowest_meanwhile].map(|time| time.into_inner().expect("no panic"));
    eprintln!("answered after {slowest:?} at most; what needs no token after {meanwhile:?}");
    assert!(slowest <= DEADLINE + DEADLINE / 10, "answered after {slowest:?}");
    assert!(meanwhile < DEADLINE, "served after {meanwhile:?}");
    create(&client, "b", "value").ok();
    assert_eq!(rig.server.client().figure("bulla_token_epochs_total"), 1.0, "no reconnect was needed");
    never(&chaos);
}
