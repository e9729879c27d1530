//! Bad input: the API's own error, nothing written, no 5xx.

use bulla_test_support::client::{Client, Scheme};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::on_sqlite;

const ACTIONS: [&str; 27] = [
    "AsymmetricDecrypt",
    "AsymmetricEncrypt",
    "AsymmetricSign",
    "AsymmetricVerify",
    "CreateAlias",
    "CreateKey",
    "CreateSecret",
    "Decrypt",
    "DeleteSecret",
    "DescribeKey",
    "DescribeSecret",
    "DisableKey",
    "EnableKey",
    "Encrypt",
    "ExportDataKey",
    "GenerateAndExportDataKey",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateMac",
    "GetPublicKey",
    "GetSecretValue",
    "ListKeys",
    "ListSecrets",
    "ReEncrypt",
    "RestoreSecret",
    "VerifyMac",
    "NoSuchAction",
];

const NAMES: [&str; 29] = [
    "SecretName",
    "VersionId",
    "SecretData",
    "SecretDataType",
    "EncryptionKeyId",
    "Description",
    "Tags",
    "SecretType",
    "EnableAutomaticRotation",
    "VersionStage",
    "DryRun",
    "PageNumber",
    "PageSize",
    "FetchTags",
    "Filters",
    "RecoveryWindowInDays",
    "KeyId",
    "AliasName",
    "KeySpec",
    "Algorithm",
    "CiphertextBlob",
    "Digest",
    "EncryptionContext",
    "EncryptionContext.1.Key",
    "KeyVersionId",
    "Message",
    "NumberOfBytes",
    "Plaintext",
    "Unknown",
];

/// Values that fit nowhere, or only somewhere.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("acs/reserved".to_owned()),
        Just("acs:kms:cn-hangzhou:1:secret/x".to_owned()),
        Just("alias/none".to_owned()),
        Just("[{\"TagKey\":\"\",\"TagValue\":1}]".to_owned()),
        Just("-1".to_owned()),
        Just("99999999999999999999".to_owned()),
        Just("\u{0}\u{7}".to_owned()),
        Just("x".repeat(400)),
        "\\PC{0,40}",
        "[a-z/]{1,8}",
    ]
}

fn check(client: &Client, action: &str, parameters: &[(&str, String)], xml: bool) -> Result<(), TestCaseError> {
    let parameters: Vec<(&str, &str)> = parameters.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let request = client.request(action, &parameters);
    let request = if xml { request.xml() } else { request };
    let answer = request.send().map_err(|e| TestCaseError::fail(e.to_string()))?;
    prop_assert!(answer.status < 500, "{action} {parameters:?}: {} {}", answer.status, answer.code());
    prop_assert!(answer.header("x-acs-request-id").is_some());
    if !xml && answer.status >= 400 {
        prop_assert!(!answer.code().is_empty() && !answer.text("Message").is_empty() && !answer.text("RequestId").is_empty());
    }
    Ok(())
}

#[test]
fn twenty_thousand_random_requests_never_give_a_fault() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let strategy = (
        prop::sample::select(ACTIONS.as_slice()),
        prop::collection::vec((prop::sample::select(NAMES.as_slice()), value()), 0..6),
        any::<bool>(),
    );
    let mut runner = TestRunner::new(Config { cases: 20_000, failure_persistence: None, ..Config::default() });
    // A key takes the token a tenth of a second: what would be a good CreateKey is left out.
    runner
        .run(&strategy, |(action, parameters, xml)| match action {
            "CreateKey" if !parameters.iter().any(|(n, v)| *n == "KeySpec" && !v.is_empty()) => Ok(()),
            _ => check(&client, action, &parameters, xml),
        })
        .expect("no fault");
}

#[test]
fn each_kind_of_bad_parameter_has_its_code() {
    let (_folder, server) = on_sqlite();
    let good = [("SecretName", "n"), ("VersionId", "v"), ("SecretData", "d")];
    let long = "x".repeat(30_721);
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    let cases: [Case<'_>; 8] = [
        ("missing", &[("SecretName", "n"), ("VersionId", "v")], "MissingParameter"),
        ("repeated", &[("SecretName", "m"), good[0], good[1], good[2]], "InvalidParameter"),
        ("over-long", &[good[0], good[1], ("SecretData", &long)], "InvalidParameter"),
        ("empty", &[good[0], good[1], ("SecretData", "")], "InvalidParameter"),
        ("mistyped", &[good[0], good[1], good[2], ("EnableAutomaticRotation", "perhaps")], "InvalidParameter"),
        ("no word", &[good[0], good[1], good[2], ("SecretDataType", "jpeg")], "InvalidParameter"),
        ("bad JSON", &[good[0], good[1], good[2], ("Tags", "[")], "InvalidParameter"),
        ("no key", &[good[0], good[1], good[2], ("EncryptionKeyId", "alias/none")], "Forbidden.AliasNotFound"),
    ];
    // Signed over every value that is sent; the RPC scheme signs one of them, so a repetition fails there by its signature.
    let client = server.client().with_scheme(Scheme::Acs3);
    for (what, parameters, code) in cases {
        assert_eq!(client.call("CreateSecret", parameters).code(), code, "{what}");
    }
    assert_eq!(client.call("ListSecrets", &[]).ok().json["TotalCount"], 0, "nothing was written");
    let unknown = [good[0], good[1], good[2], ("SomethingElse", "ignored")];
    client.call("CreateSecret", &unknown).ok();
}
