//! An issuer: keys of every kind, and what it signs with them.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::base::clock::Timestamp;
use crate::base::public_key::PublicKey;
use crate::logins::keys::Pace;
use crate::logins::options::{Algorithm, Issuer, JwtRole, KeysFrom, Speaks};

/// The time of all tests.
pub(super) const NOW: Timestamp = Timestamp(1_800_000_000_000);

pub(super) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key of an issuer.
pub(super) enum Pair {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Pair {
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::ES256 => Pair::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key")),
            Algorithm::ES384 => Pair::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key")),
            Algorithm::EdDSA => Pair::Ed(Ed25519KeyPair::generate().expect("a key")),
            _ => Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key")),
        }
    }

    /// As a member of a JWK Set.
    pub fn jwk(&self, more: Value) -> Value {
        let point = |pair: &EcdsaKeyPair, name: &str| {
            let (x, y) = pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
            json!({ "kty": "EC", "crv": name, "x": encoded(x), "y": encoded(y) })
        };
        let mut jwk = match self {
            Pair::P256(pair) => point(pair, "P-256"),
            Pair::P384(pair) => point(pair, "P-384"),
            Pair::Ed(pair) => json!({ "kty": "OKP", "crv": "Ed25519", "x": encoded(pair.public_key()) }),
            Pair::Rsa(pair) => {
                let of = |number: aws_lc_rs::signature::RsaPublicKeyComponents<Vec<u8>>| (number.n, number.e);
                let (n, e) = of(pair.public_key().into());
                json!({ "kty": "RSA", "n": encoded(n), "e": encoded(e) })
            }
        };
        let members = jwk.as_object_mut().expect("an object");
        members.extend(more.as_object().expect("an object").clone());
        jwk
    }

    /// SubjectPublicKeyInfo in PEM.
    pub fn pem(&self) -> String {
        let der = match self {
            Pair::P256(pair) | Pair::P384(pair) => AsDer::as_der(pair.public_key()).expect("DER").as_ref().to_vec(),
            Pair::Ed(pair) => AsDer::as_der(pair.public_key()).expect("DER").as_ref().to_vec(),
            Pair::Rsa(pair) => AsDer::as_der(pair.public_key()).expect("DER").as_ref().to_vec(),
        };
        PublicKey::from_der(der).to_pem()
    }

    /// A token, signed as `header.alg` says where this key can do that.
    pub fn token(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
        let random = SystemRandom::new();
        let signature = match self {
            Pair::P256(pair) | Pair::P384(pair) => pair.sign(&random, message.as_bytes()).expect("signed").as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let encoding: &dyn RsaEncoding = match header["alg"].as_str() {
                    Some("RS384") => &RSA_PKCS1_SHA384,
                    Some("RS512") => &RSA_PKCS1_SHA512,
                    Some("PS256") => &RSA_PSS_SHA256,
                    Some("PS384") => &RSA_PSS_SHA384,
                    Some("PS512") => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message.as_bytes(), &mut signature).expect("signed");
                signature
            }
        };
        format!("{message}.{}", encoded(signature))
    }
}

/// Claims that log in.
pub(super) fn claims() -> Value {
    let now = NOW.0 / 1000;
    json!({ "iss": "https://issuer", "aud": ["others", "bulla"], "sub": "app", "exp": now + 600, "nbf": now - 5, "iat": now - 5 })
}

pub(super) fn speaks() -> Speaks {
    Speaks { account: "1234567890123456".parse().expect("an account"), user: "app".parse().expect("a user") }
}

/// An issuer with keys from there, whose tokens of `sub` app log in as role app.
pub(super) fn issuer(keys: KeysFrom) -> Issuer {
    let bound = [("sub".to_owned(), vec!["app".to_owned()])].into();
    Issuer {
        mount: "jwt".to_owned(),
        issuer: "https://issuer".to_owned(),
        audience: vec!["bulla".to_owned()],
        keys,
        algorithms: vec![Algorithm::RS256, Algorithm::ES256],
        leeway_s: 60,
        roles: vec![JwtRole { name: "app".to_owned(), speaks: speaks(), bound_claims: bound }],
    }
}

/// A file with a JWK Set.
pub(super) fn set_file(folder: &Path, keys: &[Value]) -> PathBuf {
    let file = folder.join("jwks.json");
    std::fs::write(&file, json!({ "keys": keys }).to_string()).expect("written");
    file
}

/// No waits.
pub(super) const AT_ONCE: Pace =
    Pace { between: Duration::ZERO, renew: Duration::from_secs(600), keep: Duration::from_secs(600) };

/// A server on loopback that answers each request with what it is told at that time; how often it was asked.
pub(super) struct Served {
    pub url: String,
    pub page: Arc<Mutex<Option<String>>>,
    pub asked: Arc<AtomicUsize>,
}

impl Served {
    pub fn new(delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/keys", listener.local_addr().expect("bound"));
        let (page, asked) = (Arc::new(Mutex::new(None::<String>)), Arc::new(AtomicUsize::new(0)));
        let served = Self { url, page: Arc::clone(&page), asked: Arc::clone(&asked) };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut head = [0; 4096];
                let _ = stream.read(&mut head);
                asked.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(delay);
                let (status, body) = match &*page.lock() {
                    Some(body) => ("200 OK", body.clone()),
                    None => ("503 Unavailable", String::new()),
                };
                let length = body.len();
                let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        served
    }

    pub fn gives(&self, keys: &[Value]) {
        *self.page.lock() = Some(json!({ "keys": keys }).to_string());
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}
