//! The first secret of `bulla dev`: proof, through the API and its signatures, that everything works together.
//!
//! Owns: a client just large enough for that (RPC signature 1.0 over one connection per call). Called by: dev.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use uuid::Uuid;

use crate::app::{Failure, context};
use crate::base::clock::Clock;
use crate::base::ids::AccessKeyId;
use crate::base::secret::AccessKeySecret;

/// Name of the first secret.
pub const NAME: &str = "bulla/first-secret";

/// Its value.
const VALUE: &str = "Sealed by the token. 你好";

/// How long the server may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(30);

/// RFC 3986's unreserved characters stay.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Waits until the server says that token, database and audit log all answer.
///
/// # Errors
/// When it does not within half a minute; what it said last.
pub fn wait_until_ready(endpoint: &str) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        let last = match exchange(endpoint, "/readyz") {
            Ok((200, _)) => return Ok(()),
            Ok((status, body)) => format!("{status} {body}"),
            Err(e) => e.to_string(),
        };
        if begun.elapsed() > PATIENCE {
            return Err(Failure::new(format!("the server is not ready: {last}")));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Creates the first secret, unless an earlier start did, and reads it back. Gives the value.
///
/// # Errors
/// What the server answered instead.
pub fn round_trip(endpoint: &str, id: &AccessKeyId, secret: &AccessKeySecret) -> Result<String, Failure> {
    let client = Client { endpoint, id, key: signing_key(secret) };
    let made = [("SecretName", NAME), ("VersionId", "v1"), ("SecretData", VALUE), ("Description", "made by `bulla dev`")];
    match client.call("CreateSecret", &made)? {
        (200, _) => {}
        (409, answer) if answer["Code"] == "Rejected.ResourceExist" => {}
        (status, answer) => return Err(Failure::new(format!("CreateSecret answered {status} {answer}"))),
    }
    match client.call("GetSecretValue", &[("SecretName", NAME)])? {
        (200, answer) => Ok(answer["SecretData"].as_str().unwrap_or_default().to_owned()),
        (status, answer) => Err(Failure::new(format!("GetSecretValue answered {status} {}", answer["Code"]))),
    }
}

fn signing_key(secret: &AccessKeySecret) -> hmac::Key {
    let key = zeroize::Zeroizing::new([secret.expose(), b"&"].concat());
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key)
}

struct Client<'a> {
    endpoint: &'a str,
    id: &'a AccessKeyId,
    key: hmac::Key,
}

impl Client<'_> {
    fn call(&self, action: &str, params: &[(&str, &str)]) -> Result<(u16, serde_json::Value), Failure> {
        let (time, nonce) = (Clock::System.now().to_string(), Uuid::new_v4().simple().to_string());
        let mut all = BTreeMap::from([
            ("AccessKeyId", self.id.as_str()),
            ("Action", action),
            ("Format", "JSON"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureNonce", &nonce),
            ("SignatureVersion", "1.0"),
            ("Timestamp", &time),
            ("Version", "2016-01-20"),
        ]);
        all.extend(params.iter().copied());
        let mut query = String::new();
        for (name, value) in &all {
            let _ = write!(query, "{}={}&", encode(name), encode(value));
        }
        query.pop();
        let tag = hmac::sign(&self.key, format!("GET&%2F&{}", encode(&query)).as_bytes());
        let signature = STANDARD.encode(tag.as_ref());
        let (status, body) = exchange(self.endpoint, &format!("/?{query}&Signature={}", encode(&signature)))?;
        let answer = serde_json::from_str(&body).map_err(context(format!("{action} answered {status}")))?;
        Ok((status, answer))
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// One GET: status and body.
fn exchange(endpoint: &str, target: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(endpoint)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {endpoint}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_default();
    Ok((status, body.to_owned()))
}
