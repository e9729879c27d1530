//! Requests as captured from unmodified clients, with keys and signatures of the tests; each must verify as it stands.

use super::client::{call, params, sign_acs3, sign_rpc, verify};
use crate::http::Method::{self, Get, Post};

const FORM: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];
const DATA: &str = r#"{"pw":"a b+c*d~e"}"#;

/// Client, method, query, body; RPC.
const RPC: [(&str, Method, &str, &str); 11] = [
    (
        "old Python core",
        Post,
        "SecretName=cap%2Fa&SecretData=%7B%22pw%22%3A%22a%20b%2Bc%2Ad~e%22%7D&VersionId=v1&Description=%E6%95%B0%20x\
         &Version=2016-01-20&Action=CreateSecret&Format=JSON&RegionId=cn-hangzhou&Timestamp=2026-11-24T05%3A47%3A27Z\
         &SignatureMethod=HMAC-SHA1&SignatureType=&SignatureVersion=1.0&SignatureNonce=0123456789abcdef0123456789abcdef\
         &AccessKeyId=testid&Signature=SIG",
        "",
    ),
    (
        "CommonRequest: RegionId twice, the body's is signed; no format",
        Post,
        "Version=2016-01-20&Action=CreateSecret&Format=None&RegionId=cn-hangzhou&Timestamp=2026-11-24T05%3A47%3A27Z\
         &SignatureMethod=HMAC-SHA1&SignatureType=&SignatureVersion=1.0&SignatureNonce=0123456789abcdef0123456789abcdef\
         &AccessKeyId=testid&Signature=SIG",
        "SecretName=cap%2Fa&SecretData=%7B%22pw%22%3A%22a+b%2Bc%2Ad~e%22%7D&VersionId=v1&RegionId=cn-beijing",
    ),
    (
        "Tea Python 2.0.0, 1.0.1",
        Post,
        "Action=CreateSecret&Format=json&Version=2016-01-20&Timestamp=2026-11-24T05%3A47%3A27Z\
         &SignatureNonce=0b7fe8a4-8a0c-4a57-9a39-6f6a3f0c1f11&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0\
         &AccessKeyId=testid&Signature=SIG",
        "Description=%E6%95%B0+x&SecretData=%7B%22pw%22%3A%22a+b%2Bc%2Ad~e%22%7D&SecretName=cap%2Fa&VersionId=v1",
    ),
    (
        "Tea Python 1.0.1, Encrypt",
        Post,
        "Action=Encrypt&Format=json&Version=2016-01-20&Timestamp=2026-11-24T05%3A47%3A27Z&SignatureNonce=n\
         &SignatureMethod=HMAC-SHA1&SignatureVersion=1.0&AccessKeyId=testid&Signature=SIG",
        "EncryptionContext.a=1&EncryptionContext.b=2&KeyId=k&Plaintext=aGk%3D",
    ),
    (
        "@alicloud/kms20160120: star and tilde as they are",
        Post,
        "Action=CreateSecret&Format=json&Timestamp=2026-11-24T05%3A47%3A27Z&Version=2016-01-20&SignatureNonce=n\
         &SecretName=cap%2Fa&VersionId=v1&SecretData=%7B%22pw%22%3A%22a%20b%2Bc*d~e%22%7D&SignatureMethod=HMAC-SHA1\
         &SignatureVersion=1.0&AccessKeyId=testid&Signature=SIG",
        "",
    ),
    (
        "@alicloud/pop-core, GET",
        Get,
        "AccessKeyId=testid&Action=GetSecretValue&Format=JSON&SecretName=cap%2Fa&SignatureMethod=HMAC-SHA1&SignatureNonce=n\
         &SignatureVersion=1.0&Timestamp=2026-11-24T05%3A47%3A27Z&Version=2016-01-20&Signature=SIG",
        "",
    ),
    (
        "@alicloud/pop-core, POST: all in the body",
        Post,
        "",
        "AccessKeyId=testid&Action=CreateSecret&Description=%E6%95%B0%20x&Format=JSON\
         &SecretData=%7B%22pw%22%3A%22a%20b%2Bc%2Ad~e%22%7D&SecretName=cap%2Fa&SignatureMethod=HMAC-SHA1&SignatureNonce=n\
         &SignatureVersion=1.0&Timestamp=2026-11-24T05%3A47%3A27Z&Version=2016-01-20&VersionId=v1&Signature=SIG",
    ),
    (
        "Rust: signature first, nanoseconds",
        Post,
        "Signature=SIG&AccessKeyId=testid&Action=CreateSecret&Description=%E6%95%B0%20x&Format=JSON\
         &SecretData=%7B%22pw%22%3A%22a%20b%2Bc%2Ad~e%22%7D&SecretName=cap%2Fa&SignatureMethod=HMAC-SHA1\
         &SignatureNonce=0b7fe8a4-8a0c-4a57-9a39-6f6a3f0c1f11&SignatureVersion=1.0\
         &Timestamp=2026-11-24T05%3A47%3A40.764700223Z&Version=2016-01-20&VersionId=v1",
        "",
    ),
    (
        "Go: numbered context in any order",
        Get,
        "AccessKeyId=testid&Action=Encrypt&EncryptionContext.2.Key=b&EncryptionContext.2.Value=2&EncryptionContext.1.Key=a\
         &EncryptionContext.1.Value=1&Format=JSON&KeyId=k&Plaintext=aGk%3D&SignatureMethod=HMAC-SHA1\
         &SignatureNonce=abcDEF-_abcDEF-_abcDEF-_abcDEF-_&SignatureVersion=1.0&Timestamp=2026-11-24T05%3A47%3A27Z\
         &Version=2016-01-20&Signature=SIG",
        "",
    ),
    (
        "cache client v1",
        Post,
        "SecretName=cap%2Fbase&VersionStage=ACSCurrent&FetchExtendedConfig=True&Version=2016-01-20&Action=GetSecretValue\
         &Format=JSON&RegionId=cn-hangzhou&Timestamp=2026-11-24T05%3A47%3A27Z&SignatureMethod=HMAC-SHA1&SignatureType=\
         &SignatureVersion=1.0&SignatureNonce=n&AccessKeyId=testid&Signature=SIG",
        "",
    ),
    (
        "oss2",
        Post,
        "KeyId=k&KeySpec=AES_256&NumberOfBytes=32&EncryptionContext=&Version=2016-01-20&Action=GenerateDataKey&Format=JSON\
         &Timestamp=2026-11-24T05%3A47%3A27Z&SignatureMethod=HMAC-SHA1&SignatureType=&SignatureVersion=1.0&SignatureNonce=n\
         &AccessKeyId=testid&Signature=SIG",
        "",
    ),
];

