//! What existing clients send, and what people need to read in the answers.

use bulla_test_support::client::{Answer, Client};
use serde_json::{Value, json};

use crate::api::policies::user;
use crate::{create, on_sqlite};

fn told(answer: &Answer) -> (&str, &str) {
    (answer.code(), answer.text("Message"))
}

/// A GET of the RPC scheme has no Authorization header, so that a shared cache might keep its answer.
#[test]
fn no_cache_may_keep_an_answer() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    create(&client, "a", "x").ok();
    let kept = |answer: &Answer| assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
    let read = |secret| client.request("GetSecretValue", &[("SecretName", secret)]).get().send().expect("an answer");
    kept(&read("a"));
    kept(&read("none"));
    for raw in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", "no HTTP at all\r\n\r\n"] {
        kept(&client.send_raw(raw.as_bytes()).expect("an answer"));
    }
    kept(&client.page("/healthz"));
}

/// A 403 says who lacks which permission, and nothing that depends on what there is.
#[test]
fn a_refusal_names_the_permission_that_is_missing() {
    let (_folder, server) = on_sqlite();
    let root = server.client();
    let key = root.call("CreateKey", &[]).ok().json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned();
    create(&root, "plain", "x").ok();
    let sealed = [("SecretName", "sealed"), ("VersionId", "v1"), ("SecretData", "x"), ("EncryptionKeyId", &*key)];
    root.call("CreateSecret", &sealed).ok();
    let reads =
        r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":["kms:GetSecretValue","kms:CreateSecret"],"Resource":"*"}]}"#;
    let (nobody, reader) = (user(&server, "nobody", &[]), user(&server, "reader", &[reads]));
    let denied = |client: &Client, action: &str, parameters: &[(&str, &str)], permission: &str, who: &str| {
        let answer = client.call(action, parameters);
        assert_eq!((answer.status, answer.code()), (403, "Forbidden.NoPermission"), "{answer:?}");
        let detail = json!({
            "AuthAction": permission, "AuthPrincipalType": "SubUser", "AuthPrincipalDisplayName": who,
            "AuthPrincipalOwnerId": server.ready.account_id,
        });
        assert_eq!(answer.json["AccessDeniedDetail"], detail);
        let message = answer.text("Message");
        assert!(message.contains(permission) && message.contains(&format!("user/{who}")), "{message}");
        let mut body = answer.json;
        body.as_object_mut().expect("an object").remove("RequestId");
        body
    };
    let read = |name| denied(&nobody, "GetSecretValue", &[("SecretName", name)], "kms:GetSecretValue", "nobody");
    assert_eq!(read("plain"), read("none"), "whether a thing exists is told to nobody");
    let describe = |key| denied(&nobody, "DescribeKey", &[("KeyId", key)], "kms:DescribeKey", "nobody");
    assert_eq!(describe(&key), describe("00000000-0000-4000-8000-000000000000"));
    // The second of two permissions.
    denied(&reader, "GetSecretValue", &[("SecretName", "sealed")], "kms:Decrypt", "reader");
    let new = [("SecretName", "new"), ("VersionId", "v1"), ("SecretData", "x"), ("EncryptionKeyId", &*key)];
    denied(&reader, "CreateSecret", &new, "kms:GenerateDataKey", "reader");
    let xml = nobody.request("ListSecrets", &[]).xml().send().expect("an answer");
    let body = String::from_utf8(xml.body).expect("UTF-8");
    assert!(body.contains("<AccessDeniedDetail><AuthAction>kms:ListSecrets</AuthAction>"), "{body}");
}

