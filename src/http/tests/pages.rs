//! Health, readiness, figures: what they say, and to whom.

use std::net::SocketAddr;

use serde_json::json;

use super::harness::*;
use crate::http::Config;

#[test]
fn without_an_admin_listener_the_api_shows_them() {
    let server = start(config());
    let alive = ask(server.address, get("/healthz"));
    assert_eq!((alive.status, alive.body.as_slice()), (200, b"alive\n".as_slice()));
    assert!(alive.header("x-acs-request-id").is_some());

    let ready = ask(server.address, get("/readyz"));
    assert_eq!((ready.status, ready.json()), (200, json!({"token": "ok", "database": "ok", "audit": "ok", "clock": "ok"})));
    server.echo.readiness.lock().clock = Ok(Some("unproved".into()));
    let ready = ask(server.address, get("/readyz"));
    assert_eq!((ready.status, ready.json()["clock"].as_str()), (200, Some("ok: unproved")));
    server.echo.readiness.lock().token = Err("device removed".into());
    let ready = ask(server.address, get("/readyz"));
    assert_eq!((ready.status, ready.json()["token"].as_str()), (503, Some("device removed")));

    // A caller behind a proxy on this machine is no local caller.
    let forwarded = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n");
    let ready = ask(server.address, forwarded("/readyz"));
    assert_eq!((ready.status, ready.json()["token"].as_str()), (503, Some("unavailable")));
    ask(server.address, forwarded("/metrics")).is_error(404, "InvalidApi.NotFound");
    ask(server.address, post("/healthz", "")).is_error(404, "InvalidApi.NotFound");
}

#[test]
fn with_an_admin_listener_the_api_tells_no_reasons_and_no_figures() {
    let server = start(Config { admin_listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))), ..config() });
    let admin = server.admin.expect("an admin listener");
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(ask(admin, get(path)).status, 200, "{path}");
    }
    ask(server.address, get("/metrics")).is_error(404, "InvalidApi.NotFound");
    assert_eq!(ask(server.address, get("/healthz")).status, 200);
    server.echo.readiness.lock().token = Err("device removed".into());
    let ready = ask(server.address, get("/readyz"));
    assert_eq!((ready.status, ready.json()["token"].as_str()), (503, Some("unavailable")));
    ask(admin, get("/?Action=Echo")).is_error(404, "InvalidApi.NotFound");
    ask(admin, "rubbish\r\n\r\n").is_error(400, "ParseRequestParameterException");
}

#[test]
fn figures_count_by_action_and_code() {
    let server = start(config());
    ask(server.address, get("/"));
    ask(server.address, get("/?unknown"));
    ask(server.address, get("/?panic"));
    ask(server.address, "rubbish\r\n\r\n");
    let mut slow = Wire::to(server.address);
    slow.send(get("/?sleep=500"));
    std::thread::sleep(std::time::Duration::from_millis(100));
    let got = ask(server.address, get("/metrics"));
    assert_eq!(got.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = String::from_utf8(got.body).unwrap();
    for line in [
        "bulla_requests_total{action=\"Echo\",code=\"OK\"} 1",
        "bulla_requests_total{action=\"unknown\",code=\"OK\"} 1",
        "bulla_requests_total{action=\"unknown\",code=\"InternalFailure\"} 1",
        "bulla_requests_total{action=\"unknown\",code=\"ParseRequestParameterException\"} 1",
        "bulla_request_duration_seconds_count{action=\"Echo\"} 1",
        "bulla_requests_in_flight 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}
