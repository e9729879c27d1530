//! Requests that are served, and those that the front turns away by itself.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::harness::*;
use crate::http::Config;

#[test]
fn calls_carry_what_was_sent() {
    let server = start(config());
    let got = ask(server.address, get("/?Action=Echo&echo=a+b%20c"));
    let json = got.json();
    assert_eq!((got.status, json["Method"].as_str()), (200, Some("GET")));
    assert_eq!(
        (json["Echo"].as_str(), json["Peer"].as_str(), &json["Secure"]),
        (Some("a+b%20c"), Some("127.0.0.1"), &false.into())
    );
    assert_eq!(json["RequestId"].as_str(), got.header("x-acs-request-id"));
    assert_eq!(got.header("content-type"), Some("application/json;charset=utf-8"));
    assert!(got.header("date").is_some());

    let got = ask(server.address, post("/", "Action=Echo&x=1"));
    assert_eq!((got.json()["Method"].as_str(), got.json()["Body"].as_str()), (Some("POST"), Some("Action=Echo&x=1")));
    let without_length = "POST /?Action=Echo HTTP/1.1\r\nHost: x\r\nuser-agent:\r\n\r\n";
    let got = ask(server.address, without_length);
    assert_eq!((got.json()["BodyLength"].as_u64(), got.json()["Agent"].as_str()), (Some(0), Some("")));
    let latin = ask(server.address, b"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: caf\xe9\r\n\r\n");
    assert_eq!(latin.json()["Agent"], "caf\u{fffd}");
}

#[test]
fn forms_of_http_that_clients_may_use() {
    let server = start(config());
    let absolute = ask(server.address, get("http://127.0.0.1:1/?echo=1"));
    assert_eq!(absolute.json()["Echo"], "1");
    assert_eq!(ask(server.address, get("http://127.0.0.1:1?echo=1")).json()["Echo"], "1");

    let chunks = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
    assert_eq!(ask(server.address, chunks).json()["Body"], "abcde");

    let encoded = |how: &str| format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: {how}\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(ask(server.address, encoded("Identity")).json()["Body"], "abc");
    let refused = ask(server.address, encoded("gzip"));
    refused.is_error(400, "ParseRequestParameterException");
    assert!(refused.json()["Message"].as_str().is_some_and(|text| text.contains("Content-Encoding")), "{refused:?}");

    let mut old = Wire::to(server.address);
    assert_eq!(old.send("GET /?echo=1 HTTP/1.0\r\n\r\n").answer().json()["Echo"], "1");
    old.closed();

    // Java's client offers HTTP/2 on plain connections.
    for offer in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA",
        "Connection: Upgrade\r\nUpgrade: websocket",
    ] {
        let mut offers = Wire::to(server.address);
        let got = offers.send(format!("GET /?echo=1 HTTP/1.1\r\nHost: x\r\n{offer}\r\n\r\n")).answer();
        assert_eq!((got.json()["Echo"].as_str(), got.header("connection")), (Some("1"), Some("close")));
        offers.closed();
    }

    let mut careful = Wire::to(server.address);
    careful.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(careful.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(careful.send("abc").answer().json()["Body"], "abc");

    let mut whole = Wire::to(server.address);
    whole.send([get("/?echo=1&sleep=50"), post("/?echo=2", "xyz"), get("/?echo=3"), get("/nowhere"), get("/?echo=5")].concat());
    for expected in ["1", "2", "3"] {
        assert_eq!(whole.answer().json()["Echo"], expected);
    }
    whole.answer().is_error(404, "InvalidApi.NotFound");
    assert_eq!(whole.answer().json()["Echo"], "5");
}

