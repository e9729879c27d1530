//! What is refused, why, and in which order; and that what a client signs verifies, whatever it is.

use proptest::prelude::*;

use super::client::{SECRET, call, encode, key, params, read, sign_acs3, sign_rpc, verify};
use crate::auth::proof::TIME_WINDOW_MS;
use crate::base::clock::Timestamp;
use crate::base::field::Field;
use crate::dialects::rpc::params::Params;
use crate::dialects::rpc::params::invalid_since;
use crate::dialects::rpc::signature::{self, v1, v3};
use crate::error::Error;
use crate::http::{Call, Method};

const RPC: &str = "Version=2016-01-20&Action=ListKeys&AccessKeyId=testid&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0\
                   &Timestamp=2026-01-02T03%3A04%3A05Z&SignatureNonce=n&Signature=SIG";

fn rpc(query: &str) -> Call {
    sign_rpc(call(Method::Post, query, &[], ""))
}

fn acs3() -> Call {
    sign_acs3(call(Method::Post, "SecretName=a", &[], ""), &[])
}

fn header<'c>(call: &'c mut Call, name: &str) -> &'c mut String {
    &mut call.headers.iter_mut().find(|(n, _)| n == name).expect("header").1
}

/// The error without its sentence.
fn bare(error: Error) -> Error {
    match error {
        Error::SignatureIncomplete(why) => {
            assert!(!why.is_empty());
            Error::SignatureIncomplete("".into())
        }
        Error::SignatureMethodNotSupported(why) => {
            assert!(!why.is_empty());
            Error::SignatureMethodNotSupported("")
        }
        other => other,
    }
}

#[test]
fn rpc_needs_its_common_parameters() {
    let fields = [
        Field::Version,
        Field::Action,
        Field::AccessKeyId,
        Field::Signature,
        Field::SignatureMethod,
        Field::SignatureVersion,
        Field::Timestamp,
    ];
    let names = fields.map(Field::name);
    for (i, name) in names.into_iter().enumerate() {
        let without: Vec<&str> = RPC.split('&').filter(|pair| pair.split('=').next() != Some(name)).collect();
        let missing = Some(Error::MissingCommon(fields[i]));
        assert_eq!(read(&rpc(&without.join("&"))).err(), missing);
        assert_eq!(read(&rpc(&format!("{}&{name}=", without.join("&")))).err(), missing, "empty");
        // Of several that are missing the first is named.
        let from_here: Vec<&str> = without.into_iter().filter(|p| names[..i].contains(&p.split('=').next().unwrap())).collect();
        assert_eq!(read(&rpc(&from_here.join("&"))).err(), missing);
    }
    assert_eq!(read(&rpc("")).err(), Some(Error::MissingCommon(Field::Version)));
}

#[test]
fn rpc_refusals() {
    for (from, to, error) in [
        ("2016-01-20", "2015-01-20", Error::VersionNotSupported),
        ("HMAC-SHA1", "SHA256withRSA", Error::SignatureMethodNotSupported("")),
        ("Version=1.0", "Version=2.0", Error::SignatureMethodNotSupported("")),
        ("&Signature=", "&SignatureType=PRIVATEKEY&Signature=", Error::SignatureMethodNotSupported("")),
        ("&Signature=", "&SignatureType=BEARERTOKEN&BearerToken=t&Signature=", Error::SignatureMethodNotSupported("")),
        ("&Signature=", "&SecurityToken=t&Signature=", Error::AccessKeyNotFound),
        (
            "&Signature=",
            "&Action=Other&Signature=",
            invalid_since("Action".into(), "It must be given once, or with the same value each time."),
        ),
        ("testid", "a%20key", Error::AccessKeyNotFound),
        ("2026-01-02T", "2026-13-02T", Error::TimestampMalformed),
        (
            "Nonce=n",
            &format!("Nonce={}", "n".repeat(129)),
            invalid_since("SignatureNonce".into(), "It must have at most 128 bytes."),
        ),
    ] {
        assert_eq!(read(&rpc(&RPC.replace(from, to))).err().map(bare), Some(error), "{to}");
    }
    for signature in ["bogus", "AAAA", "%00", "41wk2SSX1GJh7fwnc5eqOfiJPFg%3D"] {
        let refused = verify(&call(Method::Post, &RPC.replace("SIG", signature), &[], "")).err();
        assert!(matches!(refused, Some(Error::SignatureMismatch { .. })), "{signature}");
    }
}

#[test]
fn schemes_that_are_not_served() {
    for headers in [
        [("authorization", "ACS4-HMAC-SHA256 Credential=a")],
        [("authorization", "ACS3-HMAC-SM3 Credential=a")],
        [("authorization", "ACS3-RSA-SHA256 Credential=a")],
        [("authorization", "Bearer token")],
        [("x-acs-bearer-token", "token")],
    ] {
        assert_eq!(read(&call(Method::Post, RPC, &headers, "")).err().map(bare), Some(Error::SignatureMethodNotSupported("")));
    }
    let anonymous = call(Method::Post, "", &[("x-acs-action", "ListKeys")], "");
    assert_eq!(read(&anonymous).err(), Some(Error::MissingCommon(Field::Authorization)));
}

