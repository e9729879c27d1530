//! Published vectors and vectors made with the SDKs' own code: string to sign and signature of each.

use super::client::{SECRET, call, hmac_sha1, hmac_sha256, key, params, read, sha256, verify};
use crate::auth::proof::Scheme;
use crate::dialects::rpc::signature::{v1, v3};
use crate::error::{Error, StringToSign};
use crate::http::Method;

const NONCE: &str = "0123456789abcdef0123456789abcdef";
const DATE: &str = "2026-01-02T03:04:05Z";
const FORM: &str = "application/x-www-form-urlencoded";
const BODY: &str = "SecretData=%7B%22user%22%3A%22root%22%2C%22pw%22%3A%22a+b%2Bc%2Ad~e%2Ff%3Dg%26h%25%22%7D";
const EMPTY_HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Name, method, query without signature, body, string to sign, signature.
const RPC: [(&str, Method, &str, &str, &str, &str); 5] = [
    (
        "V1-A",
        Method::Get,
        "AccessKeyId=testid&Action=CreateKey&Format=json&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0\
         &Timestamp=2016-03-28T03%3A13%3A08Z&Version=2016-01-20",
        "",
        "GET&%2F&AccessKeyId%3Dtestid%26Action%3DCreateKey%26Format%3Djson%26SignatureMethod%3DHMAC-SHA1\
         %26SignatureVersion%3D1.0%26Timestamp%3D2016-03-28T03%253A13%253A08Z%26Version%3D2016-01-20",
        "41wk2SSX1GJh7fwnc5eqOfiJPFg=",
    ),
    (
        "V1-B",
        Method::Post,
        "SecretName=app%2Fdb-1&VersionId=v1&Description=%E6%95%B0%E6%8D%AE%E5%BA%93%20password\
         &SecretData=%7B%22user%22%3A%22root%22%2C%22pw%22%3A%22a%20b%2Bc%2Ad~e%2Ff%3Dg%26h%25%22%7D&Version=2016-01-20\
         &Action=CreateSecret&Format=JSON&RegionId=cn-hangzhou&Timestamp=2026-01-02T03%3A04%3A05Z&SignatureMethod=HMAC-SHA1\
         &SignatureType=&SignatureVersion=1.0&SignatureNonce=0123456789abcdef0123456789abcdef&AccessKeyId=testid",
        "",
        "POST&%2F&AccessKeyId%3Dtestid%26Action%3DCreateSecret%26Description%3D%25E6%2595%25B0%25E6%258D%25AE%25E5%25BA%2593\
         %2520password%26Format%3DJSON%26RegionId%3Dcn-hangzhou%26SecretData%3D%257B%2522user%2522%253A%2522root%2522%252C\
         %2522pw%2522%253A%2522a%2520b%252Bc%252Ad~e%252Ff%253Dg%2526h%2525%2522%257D%26SecretName%3Dapp%252Fdb-1\
         %26SignatureMethod%3DHMAC-SHA1%26SignatureNonce%3D0123456789abcdef0123456789abcdef%26SignatureType%3D\
         %26SignatureVersion%3D1.0%26Timestamp%3D2026-01-02T03%253A04%253A05Z%26Version%3D2016-01-20%26VersionId%3Dv1",
        "stvz3M8qovvGKHQdNfBT5gqJecI=",
    ),
    (
        "V1-C",
        Method::Post,
        "AccessKeyId=testid&Action=CreateSecret&Description=%E6%95%B0%E6%8D%AE%E5%BA%93+password&Format=json\
         &SecretName=app%2Fdb-1&SignatureMethod=HMAC-SHA1&SignatureNonce=0123456789abcdef0123456789abcdef\
         &SignatureVersion=1.0&Timestamp=2026-01-02T03%3A04%3A05Z&Version=2016-01-20&VersionId=v1",
        BODY,
        "POST&%2F&AccessKeyId%3Dtestid%26Action%3DCreateSecret%26Description%3D%25E6%2595%25B0%25E6%258D%25AE%25E5%25BA%2593\
         %2520password%26Format%3Djson%26SecretData%3D%257B%2522user%2522%253A%2522root%2522%252C%2522pw%2522%253A%2522a\
         %2520b%252Bc%252Ad~e%252Ff%253Dg%2526h%2525%2522%257D%26SecretName%3Dapp%252Fdb-1%26SignatureMethod%3DHMAC-SHA1\
         %26SignatureNonce%3D0123456789abcdef0123456789abcdef%26SignatureVersion%3D1.0\
         %26Timestamp%3D2026-01-02T03%253A04%253A05Z%26Version%3D2016-01-20%26VersionId%3Dv1",
        "hFIjLowxnXWMD6PVOXFGl2yNwVE=",
    ),
    (
        "V1-D",
        Method::Post,
        "SecretName=app%2Fdb-1&SecurityToken=token%2B%2F%3Dvalue&Version=2016-01-20&Action=GetSecretValue&Format=JSON\
         &RegionId=cn-hangzhou&Timestamp=2026-01-02T03%3A04%3A05Z&SignatureMethod=HMAC-SHA1&SignatureType=\
         &SignatureVersion=1.0&SignatureNonce=0123456789abcdef0123456789abcdef&AccessKeyId=STS.testid",
        "",
        "POST&%2F&AccessKeyId%3DSTS.testid%26Action%3DGetSecretValue%26Format%3DJSON%26RegionId%3Dcn-hangzhou\
         %26SecretName%3Dapp%252Fdb-1%26SecurityToken%3Dtoken%252B%252F%253Dvalue%26SignatureMethod%3DHMAC-SHA1\
         %26SignatureNonce%3D0123456789abcdef0123456789abcdef%26SignatureType%3D%26SignatureVersion%3D1.0\
         %26Timestamp%3D2026-01-02T03%253A04%253A05Z%26Version%3D2016-01-20",
        "tr9PqxwydHAzxi0SIQQ10Z+4jwU=",
    ),
    (
        "V1-E",
        Method::Get,
        "AccessKeyId=testid&Action=GetSecretValue&Format=json&SecretName=app%2Fdb-1&SignatureMethod=HMAC-SHA1\
         &SignatureNonce=0123456789abcdef0123456789abcdef&SignatureVersion=1.0&Timestamp=2026-01-02T03%3A04%3A05Z\
         &Version=2016-01-20",
        "",
        "GET&%2F&AccessKeyId%3Dtestid%26Action%3DGetSecretValue%26Format%3Djson%26SecretName%3Dapp%252Fdb-1\
         %26SignatureMethod%3DHMAC-SHA1%26SignatureNonce%3D0123456789abcdef0123456789abcdef%26SignatureVersion%3D1.0\
         %26Timestamp%3D2026-01-02T03%253A04%253A05Z%26Version%3D2016-01-20",
        "8TqGEOy7s/FmHmn8dxzFNo9nY0A=",
    ),
];

