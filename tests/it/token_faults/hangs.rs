//! A token that does not answer: callers are answered at their deadline, everything else goes on, and all of it comes back.

use std::time::{Duration, Instant};

use super::{Rig, never, size};
use crate::create;

/// What the server is told: milliseconds in which a request is answered, sessions.
const DEADLINE: Duration = Duration::from_millis(3_000);
const SESSIONS: usize = 4;

/// How much later than its deadline a request may be answered on a machine that is busy with other tests.
const GRACE: Duration = Duration::from_millis(1_500);

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
    for round in 0..size(10, 200) {
        chaos.tell(&format!("hang {}", functions[round % functions.len()]));
        std::thread::scope(|scope| {
            // Many more than there are sessions.
            for _ in 0..40 {
                let client = rig.server.client();
                scope.spawn(move || {
                    let start = Instant::now();
                    let read = client.call("GetSecretValue", &[("SecretName", "a")]);
                    assert_eq!((read.status, read.code()), (503, "ServiceUnavailableTemporary"));
                    assert!(read.header("retry-after").is_some());
                    assert!(start.elapsed() < DEADLINE + DEADLINE / 10 + GRACE, "answered after {:?}", start.elapsed());
                });
            }
            let start = Instant::now();
            while chaos.hanging() == 0 {
                assert!(start.elapsed() < Duration::from_secs(10), "nothing hangs");
                std::thread::sleep(Duration::from_millis(1));
            }
            // What needs no token is served meanwhile.
            for _ in 0..5 {
                let start = Instant::now();
                assert_eq!(rig.page("/healthz").status, 200);
                assert!(rig.metric("bulla_token_sessions_limit") >= 1.0);
                client.call("DescribeSecret", &[("SecretName", "a")]).ok();
                client.call("ListSecrets", &[]).ok();
                assert!(start.elapsed() < DEADLINE + GRACE, "served after {:?}", start.elapsed());
            }
            let page = rig.page("/readyz");
            assert_eq!(page.status, 503, "{page:?}");
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
    create(&client, "b", "value").ok();
    assert_eq!(rig.metric("bulla_token_epochs_total"), 1.0, "no reconnect was needed");
    never(&chaos);
}
