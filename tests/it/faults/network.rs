//! The host of the database loses its power, or takes everything and passes nothing on: each wait ends on this side, nothing
//! acknowledged is lost, and service returns by itself.

use std::time::{Duration, Instant};

use bulla_test_support::namespace::Host;
use bulla_test_support::postgres::PostgresCluster;
use bulla_test_support::server::Server;
use bulla_test_support::sizes::size;

use crate::BULLA;
use crate::faults::load::{check_audit_log, under_load, until_served};

/// From the return of the host, or the loss of one of two ways, to the first write.
const BACK: Duration = Duration::from_secs(15);

fn host(cluster: &PostgresCluster) -> Option<Host> {
    Host::start(&cluster.socket()).map_err(|e| eprintln!("SKIPPED: no network namespaces here: {e}")).ok()
}

/// Makes the statements of the service wait, so that it is owed answers when something happens.
fn owing(cluster: &PostgresCluster, database: &str) {
    let held = "BEGIN; LOCK TABLE secrets; SELECT pg_sleep(1); COMMIT";
    cluster.sql(database, held);
}

#[test]
fn a_database_host_that_loses_power_is_given_up_and_found_again() {
    let cluster = PostgresCluster::start().expect("PostgreSQL from the package");
    let Some(mut host) = host(&cluster) else { return };
    cluster.sql("postgres", "CREATE DATABASE bulla");
    let url = format!("postgres://postgres@{}:5432/bulla?sslmode=disable", host.address());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::dev(BULLA, folder.path().join("data"), Some(&url));
    let mut slowest = Duration::ZERO;
    let writers = under_load(&server, "power", |server| {
        let client = server.client();
        for round in 0..size(5, 200) {
            until_served(&client, &format!("before/{round}"), BACK);
            std::thread::scope(|scope| {
                scope.spawn(|| owing(&cluster, "bulla"));
                std::thread::sleep(Duration::from_millis(500));
                host.power_off();
            });
            std::thread::sleep(Duration::from_secs(6));
            assert_eq!(client.page("/readyz").status, 503);
            host.power_on().expect("as at the first time");
            let back = Instant::now();
            until_served(&client, &format!("after/{round}"), BACK);
            slowest = slowest.max(back.elapsed());
        }
    });
    eprintln!("served again {slowest:?} after the host's return at most");
    check_audit_log(&mut server, &writers);
}

#[test]
fn a_way_that_takes_everything_and_passes_nothing_on_is_given_up() {
    let cluster = PostgresCluster::start().expect("PostgreSQL from the package");
    let (Some(first), Some(second)) = (host(&cluster), host(&cluster)) else { return };
    cluster.sql("postgres", "CREATE DATABASE bulla");
    let url = format!("postgres://postgres@{}:5432,{}:5432/bulla?sslmode=disable", first.address(), second.address());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::dev(BULLA, folder.path().join("data"), Some(&url));
    let writers = under_load(&server, "frozen", |server| {
        let client = server.client();
        until_served(&client, "before", BACK);
        // Its kernel goes on to acknowledge all that is sent; nothing ever comes back.
        first.freeze();
        let frozen = Instant::now();
        std::thread::sleep(Duration::from_secs(2));
        // 12 s until the answer is given up, 2 s until the first of the two is given up as an address.
        let served = until_served(&client, "after", Duration::from_secs(30));
        eprintln!("served again {:?} after the way froze (waited {served:?})", frozen.elapsed());
        // A new connection can serve before those that are silent are given up.
        while !server.log().contains("the connection is given up") {
            assert!(frozen.elapsed() < BACK * 2, "{}", server.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    first.thaw();
    check_audit_log(&mut server, &writers);
}
