//! kill -9 of the service at any moment of a rotation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use diesel::connection::SimpleConnection;

use super::*;

#[test]
fn what_is_served_after_a_kill_logs_in() {
    let managed = Managed::start();
    let mut server = managed.service(None);
    create(&server.client(), "one", "pg-1", &["a"], &[]).ok();
    create(&server.client(), "two", "pg-1", &["b", "c"], &[]).ok();
    // How long a rotation takes on this machine today.
    let begun = Instant::now();
    for n in 0..3 {
        rotate(&server.client(), "one", &format!("warm-up-{n}")).ok();
    }
    let took = begun.elapsed() / 3;
    let rotated = AtomicU64::new(0);
    for round in 0..30u64 {
        std::thread::scope(|scope| {
            for name in ["one", "two"] {
                let (server, rotated) = (&server, &rotated);
                scope.spawn(move || {
                    let client = server.client();
                    for n in 0.. {
                        let version = format!("{round}-{n}");
                        let request = client.request("RotateSecret", &[("SecretName", name), ("VersionId", &version)]);
                        match request.send() {
                            Ok(answer) if answer.status == 200 => rotated.fetch_add(1, Ordering::Relaxed),
                            _ => return,
                        };
                    }
                });
            }
            // Spread over all that a rotation does, some in the first, some in a later one.
            std::thread::sleep(took.mul_f64((round * 7 % 30) as f64 / 10.0));
            let pid = i32::try_from(server.pid().expect("it runs")).expect("a process id");
            let pid = rustix::process::Pid::from_raw(pid).expect("a process id");
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
        });
        server.kill();
        forget_calls(&server);
        server.restart();
        let client = server.client();
        // What was begun is ended at the start, while callers are served already: the moment that one account cannot be without.
        let settled = || {
            ["one", "two"].iter().all(|name| {
                let served = read(&client, name);
                managed.logs_in(&served)
            })
        };
        eventually("a login with what is served", settled);
    }
    assert!(rotated.load(Ordering::Relaxed) > 5, "too few rotations to mean anything");
    let client = server.client();
    for name in ["one", "two"] {
        // The job may still be at the end of what the last kill left.
        eventually("a rotation", || rotate(&client, name, "last").status == 200);
        assert!(managed.logs_in(&read(&client, name)));
    }
    server.stop();
    crate::verify_audit(&server);
}

/// The limit of rotations in an hour would soon let nothing begin that a kill could interrupt.
fn forget_calls(server: &Server) {
    database(server).batch_execute("DELETE FROM rotation_calls").expect("nobody else is at it");
}
