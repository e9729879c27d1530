//! What the tests under load share: writers beside a fault, and the way back to service.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bulla_test_support::client::Client;
use bulla_test_support::journal::{Writer, check_audit};
use bulla_test_support::server::Server;
use bulla_test_support::sizes::seed;

use crate::{audit_lines, create, verify_audit};

/// Runs something while clients write; everything that they were told is true in the end, and the server is the same process.
pub fn under_load(server: &Server, test: &str, between: impl FnOnce(&Server)) -> Vec<Writer> {
    let seed = seed(test);
    let pid = server.pid();
    let over = AtomicBool::new(false);
    let mut writers: Vec<Writer> = (0..2).map(|n| Writer::new(&format!("{test}/{n}"), seed ^ n)).collect();
    std::thread::scope(|scope| {
        for writer in &mut writers {
            let over = &over;
            scope.spawn(move || {
                let client = server.client();
                while !over.load(Ordering::Relaxed) {
                    writer.step(&client).expect("an answer, whatever it is");
                }
            });
        }
        // Set whether or not `between` panics, so that the threads end.
        let _over = Over(&over);
        between(server);
    });
    assert_eq!(server.pid(), pid, "it was not restarted");
    writers.iter_mut().for_each(|writer| writer.check(&server.client()));
    let count: usize = writers.iter().map(|writer| writer.acknowledged().len()).sum();
    let refused: usize = writers.iter().map(Writer::refused).sum();
    eprintln!("{test}: {count} writes were acknowledged, 0 lost; {refused} were refused");
    writers
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits until a write succeeds; how long that took.
pub fn until_served(client: &Client, name: &str, patience: Duration) -> Duration {
    let begun = Instant::now();
    loop {
        let answer = create(client, name, "back");
        match answer.status {
            // 409: made by an attempt whose answer was 503.
            200 | 409 => return begun.elapsed(),
            503 => assert!(begun.elapsed() < patience, "the service does not return: {}", answer.text("Message")),
            other => panic!("{other}: {}", answer.text("Message")),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The last look, with the server stopped: the audit chain, and the outcome of every acknowledged write.
pub fn check_audit_log(server: &mut Server, writers: &[Writer]) {
    server.stop();
    verify_audit(server);
    check_audit(&audit_lines(server), writers.iter().flat_map(Writer::acknowledged));
}