/// An empty parameter is one that the SDK's caller left out, wherever it stands.
#[test]
fn empty_is_not_given() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    create(&client, "a", "x").ok();
    let key = client.call("CreateKey", &[("Origin", ""), ("KeySpec", ""), ("RotationInterval", ""), ("Tags", "")]).ok();
    let key = key.json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned();
    let (secret, key) = (("SecretName", "a"), ("KeyId", &*key));
    let policy = client.call("GetSecretPolicy", &[secret]).ok().text("Policy").to_owned();
    let key_policy = client.call("GetKeyPolicy", &[key]).ok().text("Policy").to_owned();
    let blob = client.call("Encrypt", &[key, ("Plaintext", "eA==")]).ok().text("CiphertextBlob").to_owned();
    let none = [("PolicyName", "")];
    let calls: &[(&str, &[(&str, &str)])] = &[
        ("GetSecretPolicy", &[secret, none[0]]),
        ("SetSecretPolicy", &[secret, none[0], ("Policy", &policy)]),
        ("GetKeyPolicy", &[key, none[0]]),
        ("SetKeyPolicy", &[key, none[0], ("Policy", &key_policy)]),
        ("TagResource", &[key, ("SecretName", ""), ("CertificateId", ""), ("Tags", r#"[{"TagKey":"k","TagValue":""}]"#)]),
        ("ListTagResources", &[("RegionId", ""), ("ResourceType", "key"), ("ResourceId.1", key.1), ("NextToken", "")]),
        ("GetSecretValue", &[secret, ("VersionId", ""), ("VersionStage", ""), ("FetchExtendedConfig", ""), ("Recipient", "")]),
        ("CreateApplicationAccessPoint", &[("Name", "p"), ("Policies", "[]"), ("AuthenticationMethod", "")]),
        ("Decrypt", &[("CiphertextBlob", &blob), ("EncryptionContext", "")]),
        ("Decrypt", &[("CiphertextBlob", &blob), ("EncryptionContext", "null")]),
        ("ListSecrets", &[("Filters", ""), ("PageSize", ""), ("FetchTags", "")]),
    ];
    for (action, parameters) in calls {
        let answer = client.call(action, parameters);
        assert_eq!(answer.status, 200, "{action} {parameters:?}: {answer:?}");
    }
    for member in ["VersionId", "VersionStage", "FetchExtendedConfig", "Recipient"] {
        for nothing in [json!(""), Value::Null] {
            let list = json!([{"SecretName": "a", member: nothing}]).to_string();
            let answer = client.call("BatchGetSecretValue", &[("SecretsList", &list)]).ok();
            assert_eq!(answer.json["SecretValues"][0]["SecretData"], "x", "{list}");
        }
    }
}

/// An entry of a batch that is not understood does not cost the others their answer.
#[test]
fn an_ill_formed_entry_is_an_error_of_its_own() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    create(&client, "good", "x").ok();
    for wrong in [
        json!({"SecretName": "not a name"}),
        json!({"SecretName": ""}),
        json!({"SecretName": "other", "VersionId": "v".repeat(65)}),
        json!({"SecretName": "other", "VersionStage": 7}),
        json!({"SecretName": "other", "FetchExtendedConfig": "maybe"}),
    ] {
        let list = json!([{"SecretName": "good"}, wrong]).to_string();
        let answer = client.call("BatchGetSecretValue", &[("SecretsList", &list)]).ok();
        assert_eq!(answer.json["SecretValues"][0]["SecretData"], "x", "{list}");
        let error = &answer.json["Errors"][0];
        assert_eq!(error["SecretName"], wrong["SecretName"]);
        assert_eq!((&error["Code"], &error["HttpStatus"]), (&"InvalidParameter".into(), &400.into()), "{list}");
        assert!(error["Message"].as_str().is_some_and(|text| text.contains("This entry is not understood")), "{error}");
    }
}

/// Declarative clients send their whole configuration; what has no effect must not stop the call.
#[test]
fn what_has_no_effect_is_ignored() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    create(&client, "a", "x").ok();
    let key = client.call("CreateKey", &[("EnableAutomaticRotation", "false"), ("RotationInterval", "365d")]).ok();
    let key = key.json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned();
    let key = ("KeyId", &*key);
    let calls: &[(&str, &[(&str, &str)])] = &[
        ("SetDeletionProtection", &[key, ("EnableDeletionProtection", "false"), ("DeletionProtectionDescription", "why")]),
        ("SetDeletionProtection", &[key, ("ProtectedResourceArn", key.1), ("EnableDeletionProtection", "false")]),
        ("UpdateRotationPolicy", &[key, ("EnableAutomaticRotation", "false"), ("RotationInterval", "365d")]),
        ("UpdateKeyDescription", &[key, ("Description", "before")]),
        ("UpdateKeyDescription", &[key]),
        ("TagResources", &[("RegionId", "cn-elsewhere"), ("ResourceType", "key"), ("ResourceId.1", key.1), ("Tag.1.Key", "k")]),
        ("ListTagResources", &[("RegionId", "cn-elsewhere"), ("ResourceType", "key"), ("ResourceId.1", key.1)]),
        ("ListKmsInstances", &[("PageNumber", "1"), ("PageSize", "50")]),
    ];
    for (action, parameters) in calls {
        let answer = client.call(action, parameters);
        assert_eq!(answer.status, 200, "{action} {parameters:?}: {answer:?}");
    }
    let shown = client.call("DescribeKey", &[key]).ok().json["KeyMetadata"].clone();
    assert_eq!((&shown["Description"], &shown["DeletionProtectionDescription"]), (&"".into(), &"".into()));
    let none = client.call("ListKmsInstances", &[]).ok().json;
    assert_eq!((&none["TotalCount"], &none["KmsInstances"]), (&0.into(), &json!({"KmsInstance": []})));
}

