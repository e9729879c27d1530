//! More clients than can be served: good ones are served all the same, the rest are told so at once.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bulla_test_support::client::Client;
use bulla_test_support::journal::{Writer, check_answered};
use bulla_test_support::server::Server;
use bulla_test_support::sizes::{seed, size};

use crate::faults::load::check_audit_log;
use crate::{BULLA, audit_lines, create, on_sqlite};

fn server_with(environment: &[(&str, &str)]) -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Server::dev_with(BULLA, folder.path().join("data"), None, environment);
    (folder, server)
}

/// How often a good client is measured with and without others.
const ROUNDS: usize = 6;

/// What the tests that run at the same time may add to a time of a few milliseconds.
const ROOM: Duration = Duration::from_millis(50);

/// The slowest but one in a hundred of some reads.
fn p99(client: &Client) -> Duration {
    let mut times: Vec<Duration> = (0..500)
        .map(|_| {
            let begun = Instant::now();
            client.call("GetSecretValue", &[("SecretName", "read")]).ok();
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() * 99 / 100]
}

/// Connections that say nothing, or a head or a body byte by byte.
struct Slow(Vec<TcpStream>);

impl Slow {
    fn open(endpoint: &str, count: usize) -> Self {
        const BEGINNINGS: [&[u8]; 3] =
            [b"", b"GET /?Action=Get", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nSecretData="];
        let open = |n: usize| {
            let mut stream = TcpStream::connect(endpoint).expect("room for a connection");
            stream.write_all(BEGINNINGS[n % 3]).expect("it was accepted");
            stream
        };
        Self((0..count).map(open).collect())
    }

    /// One byte more on each that has begun something; one that was closed meanwhile stays so.
    fn drip(&mut self) {
        for (_, stream) in self.0.iter_mut().enumerate().filter(|(n, _)| n % 3 != 0) {
            let _ = stream.write_all(b"x");
        }
    }
}

#[test]
fn slow_connections_do_not_slow_good_clients() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    create(&client, "read", "value").ok();
    let endpoint = server.ready.endpoint.trim_start_matches("http://");
    // In turns, and the best of each counts: what other programs do to this machine meanwhile is no matter of the connections.
    let (mut alone, mut beside) = (Duration::MAX, Duration::MAX);
    for round in 1..=ROUNDS {
        alone = alone.min(p99(&client));
        let mut slow = Slow::open(endpoint, 2_000);
        let over = AtomicBool::new(false);
        let found = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    slow.drip();
                    std::thread::sleep(Duration::from_millis(500));
                }
            });
            let found = p99(&client);
            over.store(true, Ordering::Relaxed);
            found
        });
        beside = beside.min(found);
        eprintln!("p99 of a good client, best of {round}: {alone:?} alone, {beside:?} beside 2,000 slow connections");
        if round > 1 && beside <= alone * 2 + ROOM {
            return;
        }
    }
    panic!("p99 of a good client: {alone:?} alone, {beside:?} beside 2,000 slow connections");
}

#[test]
fn overload_is_answered_at_once_and_passes() {
    let few = [("BULLA_SERVER__THREADS", "2"), ("BULLA_SERVER__MAX_CONCURRENT", "8")];
    let (_folder, server) = server_with(&few);
    let client = server.client();
    create(&client, "read", "value").ok();
    let run = |clients: usize| {
        let (served, turned_away) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let end = Instant::now() + Duration::from_secs(3);
        std::thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(|| {
                    let client = server.client();
                    while Instant::now() < end {
                        let answer = client.request("GetSecretValue", &[("SecretName", "read")]).send().expect("an answer");
                        match answer.status {
                            200 => served.fetch_add(1, Ordering::Relaxed),
                            503 => {
                                assert_eq!(answer.code(), "ServiceUnavailableTemporary");
                                assert!(answer.header("retry-after").is_some());
                                turned_away.fetch_add(1, Ordering::Relaxed)
                            }
                            _ => panic!("{answer:?}"),
                        };
                    }
                });
            }
        });
        (served.into_inner(), turned_away.into_inner())
    };
    let (alone, _) = run(8);
    let (served, turned_away) = run(80);
    eprintln!("8 clients: {alone} served; 80 clients: {served} served, {turned_away} turned away");
    assert!(turned_away > 0, "nothing was turned away");
    assert!(served * 10 > alone, "hardly anything was served: {served} of {alone}");
    assert_eq!(run(1).1, 0, "one client is turned away after the load");
}

