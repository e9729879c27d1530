//! How a server ends: on a signal, under load, with idle and half-sent requests open.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::harness::*;
use crate::http::{Config, reserve};

#[test]
fn an_idle_server_with_idle_connections_stops_soon() {
    let mut server = start(config());
    let mut idle = Wire::to(server.address);
    assert_eq!(idle.send(get("/")).answer().status, 200);
    let _silent = Wire::to(server.address);
    let mut half = Wire::to(server.address);
    half.send("GET / HTTP/1.1\r\nHo");
    sleep(Duration::from_millis(100));
    let since = Instant::now();
    server.stopper.stop();
    idle.closed();
    server.join();
    assert!(since.elapsed() < Duration::from_millis(2500), "{:?}", since.elapsed());
    assert!(TcpStream::connect(server.address).is_err(), "nobody listens any more");
}

#[test]
fn requests_under_way_are_answered_and_none_is_lost() {
    let mut server = start(config());
    let address = server.address;
    let answered = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let answered = Arc::clone(&answered);
            // Each goes on until the server ends its connection: after an answer, or before it has begun with a request.
            thread::spawn(move || {
                let mut wire = Wire::to(address);
                while let Some(got) = wire.send(get("/?sleep=20")).answer_or_end() {
                    assert_eq!(got.status, 200);
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let mut long = Wire::to(address);
    sleep(Duration::from_millis(200));
    long.send(get("/?sleep=1200&echo=long"));
    sleep(Duration::from_millis(100));
    server.stopper.stop();
    assert_eq!(long.answer().json()["Echo"], "long");
    for client in clients {
        client.join().expect("every answer to this client was whole");
    }
    server.join();
    // What was begun was answered: nothing had an effect that its client did not hear of.
    assert_eq!(server.echo.calls.load(Ordering::SeqCst), answered.load(Ordering::SeqCst) + 1);
}

#[test]
fn who_has_just_connected_is_answered() {
    let mut server = start(config());
    let mut new = Wire::to(server.address);
    sleep(Duration::from_millis(100));
    server.stopper.stop();
    sleep(Duration::from_millis(50));
    assert_eq!(new.send(get("/")).answer().status, 200);
    new.closed();
    server.join();
}

#[test]
fn work_whose_client_has_gone_is_waited_for_within_the_time() {
    let mut server = start(config());
    Wire::to(server.address).send(get("/?sleep=1500"));
    sleep(Duration::from_millis(200));
    let since = Instant::now();
    server.stopper.stop();
    server.join();
    assert!((Duration::from_millis(1000)..Duration::from_millis(3500)).contains(&since.elapsed()), "{:?}", since.elapsed());

    let mut stuck = start(Config { stop_timeout: Duration::from_secs(1), ..config() });
    Wire::to(stuck.address).send(get("/?sleep=6000"));
    sleep(Duration::from_millis(200));
    let since = Instant::now();
    stuck.stopper.stop();
    stuck.join();
    assert!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
}

#[test]
fn an_address_that_is_taken_is_refused_at_once_and_nobody_waits_at_one_that_is_only_reserved() {
    let reserved = reserve(config()).unwrap();
    let address = reserved.address().unwrap();
    let refused = TcpStream::connect(address).map(drop).map_err(|e| e.kind());
    assert_eq!(refused, Err(ErrorKind::ConnectionRefused));
    let bound = reserved.listen().unwrap();
    assert!(TcpStream::connect(address).is_ok());
    let taken = reserve(Config { listen: address, ..config() }).map(drop).map_err(|e| e.kind());
    assert_eq!(taken, Err(ErrorKind::AddrInUse));
    drop(bound);
}
