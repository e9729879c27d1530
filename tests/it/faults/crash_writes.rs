//! kill -9 under mixed writes: what was acknowledged is there, nothing is half there, the audit chain holds.

use std::time::Duration;

use bulla_test_support::journal::{Writer, check_keys};
use bulla_test_support::server::Server;
use bulla_test_support::sizes::{seed, size};
use rustix::process::{Pid, Signal, kill_process};

use crate::faults::load::check_audit_log;
use crate::{on_postgres, on_sqlite};

/// Clients that write at the same time.
const WRITERS: u64 = 3;

/// Lets every writer write until the server is gone.
fn write_until_gone(server: &Server, writers: &mut [Writer], meanwhile: impl FnOnce()) {
    std::thread::scope(|scope| {
        for writer in writers {
            scope.spawn(move || {
                let client = server.client();
                while writer.step(&client).is_ok() {}
            });
        }
        meanwhile();
    });
}

fn kills(mut server: Server, times: usize) {
    let seed = seed("kills");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut writers: Vec<Writer> = (0..WRITERS).map(|n| Writer::new(&format!("crash/{n}"), seed ^ n)).collect();
    // A machine that is busy acknowledges little in such short lives: then there are more of them.
    let is_enough = |writers: &[Writer]| writers.iter().flat_map(Writer::acknowledged).count() > times;
    let mut lives = 0;
    while lives < times || lives < 4 * times && !is_enough(&writers) {
        lives += 1;
        let pid = server.pid().and_then(|pid| Pid::from_raw(pid.cast_signed())).expect("it runs");
        let life = Duration::from_millis(random.u64(5..200));
        write_until_gone(&server, &mut writers, || {
            std::thread::sleep(life);
            kill_process(pid, Signal::KILL).expect("it runs");
        });
        server.kill();
        server.restart();
        let client = server.client();
        writers.iter_mut().for_each(|writer| writer.check(&client));
    }
    finish(server, &writers, times);
}

/// The last look: at the keys, the audit chain, and the outcome of every acknowledged write.
fn finish(mut server: Server, writers: &[Writer], least: usize) {
    check_keys(&server.client(), least);
    check_audit_log(&mut server, writers);
    let count = writers.iter().flat_map(Writer::acknowledged).count();
    eprintln!("{count} writes were acknowledged, 0 lost");
    assert!(count > least, "too few writes to mean anything: {count}");
}

#[test]
fn sqlite_survives_kills_under_mixed_writes() {
    let (_folder, server) = on_sqlite();
    kills(server, size(100, 2000));
}

#[test]
fn postgresql_survives_kills_under_mixed_writes() {
    let (_folder, server) = on_postgres();
    kills(server, size(30, 2000));
}

/// At each step of a write in turn, some passes after the start.
#[cfg(debug_assertions)]
#[test]
fn dies_at_every_step_of_a_write_and_loses_nothing() {
    use std::os::unix::process::ExitStatusExt;

    use bulla::base::failpoint::Step;

    const VARIABLE: &str = "BULLA_FAILPOINT";
    let (_folder, mut server) = on_sqlite();
    let seed = seed("steps");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut writers: Vec<Writer> = (0..WRITERS).map(|n| Writer::new(&format!("step/{n}"), seed ^ n)).collect();
    // A file of the audit log is full after some writes, so that the steps of beginning the next one are reached too.
    server.set_environment("BULLA_AUDIT__MAX_FILE_BYTES", Some("20000"));
    for round in 0..size(1, 40) {
        for step in Step::ALL.into_iter().filter(|step| ![Step::OF_IMPORT, Step::OF_REKEY].concat().contains(step)) {
            server.kill();
            // The steps of a key and of a file are rare.
            let rare = matches!(step, Step::KeyBegun | Step::KeyOnToken | Step::AuditFileMade | Step::AuditFileAside);
            let passes = if rare { 1 } else { random.usize(3..30) };
            server.set_environment(VARIABLE, Some(&format!("{step:?}:{passes}")));
            // Steps of the audit log are reached at the start already.
            if server.try_restart().is_ok() {
                write_until_gone(&server, &mut writers, || {
                    let client = server.client();
                    // The writers make no more than some keys each.
                    while matches!(step, Step::KeyBegun | Step::KeyOnToken) && client.request("CreateKey", &[]).send().is_ok() {
                    }
                });
                let status = server.wait();
                assert_eq!(status.signal(), Some(9), "{step:?} in round {round}: {status}");
            }
            server.set_environment(VARIABLE, None);
            server.restart();
            let client = server.client();
            writers.iter_mut().for_each(|writer| writer.check(&client));
        }
    }
    finish(server, &writers, Step::ALL.len());
}

/// In its transaction, and behind its commit: its record says that nobody knows, and then what the database says.
#[cfg(debug_assertions)]
#[test]
fn a_write_that_panics_is_recorded_as_what_came_of_it() {
    use bulla::base::failpoint::Step;

    use crate::faults::wire::outcomes;
    use crate::{audit_lines, create, until, verify_audit};

    let (_folder, mut server) = on_sqlite();
    for (step, code) in [(Step::EffectWritten, "NotCommitted"), (Step::Committed, "OK")] {
        server.kill();
        server.set_environment("BULLA_FAILPOINT", Some(&format!("{step:?}:1:panic")));
        server.restart();
        let client = server.client();
        let name = format!("panics/{step:?}");
        let answer = create(&client, &name, "value");
        assert_eq!((answer.status, answer.code()), (500, "InternalFailure"), "{answer:?}");
        until(Duration::from_secs(15), "its end is recorded", || outcomes(&audit_lines(&server)).contains_key(&name));
        assert_eq!(outcomes(&audit_lines(&server))[&name], code, "{step:?}");
        let read = client.call("GetSecretValue", &[("SecretName", &name)]);
        assert_eq!(read.status == 200, code == "OK", "{read:?}");
        create(&client, &format!("after/{step:?}"), "value").ok();
    }
    server.stop();
    verify_audit(&server);
}
