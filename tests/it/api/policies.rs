//! Policies of single secrets and keys beside the RAM policies of users, and conditions that ask for tags.

use bulla_test_support::client::{Answer, Client};
use bulla_test_support::server::Server;
use serde_json::{Value, json};

use crate::api::ciphertext_blobs::{another_account, encrypt, new_key};
use crate::{BULLA, create, on_postgres, on_sqlite};

/// A user with these policies attached: system policies by name, or documents.
pub fn user(server: &Server, name: &str, policies: &[&str]) -> Client {
    server.admin(&["user", "create", name]);
    for (i, policy) in policies.iter().enumerate() {
        let mut policy = (*policy).to_owned();
        if policy.starts_with('{') {
            let file = server.data().join(format!("{name}-{i}.json"));
            std::fs::write(&file, &policy).expect("writable");
            policy = format!("{name}-{i}");
            server.admin(&["policy", "create", &policy, "--document", &file.to_string_lossy()]);
        }
        server.admin(&["policy", "attach", &policy, "--user", name]);
    }
    let key = server.admin(&["access-key", "create", "--user", name]);
    let text = |field: &str| key[field].as_str().expect("shown once").to_owned();
    server.client_as(&text("AccessKeyId"), &text("AccessKeySecret"))
}

fn read(client: &Client, secret: &str) -> Answer {
    client.call("GetSecretValue", &[("SecretName", secret)])
}

/// Statements about someone of the server's account (`user/ann`, `*`): effect, who, action.
fn policy(server: &Server, statements: &[(&str, &str, &str)]) -> String {
    let account = &server.ready.account_id;
    let statement = |(effect, who, action): &(&str, &str, &str)| {
        serde_json::json!({
            "Effect": effect, "Principal": {"RAM": [format!("acs:ram::{account}:{who}")]}, "Action": [action], "Resource": ["*"]
        })
    };
    let statements: Vec<_> = statements.iter().map(statement).collect();
    serde_json::json!({ "Version": "1", "Statement": statements }).to_string()
}

fn set(client: &Client, secret: &str, policy: &str) {
    client.call("SetSecretPolicy", &[("SecretName", secret), ("Policy", policy)]).ok();
}

const DENIED: (u16, &str) = (403, "Forbidden.NoPermission");

#[track_caller]
fn denied(answer: &Answer) {
    assert_eq!((answer.status, answer.code()), DENIED, "{:?}", answer.json);
}

/// A policy names people by their names. Nobody comes into what it gives by a name that is free, before or behind its bearer.
#[test]
fn nobody_inherits_a_name_that_a_policy_gives_rights_to() {
    let (_folder, server) = on_sqlite();
    let root = server.client();
    create(&root, "shared", "value").ok();
    server.admin(&["user", "create", "ann"]);
    set(
        &root,
        "shared",
        &policy(&server, &[("Allow", "user/ann", "kms:GetSecretValue"), ("Allow", "user/heir", "kms:GetSecretValue")]),
    );
    for arguments in [["user", "delete", "ann"], ["user", "create", "heir"]] {
        let mut command = std::process::Command::new(BULLA);
        let output = command.args(arguments).arg("--data").arg(server.data()).output().expect("the program is there");
        let said = String::from_utf8_lossy(&output.stderr);
        let why = format!("user \"{}\" is named by the policy of secret/shared; change that first", arguments[2]);
        assert!(!output.status.success() && said.contains(&why), "{arguments:?}: {said}");
    }
    server.admin(&["user", "create", "another"]);
    set(&root, "shared", &policy(&server, &[("Allow", "user/another", "kms:GetSecretValue")]));
    server.admin(&["user", "create", "heir"]);
    server.admin(&["user", "delete", "ann"]);
}

