//! Faults of every kind at random, one on the heels of the other, on two nodes that share a token and a database: nothing acknowledged is
//! lost, nothing is served wrongly, and both serve soon after the last.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use bulla_test_support::journal::Writer;
use bulla_test_support::node::Node;
use bulla_test_support::postgres::PostgresCluster;
use bulla_test_support::relay::Relay;
use bulla_test_support::server::Server;
use bulla_test_support::sizes::{seed, size};
use fastrand::Rng;
use rustix::process::{Pid, Signal, kill_process};

use crate::BULLA;
use crate::faults::clocks::{STEPS, SetClock};
use crate::faults::load::{check_audit_log, under_load, until_served};

/// From the end of the last fault to a write on each node.
const BACK: Duration = Duration::from_secs(15);

/// What can break.
struct Place<'a> {
    server: &'a Server,
    node: &'a Node,
    /// The node's.
    clock: &'a SetClock,
    relay: &'a Relay,
    cluster: &'a PostgresCluster,
}

/// Something breaks, and is whole again when this returns.
fn fault(random: &mut Rng, on: &Place<'_>) -> &'static str {
    let Place { server, node, clock, relay, cluster } = on;
    let lasts = Duration::from_millis(random.u64(100..1_500));
    let signal = |pid: u32, signal: Signal| {
        let pid = Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
        kill_process(pid, signal).expect("it runs");
    };
    let both = [server.pid().expect("it runs"), node.pid()];
    match random.u8(..8) {
        0 => {
            cluster.halt();
            std::thread::sleep(lasts);
            cluster.resume(&[]).expect("it starts again");
            "database away"
        }
        1 => {
            relay.strand();
            "connections silent"
        }
        2 => {
            relay.delay(Duration::from_millis(100));
            std::thread::sleep(lasts);
            relay.delay(Duration::ZERO);
            "slow"
        }
        3 => {
            let begins = ["BEGIN ISOLATION LEVEL SERIALIZABLE", "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE"];
            relay.cut(begins[random.usize(..2)], random.u64(..20));
            std::thread::sleep(lasts);
            relay.counted();
            "a write cut"
        }
        4 => {
            for pid in both {
                for which in [Signal::HUP, Signal::USR1, Signal::ALARM, Signal::STOP] {
                    signal(pid, which);
                }
            }
            std::thread::sleep(lasts);
            for pid in both {
                signal(pid, Signal::CONT);
            }
            "signals"
        }
        5 => {
            let (there, away) = (server.data().join("tokens"), server.data().join("away"));
            std::fs::rename(&there, &away).expect("on one disk");
            std::thread::sleep(lasts);
            std::fs::rename(&away, &there).expect("on one disk");
            "token folder away"
        }
        6 => {
            clock.set(STEPS[random.usize(..STEPS.len())]);
            std::thread::sleep(lasts);
            clock.set(0);
            "a clock that steps"
        }
        _ => {
            let strangers: Vec<_> =
                (0..300).filter_map(|_| TcpStream::connect(&*server.ready.endpoint.replace("http://", "")).ok()).collect();
            std::thread::sleep(lasts);
            drop(strangers);
            "strangers"
        }
    }
}

/// Says where a run that fails stood: what both nodes warned of last, and the database with the way to it.
struct Standing<'a>(&'a Place<'a>);

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        let Place { server, node, relay, cluster, .. } = self.0;
        if !std::thread::panicking() {
            return;
        }
        for (who, log) in [("server", server.log()), ("node", node.log()), ("database", cluster.log())] {
            let loud: Vec<&str> = log.lines().filter(|line| !line.contains(" INFO ")).collect();
            for line in &loud[loud.len().saturating_sub(25)..] {
                eprintln!("{who}: {line}");
            }
        }
        for (what, port) in [("the database", cluster.port()), ("the relay", relay.port())] {
            eprintln!("{what} at {port}: {:?}", TcpStream::connect(("127.0.0.1", port)));
        }
    }
}

#[test]
fn everything_at_once_costs_no_acknowledged_write() {
    let cluster = PostgresCluster::start().expect("PostgreSQL from the package");
    let relay = Relay::to(cluster.port());
    let url = cluster.database().replace(&format!(":{}/", cluster.port()), &format!(":{}/", relay.port()));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::dev(BULLA, folder.path().join("data"), Some(&url));
    let clock = SetClock::new(folder.path(), "clock");
    let environment = clock.environment();
    let environment: Vec<(&str, &str)> = environment.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let node = Node::start_in(BULLA, &server, "2", "", &environment).answering();
    let random = seed("everything");
    let lasts = Duration::from_secs(size(180, 8 * 3600) as u64);
    let mut elsewhere = Writer::new("elsewhere", random);
    let writers = under_load(&server, "everything", |server| {
        let begun = Instant::now();
        let place = Place { server, node: &node, clock: &clock, relay: &relay, cluster: &cluster };
        let _standing = Standing(&place);
        std::thread::scope(|scope| {
            let (node, elsewhere) = (&node, &mut elsewhere);
            scope.spawn(move || {
                let client = node.client();
                while begun.elapsed() < lasts {
                    elsewhere.step(&client).expect("an answer, whatever it is");
                }
            });
            let mut random = Rng::with_seed(random);
            while begun.elapsed() < lasts {
                let what = fault(&mut random, &place);
                eprintln!("{:?}: {what}", begun.elapsed());
                std::thread::sleep(Duration::from_millis(random.u64(..2_000)));
            }
        });
        let over = Instant::now();
        until_served(&server.client(), "back/1", BACK);
        until_served(&node.client(), "back/2", BACK);
        eprintln!("served {:?} after the last fault", over.elapsed());
        assert!(over.elapsed() <= BACK, "{:?}", over.elapsed());
    });
    elsewhere.check(&node.client());
    for client in [server.client(), node.client()] {
        assert_eq!(client.figure("bulla_integrity_alarms_total"), 0.0, "{}", server.log());
    }
    eprintln!("{} acknowledged on the other node", elsewhere.acknowledged().len());
    node.stop();
    check_audit_log(&mut server, &writers);
}
