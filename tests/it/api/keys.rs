//! Operations on keys through HTTP: what the tests of the parts below do not see.

use bulla_test_support::client::{Answer, Client};
use bulla_test_support::server::Server;
use serde_json::Value;

use crate::on_sqlite;

fn make(client: &Client, parameters: &[(&str, &str)]) -> Value {
    client.call("CreateKey", parameters).ok().json["KeyMetadata"].clone()
}

fn id(key: &Value) -> &str {
    key["KeyId"].as_str().expect("an id")
}

fn describe(client: &Client, key: &Value) -> Value {
    client.call("DescribeKey", &[("KeyId", id(key))]).ok().json["KeyMetadata"].clone()
}

/// A user's client, with this policy.
fn user(server: &Server, name: &str, statements: &str) -> Client {
    let document = server.data().join(format!("{name}.json"));
    std::fs::write(&document, format!("{{\"Version\":\"1\",\"Statement\":[{statements}]}}")).expect("writable");
    server.admin(&["user", "create", name]);
    server.admin(&["policy", "create", name, "--document", &document.to_string_lossy()]);
    server.admin(&["policy", "attach", name, "--user", name]);
    let key = server.admin(&["access-key", "create", "--user", name]);
    let text = |field: &str| key[field].as_str().expect("shown").to_owned();
    server.client_as(&text("AccessKeyId"), &text("AccessKeySecret"))
}

#[test]
fn metadata_tells_rotation_protection_and_deletion() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let key = make(
        &client,
        &[
            ("EnableAutomaticRotation", "true"),
            ("RotationInterval", "7d"),
            ("Tags", r#"[{"TagKey":"k","TagValue":"v"}]"#),
            ("ProtectionLevel", "HSM"),
            ("Description", "text"),
        ],
    );
    assert_eq!(key["AutomaticRotation"], "Enabled");
    assert_eq!(key["RotationInterval"], "604800s");
    assert_eq!(key["LastRotationDate"], key["CreationDate"]);
    assert_eq!(key["DeleteDate"], "");
    assert_eq!(key["ProtectionLevel"], "HSM");
    assert!(key["NextRotationDate"].is_string() && key.get("DeletionProtection").is_none());
    let shown = describe(&client, &key);
    assert_eq!((&shown["DeletionProtection"], &shown["DeletionProtectionDescription"]), (&"Disabled".into(), &"".into()));

    let arn = key["Arn"].as_str().expect("an ARN");
    for way in [("ProtectedResourceArn", arn), ("KeyId", id(&key))] {
        let on = [way, ("EnableDeletionProtection", "true"), ("DeletionProtectionDescription", "why")];
        client.call("SetDeletionProtection", &on).ok();
        let shown = describe(&client, &key);
        assert_eq!((&shown["DeletionProtection"], &shown["DeletionProtectionDescription"]), (&"Enabled".into(), &"why".into()));
        let refused = client.call("ScheduleKeyDeletion", &[("KeyId", id(&key)), ("PendingWindowInDays", "7")]);
        assert_eq!((refused.status, refused.code()), (409, "Rejected.StateModifiedFailed"));
        client.call("SetDeletionProtection", &[way, ("EnableDeletionProtection", "false")]).ok();
    }

    client.call("DisableKey", &[("KeyId", id(&key))]).ok();
    let shown = describe(&client, &key);
    assert_eq!((&shown["AutomaticRotation"], &shown["RotationInterval"]), (&"Suspended".into(), &"604800s".into()));
    client.call("ScheduleKeyDeletion", &[("KeyId", id(&key)), ("PendingWindowInDays", "366")]).ok();
    let shown = describe(&client, &key);
    assert_eq!((&shown["KeyState"], &shown["AutomaticRotation"]), (&"PendingDeletion".into(), &"Suspended".into()));
    assert_ne!(shown["DeleteDate"], "");
    client.call("CancelKeyDeletion", &[("KeyId", id(&key))]).ok();
    client.call("UpdateRotationPolicy", &[("KeyId", id(&key)), ("EnableAutomaticRotation", "false")]).ok();
    let shown = describe(&client, &key);
    assert_eq!((&shown["KeyState"], &shown["AutomaticRotation"]), (&"Enabled".into(), &"Disabled".into()));
    assert!(shown.get("RotationInterval").is_none() && shown.get("NextRotationDate").is_none());
}

