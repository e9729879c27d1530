//! `bulla audit`: proof of audit logs, what is in them, and the key that the proof needs.

mod heads;
mod search;
mod verify;

use std::path::PathBuf;

use crate::admin::load;
use crate::app::{Base, Failure, context, line_key};
use crate::audit::{self, Flaw, Keys, Log, ReadLine, Report};
use crate::base::regular;
use crate::cli::{Audit, Form, Logs};
use crate::config::Config;
use crate::output::Output;
use crate::output::progress::Progress;
use heads::Heads;

/// How many bytes are read before that is said.
const SAID_EVERY: usize = 1 << 20;

/// How much of some logs has been read, for whoever waits.
struct Reading {
    progress: Progress,
    unsaid: usize,
}

impl Reading {
    fn of(logs: &[Log]) -> Self {
        let files = logs.iter().flat_map(|log| &log.files);
        let bytes = files.map(|file| std::fs::metadata(file).map_or(0, |there| there.len())).sum::<u64>();
        Self { progress: Progress::new("read", usize::try_from(bytes).unwrap_or(usize::MAX)), unsaid: 0 }
    }

    fn more(&mut self, line: &ReadLine<'_>) {
        self.unsaid += line.text.len();
        if self.unsaid >= SAID_EVERY {
            self.progress.more(std::mem::take(&mut self.unsaid));
        }
    }
}

/// Runs the command.
pub fn run(action: Audit, json: bool) -> Result<Output, Failure> {
    match action {
        Audit::PublicKey { place } => {
            let pem = key_of(&Base::open(&load(&place)?)?)?;
            let fingerprint = fingerprint(pem.as_bytes());
            let text = format!("{}\nSHA-256 fingerprint: {fingerprint}", pem.trim_end());
            Ok(Output::Report {
                text,
                row: Output::row([("PublicKey", pem.into()), ("Sha256Fingerprint", fingerprint.into())]),
            })
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

/// What proves the logs of a deployment whose token is open: AUD's public half, and the keys of the lines.
pub fn keys_of(base: &Base) -> Result<Keys, Failure> {
    let public = key_of(base)?.into_bytes();
    let base = base.clone();
    let lines = move |node: &str| line_key(&base.token, &base.deployment, &node.parse().ok()?).ok();
    Ok(Keys { public, lines: Some(Box::new(lines)) })
}

/// SHA-256 of a public key's SubjectPublicKeyInfo, hex digits: what people compare.
pub fn fingerprint(pem: &[u8]) -> String {
    let text = String::from_utf8_lossy(pem);
    let body = text.split("-----BEGIN PUBLIC KEY-----").nth(1).and_then(|rest| rest.split("-----END PUBLIC KEY-----").next());
    let body: String = body.unwrap_or_default().split_ascii_whitespace().collect();
    let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap_or_default();
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der))
}

/// What is to be proved, and by what.
pub(super) struct Proof {
    logs: Vec<Log>,
    keys: Keys,
    /// What the database knows of them, where it is at hand.
    heads: Option<Heads>,
    /// Whether these are all logs of this host.
    whole: bool,
}

impl Proof {
    fn of(asked: &Logs) -> Result<Self, Failure> {
        if let Some(path) = &asked.public_key {
            let pem = regular::read(path).map_err(|e| Failure::local(e.to_string()).hint_of_file(path, e.kind()))?;
            // Else each log would be found wanting.
            if audit::public_key(&pem).is_none() {
                let failure = Failure::local(format!("{}: no public key (P-256 or RSA) in PEM", path.display()));
                return Err(failure.hint("`bulla audit public-key` prints the one that proves the logs"));
            }
            let keys = Keys::public(pem);
            let files = if asked.files.is_empty() { vec![load(&asked.place)?.audit.directory] } else { asked.files.clone() };
            return Ok(Self { logs: logs_in(&files)?, keys, heads: None, whole: false });
        }
        let hint = "offline, name the key that `bulla audit public-key` printed: --public-key PEM";
        let config = load(&asked.place).map_err(|failure| failure.hint(hint))?;
        let base = Base::open(&config)?;
        if asked.files.is_empty() {
            return Self::of_deployment(&config, &base);
        }
        let heads = Some(Heads::of(&config, &base)?);
        Ok(Self { logs: logs_in(&asked.files)?, keys: keys_of(&base)?, heads, whole: false })
    }

    /// All logs of this host.
    pub(super) fn of_deployment(config: &Config, base: &Base) -> Result<Self, Failure> {
        let heads = Heads::of(config, base)?;
        // Where there is none, the database knows whether there should be.
        let logs = audit::logs(std::slice::from_ref(&config.audit.directory)).or_else(|broken| match broken.flaw {
            Flaw::Empty | Flaw::Unreadable(_) if heads.expects_some() => Ok(Vec::new()),
            _ => Err(Failure::local(broken.to_string())),
        })?;
        Ok(Self { logs, keys: keys_of(base)?, heads: Some(heads), whole: true })
    }

    /// Which they are.
    pub(super) fn logs(&self) -> &[Log] {
        &self.logs
    }

    /// Reads all of them: what each proves, and what does not hold.
    pub(super) fn check(&self) -> (Vec<(&Log, Report)>, Vec<String>) {
        let (mut reports, mut flaws) = (Vec::new(), Vec::new());
        let mut reading = Reading::of(&self.logs);
        for log in &self.logs {
            let mut each = |line: &ReadLine<'_>| {
                reading.more(line);
                true
            };
            let (report, broken) = audit::read(&log.files, &self.keys, &mut each);
            match broken.map_or(Ok(report), Err) {
                Ok(report) => {
                    flaws.extend(report.missing.iter().map(|what| format!("{} of node {}: {what}", log.name, log.node)));
                    flaws.extend(self.heads.as_ref().and_then(|heads| heads.lacks(log, &report)));
                    reports.push((log, report));
                }
                Err(broken) => flaws.push(format!("{} of node {}: {broken}", log.name, log.node)),
            }
        }
        reading.progress.end();
        if let (true, Some(heads)) = (self.whole, &self.heads) {
            flaws.extend(heads.missing(&self.logs));
        }
        (reports, flaws)
    }
}

fn logs_in(files: &[PathBuf]) -> Result<Vec<Log>, Failure> {
    let hint = "name files of audit logs, or folders with the logs of a node, as audit.directory is one";
    audit::logs(files).map_err(|broken| Failure::local(broken.to_string()).hint(hint))
}