#[test]
fn an_allow_in_either_is_enough_and_a_deny_in_either_refuses() {
    let (_folder, server) = on_sqlite();
    let root = server.client();
    for name in ["shared", "other"] {
        create(&root, name, name).ok();
    }
    let ann = user(&server, "ann", &[]);
    let ben = user(&server, "ben", &["AliyunKMSSecretUserAccess"]);
    denied(&read(&ann, "shared"));
    read(&ben, "shared").ok();

    // The whole account may: that leaves it to RAM policies.
    set(&root, "shared", &policy(&server, &[("Allow", "*", "kms:*")]));
    denied(&read(&ann, "shared"));
    read(&ben, "shared").ok();

    set(&root, "shared", &policy(&server, &[("Allow", "user/ann", "kms:GetSecretValue")]));
    assert_eq!(read(&ann, "shared").ok().text("SecretData"), "shared");
    denied(&read(&ann, "other"));
    denied(&read(&ann, "none"));
    denied(&ann.call("DescribeSecret", &[("SecretName", "shared")]));
    denied(&ann.call("SetSecretPolicy", &[("SecretName", "shared"), ("Policy", &policy(&server, &[("Allow", "*", "kms:*")]))]));
    read(&ben, "shared").ok();

    // From the next request on, also for those whom RAM policies allow it.
    set(&root, "shared", &policy(&server, &[("Allow", "user/ann", "kms:*"), ("Deny", "user/ben", "kms:GetSecretValue")]));
    denied(&read(&ben, "shared"));
    read(&ben, "other").ok();
    ann.call("DescribeSecret", &[("SecretName", "shared")]).ok();

    // The root too; but nobody is locked out of the policy itself.
    set(&root, "shared", &policy(&server, &[("Deny", "root", "kms:*")]));
    for client in [&root, &ann, &ben] {
        denied(&read(client, "shared"));
    }
    denied(&root.call("DeleteSecret", &[("SecretName", "shared")]));
    root.call("GetSecretPolicy", &[("SecretName", "shared")]).ok();
    set(&root, "shared", &policy(&server, &[("Allow", "*", "kms:*")]));
    read(&root, "shared").ok();
    let by = std::fs::read_to_string(server.data().join("audit/audit.jsonl")).expect("the log");
    assert!(by.contains(r#""by":"resource policy""#), "who allowed it is recorded");
}

#[test]
fn a_policy_comes_and_goes_with_its_secret() {
    let (_folder, server) = on_sqlite();
    let root = server.client();
    let ann = user(&server, "ann", &[]);
    let for_ann = policy(&server, &[("Allow", "user/ann", "kms:GetSecretValue")]);
    let secret = [("SecretName", "own"), ("VersionId", "v1"), ("SecretData", "value"), ("Policy", &for_ann)];
    root.call("CreateSecret", &secret).ok();
    read(&ann, "own").ok();
    assert_eq!(root.call("GetSecretPolicy", &[("SecretName", "own")]).ok().text("Policy"), for_ann);
    root.call("DeleteSecret", &[("SecretName", "own"), ("ForceDeleteWithoutRecovery", "true")]).ok();
    create(&root, "own", "another").ok();
    denied(&read(&ann, "own"));
    assert!(root.call("GetSecretPolicy", &[("SecretName", "own")]).ok().text("Policy").contains("kms default secret policy"));
}

#[test]
fn a_key_has_a_policy_with_conditions() {
    let (_folder, server) = on_sqlite();
    keys_have_policies(&server);
}

/// Here a write and the question after a policy would take two of the same connections, if the one were asked inside of the other.
#[test]
fn a_key_has_a_policy_with_conditions_on_postgresql() {
    let (_folder, server) = on_postgres();
    keys_have_policies(&server);
}

fn keys_have_policies(server: &Server) {
    let root = server.client();
    let ann = user(server, "ann", &["AliyunKMSSecretUserAccess"]);
    let cipher = |algorithm: &str| {
        let plain = policy(server, &[("Allow", "user/ann", "kms:Decrypt")]);
        let condition = format!(r#""Condition":{{"StringEquals":{{"kms:EncryptionAlgorithm":"{algorithm}"}}}},"Effect""#);
        plain.replace(r#""Effect""#, &condition)
    };
    let key = root.call("CreateKey", &[("Policy", &cipher("RSAES_OAEP_SHA_256"))]).ok();
    let id = key.json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned();
    let secret = [("SecretName", "sealed"), ("VersionId", "v1"), ("SecretData", "value"), ("EncryptionKeyId", id.as_str())];
    root.call("CreateSecret", &secret).ok();
    denied(&read(&ann, "sealed"));
    root.call("SetKeyPolicy", &[("KeyId", &id), ("Policy", &cipher("SYMMETRIC_DEFAULT"))]).ok();
    read(&ann, "sealed").ok();
    denied(&ann.call("DescribeKey", &[("KeyId", &id)]));
    root.call("SetKeyPolicy", &[("KeyId", &id), ("Policy", &policy(server, &[("Deny", "*", "kms:*")]))]).ok();
    for client in [&root, &ann] {
        denied(&read(client, "sealed"));
        denied(&client.call("DescribeKey", &[("KeyId", &id)]));
    }
    let new = [("SecretName", "new"), ("VersionId", "v1"), ("SecretData", "value"), ("EncryptionKeyId", id.as_str())];
    denied(&root.call("CreateSecret", &new));
    root.call("GetKeyPolicy", &[("KeyId", &id)]).ok();
    root.call("SetKeyPolicy", &[("KeyId", &id), ("Policy", &policy(server, &[("Allow", "*", "kms:*")]))]).ok();
    root.call("CreateSecret", &new).ok();
}

#[test]
fn conditions_ask_for_the_tags_of_now() {
    let (_folder, server) = on_sqlite();
    let root = server.client();
    for name in ["apollo", "bare"] {
        create(&root, name, "value").ok();
    }
    let allow = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:GetSecretValue","Resource":"*",
        "Condition":{"StringEquals":{"kms:tag/Project":"Apollo"}}}]}"#;
    let deny = r#"{"Version":"1","Statement":[{"Effect":"Deny","Action":"kms:*","Resource":"*",
        "Condition":{"StringEquals":{"kms:tag/Secrecy":"top"}}}]}"#;
    let ann = user(&server, "ann", &[allow]);
    let ben = user(&server, "ben", &["AliyunKMSSecretUserAccess", deny]);
    for name in ["apollo", "bare", "none"] {
        denied(&read(&ann, name));
    }
    let tag = |tags: &str| drop(root.call("TagResource", &[("SecretName", "apollo"), ("Tags", tags)]).ok());
    tag(r#"[{"TagKey":"Project","TagValue":"Apollo"}]"#);
    read(&ann, "apollo").ok();
    denied(&read(&ann, "bare"));
    read(&ben, "apollo").ok();
    tag(r#"[{"TagKey":"Secrecy","TagValue":"top"},{"TagKey":"Project","TagValue":"Gemini"}]"#);
    denied(&read(&ann, "apollo"));
    denied(&read(&ben, "apollo"));
    read(&ben, "bare").ok();
}

/// Other accounts may be named in a policy, and are let in by none: neither by the name that they use nor by the ARN.
#[test]
fn a_policy_lets_no_other_account_in() {
    let (_folder, server) = on_sqlite();
    let (root, other) = (server.client(), another_account(&server));
    let theirs = other.call("CreateKey", &[]).ok();
    let arn = theirs.json["KeyMetadata"]["Arn"].as_str().expect("an ARN");
    let account = arn.split(':').nth(3).expect("an account").to_owned();
    let key = new_key(&root, "Aliyun_AES_256");
    create(&root, "shared", "value").ok();
    let blob = encrypt(&root, &key, "QQ==", "");
    let statement = serde_json::json!({
        "Effect": "Allow", "Action": "kms:*", "Resource": "*",
        "Principal": {"RAM": [format!("acs:ram::{account}:*"), format!("acs:ram::{account}:root")]},
    });
    let open = serde_json::json!({ "Version": "1", "Statement": [statement] }).to_string();
    set(&root, "shared", &open);
    root.call("SetKeyPolicy", &[("KeyId", &key), ("Policy", &open)]).ok();

    let arn = |relative: &str| format!("acs:kms:{}:{}:{relative}", server.ready.region_id, server.ready.account_id);
    denied(&other.call("DescribeKey", &[("KeyId", &arn(&format!("key/{key}")))]));
    denied(&other.call("Encrypt", &[("KeyId", &arn(&format!("key/{key}"))), ("Plaintext", "QQ==")]));
    denied(&read(&other, &arn("secret/shared")));
    assert_eq!(read(&other, "shared").code(), "Forbidden.ResourceNotFound");
    assert_eq!(other.call("DescribeKey", &[("KeyId", &key)]).code(), "Forbidden.KeyNotFound");
    let opened = other.call("Decrypt", &[("CiphertextBlob", &blob)]);
    assert_eq!((opened.status, opened.code()), (400, "InvalidParameter"));
    // The owner's root is no principal of that policy, and has its own right.
    read(&root, "shared").ok();
}

/// The lines of a request in the audit log.
fn recorded(server: &Server, answer: &Answer) -> Vec<Value> {
    let log = std::fs::read_to_string(server.data().join("audit/audit.jsonl")).expect("the log");
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["request_id"] == answer.json["RequestId"]).collect()
}

