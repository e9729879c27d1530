//! Requests that the HTTP parser refuses: answered in the API's form, once, and the connection ends.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::harness::*;

const MALFORMED: (u16, &str) = (400, "ParseRequestParameterException");

#[test]
fn malformed_heads_and_ambiguous_lengths() {
    let server = start(config());
    let chunked = "Transfer-Encoding: chunked\r\n";
    let table = [
        "hello\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n".to_owned(),
        "GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n".to_owned(),
        format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n{chunked}\r\n0\r\n\r\n"),
        format!("POST / HTTP/1.1\r\nHost: x\r\n{chunked}Content-Length: 5\r\n\r\n0\r\n\r\n"),
        format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n{chunked}\r\n0\r\n\r\n"),
        format!("POST / HTTP/1.1\r\nHost: x\r\n{chunked}{chunked}\r\n0\r\n\r\n"),
        format!("POST / HTTP/1.0\r\nHost: x\r\n{chunked}\r\n0\r\n\r\n"),
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n".to_owned(),
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n".to_owned(),
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc".to_owned(),
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd".to_owned(),
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc".to_owned(),
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc".to_owned(),
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\nabc".to_owned(),
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc".to_owned(),
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551616\r\n\r\nabc".to_owned(),
    ];
    for request in &table {
        let mut wire = Wire::to(server.address);
        // Whatever follows a refused head is no request.
        wire.send(request).send(get("/?smuggled"));
        let got = wire.answer();
        got.is_error(MALFORMED.0, MALFORMED.1);
        assert_eq!(got.header("connection"), Some("close"), "{request:?}");
        assert!(got.header("date").is_some());
        wire.closed();
    }
    assert_eq!(server.echo.calls.load(Ordering::SeqCst), 0);
}

/// The first record of a TLS 1.2 handshake, as far as it matters.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

#[test]
fn tls_where_plain_http_is_served() {
    let server = start(config());
    let mut wire = Wire::to(server.address);
    let got = wire.send(CLIENT_HELLO).answer();
    got.is_error(MALFORMED.0, MALFORMED.1);
    assert!(got.json()["Message"].as_str().unwrap().contains("plain HTTP and was sent a TLS handshake"), "{got:?}");
    wire.closed();
    // In the middle of a connection it is just no request.
    let mut wire = Wire::to(server.address);
    wire.send(get("/?echo=1")).answer();
    let got = wire.send(CLIENT_HELLO).send("\r\n\r\n").answer();
    got.is_error(MALFORMED.0, MALFORMED.1);
    assert!(!got.json()["Message"].as_str().unwrap().contains("TLS"), "{got:?}");
}

#[test]
fn heads_too_large_for_the_parser() {
    let server = start(config());
    let header = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "a".repeat(200_000));
    let mut wire = Wire::to(server.address);
    wire.send(header).answer().is_error(414, "RequestHeadTooLarge");
    wire.closed();
    let headers = |count| format!("GET /?echo=1 HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert_eq!(ask(server.address, headers(95)).json()["Echo"], "1");
    ask(server.address, headers(96)).is_error(414, "RequestHeadTooLarge");
}

#[test]
fn what_says_who_asks_and_what_is_asked_is_sent_once() {
    let server = start(config());
    let request = |headers: &str| format!("POST /?echo=1 HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: 2\r\n\r\n{{}}");
    let (json, basic) = ("Content-Type: application/json\r\n", "Authorization: Basic eA==\r\n");
    assert_eq!(ask(server.address, request(&[json, basic].concat())).json()["Echo"], "1");
    for (twice, name) in [
        ([json, json].concat(), "Content-Type"),
        ([json, "content-type: application/x-www-form-urlencoded\r\n"].concat(), "Content-Type"),
        ([basic, basic].concat(), "Authorization"),
    ] {
        let got = ask(server.address, request(&twice));
        got.is_error(MALFORMED.0, MALFORMED.1);
        assert!(got.json()["Message"].as_str().unwrap().contains(&format!("{name} must be sent once")), "{got:?}");
    }
    assert_eq!(server.echo.calls.load(Ordering::SeqCst), 1);
}

#[test]
fn a_refusal_comes_after_the_answers_before_it() {
    let server = start(config());
    let mut wire = Wire::to(server.address);
    wire.send([&get("/?echo=1&sleep=100"), &get("/nowhere"), &get("/?echo=HTTP/1.1"), "rubbish\r\n\r\n"].concat());
    assert_eq!(wire.answer().json()["Echo"], "1");
    wire.answer().is_error(404, "InvalidApi.NotFound");
    assert_eq!(wire.answer().json()["Echo"], "HTTP/1.1");
    wire.answer().is_error(MALFORMED.0, MALFORMED.1);
    assert!(wire.closed() < Duration::from_secs(3));
}

#[test]
fn a_body_with_malformed_chunks_is_refused_once() {
    let server = start(config());
    let bad = ["zz\r\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "FFFFFFFFFFFFFFFFF\r\n", "3\nabc\n0\n\n", "-1\r\n\r\n"];
    for chunks in bad {
        let mut wire = Wire::to(server.address);
        wire.send(format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
        let got = wire.answer();
        got.is_error(MALFORMED.0, MALFORMED.1);
        wire.closed();
    }
    assert_eq!(server.echo.calls.load(Ordering::SeqCst), 0);
}