#[test]
fn rpc() {
    for (name, method, query, body, string_to_sign, signature) in RPC {
        let query = format!("{query}&Signature={}", super::client::encode(signature));
        let call = call(method, &query, &[("content-type", FORM)], body);
        assert_eq!(*v1::string_to_sign(method, &params(&call)), string_to_sign, "{name}");
        assert_eq!(hmac_sha1(SECRET, string_to_sign), signature, "{name}");
        if name == "V1-D" {
            assert_eq!(read(&call).err(), Some(Error::AccessKeyNotFound), "STS is not served");
            continue;
        }
        let signed = verify(&call).expect(name);
        assert_eq!(signed.claim.scheme, Scheme::HmacSha1, "{name}");
        assert_eq!(signed.claim.access_key.as_str(), "testid", "{name}");
        assert_eq!(signed.claim.nonce, if name == "V1-A" { signature } else { NONCE }, "{name}");
        let other = signed.claim.verify(&key("testsecrets")).err();
        assert_eq!(
            other,
            Some(Error::SignatureMismatch { string_to_sign: StringToSign(string_to_sign.to_owned().into()) }),
            "{name}"
        );
    }
}

/// Checks the canonical request's hash and the signature over it.
fn check(name: &str, call: &crate::http::Call, secret: &str, hash: &str, signature: &str) {
    let mut signed: Vec<&str> = call.headers.iter().map(|(name, _)| name.as_str()).collect();
    signed.sort_unstable();
    let payload = call.header("x-acs-content-sha256").expect("hash");
    let canonical = v3::canonical_request(call, &params(call), &signed, payload);
    assert_eq!(sha256(&canonical), hash, "{name}: {}", *canonical);
    assert_eq!(hmac_sha256(secret, &v3::string_to_sign(&canonical)), signature, "{name}");
}

const COMMON: [(&str, &str); 4] =
    [("host", "kms.local"), ("x-acs-date", DATE), ("x-acs-signature-nonce", NONCE), ("x-acs-version", "2016-01-20")];