/// Each answer is framed by its own request, whatever has come behind that already.
#[test]
fn what_comes_behind_a_request_changes_nothing_of_its_answer() {
    let server = start(config());
    let chunks = "POST /?n=2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_owned();
    for first in [get("/?echo=1&sleep=50"), post("/", "HEAD / HTTP/1.1\r\n\r\n"), chunks] {
        let mut wire = Wire::to(server.address);
        wire.send(format!("{first}HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n{}", get("/?echo=3")));
        let got = wire.answer();
        assert_eq!((got.status, got.header("connection")), (200, None));
        assert!(got.json()["RequestId"].is_string(), "{got:?}");
        assert!(wire.head().contains("content-length: 6\r\n"), "the length of what GET would show");
        assert_eq!(wire.answer().json()["Echo"], "3");

        let calls = server.echo.calls.load(Ordering::SeqCst);
        let mut wire = Wire::to(server.address);
        wire.send(format!("{first}GET /?echo=2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n{}", get("/?echo=3")));
        let got = wire.answer();
        assert!(got.head.starts_with("HTTP/1.1 200") && got.header("connection").is_none(), "{got:?}");
        assert_eq!(wire.answer().header("connection"), Some("close"));
        wire.closed();
        assert_eq!(server.echo.calls.load(Ordering::SeqCst), calls + 2, "nothing is done behind the last one");

        let mut wire = Wire::to(server.address);
        wire.send(format!("{first}GET /?echo=2 HTTP/1.0\r\n\r\n"));
        assert!(wire.answer().head.starts_with("HTTP/1.1 200"));
        assert!(wire.answer().head.starts_with("HTTP/1.0 200"));
        wire.closed();
    }
    // A request line that is too long behind another is told apart from one that is no request.
    let mut wire = Wire::to(server.address);
    wire.send(format!("{}{}", get("/?echo=1"), get(&format!("/?{}", "x".repeat(200_000)))));
    wire.answer();
    wire.answer().is_error(414, "RequestHeadTooLarge");
}

#[test]
fn long_targets_are_served_to_the_limit() {
    let server = start(config());
    let target = |length: usize| format!("/?{}", "a".repeat(length - 2));
    assert_eq!(ask(server.address, get(&target(65_000))).json()["QueryLength"], 64_998);
    for too_long in [65_001, 65_534, 65_535, 70_000, 120_000, 200_000, 2_000_000] {
        ask(server.address, get(&target(too_long))).is_error(414, "RequestHeadTooLarge");
    }
    // The same on a connection that was used before.
    let mut wire = Wire::to(server.address);
    assert_eq!(wire.send(get("/")).answer().status, 200);
    wire.send(get(&target(70_000))).answer().is_error(414, "RequestHeadTooLarge");
    wire.closed();
}

#[test]
fn bodies_are_bounded_in_length_and_in_all() {
    let most = 256 * 1024;
    let server = start(Config { max_body_memory_bytes: most, ..config() });
    assert_eq!(ask(server.address, post("/", &"b".repeat(most))).json()["BodyLength"], most);
    let mut wire = Wire::to(server.address);
    wire.send(post("/", &"b".repeat(2 * 1024 * 1024))).answer().is_error(413, "RequestBodyTooLarge");
    assert!(wire.closed() < Duration::from_secs(3));
    let chunk = format!("10000\r\n{}\r\n", "c".repeat(0x10000)).repeat(5);
    let chunked = format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n");
    ask(server.address, chunked).is_error(413, "RequestBodyTooLarge");
    let huge = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\n";
    ask(server.address, huge).is_error(413, "RequestBodyTooLarge");

    // One body that waits for its last byte holds nearly all memory there is; small ones still get through.
    let mut holder = Wire::to(server.address);
    holder.send(&post("/", &"h".repeat(most)).as_bytes()[..most]);
    thread::sleep(Duration::from_millis(200));
    ask(server.address, post("/", &"b".repeat(100_000))).is_error(503, "ServiceUnavailableTemporary");
    assert_eq!(ask(server.address, post("/", "small")).status, 200);
    drop(holder);
    thread::sleep(Duration::from_millis(200));
    assert_eq!(ask(server.address, post("/", &"b".repeat(100_000))).status, 200);
}

