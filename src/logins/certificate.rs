//! Whom a client certificate names (RFC 5280, 4.1.2.6 and 4.2.1.6).
//!
//! Owns: reading its names, and comparing them. Must not know: chains and signatures, which the handshake has proved. Called by: logins.

use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::base::clock::Timestamp;
use crate::logins::options::{CertificateRole, LoginError, Speaks};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// What Vault says of a certificate that is none, and of a role that is not there.
const INVALID: &str = "invalid certificate or no client certificate supplied";

/// What it says of one that fits no role.
const NO_ROLE: &str = "no chain matching all constraints could be found for this login certificate";

/// The names of a certificate.
#[derive(Default)]
struct Names {
    common: Vec<String>,
    dns: Vec<String>,
    uris: Vec<String>,
}

/// For whom a certificate speaks; in the role of this name, or the first that it fits.
pub(super) fn speaks(
    roles: &[CertificateRole],
    role: Option<&str>,
    certificate: &[u8],
    now: Timestamp,
) -> Result<Speaks, LoginError> {
    let refused = |why: &str| LoginError::Refused(why.to_owned());
    let names = names_of(certificate, now).ok_or_else(|| refused(INVALID))?;
    let mut candidates = roles.iter().filter(|known| role.is_none_or(|name| known.name == name)).peekable();
    if candidates.peek().is_none() {
        return Err(refused(INVALID));
    }
    candidates.find(|role| fits(role, &names)).map(|role| role.speaks.clone()).ok_or_else(|| refused(NO_ROLE))
}

fn fits(role: &CertificateRole, names: &Names) -> bool {
    let one_of = |wanted: &[String], found: &[String]| wanted.is_empty() || found.iter().any(|name| wanted.contains(name));
    let dns: Vec<String> = role.dns_names.iter().map(|name| name.to_ascii_lowercase()).collect();
    // A role without a condition is refused by the configuration, and fits nobody here.
    !(role.common_names.is_empty() && dns.is_empty() && role.uris.is_empty())
        && one_of(&role.common_names, &names.common)
        && one_of(&dns, &names.dns)
        && one_of(&role.uris, &names.uris)
}

/// The names of a certificate that is valid now: connections may outlive theirs.
fn names_of(der: &[u8], now: Timestamp) -> Option<Names> {
    let certificate = Certificate::from_der(der).ok()?;
    let body = certificate.tbs_certificate();
    let ms = |time: x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_millis()).unwrap_or(i64::MAX);
    let validity = body.validity();
    if !(ms(validity.not_before)..=ms(validity.not_after)).contains(&now.0) {
        return None;
    }
    let mut names = Names::default();
    for attribute in body.subject().iter().filter(|attribute| attribute.oid == COMMON_NAME) {
        // Any string type of ASN.1 that is UTF-8 or a part of it; others are no name of ours.
        names.common.extend(std::str::from_utf8(attribute.value.value()).ok().map(str::to_owned));
    }
    for name in body.get_extension::<SubjectAltName>().ok().flatten().map(|(_, names)| names.0).unwrap_or_default() {
        match name {
            GeneralName::DnsName(name) => names.dns.push(name.as_str().to_ascii_lowercase()),
            GeneralName::UniformResourceIdentifier(uri) => names.uris.push(uri.as_str().to_owned()),
            _ => {}
        }
    }
    Some(names)
}