const TEA: [(&str, &str); 2] = [("accept", "application/json"), ("user-agent", "kms-test/1.0")];

#[test]
fn acs3() {
    let hash = "4fc8575fae0d1260dbb59bdbaff261661ec215ad262eaec446f15450562a3925";
    let mut headers = [&COMMON[..], &TEA[..]].concat();
    headers.extend([
        ("content-type", FORM),
        ("x-acs-action", "CreateSecret"),
        ("x-acs-content-sha256", hash),
        ("x-acs-credentials-provider", "static_ak"),
    ]);
    let query = "Description=%E6%95%B0%E6%8D%AE%E5%BA%93+password&SecretName=app%2Fdb-1&VersionId=v1";
    let mut request = call(Method::Post, query, &headers, BODY);
    let signature = "9e0cfed094d224a72d8d45e2793b15e6c12cce291d9de2a4957e19927a831be1";
    check("V3-A", &request, SECRET, "e3facc0beb6adf8463dc7d6d3d5d4c96e00407883993881256b1b126ad6dbf17", signature);

    let authorization = format!(
        "ACS3-HMAC-SHA256 Credential=testid,SignedHeaders=accept;content-type;host;user-agent;x-acs-action;\
         x-acs-content-sha256;x-acs-credentials-provider;x-acs-date;x-acs-signature-nonce;x-acs-version,Signature={signature}"
    );
    request.headers.push(("authorization".into(), authorization));
    let signed = verify(&request).expect("V3-A");
    assert_eq!(
        (signed.claim.scheme, signed.action.as_str(), signed.claim.nonce.as_str()),
        (Scheme::HmacSha256, "CreateSecret", NONCE)
    );
    assert_eq!(signed.claim.timestamp.to_string(), DATE);

    let mut headers = [&COMMON[..], &TEA[..]].concat();
    headers.extend([
        ("content-type", FORM),
        ("x-acs-accesskey-id", "testid"),
        ("x-acs-action", "GetSecretValue"),
        ("x-acs-content-sha256", EMPTY_HASH),
        ("x-acs-credentials-provider", "static_sts"),
        ("x-acs-security-token", "token+/=value"),
    ]);
    let request = call(Method::Post, "FetchExtendedConfig=True&SecretName=app%2Fdb-1", &headers, "");
    check(
        "V3-B",
        &request,
        SECRET,
        "98fb64c0b5724df25c048fcfd18f7703ed970c0a743f1b59a9bf1aa91cb6bbcb",
        "20398ed08e5109aed18e97194474c5a97474d4c18e1037bee53b45999c955ab8",
    );
    let request = super::client::sign_acs3(request, &[]);
    assert_eq!(read(&request).err(), Some(Error::AccessKeyNotFound), "STS is not served");
}

#[test]
fn acs3_smallest_sets() {
    let mut headers = COMMON.to_vec();
    headers.extend([("x-acs-action", "GetSecretValue"), ("x-acs-content-sha256", EMPTY_HASH)]);
    check(
        "V3-C",
        &call(Method::Post, "SecretName=app%2Fdb-1", &headers, ""),
        SECRET,
        "b114827da895dfb4f743e1ccf85aadc28e8610808980e0663611618d14d64642",
        "a9ee223ca16c5dfcb730cbf06e98b67a47bcea705a93794156f1a72fb80fba69",
    );
    let mut headers = [&COMMON[..], &TEA[..]].concat();
    headers.extend([
        ("x-acs-action", "ListClientKeys"),
        ("x-acs-content-sha256", EMPTY_HASH),
        ("x-acs-credentials-provider", "static_ak"),
    ]);
    check(
        "V3-D",
        &call(Method::Get, "AapName=a%20b", &headers, ""),
        SECRET,
        "5a511d1b4ad28ede006790b044b37fffeded9e0c98fe9b6ec81b845817e7f392",
        "2621b04ef58b767154d034475310925037a39bfa3d158532d2ef611d419e0945",
    );
    let headers = [
        ("host", "ecs.cn-shanghai.aliyuncs.com"),
        ("x-acs-action", "RunInstances"),
        ("x-acs-content-sha256", EMPTY_HASH),
        ("x-acs-date", "2023-10-26T10:22:32Z"),
        ("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d"),
        ("x-acs-version", "2014-05-26"),
    ];
    let query = "ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai";
    check(
        "V3-E",
        &call(Method::Post, query, &headers, ""),
        "YourAccessKeySecret",
        "7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259",
        "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
    );
}