#[test]
fn rpc() {
    for (client, method, query, body) in RPC {
        // A body-less POST comes with the content type of a form too, or with none; headers are not signed.
        for headers in [&FORM[..], &[("user-agent", ""), ("x-acs-action", "Other")][..]] {
            let request = sign_rpc(call(method, query, headers, body));
            let signed = verify(&request).map_err(|_| client).expect("verifies");
            assert!(query.contains(&signed.action) || body.contains(&signed.action), "{client}");
            if let Some(data) = params(&request).single("SecretData").expect("one") {
                assert_eq!(data, DATA, "{client}");
            }
        }
    }
}

#[test]
fn nonce_forms() {
    let sha = "0123456789abcdef".repeat(4);
    for nonce in ["0123456789abcdef0123456789abcdef", "0b7fe8a4-8a0c-4a57-9a39-6f6a3f0c1f11", &sha, "abcDEF-_"] {
        let headers = [("x-acs-signature-nonce", nonce)];
        let signed = verify(&sign_acs3(call(Post, "", &headers, ""), &[])).map_err(|_| nonce).expect("verifies");
        assert_eq!(signed.claim.nonce, nonce);
    }
}

#[test]
fn acs3() {
    let tags = "%5B%7B%22TagKey%22%3A%22k%22%2C%22TagValue%22%3A%22v%22%7D%5D";
    let tea = [
        ("host", "http://127.0.0.1:18080"),
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("user-agent", "AlibabaCloud (Linux; x86_64) Python/3.11.7 Core/0.4.3 TeaDSL/2"),
        FORM[0],
        ("x-acs-action", "CreateSecret"),
        ("x-acs-credentials-provider", "static_ak"),
    ];
    let body = "SecretData=%7B%22pw%22%3A%22a+b%2Bc%2Ad~e%22%7D";
    let smallest = [
        "host",
        "x-acs-action",
        "x-acs-content-sha256",
        "x-acs-credentials-provider",
        "x-acs-date",
        "x-acs-signature-nonce",
        "x-acs-version",
    ];
    let node = [("accept", "application/json"), ("user-agent", ""), ("x-acs-credentials-provider", "static_ak")];
    for (client, query, headers, body, signed) in [
        ("Tea Python", format!("Description=%E6%95%B0+x&SecretName=cap%2Fa&Tags={tags}&VersionId=v1"), &tea[..], body, &[][..]),
        (
            "Tea Python, async: slash, colon and comma as they are",
            format!(
                "Description=%E6%95%B0+x&SecretName=cap/a&Tags={}&VersionId=v1",
                tags.replace("%3A", ":").replace("%2C", ",")
            ),
            &tea[..],
            body,
            &[][..],
        ),
        ("Tea Python, empty body with a type", "SecretName=cap%2Fa".into(), &tea[..], "", &[][..]),
        ("cache client v2", "FetchExtendedConfig=True&SecretName=cap%2Fbase".into(), &tea[..], "", &[][..]),
        (
            "Node openapi-client: star as it is, fewer headers signed",
            "SecretName=cap%2Fa&SecretData=%7B%22pw%22%3A%22a%20b%2Bc*d~e%22%7D&VersionId=v1".into(),
            &node[..],
            "",
            &smallest[..],
        ),
        ("a blank header, signed", "SecretName=cap%2Fa".into(), &node[..], "", &[][..]),
        ("an empty value", "EncryptionContext=&KeyId=k".into(), &node[..], "", &[][..]),
    ] {
        let request = sign_acs3(call(Post, &query, headers, body), signed);
        assert!(verify(&request).is_ok(), "{client}");
    }
}

#[test]
fn acs3_json_body_and_spaced_authorization() {
    let headers = [("content-type", "application/json; charset=utf-8")];
    let mut request = sign_acs3(call(Post, "", &headers, r#"{"SecretName":"cap/a"}"#), &[]);
    let authorization = request.headers.last_mut().expect("authorization");
    authorization.1 = authorization.1.replace(',', ", ");
    assert!(verify(&request).is_ok());
    assert_eq!(params(&request).single("SecretName"), Ok(Some("cap/a")));
}
