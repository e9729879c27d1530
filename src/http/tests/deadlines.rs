//! Clients that are slow, silent or gone.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::harness::*;
use crate::http::Config;

fn short() -> Config {
    Config {
        head_timeout: Duration::from_millis(500),
        body_timeout: Duration::from_millis(500),
        write_timeout: Duration::from_millis(500),
        keep_alive: Duration::from_millis(1500),
        ..config()
    }
}

/// Sends one byte each 100 ms until it may not; how long that was.
fn drip(wire: &mut Wire, bytes: &[u8]) -> Duration {
    let since = Instant::now();
    let mut to = wire.0.try_clone().unwrap();
    let bytes = bytes.to_vec();
    let dripping = thread::spawn(move || {
        for byte in bytes {
            if to.write_all(&[byte]).is_err() {
                break;
            }
            sleep(Duration::from_millis(100));
        }
    });
    let got = wire.answer();
    got.is_error(408, "RequestTimeout");
    let took = since.elapsed();
    wire.closed();
    drop(dripping);
    took
}

#[test]
fn a_slow_head_is_answered_408_on_every_request_of_a_connection() {
    let server = start(short());
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\n{}", "A: b\r\n".repeat(20));
    let in_time = Duration::from_millis(400)..Duration::from_millis(1500);
    assert!(in_time.contains(&drip(&mut Wire::to(server.address), head.as_bytes())));
    let mut kept = Wire::to(server.address);
    assert_eq!(kept.send(get("/?echo=1")).answer().status, 200);
    sleep(Duration::from_millis(700));
    assert!(in_time.contains(&drip(&mut kept, head.as_bytes())));
    // The beginning of a second head in one piece with the first request.
    let mut piece = Wire::to(server.address);
    piece.send(get("/?echo=1") + "GET /");
    assert_eq!(piece.answer().status, 200);
    assert!(in_time.contains(&drip(&mut piece, &head.as_bytes()["GET /".len()..])));
}

#[test]
fn a_slow_body_is_answered_408() {
    let server = start(short());
    let mut wire = Wire::to(server.address);
    wire.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n");
    assert!(drip(&mut wire, &[b'x'; 50]) < Duration::from_millis(1500));
    let mut chunked = Wire::to(server.address);
    chunked.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert!(drip(&mut chunked, "1\r\nx\r\n".repeat(10).as_bytes()) < Duration::from_millis(1500));
    assert_eq!(server.echo.calls.load(Ordering::SeqCst), 0);
}

#[test]
fn silence_ends_without_a_word() {
    let server = start(short());
    assert!(Wire::to(server.address).closed() < Duration::from_millis(1500), "nothing was ever sent");
    let mut used = Wire::to(server.address);
    assert_eq!(used.send(get("/")).answer().status, 200);
    let kept = used.closed();
    assert!((Duration::from_millis(1300)..Duration::from_millis(4000)).contains(&kept), "keep-alive: {kept:?}");
}

#[test]
fn work_that_takes_longer_than_a_head_may_is_not_disturbed() {
    let server = start(short());
    let mut wire = Wire::to(server.address);
    assert_eq!(wire.send(get("/?sleep=1300")).answer().status, 200);
    assert_eq!(wire.send(get("/?sleep=700")).answer().status, 200);
    // Nor are probes on a connection that they keep.
    for page in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(wire.send(get(page)).answer().status, 200);
        sleep(Duration::from_millis(900));
    }
    assert_eq!(wire.send(get("/")).answer().status, 200);
}

#[test]
fn answers_that_nobody_reads_end_the_connection() {
    let server = start(short());
    let mut wire = Wire::to(server.address);
    wire.0.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let request = get(&format!("/?echo={}", "e".repeat(60_000))).repeat(4);
    let since = Instant::now();
    // Once the server takes no more, writing fails for want of room; once it has ended the connection, for good.
    while wire.0.write_all(request.as_bytes()).map_or_else(|e| e.kind() == ErrorKind::WouldBlock, |()| true) {
        assert!(since.elapsed() < Duration::from_secs(8), "the connection lives on");
    }
}

#[test]
fn a_client_that_breaks_off_costs_nothing() {
    let server = start(config());
    for part in ["GET", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"] {
        Wire::to(server.address).send(part);
    }
    let mut half = Wire::to(server.address);
    half.send(get("/?echo=1&sleep=100"));
    half.0.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(half.answer().json()["Echo"], "1", "a half-closed client still gets its answer");
    assert_eq!(server.echo.calls.load(Ordering::SeqCst), 1);
}

/// Many slow clients leave room for a good one.
#[test]
fn slow_clients_do_not_starve_others() {
    let server = start(Config { head_timeout: Duration::from_secs(3), ..config() });
    let slow: Vec<Wire> = (0..300)
        .map(|i| {
            let mut wire = Wire::to(server.address);
            wire.send(if i % 2 == 0 { "GET / HT" } else { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na" });
            wire
        })
        .collect();
    let since = Instant::now();
    let mut good = Wire::to(server.address);
    for _ in 0..200 {
        assert_eq!(good.send(get("/")).answer().status, 200);
    }
    assert!(since.elapsed() < Duration::from_secs(2));
    drop(slow);
}

const HALF_A_BODY: &str = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na";

/// Sixty connections that send this and no more, once the server, which has room for so many, has shown the others out. Until then
/// one that it has accepted may come in behind one that was made later, and send it away.
fn besiege(address: SocketAddr, first: &str, room: usize) -> Vec<Wire> {
    let held: Vec<Wire> = (0..60)
        .map(|_| {
            let mut wire = Wire::to(address);
            wire.send(first);
            wire
        })
        .collect();
    let since = Instant::now();
    while held.iter().filter(|wire| wire.is_silent()).count() > room {
        assert!(since.elapsed() < Duration::from_secs(10), "too many stay");
        sleep(Duration::from_millis(5));
    }
    held
}

/// At the limit, bodies that do not come to their end make room, and are told so.
#[test]
fn halves_of_bodies_make_room() {
    let server = start(Config { max_connections: 8, ..config() });
    let mut known = Wire::to(server.address);
    assert_eq!(known.send(get("/?known=1")).answer().status, 200);
    let mut halves = besiege(server.address, HALF_A_BODY, 8);
    let since = Instant::now();
    for _ in 0..20 {
        assert_eq!(ask(server.address, get("/")).status, 200);
    }
    assert_eq!(known.send(get("/?known=1")).answer().status, 200, "whose caller is known stays");
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    if let Some(answer) = halves[0].answer_or_end() {
        answer.is_error(503, "ServiceUnavailableTemporary");
    }
}

/// Each listener has connections of its own.
#[test]
fn who_besieges_the_administrator_keeps_no_client_out_and_the_other_way_round() {
    let admin = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let server = start(Config { max_connections: 16, admin_listen: admin, ..config() });
    let admin = server.admin.unwrap();
    let mut idle = Wire::to(server.address);
    assert_eq!(idle.send(get("/")).answer().status, 200);
    let held = besiege(admin, "", 2);
    assert_eq!(ask(admin, get("/healthz")).status, 200);
    assert_eq!(idle.send(get("/")).answer().status, 200, "it was not asked to leave");
    drop(held);
    let mut probe = Wire::to(admin);
    assert_eq!(probe.send(get("/readyz")).answer().status, 200);
    let _held = besiege(server.address, "", 14);
    assert_eq!(ask(server.address, get("/healthz")).status, 200);
    assert_eq!(probe.send(get("/readyz")).answer().status, 200);
}
