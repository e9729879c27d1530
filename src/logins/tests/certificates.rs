//! What a client certificate has to name.

use rcgen::{CertificateParams, DnType, KeyPair, SanType};

use super::issuer::{NOW, speaks};
use crate::base::clock::Timestamp;
use crate::logins::certificate;
use crate::logins::options::{CertificateRole, LoginError};

fn certificate_of(common_name: &str, dns: &[&str], uris: &[&str]) -> Vec<u8> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters.not_before = rcgen::date_time_ymd(2026, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2028, 1, 1);
    let dns = dns.iter().map(|name| SanType::DnsName((*name).try_into().expect("a name")));
    let uris = uris.iter().map(|uri| SanType::URI((*uri).try_into().expect("a URI")));
    parameters.subject_alt_names = dns.chain(uris).collect();
    parameters.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate").der().to_vec()
}

fn role(name: &str, common: &[&str], dns: &[&str], uris: &[&str]) -> CertificateRole {
    let all = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    CertificateRole { name: name.to_owned(), speaks: speaks(), common_names: all(common), dns_names: all(dns), uris: all(uris) }
}

#[test]
fn of_each_list_one_has_to_fit() {
    let shown = certificate_of("web", &["Web.Example", "other.example"], &["spiffe://bank/web"]);
    let told = |role: CertificateRole, named: Option<&str>| certificate::speaks(&[role], named, &shown, NOW).is_ok();
    for (common, dns, uris, fits) in [
        (&["web"][..], &[][..], &[][..], true),
        (&["x", "web"], &[], &[], true),
        (&["WEB"], &[], &[], false),
        (&["we"], &[], &[], false),
        (&[], &["web.example"], &[], true),
        (&[], &["OTHER.example"], &[], true),
        (&[], &["example"], &[], false),
        (&[], &[], &["spiffe://bank/web"], true),
        (&[], &[], &["spiffe://bank/"], false),
        (&["web"], &["web.example"], &["spiffe://bank/web"], true),
        (&["web"], &["x.example"], &["spiffe://bank/web"], false),
        (&["web.example"], &[], &[], false),
        (&[], &[], &[], false),
    ] {
        assert_eq!(told(role("a", common, dns, uris), None), fits, "{common:?} {dns:?} {uris:?}");
    }
    assert!(told(role("a", &["web"], &[], &[]), Some("a")));
    assert!(!told(role("a", &["web"], &[], &[]), Some("b")));
}

#[test]
fn the_first_role_that_fits_unless_one_is_named_and_only_while_it_is_valid() {
    let shown = certificate_of("web", &[], &[]);
    let mut second = role("second", &["web"], &[], &[]);
    second.speaks.user = "second".parse().expect("a user");
    let roles = [role("none", &["x"], &[], &[]), second.clone(), role("third", &["web"], &[], &[])];
    assert_eq!(certificate::speaks(&roles, None, &shown, NOW), Ok(second.speaks));
    assert_eq!(certificate::speaks(&roles, Some("third"), &shown, NOW), Ok(speaks()));
    const INVALID: &str = "invalid certificate or no client certificate supplied";
    for (role, der, now, why) in [
        (Some("none"), &shown[..], NOW, "no chain matching all constraints could be found for this login certificate"),
        (Some("absent"), &shown, NOW, INVALID),
        (None, &shown[1..], NOW, INVALID),
        (None, b"", NOW, INVALID),
        (None, &shown, Timestamp(1_700_000_000_000), INVALID),
        (None, &shown, Timestamp(1_900_000_000_000), INVALID),
    ] {
        assert_eq!(certificate::speaks(&roles, role, der, now), Err(LoginError::Refused(why.to_owned())));
    }
}
