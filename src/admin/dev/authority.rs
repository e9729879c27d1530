//! `--tls`: a certificate authority for one folder, and a certificate of it for the listener.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};

use super::folder::private_file;
use crate::app::{Failure, context};
use crate::base::failure::Reason;
use crate::base::listen::Listen;
use crate::config::Tls;

impl Reason for rcgen::Error {}

/// The authority's certificate, for clients.
pub(super) fn certificate(folder: &Path) -> PathBuf {
    folder.join("tls/ca.crt")
}

/// Makes authority and certificate, unless they are there.
pub(super) fn prepare(folder: &Path, listen: Listen) -> Result<Tls, Failure> {
    let at = |name: &str| folder.join("tls").join(name);
    if !at("server.crt").exists() {
        std::fs::create_dir_all(folder.join("tls")).map_err(context(folder.display()))?;
        make(listen.0.ip(), &at).map_err(context("tls"))?;
    }
    Ok(Tls {
        certificate_file: at("server.crt"),
        key_file: at("server.key"),
        client_ca_file: None,
        client_certificate_required: None,
    })
}

fn make(address: IpAddr, at: &dyn Fn(&str) -> PathBuf) -> Result<(), Failure> {
    let key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(DnType::CommonName, "bulla dev, for trying only");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let certificate = authority.self_signed(&key)?;
    let issuer = Issuer::new(authority, key);

    let server_key = KeyPair::generate()?;
    let mut names = vec!["localhost".to_owned(), "bulla".to_owned()];
    names.extend(
        std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).ok().filter(|n| !n.is_empty()),
    );
    let mut server = CertificateParams::new(names)?;
    for ip in [address, IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])] {
        server.subject_alt_names.push(SanType::IpAddress(ip));
    }
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let server = server.signed_by(&server_key, &issuer)?;
    // The authority's own key is kept nowhere: it signs this one certificate.
    private_file(&at("ca.crt"), &certificate.pem())?;
    private_file(&at("server.key"), &server_key.serialize_pem())?;
    private_file(&at("server.crt"), &server.pem())
}