/// Kind, decision, resource and policy of a line.
fn told(line: &Value) -> Value {
    json!([line["kind"], line["decision"], line["resource"], line["by"]])
}

#[test]
fn records_say_what_was_refused_and_by_what() {
    let (_folder, server) = on_sqlite();
    let root = server.client();
    let arn = |what: &str| format!("acs:kms:cn-hangzhou:{}:{what}", server.ready.account_id);
    let deny = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"},
        {"Effect":"Deny","Action":"kms:ListSecrets","Resource":"*"}]}"#;
    let (ann, ben, cid) = (user(&server, "ann", &[]), user(&server, "ben", &[deny]), user(&server, "cid", &[]));

    // What was made is named, and all that was acted on.
    let made = root.call("CreateKey", &[]).ok();
    let id = made.json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned();
    let (key, sealed, open) = (arn(&format!("key/{id}")), arn("secret/sealed"), arn("secret/open"));
    let lines = recorded(&server, &made);
    assert_eq!((&lines[0]["resource"], &lines[1]["resource"]), (&json!(arn("key")), &json!(key)));
    let own = policy(&server, &[("Allow", "user/ann", "kms:*")]);
    let secret =
        [("SecretName", "sealed"), ("VersionId", "v1"), ("SecretData", "x"), ("EncryptionKeyId", &id), ("Policy", &own)];
    root.call("CreateSecret", &secret).ok();
    create(&root, "open", "value").ok();
    let tag = [
        ("RegionId", "cn-hangzhou"),
        ("ResourceType", "secret"),
        ("ResourceId.1", "sealed"),
        ("ResourceId.2", "open"),
        ("Tag.1.Key", "k"),
        ("Tag.1.Value", "v"),
    ];
    for line in recorded(&server, &root.call("TagResources", &tag).ok()) {
        assert_eq!((&line["resource"], &line["resources"]), (&json!(sealed), &json!([sealed, open])));
    }
    let refused = ann.call("TagResources", &tag);
    denied(&refused);
    assert_eq!(recorded(&server, &refused).iter().map(told).collect::<Vec<_>>(), [json!(["refused", "refused", open, null])]);

    // A key that the request does not name.
    let get = read(&ann, "sealed");
    denied(&get);
    let lines = recorded(&server, &get);
    assert_eq!(lines.iter().map(told).collect::<Vec<_>>(), [json!(["refused", "refused", key, null])]);
    assert_eq!(lines[0]["resources"], json!([sealed, key]));
    let dry = ann.call("GetSecretValue", &[("SecretName", "sealed"), ("DryRun", "true")]);
    assert_eq!(recorded(&server, &dry).iter().map(told).collect::<Vec<_>>(), [json!(["refused", "refused", key, null])]);
    let put = ann.call("PutSecretValue", &[("SecretName", "sealed"), ("VersionId", "v2"), ("SecretData", "y")]);
    denied(&put);
    let lines: Vec<_> = recorded(&server, &put).iter().map(told).collect();
    let intent = json!(["intent", "allowed", sealed, "resource policy"]);
    assert_eq!(lines, [intent, json!(["outcome", "refused", key, null])]);

    // A Deny is told to whom it takes something away, and recorded for all.
    let list = ben.call("ListSecrets", &[]);
    denied(&list);
    assert!(list.text("Message").ends_with("A Deny in the policy ben-0 forbids user/ben kms:ListSecrets."), "{:?}", list.json);
    assert_eq!(told(&recorded(&server, &list)[0]), json!(["refused", "refused", arn("secret"), "ben-0"]));
    set(&root, "open", &policy(&server, &[("Deny", "*", "kms:GetSecretValue")]));
    let get = read(&root, "open");
    denied(&get);
    assert!(get.text("Message").ends_with("A Deny in the resource's own policy forbids root kms:GetSecretValue."));
    let (there, not) = (read(&cid, "open"), read(&cid, "none"));
    assert_eq!(there.json["Message"], not.json["Message"], "whether there is such a secret is not told");
    assert_eq!(told(&recorded(&server, &there)[0]), json!(["refused", "refused", open, "resource policy"]));
}
