//! How fast a log is searched and proved: a log of as many records as are wished, written by the log's own writer, then read by the
//! program's own commands.
//!
//! Owns: that log, and the rows. Must not know: servers. Called by: main.

use std::collections::VecDeque;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bulla::audit::{Audit, AuditConfig, Kind, LineKey, Record, Verdict};
use bulla::base::ids::{NodeId, RequestId};

use crate::floor::Failure;
use crate::{print, programs};

/// Records that may wait to be written.
const WAITING: usize = 4096;

/// One record in so many is of the secret that is searched for.
const WANTED_IN: u64 = 100_000;

/// What stands in a SubjectPublicKeyInfo before the point of a P-256 key (RFC 5480).
const P256_INFO: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
    0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Writes a log of so many records, searches and proves it, and says how long that took.
pub fn rows(records: u64) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let key = folder.path().join("aud.pem");
    let info = [&P256_INFO[..], pair.public_key().as_ref()].concat();
    std::fs::write(&key, format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(info)))?;
    let log = folder.path().join("audit");
    let began = Instant::now();
    write(&log, pair, records)?;
    let written = began.elapsed().as_secs_f64();
    let mut bytes = 0;
    for file in std::fs::read_dir(&log)? {
        bytes += file?.metadata()?.len();
    }
    print(&format!("{}\n{records} records, {} MB, written in {written:.1} s", programs::machine(), bytes / 1_000_000))?;
    let wanted = records / WANTED_IN;
    for (what, arguments) in [
        ("search by secret", &["search", "--secret", "app/wanted", "--format", "csv"][..]),
        ("search by user and time", &["search", "--who", "app-7", "--since", "2030-01-01"]),
        ("verify", &["verify"]),
    ] {
        let began = Instant::now();
        let mut command = Command::new(programs::bulla());
        command.arg("audit").args(arguments).arg("--public-key").arg(&key).arg(&log);
        let output = command.stdin(Stdio::null()).output()?;
        let took = began.elapsed().as_secs_f64();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() || (what == "search by secret" && !said.contains(&format!("# {wanted} records"))) {
            return Err(format!("{what}: {said}{}", String::from_utf8_lossy(&output.stderr)).into());
        }
        print(&format!(
            "{what:<24} {took:>7.2} s  {:>9.0} records/s  {:>5.0} MB/s",
            records as f64 / took,
            bytes as f64 / 1e6 / took
        ))?;
    }
    Ok(())
}

fn write(folder: &Path, pair: EcdsaKeyPair, records: u64) -> Result<(), Failure> {
    let signer =
        Box::new(move |bytes: &[u8]| Ok(pair.sign(&SystemRandom::new(), bytes).map_err(|e| e.to_string())?.as_ref().to_vec()));
    let config = AuditConfig { max_file_bytes: 256 << 20, ..AuditConfig::new(folder, "audit") };
    let (audit, _) = Audit::open(config, NodeId::new(), LineKey::new(&[7; 32]), signer)?;
    let mut waiting = VecDeque::with_capacity(WAITING);
    for number in 0..records {
        let name =
            if number % WANTED_IN == WANTED_IN / 2 { "app/wanted".to_owned() } else { format!("app/db-{}", number % 5000) };
        let (resource, principal) =
            (format!("acs:kms:cn-hangzhou:1234567890123456:secret/{name}"), format!("user/app-{}", number % 40));
        let record = Record {
            account: Some("1234567890123456"),
            principal: Some(&principal),
            access_key: Some("BLLA234567ABCDEFGHJKLMNP"),
            source_ip: Some([10, 0, 0, 7].into()),
            resource: Some(&resource),
            version: Some("ACSCurrent"),
            version_id: Some("v1"),
            decision: Some(Verdict::Allowed),
            by: Some("AliyunKMSSecretUserAccess"),
            code: Some("OK"),
            ..Record::new(Kind::Read, RequestId::new(), "GetSecretValue")
        };
        if waiting.len() == WAITING {
            waiting.drain(..WAITING / 2).try_for_each(bulla::audit::Ticket::wait)?;
        }
        waiting.push_back(audit.submit(&record));
    }
    waiting.into_iter().try_for_each(bulla::audit::Ticket::wait)?;
    audit.close();
    Ok(())
}
