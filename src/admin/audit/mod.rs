//! `bulla audit`: proof of audit logs, what is in them, and the key that the proof needs.

mod search;
mod verify;

use std::path::PathBuf;

use crate::admin::load;
use crate::admin::output::Output;
use crate::app::{Base, Failure, context};
use crate::audit::{self, Log};
use crate::cli::{Audit, Form, Logs};

/// Runs the command.
pub fn run(action: Audit, json: bool) -> Result<Output, Failure> {
    match action {
        Audit::PublicKey { place } => {
            let pem = key_of(&Base::open(&load(&place)?)?)?;
            let text = format!("{}\nSHA-256 fingerprint: {}", pem.trim_end(), fingerprint(pem.as_bytes()));
            Ok(Output::Text("PublicKey", text))
        }
        Audit::Verify { logs } => verify::run(&Proof::of(&logs)?, json),
        Audit::Search { logs, wanted, format, limit } => {
            search::run(&Proof::of(&logs)?, &wanted, if json { Form::Json } else { format }, limit)
        }
    }
}

/// The public half of AUD, PEM.
pub fn key_of(base: &Base) -> Result<String, Failure> {
    Ok(base.token.public_key(&base.deployment.aud_key).map_err(context("token: AUD"))?.to_pem())
}

/// SHA-256 of a public key's SubjectPublicKeyInfo, hex digits: what people compare.
pub fn fingerprint(pem: &[u8]) -> String {
    let text = String::from_utf8_lossy(pem);
    let body = text.split("-----BEGIN PUBLIC KEY-----").nth(1).and_then(|rest| rest.split("-----END PUBLIC KEY-----").next());
    let body: String = body.unwrap_or_default().split_ascii_whitespace().collect();
    let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap_or_default();
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der))
}

/// What is to be proved, and by which key.
struct Proof {
    logs: Vec<Log>,
    key: Vec<u8>,
}

impl Proof {
    fn of(asked: &Logs) -> Result<Self, Failure> {
        let local = |path: &std::path::Path, e: &dyn std::fmt::Display| Failure::local(format!("{}: {e}", path.display()));
        let files: Vec<PathBuf> =
            if asked.files.is_empty() { vec![load(&asked.place)?.audit.directory] } else { asked.files.clone() };
        let key = match &asked.public_key {
            Some(path) => std::fs::read(path).map_err(|e| local(path, &e))?,
            None => {
                let hint = "offline, name the key that `bulla audit public-key` printed: --public-key PEM";
                let config = load(&asked.place).map_err(|failure| failure.hint(hint))?;
                key_of(&Base::open(&config)?)?.into_bytes()
            }
        };
        let logs = audit::logs(&files).map_err(|broken| Failure::local(broken.to_string()))?;
        Ok(Self { logs, key })
    }
}