#[test]
fn acs3_must_cover_what_matters() {
    let all = [
        "host",
        "x-acs-action",
        "x-acs-content-sha256",
        "x-acs-credentials-provider",
        "x-acs-date",
        "x-acs-signature-nonce",
        "x-acs-version",
    ];
    let request = || call(Method::Post, "", &[("x-acs-credentials-provider", "static_ak")], "");
    assert!(verify(&sign_acs3(request(), &all)).is_ok());
    for left_out in all {
        let signed: Vec<&str> = all.into_iter().filter(|name| *name != left_out).collect();
        assert_eq!(
            read(&sign_acs3(request(), &signed)).err().map(bare),
            Some(Error::SignatureIncomplete("".into())),
            "{left_out}"
        );
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let untyped = sign_acs3(call(Method::Post, "", &form, "SecretName=a"), &all);
    assert_eq!(read(&untyped).err().map(bare), Some(Error::SignatureIncomplete("".into())), "the type of a body");

    let mut twice = acs3();
    twice.headers.push(("x-acs-action".into(), "DeleteSecret".into()));
    assert_eq!(read(&twice).err().map(bare), Some(Error::SignatureIncomplete("".into())), "an x-acs header twice");
    let mut body = acs3();
    body.body = b"SecretName=b".to_vec();
    assert_eq!(read(&body).err().map(bare), Some(Error::SignatureIncomplete("".into())), "another body than was hashed");
}

#[test]
fn acs3_refusals() {
    for (name, error) in [
        ("x-acs-version", Error::MissingCommon(Field::Version)),
        ("x-acs-action", Error::MissingCommon(Field::Action)),
        ("x-acs-date", Error::MissingCommon(Field::Timestamp)),
        ("x-acs-signature-nonce", Error::MissingCommon(Field::SignatureNonce)),
        ("x-acs-content-sha256", Error::SignatureIncomplete("".into())),
    ] {
        let mut request = acs3();
        request.headers.retain(|(n, _)| n != name);
        assert_eq!(read(&request).err().map(bare), Some(error.clone()), "{name}");
        let mut request = acs3();
        *header(&mut request, name) = " ".into();
        assert_eq!(read(&request).err().map(bare), Some(error), "{name} blank");
    }
    for (name, value, error) in [
        ("x-acs-version", "2014-05-26", Error::VersionNotSupported),
        ("x-acs-date", "yesterday", Error::TimestampMalformed),
        ("authorization", "ACS3-HMAC-SHA256 ", Error::SignatureIncomplete("".into())),
        ("authorization", "ACS3-HMAC-SHA256 Credential=testid,SignedHeaders=host", Error::SignatureIncomplete("".into())),
        (
            "authorization",
            "ACS3-HMAC-SHA256 Credential=,SignedHeaders=host,Signature=00",
            Error::SignatureIncomplete("".into()),
        ),
    ] {
        let mut request = acs3();
        *header(&mut request, name) = value.into();
        assert_eq!(read(&request).err().map(bare), Some(error), "{value}");
    }
    for (from, to, error) in [
        ("Credential=testid", "Credential=testid,Credential=other", Some(Error::SignatureIncomplete("".into()))),
        ("Credential=testid", "Other=1,Credential=testid", Some(Error::SignatureIncomplete("".into()))),
        ("Credential=testid", "Credential=a key", Some(Error::AccessKeyNotFound)),
        ("SignedHeaders=", "SignedHeaders=accept;", Some(Error::SignatureIncomplete("".into()))),
        ("SignedHeaders=", "SignedHeaders=host;", Some(Error::SignatureIncomplete("".into()))),
        ("SignedHeaders=", "SignedHeaders=;", Some(Error::SignatureIncomplete("".into()))),
        ("Signature=", "Signature=zz", None),
        ("Signature=", "Signature=00", None),
    ] {
        let mut request = acs3();
        let authorization = header(&mut request, "authorization");
        *authorization = authorization.replacen(from, to, 1);
        match error {
            Some(error) => assert_eq!(read(&request).err().map(bare), Some(error), "{to}"),
            None => assert!(matches!(verify(&request).err(), Some(Error::SignatureMismatch { .. })), "{to}"),
        }
    }
}

#[test]
fn a_change_breaks_the_signature() {
    let mismatch = |call: &Call| matches!(verify(call).err(), Some(Error::SignatureMismatch { .. }));
    for (name, value) in [
        ("host", "other"),
        ("x-acs-action", "DeleteSecret"),
        ("x-acs-date", "2026-01-02T03:04:06Z"),
        ("x-acs-signature-nonce", "n"),
    ] {
        let mut request = acs3();
        *header(&mut request, name) = value.into();
        assert!(mismatch(&request), "{name}");
    }
    for query in ["SecretName=b", "", "SecretName=a&SecretName=b", "SecretName=a&VersionId=v"] {
        let mut request = acs3();
        request.query = query.into();
        assert!(mismatch(&request), "{query}");
    }
    let mut request = acs3();
    request.method = Method::Get;
    assert!(mismatch(&request), "method");
    let mut request = rpc(RPC);
    request.body = b"SecretName=a".to_vec();
    assert!(mismatch(&request), "a parameter added in the body");
}

#[test]
fn time_window() {
    let claim = verify(&rpc(RPC)).map_err(|_| ()).expect("verifies");
    let at = claim.claim.timestamp;
    for (now, result) in [
        (at.plus_ms(TIME_WINDOW_MS), Ok(())),
        (at.plus_ms(-TIME_WINDOW_MS), Ok(())),
        (at.plus_ms(TIME_WINDOW_MS + 1), Err(Error::TimestampExpired { behind_ms: TIME_WINDOW_MS + 1 })),
        (at.plus_ms(-TIME_WINDOW_MS - 1), Err(Error::TimestampExpired { behind_ms: -TIME_WINDOW_MS - 1 })),
        (Timestamp(i64::MIN), Err(Error::TimestampExpired { behind_ms: i64::MIN.saturating_sub(at.0) })),
    ] {
        assert_eq!(claim.claim.check_time(now), result);
    }
    claim.claim.spend_equal_time();
}

/// They hold secrets: had they grown, copies would have stayed behind.
#[test]
fn strings_to_sign_do_not_grow() {
    let data = encode(&"数 {}+".repeat(3000));
    let request = call(Method::Post, &format!("{RPC}&SecretData={data}"), &[("host", "h")], "");
    let text = v1::string_to_sign(request.method, &params(&request));
    assert!(text.len() + 16 > text.capacity(), "{} of {}", text.len(), text.capacity());
    let canonical = v3::canonical_request(&request, &params(&request), &["host"], "00");
    assert!(canonical.len() + 16 > canonical.capacity(), "{} of {}", canonical.len(), canonical.capacity());
}

/// One value written in the ways that clients write it.
fn written(text: &str, style: u8) -> String {
    let canonical = encode(text);
    match style % 4 {
        0 => canonical,
        1 => canonical.replace("%20", "+"),
        2 => canonical.replace("%2A", "*").replace("%2F", "/").replace("%3A", ":").replace("%2C", ","),
        _ => canonical.replace("%E6", "%e6").replace("%7E", "~").replace('a', "%61"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever stands in the header: a claim or a refusal, never a panic.
    #[test]
    fn any_authorization_is_read_or_refused(at in 0usize..120, length in 0usize..30, piece in "[ -~]{0,16}", noise in "\\PC{0,80}") {
        let good = "ACS3-HMAC-SHA256 Credential=testid,SignedHeaders=host;x-acs-action,Signature=00ff";
        let (at, end) = (at.min(good.len()), (at + length).min(good.len()));
        for header in [format!("{}{piece}{}", &good[..at], &good[end..]), format!("ACS3-HMAC-SHA256 {noise}"), noise.clone()] {
            let headers = [("authorization", header.as_str()), ("x-acs-version", "2016-01-20"), ("x-acs-action", "ListKeys")];
            let _ = verify(&call(Method::Get, "", &headers, ""));
        }
    }

    #[test]
    fn what_is_signed_verifies(
        pairs in prop::collection::btree_map("[A-Z][A-Za-z.0-9]{1,8}|数\\*", any::<String>(), 0..6),
        body in prop::collection::btree_map("B[a-z]{1,8}", any::<String>(), 0..3),
        style in any::<u8>(),
    ) {
        let raw = |pairs: &std::collections::BTreeMap<String, String>| {
            pairs.iter().map(|(n, v)| format!("{}={}", written(n, style), written(v, style / 4))).collect::<Vec<_>>().join("&")
        };
        let request = sign_rpc(call(Method::Post, &format!("{RPC}&{}", raw(&pairs)), &[], &raw(&body)));
        // A random name can be one of the common parameters, which may then be refused; it must never mismatch.
        let mismatch = matches!(verify(&request).err(), Some(Error::SignatureMismatch { .. }));
        prop_assert!(!mismatch);

        let form = [("content-type", "application/x-www-form-urlencoded")];
        let request = sign_acs3(call(Method::Post, &raw(&pairs), &form, &raw(&body)), &[]);
        prop_assert!(verify(&request).is_ok());
        prop_assert!(read(&request).unwrap().claim.verify(&key("another")).is_err());
    }

    #[test]
    fn nothing_panics(
        query in any::<String>(),
        authorization in "(ACS3-HMAC-SHA256 )?(Credential=[a-z;=,]*,?|SignedHeaders=[a-z;=,]*,?|Signature=[0-9a-f]*,?|.)*",
        headers in prop::collection::vec(("(x-acs-[a-z0-9-]*|host)", any::<String>()), 0..8),
        body in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut request = acs3();
        request.query = query;
        request.headers.extend(headers);
        *header(&mut request, "authorization") = authorization;
        request.body = body;
        if let Ok(params) = Params::parse(&request.query, None, &request.body)
            && let Ok(claim) = signature::read(&request, &params)
        {
            prop_assert!(claim.claim.verify(&key(SECRET)).is_err());
        }
    }
}
