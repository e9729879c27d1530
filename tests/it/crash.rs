//! kill -9 under a stream of creates: what was acknowledged is there, nothing is half there, the audit chain holds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bulla_test_support::server::Server;

use super::{create, on_postgres, on_sqlite, verify_audit};

/// Creates secrets until the server dies; the names that were acknowledged, and the one that was under way.
fn stream(server: &Server, round: usize, thread: usize, acknowledged: &AtomicU64) -> (Vec<String>, String) {
    let client = server.client();
    let mut done = Vec::new();
    for n in 0.. {
        let name = format!("crash/{round}/{thread}/{n}");
        let request = client.request("CreateSecret", &[("SecretName", &name), ("VersionId", "v1"), ("SecretData", &name)]);
        match request.send() {
            Ok(answer) if answer.status == 200 => {
                acknowledged.fetch_add(1, Ordering::Relaxed);
                done.push(name);
            }
            _ => return (done, name),
        }
    }
    unreachable!("the server is killed")
}

fn kills(mut server: Server, times: usize) {
    create(&server.client(), "first", "first").ok();
    let acknowledged = AtomicU64::new(0);
    for round in 0..times {
        let pid = i32::try_from(server.pid().expect("it runs")).expect("a process id");
        let streams: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..2)
                .map(|thread| {
                    let (server, acknowledged) = (&server, &acknowledged);
                    scope.spawn(move || stream(server, round, thread, acknowledged))
                })
                .collect();
            std::thread::sleep(Duration::from_millis(20 + (round as u64 * 37) % 120));
            let pid = rustix::process::Pid::from_raw(pid).expect("a process id");
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
            threads.into_iter().map(|t| t.join().expect("no panic")).collect()
        });
        server.kill();
        server.restart();
        let client = server.client();
        for (done, under_way) in streams {
            for name in done {
                let read = client.call("GetSecretValue", &[("SecretName", &name)]).ok();
                assert_eq!(read.text("SecretData"), name);
            }
            let read = client.call("GetSecretValue", &[("SecretName", &under_way)]);
            let whole = read.status == 200 && read.text("SecretData") == under_way;
            assert!(whole || read.code() == "Forbidden.ResourceNotFound", "half visible: {} {}", under_way, read.code());
        }
    }
    assert!(acknowledged.load(Ordering::Relaxed) > times as u64, "too few creates to mean anything");
    server.stop();
    verify_audit(&server);
}

#[test]
fn sqlite_survives_a_hundred_kills() {
    let (_folder, server) = on_sqlite();
    kills(server, 100);
}

#[test]
fn postgresql_survives_thirty_kills() {
    let (_folder, server) = on_postgres();
    kills(server, 30);
}