#[test]
fn a_rate_limit_holds_per_account_and_keeps_the_nonce() {
    let (_folder, server) = server_with(&[("BULLA_LIMITS__REQUESTS_PER_SECOND", "5")]);
    let other = server.admin(&["account", "create", "other"]);
    let text = |name: &str| other[name].as_str().expect("shown once").to_owned();
    let other = server.client_as(&text("AccessKeyId"), &text("AccessKeySecret"));
    let client = server.client();
    let request = |n: usize| {
        let name = format!("rate/{n}");
        client.request("CreateSecret", &[("SecretName", &name), ("VersionId", "v1"), ("SecretData", "x")]).bytes()
    };
    let throttled = (0..1_000)
        .map(request)
        .find(|bytes| {
            let answer = client.send_bytes(bytes).expect("an answer");
            let throttled = answer.status == 429;
            assert_eq!(throttled, answer.code() == "Rejected.Throttling", "{answer:?}");
            assert_eq!(throttled, answer.header("retry-after").is_some());
            throttled
        })
        .expect("more than five requests in a second");
    assert_eq!(other.call("ListSecrets", &[]).status, 200, "another account has a rate of its own");
    // Some clients send the same signed request again.
    let begun = Instant::now();
    loop {
        std::thread::sleep(Duration::from_millis(300));
        let again = client.send_bytes(&throttled).expect("an answer");
        if again.status == 200 {
            break;
        }
        assert_eq!(again.code(), "Rejected.Throttling", "{again:?}");
        assert!(begun.elapsed() < Duration::from_secs(60), "the limit does not pass");
    }
}

#[test]
fn a_quota_of_secrets_holds() {
    let (_folder, server) = server_with(&[("BULLA_QUOTAS__SECRETS", "3")]);
    let client = server.client();
    for n in 0..3 {
        create(&client, &format!("quota/{n}"), "x").ok();
    }
    assert_eq!(create(&client, "quota/3", "x").code(), "Rejected.LimitExceeded");
    client.call("DeleteSecret", &[("SecretName", "quota/0"), ("ForceDeleteWithoutRecovery", "true")]).ok();
    create(&client, "quota/3", "x").ok();
}

#[test]
fn sigterm_under_load_loses_nothing_that_was_begun() {
    let (_folder, mut server) = on_sqlite();
    let seed = seed("sigterm");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut writers: Vec<Writer> = (0..4).map(|n| Writer::new(&format!("stop/{n}"), seed ^ n)).collect();
    let mut slowest = Duration::ZERO;
    for _ in 0..size(20, 500) {
        let clients: Vec<Client> = writers.iter().map(|_| server.client()).collect();
        std::thread::scope(|scope| {
            for (writer, client) in writers.iter_mut().zip(&clients) {
                scope.spawn(move || while writer.step(client).is_ok() {});
            }
            std::thread::sleep(Duration::from_millis(random.u64(50..300)));
            let begun = Instant::now();
            let status = server.stop();
            slowest = slowest.max(begun.elapsed());
            assert!(status.success(), "{status}");
        });
        server.restart();
        writers.iter_mut().for_each(|writer| writer.check(&server.client()));
    }
    check_audit_log(&mut server, &writers);
    // Whatever happened, its client was told.
    check_answered(&audit_lines(&server), writers.iter().flat_map(Writer::acknowledged));
    eprintln!("exit after {slowest:?} at most");
    assert!(slowest <= Duration::from_secs(10), "{slowest:?}");
}