#[test]
fn parameters_that_no_key_can_have() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let key = make(&client, &[]);
    let key = ("KeyId", id(&key));
    client.call("CreateAlias", &[key, ("AliasName", "alias/a")]).ok();
    let alias = ("KeyId", "alias/a");
    let unknown = ("KeyId", "00000000-0000-4000-8000-000000000000");
    let (on, off) = (("EnableAutomaticRotation", "true"), ("EnableAutomaticRotation", "false"));
    let protect = ("EnableDeletionProtection", "true");
    #[rustfmt::skip]
    let cases = [
        ("CreateKey", vec![on], "MissingParameter"),
        ("CreateKey", vec![on, ("RotationInterval", "6d")], "InvalidParameter"),
        ("CreateKey", vec![("ProtectionLevel", "PAPER")], "InvalidParameter"),
        ("UpdateRotationPolicy", vec![key, on], "MissingParameter"),
        ("UpdateRotationPolicy", vec![key, on, ("RotationInterval", "731d")], "InvalidParameter"),
        ("UpdateRotationPolicy", vec![alias, off], "Unsupported.Alias"),
        ("UpdateRotationPolicy", vec![unknown, off], "Forbidden.KeyNotFound"),
        ("ScheduleKeyDeletion", vec![key], "MissingParameter"),
        ("ScheduleKeyDeletion", vec![key, ("PendingWindowInDays", "6")], "InvalidParameter"),
        ("ScheduleKeyDeletion", vec![key, ("PendingWindowInDays", "367")], "InvalidParameter"),
        ("ScheduleKeyDeletion", vec![alias, ("PendingWindowInDays", "7")], "Unsupported.Alias"),
        ("CancelKeyDeletion", vec![unknown], "Forbidden.KeyNotFound"),
        ("SetDeletionProtection", vec![protect], "MissingParameter"),
        ("SetDeletionProtection", vec![key], "MissingParameter"),
        ("SetDeletionProtection", vec![key, ("ProtectedResourceArn", alias.1), protect], "InvalidParameter"),
        ("CreateKeyVersion", vec![alias], "Unsupported.Alias"),
        ("DescribeKeyVersion", vec![key, ("KeyVersionId", "x")], "Forbidden.KeyVersionNotFound"),
        ("ListKeyVersions", vec![key, ("PageSize", "102")], "InvalidParameter"),
        ("UpdateAlias", vec![key, ("AliasName", "alias/b")], "Forbidden.AliasNotFound"),
        ("DeleteAlias", vec![("AliasName", "alias/b")], "Forbidden.AliasNotFound"),
        ("ListAliasesByKeyId", vec![alias], "Unsupported.Alias"),
        ("ListKeys", vec![("Filters", r#"[{"Key":"State","Values":["Enabled"]}]"#)], "InvalidParameter"),
    ];
    for (operation, parameters, code) in cases {
        assert_eq!(client.call(operation, &parameters).code(), code, "{operation} {parameters:?}");
    }
}

#[test]
fn lists_are_filtered_and_paged() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let plain = make(&client, &[]);
    let tagged = make(&client, &[("KeySpec", "Aliyun_AES_128"), ("Tags", r#"[{"TagKey":"env","TagValue":"test"}]"#)]);
    client.call("DisableKey", &[("KeyId", id(&tagged))]).ok();
    for name in ["alias/b", "alias/a", "alias/c"] {
        client.call("CreateAlias", &[("KeyId", id(&tagged)), ("AliasName", name)]).ok();
    }
    let listed = |filters: &str| -> Vec<String> {
        let answer = client.call("ListKeys", &[("Filters", filters)]).ok();
        let keys = answer.json["Keys"]["Key"].as_array().expect("a list").clone();
        assert_eq!(answer.json["TotalCount"], keys.len());
        keys.iter().map(|key| id(key).to_owned()).collect()
    };
    let (plain, tagged) = (id(&plain), id(&tagged));
    let account = &server.ready.account_id;
    for (filters, expected) in [
        ("[]".to_owned(), vec![plain, tagged]),
        (r#"[{"Key":"KeyState","Values":["Disabled","PendingDeletion"]}]"#.into(), vec![tagged]),
        (r#"[{"Key":"KeyState","Values":["Disabled"]},{"Key":"KeyState","Values":["Enabled"]}]"#.into(), vec![plain, tagged]),
        (r#"[{"Key":"KeySpec","Values":["Aliyun_AES_256"]},{"Key":"KeyState","Values":["Disabled"]}]"#.into(), vec![]),
        (format!(r#"[{{"Key":"keyId","Values":["{plain}","no id"]}}]"#), vec![plain]),
        (r#"[{"Key":"AliasName","Values":["alias/a","alias/x"]}]"#.into(), vec![tagged]),
        (r#"[{"Key":"TagKey","Values":["env"]},{"Key":"TagValue","Values":["test"]}]"#.into(), vec![tagged]),
        (r#"[{"Key":"CreatorType","Values":["User"]}]"#.into(), vec![plain, tagged]),
        (r#"[{"Key":"CreatorType","Values":["Service"]}]"#.into(), vec![]),
        (format!(r#"[{{"Key":"Creator","Values":["{account}"]}}]"#), vec![plain, tagged]),
        (r#"[{"Key":"DKMSInstanceId","Values":["kst-1"]}]"#.into(), vec![]),
        (r#"[{"Key":"KeyUsage","Values":[]}]"#.into(), vec![plain, tagged]),
    ] {
        assert_eq!(listed(&filters), expected, "{filters}");
    }
    let names = |answer: Answer| -> Vec<String> {
        let list = answer.json["Aliases"]["Alias"].as_array().expect("a list").clone();
        list.iter().map(|alias| alias["AliasName"].as_str().expect("a name").to_owned()).collect()
    };
    let page = [("PageSize", "2"), ("PageNumber", "2")];
    assert_eq!(names(client.call("ListAliases", &page).ok()), ["alias/c"]);
    client.call("UpdateAlias", &[("AliasName", "alias/a"), ("KeyId", plain)]).ok();
    assert_eq!(names(client.call("ListAliasesByKeyId", &[("KeyId", tagged)]).ok()), ["alias/b", "alias/c"]);
    assert_eq!(names(client.call("ListAliasesByKeyId", &[("KeyId", plain)]).ok()), ["alias/a"]);
    let versions = client.call("ListKeyVersions", &[("KeyId", plain)]).ok();
    assert_eq!(versions.json["TotalCount"], 1);
}

#[test]
fn aliases_need_permission_on_both_their_keys() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let (old, new) = (make(&client, &[]), make(&client, &[]));
    client.call("CreateAlias", &[("KeyId", id(&old)), ("AliasName", "alias/a")]).ok();
    let allow = |resources: &str| format!(r#"{{"Effect":"Allow","Action":"kms:*Alias","Resource":[{resources}]}}"#);
    let key = |key: &Value| format!("\"acs:kms:*:*:key/{}\"", id(key));
    let half = user(&server, "half", &allow(&format!("\"acs:kms:*:*:alias/*\",{}", key(&new))));
    let whole = user(&server, "whole", &allow(&format!("\"acs:kms:*:*:alias/*\",{},{}", key(&new), key(&old))));
    let take = [("KeyId", id(&new)), ("AliasName", "alias/a")];
    assert_eq!(half.call("UpdateAlias", &take).code(), "Forbidden.NoPermission");
    assert_eq!(half.call("DeleteAlias", &take[1..]).code(), "Forbidden.NoPermission");
    assert_eq!(half.call("DeleteAlias", &[("AliasName", "alias/x")]).code(), "Forbidden.NoPermission", "there is none");
    whole.call("UpdateAlias", &take).ok();
    half.call("DeleteAlias", &take[1..]).ok();
}

#[test]
fn what_a_cloud_has_is_answered_in_the_apis_words() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let nobody = user(&server, "nobody", r#"{"Effect":"Deny","Action":"kms:*","Resource":"*"}"#);
    let regions = nobody.call("DescribeRegions", &[]).ok();
    assert_eq!(regions.json["Regions"]["Region"][0]["RegionId"], server.ready.region_id.as_str());
    assert_eq!(client.call("DescribeAccountKmsStatus", &[]).ok().text("AccountStatus"), "Enabled");
    let opened = client.call("OpenKmsService", &[]);
    assert_eq!((opened.status, opened.code()), (400, "Forbidden.Opened"));
    for operation in ["DescribeAccountKmsStatus", "OpenKmsService", "GetChallenge", "ListKmsInstances"] {
        assert_eq!(nobody.call(operation, &[]).code(), "Forbidden.NoPermission", "{operation}");
    }
    for operation in ["GetKmsInstance", "GetManagedDataKey", "GetChallenge", "UpdateKmsInstanceBindVpc"] {
        let refused = client.call(operation, &[]);
        assert_eq!((refused.status, refused.code()), (400, "UnsupportedOperation"), "{operation}");
        assert!(refused.text("Message").contains("there is no"), "{refused:?}");
    }
}
