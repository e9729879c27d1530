//! When certificates are valid.
//!
//! Owns: reading that of PEM. Must not know: whose they are. Called by: app (checks at start), http (for figures). Source: RFC 5280, 4.1.2.5.

use std::path::Path;

use x509_cert::Certificate;
use x509_cert::der::DecodePem;
use x509_cert::time::Time;

use crate::base::clock::Timestamp;
use crate::base::regular;

/// From when to when all certificates of a file are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// When the last of them begins.
    pub from: Timestamp,
    /// When the first of them ends.
    pub until: Timestamp,
}

/// The validity of the certificates in a PEM file.
///
/// # Errors
/// When the file cannot be read, or has no certificate.
pub fn validity(file: &Path) -> std::io::Result<Validity> {
    let of = |e: String| std::io::Error::other(format!("{}: {e}", file.display()));
    validity_in(&regular::read(file)?).map_err(of)
}

/// The same of the text of such a file. It may hold a key as well.
///
/// # Errors
/// When it has no certificate; why.
pub fn validity_in(pem: &[u8]) -> Result<Validity, String> {
    let mut found: Option<Validity> = None;
    for part in certificates(pem) {
        let certificate = Certificate::from_pem(part).map_err(|e| e.to_string())?;
        let validity = certificate.tbs_certificate().validity();
        let at = |time: Time| Timestamp(i64::try_from(time.to_unix_duration().as_millis()).unwrap_or(i64::MAX));
        let (from, until) = (at(validity.not_before), at(validity.not_after));
        found = Some(found.map_or(Validity { from, until }, |all| Validity {
            from: Timestamp(all.from.0.max(from.0)),
            until: Timestamp(all.until.0.min(until.0)),
        }));
    }
    found.ok_or_else(|| "no certificate in it".to_owned())
}

/// Each certificate of a PEM text, by its lines.
fn certificates(pem: &[u8]) -> impl Iterator<Item = &[u8]> {
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    const END: &[u8] = b"-----END CERTIFICATE-----";
    let mut rest = pem;
    std::iter::from_fn(move || {
        let part = rest.get(memchr::memmem::find(rest, BEGIN)?..)?;
        let end = memchr::memmem::find(part, END).map_or(part.len(), |at| at + END.len());
        let (part, behind) = part.split_at(end);
        rest = behind;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_beginning_and_the_first_end_count() {
        let mut text = String::new();
        for year in [2031, 2030] {
            let mut parameters = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).expect("a name");
            parameters.not_before = rcgen::date_time_ymd(year - 10, 1, 2);
            parameters.not_after = rcgen::date_time_ymd(year, 1, 2);
            let key = rcgen::KeyPair::generate().expect("a key");
            // The key may stand in the same file.
            text.push_str(&key.serialize_pem());
            text.push_str(&parameters.self_signed(&key).expect("a certificate").pem());
        }
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), &text).expect("written");
        let Validity { from, until } = validity(file.path()).expect("a chain");
        assert_eq!((from.to_string(), until.to_string()), ("2021-01-02T00:00:00Z".into(), "2030-01-02T00:00:00Z".into()));
        assert!(validity(Path::new("/nowhere")).is_err() && validity_in(b"-----BEGIN CERTIFICATE-----\nMIIB").is_err());
        assert_eq!(validity_in(b"").expect_err("nothing"), "no certificate in it");
    }
}
