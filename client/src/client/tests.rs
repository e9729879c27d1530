//! Against a server of a few lines that answers what it is told to, and keeps what it was asked.

use std::net::TcpListener;
use std::time::Instant;

use super::*;
use crate::secrets::NewSecret;
use crate::testing::{answer, serving};

fn client(endpoint: &str, scheme: Scheme) -> Client {
    Client::builder(endpoint).access_key(AccessKey::new("id", "s3cret")).scheme(scheme).build().expect("an endpoint")
}

/// What follows this word in a request, up to the next separator.
fn after(text: &str, word: &str) -> String {
    let rest = text.split(word).nth(1).unwrap_or_default();
    rest.split(['&', '\r']).next().unwrap_or_default().trim().to_owned()
}

#[test]
fn each_attempt_has_a_nonce_of_its_own() {
    for (scheme, nonce) in [(Scheme::Rpc, "SignatureNonce="), (Scheme::Acs3, "x-acs-signature-nonce:")] {
        let busy = answer("503 Service Unavailable", "Retry-After: 0\r\n", r#"{"Code":"ServiceUnavailableTemporary"}"#);
        let throttled = answer("429 Too Many Requests", "Retry-After: 0\r\n", r#"{"Code":"Rejected.Throttling"}"#);
        let done = answer("200 OK", "", r#"{"RandomPassword":"p"}"#);
        let (endpoint, asked) = serving(vec![busy, String::new(), throttled, done]);
        let password = client(&endpoint, scheme).random_password(8).expect("in the end");
        assert_eq!(password.expose(), b"p");
        let nonces: std::collections::HashSet<String> = asked.iter().map(|text| after(&text, nonce)).collect();
        assert_eq!(nonces.len(), 4, "{nonces:?}");
        assert!(nonces.iter().all(|n| n.len() == 32));
    }
}

#[test]
fn the_server_says_how_long_to_wait() {
    let busy = answer("503 Service Unavailable", "Retry-After: 1\r\n", r#"{"Code":"ServiceUnavailableTemporary"}"#);
    let (endpoint, _asked) = serving(vec![busy, answer("200 OK", "", r#"{"RandomPassword":"p"}"#)]);
    let begun = Instant::now();
    client(&endpoint, Scheme::Acs3).random_password(8).expect("in the end");
    // Without a word of the server it would be a quarter of that.
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(pause(1, Some(Duration::ZERO)), Duration::ZERO);
    assert_eq!(pause(9, Some(Duration::from_secs(29))), Duration::from_secs(29));
    assert_eq!(pause(1, Some(Duration::from_secs(86_400))), LONGEST_WAIT, "no server stops a client for a day");
    for (tried, ms) in [(1, 200), (2, 400), (4, 1_600), (7, 12_800), (100, 12_800)] {
        let own = pause(tried, None);
        assert!(own >= Duration::from_millis(ms) && own <= Duration::from_millis(ms + ms / 4), "{tried}: {own:?}");
    }
}

#[test]
fn bytes_that_are_no_text_arrive_as_they_are() {
    let done = answer("200 OK", "", r#"{"RequestId":"r","SecretName":"n","VersionId":"v"}"#);
    let new = NewSecret { name: "n", version: "v", ..NewSecret::default() };
    for (bytes, binary, sent) in [
        (&b"\xff\xfe"[..], false, ["SecretData=%2F%2F4%3D", "SecretDataType=binary"]),
        (b"\xff\xfe", true, ["SecretData=%2F%2F4%3D", "SecretDataType=binary"]),
        (b"text", true, ["SecretData=dGV4dA%3D%3D", "SecretDataType=binary"]),
        (b"text", false, ["SecretData=text", "SecretDataType=text"]),
    ] {
        let (endpoint, asked) = serving(vec![done.clone(), done.clone()]);
        let (client, value) = (client(&endpoint, Scheme::Acs3), crate::secret::Value::new(bytes.to_vec()));
        client.create_secret(&new, &value, binary).expect("made");
        client.put_secret_value("n", "v", &value, binary, &[]).expect("written");
        let asked: Vec<String> = asked.try_iter().collect();
        assert_eq!(asked.len(), 2);
        assert!(asked.iter().all(|text| sent.iter().all(|part| text.contains(part))), "{asked:?}");
    }
}

#[test]
fn what_stands_in_between_is_asked_again() {
    let between = |status| answer(status, "", "<html>");
    let done = answer("200 OK", "", r#"{"RandomPassword":"p"}"#);
    let (endpoint, asked) = serving(vec![between("502 Bad Gateway"), between("504 Gateway Timeout"), done]);
    client(&endpoint, Scheme::Acs3).random_password(8).expect("in the end");
    assert_eq!(asked.try_iter().count(), 3);
    // Which of them heard what, nobody knows.
    let (endpoint, asked) = serving(vec![between("504 Gateway Timeout"), answer("200 OK", "", r#"{"RequestId":"r"}"#)]);
    client(&endpoint, Scheme::Acs3).run(&Request::new("CreateKey").once()).expect_err("not known");
    assert_eq!(asked.try_iter().count(), 1);
}

#[test]
fn an_id_that_no_header_can_hold_is_none() {
    for id in ["", "a b", "ä", "a\nb", "a,b"] {
        let built = Client::builder("http://h:1").access_key(AccessKey::new(id, "s")).build();
        let error = built.map(drop).expect_err("no id").to_string();
        assert!(error.ends_with("is no access key's id: letters and digits, as Bulla gave it"), "{error}");
    }
}

#[test]
fn what_must_not_happen_twice_is_not_tried_twice() {
    let once = Request::new("CreateKey").once();
    let (endpoint, asked) = serving(vec![String::new(), answer("200 OK", "", r#"{"RequestId":"r"}"#)]);
    let lost = client(&endpoint, Scheme::Acs3).run(&once);
    assert!(matches!(lost, Err(Error::Lost { .. })), "{lost:?}");
    assert_eq!(asked.try_iter().count(), 1);
    // 503 may say that it was done; 429 says that it was not.
    let busy = answer("503 Service Unavailable", "Retry-After: 0\r\n", r#"{"Code":"ServiceUnavailableTemporary"}"#);
    let (endpoint, asked) = serving(vec![busy, answer("200 OK", "", r#"{"RequestId":"r"}"#)]);
    assert_eq!(client(&endpoint, Scheme::Acs3).run(&once).expect_err("refused").code(), "ServiceUnavailableTemporary");
    assert_eq!(asked.try_iter().count(), 1);
    let throttled = answer("429 Too Many Requests", "Retry-After: 0\r\n", r#"{"Code":"Rejected.Throttling"}"#);
    let (endpoint, _asked) = serving(vec![throttled, answer("200 OK", "", r#"{"RequestId":"r"}"#)]);
    client(&endpoint, Scheme::Acs3).run(&once).expect("the second time");
}

#[test]
fn a_name_that_nobody_knows_is_not_reached() {
    let client = Client::builder("http://no-such-host.invalid:1")
        .access_key(AccessKey::new("id", "s"))
        .attempts(1)
        .build()
        .expect("sound");
    let error = client.restore_secret("n").expect_err("nobody is there");
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

/// A proxy, a portal, another service: 200 alone says nothing.
#[test]
fn what_nobody_confirmed_is_not_done() {
    let value = crate::secret::Value::new(b"v".to_vec());
    let new = NewSecret { name: "n", version: "v", ..NewSecret::default() };
    for said in ["{}", r#"{"status":"ok"}"#, "<html>", "", r#"{"RequestId":"r","SecretName":"other","VersionId":"v"}"#] {
        let (endpoint, _asked) = serving(vec![answer("200 OK", "", said); 10]);
        let client = client(&endpoint, Scheme::Acs3);
        let mut results = vec![
            client.create_secret(&new, &value, false),
            client.put_secret_value("n", "v", &value, false, &[]),
            client.move_stage("n", "l", Some("v"), None),
            client.delete_secret("n", None).map(drop),
            client.restore_secret("n"),
            client.rotate_secret("n", "v"),
            client.describe_secret_as("n", "d"),
        ];
        if !said.contains("RequestId") {
            results.extend([client.set_secret_policy("n", "{}"), client.delete_alias("alias/a")]);
        }
        results.push(client.secret_policy("n").map(drop));
        for result in results {
            assert!(matches!(result, Err(Error::Answer { .. })), "{said}: {result:?}");
        }
    }
    let (endpoint, _asked) = serving(vec![
        answer("200 OK", "", r#"{"RequestId":"r","SecretName":"n","VersionId":"w"}"#),
        answer("200 OK", "", r#"{"RequestId":"r","SecretName":"n","VersionId":"v"}"#),
    ]);
    let client = client(&endpoint, Scheme::Acs3);
    let other = client.rotate_secret("n", "v").expect_err("another version").to_string();
    assert_eq!(other, "RotateSecret: the answer is not understood: it is about another version");
    client.rotate_secret("acs:kms:r:1:secret/n", "v").expect("the same secret");
}

#[test]
fn a_secret_that_a_lost_attempt_made_is_made() {
    let exists = answer("409 Conflict", "", r#"{"Code":"Rejected.ResourceExist","Message":"m","RequestId":"r"}"#);
    let there = |value: &str| {
        let body = format!(r#"{{"SecretName":"n","VersionId":"v","SecretData":"{value}","SecretDataType":"text"}}"#);
        answer("200 OK", "", &body)
    };
    let new = NewSecret { name: "n", version: "v", ..NewSecret::default() };
    let value = crate::secret::Value::new(b"mine".to_vec());
    let (endpoint, _asked) = serving(vec![String::new(), exists.clone(), there("mine")]);
    client(&endpoint, Scheme::Acs3).create_secret(&new, &value, false).expect("it is ours");
    let (endpoint, _asked) = serving(vec![String::new(), exists.clone(), there("another's")]);
    let error = client(&endpoint, Scheme::Acs3).create_secret(&new, &value, false).expect_err("another's");
    assert_eq!(error.code(), "Rejected.ResourceExist");
    let (endpoint, asked) = serving(vec![exists]);
    client(&endpoint, Scheme::Acs3).create_secret(&new, &value, false).expect_err("it was there before");
    assert_eq!(asked.iter().count(), 1);
}

#[test]
fn errors_carry_what_the_server_said() {
    let body = r#"{"HttpStatus":403,"Code":"Forbidden.NoPermission","Message":"No.","RequestId":"r1",
        "AccessDeniedDetail":{"AuthAction":"kms:GetSecretValue","AuthPrincipalDisplayName":"billing"}}"#;
    let (endpoint, _asked) = serving(vec![answer("403 Forbidden", "", body)]);
    let error = client(&endpoint, Scheme::Acs3).region().expect_err("refused");
    let refused = error.refused().expect("by the server");
    assert_eq!((refused.status, refused.request_id.as_deref()), (403, Some("r1")));
    let hint = error.hint().unwrap_or_default();
    assert!(hint.contains("billing") && hint.contains("kms:GetSecretValue"), "{hint}");
}

#[test]
fn nobody_there() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let client = Client::builder(&endpoint).access_key(AccessKey::new("id", "s")).attempts(1).build().expect("an endpoint");
    let error = client.region().expect_err("nobody");
    assert!(matches!(&error, Error::Unreachable { reason, .. } if reason == "connection refused"), "{error:?}");
}

#[test]
fn endpoints_are_looked_at_before_anything_is_sent() {
    for wrong in [
        "",
        "host:1",
        "https://",
        "ftp://x",
        "http://a/b",
        "http://u@h",
        "http://h:99999",
        "http://h:0",
        "http://h:x",
        "https://[::1]:99999",
    ] {
        let built = Client::builder(wrong).access_key(AccessKey::new("id", "s")).build();
        assert!(matches!(built, Err(Error::Settings(_))), "{wrong}");
    }
    for sound in ["http://h", "http://h:65535", "https://[::1]", "https://[::1]:8443"] {
        assert!(Client::builder(sound).access_key(AccessKey::new("id", "s")).build().is_ok(), "{sound}");
    }
    assert_eq!(host_header("https://h:443", "h:443"), "h");
    assert_eq!(host_header("http://h:8080", "h:8080"), "h:8080");
    let missing = Client::builder("https://h").access_key(AccessKey::new("id", "s")).ca_file("/nowhere").build();
    assert!(matches!(missing, Err(Error::Settings(reason)) if reason.contains("/nowhere")));
}
