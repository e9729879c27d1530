//! Lists, batches and metadata of secrets through HTTP.

use bulla_test_support::client::{Answer, Client};
use serde_json::{Value, json};

use crate::{create, on_postgres, on_sqlite};

fn names(answer: Answer) -> Vec<String> {
    let listed = answer.ok().json;
    let secrets = listed["SecretList"]["Secret"].as_array().expect("a list");
    secrets.iter().map(|s| s["SecretName"].as_str().expect("a text").to_owned()).collect()
}

fn filtered(client: &Client, filters: &Value) -> Answer {
    client.call("ListSecrets", &[("Filters", &filters.to_string())])
}

#[test]
fn filters_of_lists() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    for (name, description, env) in [("a", "blue", "prod"), ("b", "", "prod"), ("c", "blue", "test")] {
        let tags = json!([{"TagKey": "env", "TagValue": env}, {"TagKey": "only", "TagValue": name}]).to_string();
        let value = [("VersionId", "v1"), ("SecretData", "x"), ("Description", description), ("Tags", &tags)];
        let instance: &[_] = if name == "c" { &[("DKMSInstanceId", "kst-c")] } else { &[] };
        client.call("CreateSecret", &[&[("SecretName", name)], &value[..], instance].concat()).ok();
    }
    client.call("DeleteSecret", &[("SecretName", "b")]).ok();
    let pair = |key: &str, values: &[&str]| json!({"Key": key, "Values": values});
    let table: &[(Value, &[&str])] = &[
        (json!([]), &["a", "b", "c"]),
        (json!([pair("SecretName", &["c", "a", "x"])]), &["a", "c"]),
        (json!([pair("SecretName", &["c"]), pair("SecretName", &["a"])]), &["a", "c"]),
        (json!([pair("SecretName", &[])]), &["a", "b", "c"]),
        (json!([{"Key": "SecretName"}]), &["a", "b", "c"]),
        (json!([pair("Description", &["blue"])]), &["a", "c"]),
        (json!([pair("Description", &["blu"])]), &[]),
        (json!([pair("TagKey", &["env"]), pair("TagValue", &["prod"])]), &["a", "b"]),
        (json!([pair("TagKey", &["only"]), pair("TagValue", &["prod"])]), &[]),
        (json!([pair("TagValue", &["a", "test"])]), &["a", "c"]),
        (json!([pair("TagValue", &["test"]), pair("Description", &["blue"]), pair("SecretName", &["a", "c"])]), &["c"]),
        (json!([pair("SecretType", &["GENERIC"])]), &["a", "b", "c"]),
        (json!([pair("SecretType", &["Redis"])]), &[]),
        (json!([pair("DKMSInstanceId", &["kst-1"]), pair("SecretType", &["Generic"])]), &[]),
        (json!([pair("DKMSInstanceId", &["kst-1", "no id", "kst-c"])]), &["c"]),
        (json!([pair("Creator", &["x"])]), &[]),
    ];
    for (filters, expected) in table {
        let answer = filtered(&client, filters).ok();
        assert_eq!(answer.json["TotalCount"], expected.len(), "{filters}");
        assert_eq!(names(answer), *expected, "{filters}");
    }
    let many = vec!["a"; 11];
    let wrong = [
        json!([pair("Name", &["a"])]),
        json!([pair("secretname", &["a"])]),
        json!([pair("SecretName", &["a b"])]),
        json!([pair("SecretNamePrefix", &[""])]),
        json!([pair("SecretNamePrefix", &["a%"])]),
        json!([pair("SecretName", &many)]),
        json!([pair("Description", &[""])]),
        json!([pair("TagKey", &["x".repeat(257).as_str()])]),
        json!(vec![pair("SecretName", &["a"]); 11]),
        json!({"Key": "SecretName", "Values": ["a"]}),
        json!("SecretName"),
    ];
    for filters in wrong {
        let refused = filtered(&client, &filters);
        assert_eq!((refused.status, refused.code()), (400, "InvalidParameter"), "{filters}");
    }

    // Pages keep the number of all matches; tags come on demand, also where there are none.
    create(&client, "bare", "x").ok();
    let page = [("PageNumber", "2"), ("PageSize", "2"), ("FetchTags", "true")];
    let listed = client.call("ListSecrets", &page).ok().json;
    assert_eq!(listed["TotalCount"], 4);
    let secrets = listed["SecretList"]["Secret"].as_array().expect("a list");
    assert_eq!(secrets[0]["Tags"], json!({"Tag": []}));
    let tags = json!([{"TagKey": "env", "TagValue": "test"}, {"TagKey": "only", "TagValue": "c"}]);
    assert_eq!(secrets[1]["Tags"], json!({ "Tag": tags }));
    let past = client.call("ListSecrets", &[("PageNumber", "9")]).ok().json;
    assert_eq!((&past["TotalCount"], &past["SecretList"]), (&json!(4), &json!({"Secret": []})));
    let plain = client.call("ListSecrets", &[]).ok().json;
    assert!(plain["SecretList"]["Secret"][0]["Tags"].is_null());
    assert!(plain["SecretList"]["Secret"][1]["PlannedDeleteTime"].is_string(), "deleted, and listed in its window");
}

