//! A client: signs requests by code of its own, so that the server's is not compared with itself.

use std::collections::BTreeMap;

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use crate::auth::proof::SigningKey;
use crate::base::clock::{Moment, Timestamp};
use crate::base::ids::RequestId;
use crate::base::secret::AccessKeySecret;
use crate::dialects::rpc::params::Params;
use crate::dialects::rpc::signature::{self, Signed};
use crate::error::Error;
use crate::http::{Call, Method};

/// The secret of all test vectors.
pub(super) const SECRET: &str = "testsecret";

pub(super) fn key(secret: &str) -> SigningKey {
    SigningKey::new(&AccessKeySecret::new(secret.as_bytes().to_vec()))
}

pub(super) fn call(method: Method, query: &str, headers: &[(&str, &str)], body: &str) -> Call {
    Call {
        client_certificate: None,
        request_id: RequestId::new(),
        arrival: Moment::still(Timestamp(0)),
        peer: [127, 0, 0, 1].into(),
        secure: false,
        method,
        path: "/".to_owned(),
        query: query.to_owned(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: body.as_bytes().to_vec(),
    }
}

pub(super) fn params(call: &Call) -> Params {
    Params::parse(&call.query, call.header("content-type"), &call.body).unwrap()
}

pub(super) fn read(call: &Call) -> Result<Signed, Error> {
    signature::read(call, &params(call))
}

/// Reads and verifies under [`SECRET`].
pub(super) fn verify(call: &Call) -> Result<Signed, Error> {
    let signed = read(call)?;
    signed.claim.verify(&key(SECRET)).map(|()| signed)
}

pub(super) fn encode(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// Decoded pairs by name; of two values the later stays.
fn decoded(raw: &str) -> BTreeMap<String, String> {
    let text = |t: &str| percent_decode_str(&t.replace('+', " ")).decode_utf8().unwrap().into_owned();
    raw.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, ""))).fold(
        BTreeMap::new(),
        |mut pairs, (name, value)| {
            pairs.insert(text(name), text(value));
            pairs
        },
    )
}

fn canonical_query(pairs: &BTreeMap<String, String>) -> String {
    pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect::<Vec<_>>().join("&")
}

pub(super) fn hmac_sha1(secret: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, format!("{secret}&").as_bytes());
    STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

pub(super) fn hmac_sha256(secret: &str, text: &str) -> String {
    hex::encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), text.as_bytes()))
}

pub(super) fn sha256(text: &str) -> String {
    hex::encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// Fills `SIG` in query or body with the RPC signature of the request.
pub(super) fn sign_rpc(mut call: Call) -> Call {
    let body = String::from_utf8(call.body.clone()).unwrap();
    let mut pairs = decoded(&call.query);
    pairs.extend(decoded(&body));
    pairs.remove("Signature");
    let text = format!("{}&%2F&{}", call.method.as_str(), encode(&canonical_query(&pairs)));
    let signature = encode(&hmac_sha1(SECRET, &text));
    call.query = call.query.replace("=SIG", &format!("={signature}"));
    call.body = body.replace("=SIG", &format!("={signature}")).into_bytes();
    call
}

/// Adds the ACS3 headers that are not there yet, and the Authorization header over `signed`; all headers if that is empty.
pub(super) fn sign_acs3(mut call: Call, signed: &[&str]) -> Call {
    let hash = sha256(&String::from_utf8(call.body.clone()).unwrap());
    for (name, value) in [
        ("host", "kms.local"),
        ("x-acs-action", "GetSecretValue"),
        ("x-acs-version", "2016-01-20"),
        ("x-acs-date", "2026-01-02T03:04:05Z"),
        ("x-acs-signature-nonce", "0123456789abcdef0123456789abcdef"),
        ("x-acs-content-sha256", &hash),
    ] {
        if call.header(name).is_none() {
            call.headers.push((name.to_owned(), value.to_owned()));
        }
    }
    let mut sorted: Vec<(String, String)> = call.headers.clone();
    sorted.retain(|(name, _)| signed.is_empty() || signed.contains(&name.as_str()));
    sorted.sort();
    let block: String = sorted.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let names = sorted.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
    let canonical = format!(
        "{}\n/\n{}\n{block}\n{names}\n{}",
        call.method.as_str(),
        canonical_query(&decoded(&call.query)),
        call.header("x-acs-content-sha256").unwrap()
    );
    let signature = hmac_sha256(SECRET, &format!("ACS3-HMAC-SHA256\n{}", sha256(&canonical)));
    let header = format!("ACS3-HMAC-SHA256 Credential=testid,SignedHeaders={names},Signature={signature}");
    call.headers.push(("authorization".to_owned(), header));
    call
}
