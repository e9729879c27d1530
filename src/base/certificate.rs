//! When certificates end.
//!
//! Owns: reading that of PEM. Must not know: whose they are. Called by: app (checks at start, figures). Source: RFC 5280, 4.1.2.5.

use std::path::Path;

use x509_cert::Certificate;

use crate::base::clock::Timestamp;
use crate::base::regular;

/// The end of the first of the certificates in a PEM file that ends.
///
/// # Errors
/// When the file cannot be read, or has no certificate.
pub fn first_end(file: &Path) -> std::io::Result<Timestamp> {
    let of = |e: &dyn std::fmt::Display| std::io::Error::other(format!("{}: {e}", file.display()));
    let chain = Certificate::load_pem_chain(&regular::read(file)?).map_err(|e| of(&e))?;
    let ends = chain.iter().map(|certificate| certificate.tbs_certificate().validity().not_after.to_unix_duration());
    let first = ends.min().ok_or_else(|| of(&"no certificate in it"))?;
    Ok(Timestamp(i64::try_from(first.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_end_counts() {
        let mut text = String::new();
        for year in [2031, 2030] {
            let mut parameters = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).expect("a name");
            parameters.not_after = rcgen::date_time_ymd(year, 1, 2);
            let key = rcgen::KeyPair::generate().expect("a key");
            text.push_str(&parameters.self_signed(&key).expect("a certificate").pem());
        }
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        assert_eq!(first_end(file.path()).expect("a chain").to_string(), "2030-01-02T00:00:00Z");
        assert!(first_end(Path::new("/nowhere")).is_err());
    }
}