/// Prefixes are of bytes: no letter case, no pattern, and other filters narrow them.
#[test]
fn names_by_how_they_begin() {
    for (_folder, server) in [on_sqlite(), on_postgres()] {
        let client = server.client();
        let made =
            ["App/x", "ap", "app", "app-2/a", "app/", "app/a", "app/b", "app/z~".trim_end_matches('~'), "app0", "b", "zz/1"];
        for name in made {
            create(&client, name, "x").ok();
        }
        let begun = |prefixes: &[&str]| json!([{"Key": "SecretNamePrefix", "Values": prefixes}]);
        let table: &[(Value, &[&str])] = &[
            (begun(&["app/"]), &["app/", "app/a", "app/b", "app/z"]),
            (begun(&["app"]), &["app", "app-2/a", "app/", "app/a", "app/b", "app/z", "app0"]),
            (begun(&["App"]), &["App/x"]),
            (begun(&["zz", "b", "app/a"]), &["app/a", "b", "zz/1"]),
            (begun(&["app_"]), &[]),
            (begun(&["acs/"]), &[]),
            (begun(&[]), &["App/x", "ap", "app", "app-2/a", "app/", "app/a", "app/b", "app/z", "app0", "b", "zz/1"]),
            (
                json!([{"Key": "SecretNamePrefix", "Values": ["app/"]}, {"Key": "SecretName", "Values": ["app/b", "b"]}]),
                &["app/b"],
            ),
        ];
        for (filters, expected) in table {
            let answer = client.call("ListSecrets", &[("Filters", &filters.to_string()), ("PageSize", "100")]).ok();
            assert_eq!(answer.json["TotalCount"], expected.len(), "{filters}");
            assert_eq!(names(answer), *expected, "{filters}");
        }
    }
}