/// One can act on a text without reading the source.
#[test]
fn texts_say_what_would_be_right() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    create(&client, "a", "x").ok();
    let statement = |more: &str| {
        format!(r#"{{"Version":"1","Statement":[{{"Effect":"Allow","Principal":{{"RAM":"acs:ram::1:user/ann"}},{more}}}]}}"#)
    };
    let good = r#""Action":"kms:GetSecretValue","Resource":"*""#;
    let policies = [
        ("{}".to_owned(), "Version is missing"),
        ("no JSON".to_owned(), "not valid JSON"),
        (statement(good).replace("Allow", "allow"), r#"statement 1, Effect: must be "Allow" or "Deny""#),
        (statement(&format!(r#"{good},"Extra":1"#)), "unknown member \"Extra\"; known are"),
        (statement(&format!(r#"{good},"NotAction":"*""#)), "NotAction is not supported"),
        (statement(&format!(r#"{good},"Resource":"*""#)), "the member \"Resource\" is given twice"),
        (statement(r#""Action":"kms:GetSecretValue""#), "statement 1: Resource is missing"),
    ];
    for (policy, why) in &policies {
        let answer = client.call("SetSecretPolicy", &[("SecretName", "a"), ("Policy", policy)]);
        let (code, text) = told(&answer);
        assert_eq!(code, "InvalidParameter", "{policy}");
        assert!(text.contains("\"Policy\"") && text.contains(why), "{policy}: {text}");
    }

    let missing = "Forbidden.ResourceNotFound";
    let invalid = "InvalidParameter";
    let (name, version) = (("SecretName", "a"), ("VersionId", "v2"));
    type Call<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, &'a str);
    let calls: &[Call<'_>] = &[
        ("GetSecretValue", &[("SecretName", "none")], missing, "no secret of this name"),
        ("GetSecretValue", &[name, version], missing, "no such version"),
        ("GetSecretValue", &[name, ("VersionStage", "blue")], missing, "has this label"),
        ("GetSecretValue", &[name, ("VersionStage", "acscurrent")], invalid, "ACSCurrent"),
        ("GetSecretPolicy", &[name, ("PolicyName", "mine")], missing, "named default"),
        (
            "CreatePolicy",
            &[
                ("Name", "p"),
                ("Permissions", r#"["RbacPermission/Template/CryptoServiceSecretUser"]"#),
                ("Resources", r#"["secret/*"]"#),
                ("AccessControlRules", r#"{"NetworkRules":["office"]}"#),
            ],
            missing,
            "no network rule office",
        ),
        ("CreateApplicationAccessPoint", &[("Name", "p"), ("Policies", r#"["reading"]"#)], missing, "no policy reading"),
        ("DescribeApplicationAccessPoint", &[("Name", "p")], missing, "no access point p"),
        (
            "CreateSecret",
            &[("SecretName", "a b"), ("VersionId", "v1"), ("SecretData", "x")],
            invalid,
            "It must be 1 to 192 letters",
        ),
        (
            "CreateSecret",
            &[("SecretName", "b"), ("VersionId", "v1"), ("SecretData", &"x".repeat(30_721))],
            invalid,
            "1 to 30720 bytes",
        ),
        ("DeleteSecret", &[name, ("RecoveryWindowInDays", "3")], invalid, "from 7 to 30"),
        ("ListSecrets", &[("PageSize", "101")], invalid, "from 1 to 100"),
        ("ListSecrets", &[("PageSize", "-1")], invalid, "from 1 to 100"),
        ("ListSecrets", &[("Filters", r#"[{"Key":"Name","Values":["a"]}]"#)], invalid, "SecretName"),
        ("ListKeys", &[("Filters", r#"[{"Key":"State","Values":["a"]}]"#)], invalid, "KeyState"),
        ("TagResource", &[name, ("Tags", r#"[{"TagKey":"acs:x","TagValue":""}]"#)], invalid, "\"Tags\""),
        ("CreateKey", &[("KeySpec", "AES")], invalid, "Aliyun_AES_256"),
        ("CreateKey", &[("Origin", "Here")], invalid, "one of Aliyun_KMS EXTERNAL"),
        ("Decrypt", &[("CiphertextBlob", "QQ==")], invalid, "\"CiphertextBlob\""),
    ];
    for (action, parameters, code, why) in calls {
        let answer = client.call(action, parameters);
        assert_eq!(answer.code(), *code, "{action} {parameters:?}");
        assert!(answer.text("Message").contains(why), "{action} {parameters:?}: {}", answer.text("Message"));
    }

    let late = client.request("ListSecrets", &[]).timestamp("2020-01-01T00:00:00Z").send().expect("an answer");
    assert_eq!(late.code(), "InvalidTimeStamp.Expired");
    assert!(late.text("Message").contains("behind the server's clock; 900 are allowed"), "{late:?}");
}