#[test]
fn other_paths_and_methods_get_errors_of_the_api() {
    let server = start(config());
    for path in ["/x", "//", "/%2f", "/index.html?Action=Echo", "/metrics/"] {
        ask(server.address, get(path)).is_error(404, "InvalidApi.NotFound");
    }
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        ask(server.address, format!("{method} / HTTP/1.1\r\nHost: x\r\n\r\n")).is_error(405, "UnsupportedHTTPMethod");
    }
    ask(server.address, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").is_error(405, "UnsupportedHTTPMethod");
    let mut tunnel = Wire::to(server.address);
    tunnel.send("CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n").answer().is_error(405, "UnsupportedHTTPMethod");
    tunnel.closed();
    let mut head = Wire::to(server.address);
    let text = head.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").head();
    assert!(text.starts_with("HTTP/1.1 405") && text.contains("x-acs-request-id"), "{text}");
    assert_eq!(head.send(get("/?echo=1")).answer().json()["Echo"], "1", "no body followed the answer to HEAD");
    let mut unread = Wire::to(server.address);
    unread.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 34\r\n\r\n");
    unread.answer().is_error(405, "UnsupportedHTTPMethod");
    unread.send(get("/?echo=smuggled"));
    unread.closed();
    assert_eq!(server.echo.calls.load(Ordering::SeqCst), 1);
}

#[test]
fn a_panic_is_an_internal_failure_of_one_request() {
    let server = start(config());
    let mut wire = Wire::to(server.address);
    wire.send(get("/?panic")).answer().is_error(500, "InternalFailure");
    assert_eq!(wire.send(get("/?echo=1")).answer().json()["Echo"], "1");
}

#[test]
fn an_answer_whose_record_is_not_on_disk_never_leaves() {
    let server = start(Config { answer_timeout: Duration::from_millis(300), ..config() });
    let got = ask(server.address, get("/?durable=no&echo=secret"));
    got.is_error(503, "ServiceUnavailableTemporary");
    assert!(!String::from_utf8_lossy(&got.body).contains("secret"));
    ask(server.address, get("/?durable=never")).is_error(503, "ServiceUnavailableTemporary");
}

#[test]
fn without_a_permit_it_is_503_at_once_and_permits_last_as_long_as_the_work() {
    let server = start(Config { max_concurrent: 2, ..config() });
    let mut gone = Wire::to(server.address);
    let mut waits = Wire::to(server.address);
    gone.send(get("/?sleep=800"));
    waits.send(get("/?sleep=800"));
    thread::sleep(Duration::from_millis(200));
    drop(gone);
    let since = Instant::now();
    let mut third = Wire::to(server.address);
    third.send(get("/")).answer().is_error(503, "ServiceUnavailableTemporary");
    assert!(since.elapsed() < Duration::from_millis(300));
    assert_eq!(waits.answer().status, 200);
    let figures = String::from_utf8(ask(server.address, get("/metrics")).body).unwrap();
    assert!(figures.contains("bulla_requests_turned_away_total{want=\"permits\"} 1\n"), "{figures}");
    thread::sleep(Duration::from_millis(200));
    assert_eq!(third.send(get("/")).answer().status, 200);
}

#[test]
fn requests_do_not_wait_for_threads_for_ever_and_then_have_no_effect() {
    let server = start(Config {
        workers: 1,
        threads: 1,
        queue_timeout: Duration::from_millis(200),
        answer_timeout: Duration::from_millis(500),
        ..config()
    });
    let mut busy = Wire::to(server.address);
    busy.send(get("/?sleep=1500"));
    thread::sleep(Duration::from_millis(100));
    ask(server.address, get("/?queued")).is_error(503, "ServiceUnavailableTemporary");
    busy.answer().is_error(503, "ServiceUnavailableTemporary");
    thread::sleep(Duration::from_millis(1200));
    assert_eq!(server.echo.calls.load(Ordering::SeqCst), 1, "the queued one never ran");
}

#[test]
fn forwarding_headers_count_from_trusted_proxies_only() {
    let request = "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n\r\n";
    let seen = |server: &Running| {
        let json = ask(server.address, request).json();
        (json["Peer"].as_str().unwrap().to_owned(), json["Secure"].as_bool().unwrap())
    };
    assert_eq!(seen(&start(config())), ("127.0.0.1".to_owned(), false));
    let trusting = start(Config { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], ..config() });
    assert_eq!(seen(&trusting), ("203.0.113.9".to_owned(), true));
}