/// Terraform compares what it configured with what it reads, and would make anew what differs.
#[test]
fn an_instance_that_was_named_is_shown_again() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let instance = ("DKMSInstanceId", "kst-hzz62b");
    let value = [("SecretName", "s"), ("VersionId", "v1"), ("SecretData", "x"), instance];
    assert_eq!(client.call("CreateSecret", &value).ok().json["DKMSInstanceId"], instance.1);
    assert_eq!(client.call("DescribeSecret", &[("SecretName", "s")]).ok().json["DKMSInstanceId"], instance.1);
    let key = client.call("CreateKey", &[instance]).ok().json["KeyMetadata"].clone();
    assert_eq!(key["DKMSInstanceId"], instance.1);
    let id = key["KeyId"].as_str().expect("an id");
    assert_eq!(client.call("DescribeKey", &[("KeyId", id)]).ok().json["KeyMetadata"]["DKMSInstanceId"], instance.1);
    let filter = r#"[{"Key":"DKMSInstanceId","Values":["kst-hzz62b"]}]"#;
    assert_eq!(client.call("ListKeys", &[("Filters", filter)]).ok().json["TotalCount"], 1);
    for (operation, more) in [("CreateKey", &[][..]), ("CreateSecret", &value[..3])] {
        let without = client.call(operation, &[more, &[("DKMSInstanceId", "")]].concat());
        assert!(without.status == 200 || without.code() == "Rejected.ResourceExist", "{operation}: empty is not given");
        let wrong = client.call(operation, &[more, &[("DKMSInstanceId", "a b")]].concat());
        assert_eq!((wrong.status, wrong.code()), (400, "InvalidParameter"), "{operation}");
    }
}

#[test]
fn values_of_many_secrets() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    for name in ["mine/a", "mine/b", "other", "gone"] {
        create(&client, name, &format!("value of {name}")).ok();
    }
    client.call("PutSecretValue", &[("SecretName", "mine/a"), ("VersionId", "v2"), ("SecretData", "second")]).ok();
    client.call("DeleteSecret", &[("SecretName", "gone")]).ok();
    let batch = |client: &Client, list: &Value| client.call("BatchGetSecretValue", &[("SecretsList", &list.to_string())]);

    let arn = format!("acs:kms:{}:{}:secret/other", server.ready.region_id, server.ready.account_id);
    let list = json!([
        {"SecretName": "mine/a", "FetchExtendedConfig": "true"},
        {"SecretName": "mine/b", "VersionId": "v1"},
        {"SecretName": arn, "VersionStage": "ACSCurrent"},
        {"SecretName": "gone"},
        {"SecretName": "never"},
    ]);
    let answer = batch(&client, &list).ok().json;
    let values = answer["SecretValues"].as_array().expect("a list");
    let shown = |v: &Value| json!([v["SecretName"], v["VersionId"], v["SecretData"], v["VersionStages"]["VersionStage"]]);
    assert_eq!(
        values.iter().map(shown).collect::<Vec<_>>(),
        [
            json!(["mine/a", "v2", "second", ["ACSCurrent"]]),
            json!(["mine/b", "v1", "value of mine/b", ["ACSCurrent"]]),
            json!(["other", "v1", "value of other", ["ACSCurrent"]]),
        ]
    );
    let errors = answer["Errors"].as_array().expect("a list");
    let refused = |e: &Value| json!([e["SecretName"], e["HttpStatus"], e["Code"], e["Message"].is_string()]);
    assert_eq!(
        errors.iter().map(refused).collect::<Vec<_>>(),
        [
            json!(["gone", 409, "Rejected.ResourceInDeleteWindow", true]),
            json!(["never", 404, "Forbidden.ResourceNotFound", true]),
        ]
    );

    // A user reads what it may read one by one, and no more.
    server.admin(&["user", "create", "reader"]);
    let policy = json!({"Version": "1", "Statement": [
        {"Effect": "Allow", "Action": ["kms:GetSecretValue"], "Resource": ["acs:kms:*:*:secret/mine/*"]}]});
    let file = server.data().join("policy.json");
    std::fs::write(&file, policy.to_string()).expect("writable");
    server.admin(&["policy", "create", "readers", "--document", file.to_str().expect("UTF-8")]);
    server.admin(&["policy", "attach", "readers", "--user", "reader"]);
    let key = server.admin(&["access-key", "create", "--user", "reader"]);
    let text = |name: &str| key[name].as_str().expect("shown").to_owned();
    let reader = Client::new(&server.ready.endpoint, &text("AccessKeyId"), &text("AccessKeySecret"));
    let answer = batch(&reader, &json!([{"SecretName": "mine/b"}, {"SecretName": "other"}, {"SecretName": "never"}])).ok();
    let request = answer.text("RequestId").to_owned();
    assert_eq!(answer.json["SecretValues"][0]["SecretData"], "value of mine/b");
    let codes: Vec<_> = answer.json["Errors"].as_array().expect("a list").iter().map(|e| e["Code"].clone()).collect();
    assert_eq!(codes, ["Forbidden.NoPermission", "Forbidden.NoPermission"], "whether there is such a secret is not told");

    // Every entry has a line in the audit log, before the line of the whole.
    let audit = std::fs::read_to_string(server.data().join("audit/audit.jsonl")).expect("the audit log");
    let lines = audit.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let of_request: Vec<_> = lines
        .filter(|line| line["request_id"] == request)
        .map(|line| {
            json!([line["kind"], line["action"], line["resource"].as_str().and_then(|r| r.rsplit(':').next()), line["code"]])
        })
        .collect();
    let action = "BatchGetSecretValue";
    assert_eq!(
        of_request,
        [
            json!(["read", action, "secret/mine/b", "OK"]),
            json!(["refused", action, "secret/other", "Forbidden.NoPermission"]),
            json!(["refused", action, "secret/never", "Forbidden.NoPermission"]),
            json!(["read", action, null, "OK"]),
        ]
    );

    let many: Vec<_> = (0..21).map(|n| json!({"SecretName": format!("s{n}")})).collect();
    for wrong in
        [json!([]), json!(many), json!([{"SecretName": "a"}, {"SecretName": "a"}]), json!([{"VersionId": "v1"}]), json!("a")]
    {
        assert_eq!(batch(&client, &wrong).code(), "InvalidParameter", "{wrong}");
    }
    assert_eq!(client.call("BatchGetSecretValue", &[]).code(), "MissingParameter");

    // The same name in another account is another secret; the ARN of one's own is the same.
    let arn = |account: &str| format!("acs:kms:cn-hangzhou:{account}:secret/mine/b");
    let elsewhere = arn("1000000000000009");
    let both = batch(&client, &json!([{"SecretName": elsewhere}, {"SecretName": "mine/b"}])).ok();
    assert_eq!(both.json["SecretValues"][0]["SecretName"], "mine/b");
    let refused = &both.json["Errors"][0];
    assert_eq!((&refused["SecretName"], &refused["Code"]), (&json!(elsewhere), &json!("Forbidden.NoPermission")));
    let twice = json!([{"SecretName": arn(&server.ready.account_id)}, {"SecretName": "mine/b"}]);
    assert_eq!(batch(&client, &twice).code(), "InvalidParameter");
}

