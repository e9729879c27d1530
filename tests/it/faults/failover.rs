//! PostgreSQL's primary dies under load and its synchronous standby is promoted: nothing acknowledged is lost, and the service
//! finds the new primary by itself.

use std::time::{Duration, Instant};

use bulla_test_support::postgres::{PostgresCluster, free_port};
use bulla_test_support::server::Server;
use bulla_test_support::sizes::size;

use crate::BULLA;
use crate::faults::load::{check_audit_log, under_load, until_served};

/// How long the service may take to find the new primary after its promotion. Measured values are in docs/reliability.md.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_standby_that_takes_over_has_every_acknowledged_write() {
    let mut primary = PostgresCluster::start().expect("PostgreSQL from the package");
    let (mut port, mut other_port) = (primary.port(), free_port().expect("a port"));
    let mut standby = primary.standby(other_port).expect("a standby");
    primary.sql("postgres", "CREATE DATABASE bulla");
    let url = format!("postgres://postgres@127.0.0.1:{port},127.0.0.1:{other_port}/bulla?target_session_attrs=read-write");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::dev(BULLA, folder.path().join("data"), Some(&url));
    let (mut slowest, mut slowest_after_promotion) = (Duration::ZERO, Duration::ZERO);
    let writers = under_load(&server, "failover", |server| {
        let client = server.client();
        for round in 0..size(3, 50) {
            std::thread::sleep(Duration::from_millis(500));
            let killed = Instant::now();
            primary.kill();
            standby.promote().expect("a new primary");
            let promoted = Instant::now();
            until_served(&client, &format!("back/{round}"), PATIENCE);
            slowest = slowest.max(killed.elapsed());
            slowest_after_promotion = slowest_after_promotion.max(promoted.elapsed());
            // The dead one's place is taken by the next standby.
            std::mem::swap(&mut port, &mut other_port);
            let next = standby.standby(other_port).expect("a standby");
            primary = std::mem::replace(&mut standby, next);
        }
    });
    eprintln!("served again {slowest:?} after the primary's death at most, {slowest_after_promotion:?} after the promotion");
    check_audit_log(&mut server, &writers);
}