#[test]
fn metadata() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    create(&client, "s", "x").ok();
    let describe = || client.call("DescribeSecret", &[("SecretName", "s")]).ok().json;
    assert!(describe()["Description"].is_null(), "absent while there is none");
    let update = |parameters: &[(&str, &str)]| client.call("UpdateSecret", &[&[("SecretName", "s")], parameters].concat());
    let before = describe();
    update(&[]).ok();
    assert_eq!(describe()["UpdateTime"], before["UpdateTime"]);
    // The text form has whole seconds.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    update(&[("Description", "数据 & <b>")]).ok();
    let after = describe();
    assert_eq!(after["Description"], "数据 & <b>");
    assert_ne!(after["UpdateTime"], before["UpdateTime"]);
    assert_eq!(after["CreateTime"], before["CreateTime"]);
    update(&[("Description", "")]).ok();
    assert!(describe()["Description"].is_null());
    // Generic secrets have no ExtendedConfig: it is without effect, in either form.
    for custom in ["ExtendedConfig.CustomData", "ExtendedConfig.CustomData.a"] {
        update(&[(custom, "{\"a\":\"b\"}"), ("Description", custom)]).ok();
        assert_eq!(describe()["Description"], custom);
        assert!(describe()["ExtendedConfig"].is_null());
    }
}
