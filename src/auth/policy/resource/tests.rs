//! The grammar, the documented default, and decisions against their definition word for word.

use proptest::prelude::*;

use super::*;
use crate::auth::policy::Conditions;
use crate::base::clock::Timestamp;

const ACCOUNT: &str = "1000000000000001";

fn document(statement: &str) -> String {
    format!(r#"{{"Version":"1","Statement":[{statement}]}}"#)
}

fn decide(policy: &str, user: Option<&str>, action: &str, facts: &[(String, String)]) -> Decision<'static> {
    let policy = ResourcePolicy::parse(policy).unwrap_or_else(|e| panic!("{policy}: {e}"));
    let conditions = Conditions {
        source_ip: "192.0.2.1".parse().expect("an address"),
        current_time: Timestamp(0),
        secure_transport: true,
        extra: facts,
    };
    let request = Request { action, resource: "acs:kms:r:1000000000000001:secret/a", conditions: &conditions };
    policy.decide(Requester { account: ACCOUNT, user }, &request)
}

const ALLOWED: Decision<'static> = Decision::Allowed { by: RESOURCE_POLICY };

#[test]
fn the_default_document_parses_and_leaves_the_choice_to_the_account() {
    let text = default_document(ResourceType::Secret, ACCOUNT);
    assert_eq!(
        text,
        r#"{"Version":"1","Statement":[{"Sid":"kms default secret policy","Effect":"Allow","Principal":{"RAM":["acs:ram::1000000000000001:*"]},"Action":["kms:*"],"Resource":["*"]}]}"#
    );
    for user in [None, Some("ann")] {
        assert_eq!(decide(&text, user, "kms:GetSecretValue", &[]), Decision::NotAllowed);
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let good = r#""Effect":"Allow","Principal":{"RAM":"acs:ram::1:user/ann"},"Action":"kms:GetSecretValue","Resource":"*""#;
    assert!(ResourcePolicy::parse(&document(&format!("{{{good}}}"))).is_ok());
    for (from, to) in [
        ("Allow", "allow"),
        (r#""Principal":{"RAM":"acs:ram::1:user/ann"},"#, ""),
        (r#"{"RAM":"acs:ram::1:user/ann"}"#, r#""acs:ram::1:user/ann""#),
        (r#"{"RAM":"acs:ram::1:user/ann"}"#, r#"{"RAM":[]}"#),
        (r#"{"RAM":"acs:ram::1:user/ann"}"#, r#"{"Service":"acs:ram::1:user/ann"}"#),
        ("user/ann", "user/a*"),
        ("user/ann", "user/"),
        ("user/ann", "group/ann"),
        ("user/ann", "user/ann/b"),
        ("::1:", "::*:"),
        ("::1:", ":1:"),
        ("kms:GetSecretValue", "*"),
        ("kms:GetSecretValue", "ecs:TagResources"),
        ("kms:GetSecretValue", "GetSecretValue"),
        (r#""Resource":"*""#, r#""Resource":"acs:kms:r:1:secret/a""#),
        (r#","Resource":"*""#, ""),
        (r#""Effect""#, r#""Sid":"a<b","Effect""#),
        (r#""Effect""#, r#""NotAction":"kms:*","Effect""#),
        (r#""Effect""#, r#""Condition":{"StringEqual":{"kms:tag/a":"b"}},"Effect""#),
    ] {
        let bad = document(&format!("{{{}}}", good.replace(from, to)));
        assert!(ResourcePolicy::parse(&bad).is_err(), "{bad}");
    }
    for bad in ["", "{}", r#"{"Version":"2","Statement":[]}"#, &document("")] {
        assert!(ResourcePolicy::parse(bad).is_err(), "{bad}");
    }
    let sid = |sid: &str| document(&format!(r#"{{"Sid":"{sid}",{good}}}"#));
    assert!(ResourcePolicy::parse(&sid(&"a ".repeat(64))).is_ok() && ResourcePolicy::parse(&sid(&"a".repeat(129))).is_err());
    let long = format!("{}{}", document(&format!("{{{good}}}")), " ".repeat(32_768));
    assert!(ResourcePolicy::parse(&long).is_err());
}

#[test]
fn conditions_count() {
    let policy = document(
        r#"{"Effect":"Allow","Principal":{"RAM":"acs:ram::1000000000000001:user/ann"},"Action":"kms:Decrypt","Resource":"*",
            "Condition":{"StringEquals":{"kms:EncryptionAlgorithm":"SYMMETRIC_DEFAULT"},"StringEqualsIgnoreCase":{"kms:tag/Project":["apollo"]}}}"#,
    );
    let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let algorithm = fact("kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT");
    let asked = |facts: &[(String, String)]| decide(&policy, Some("ann"), "kms:Decrypt", facts);
    assert_eq!(asked(&[algorithm.clone(), fact("kms:tag/Project", "Apollo")]), ALLOWED);
    assert_eq!(asked(&[algorithm.clone(), fact("kms:tag/project", "Apollo")]), Decision::NotAllowed);
    assert_eq!(asked(&[algorithm]), Decision::NotAllowed);
    assert_eq!(asked(&[fact("kms:tag/Project", "Apollo")]), Decision::NotAllowed);
    assert!(ResourcePolicy::parse(&policy).expect("parsed above").reads_tags());
    assert!(!ResourcePolicy::parse(&default_document(ResourceType::Key, ACCOUNT)).expect("the default").reads_tags());
}

#[test]
fn a_policy_has_no_say_in_itself() {
    let (root, ann) = (Requester { account: ACCOUNT, user: None }, Requester { account: ACCOUNT, user: Some("ann") });
    for (relative, action, requester, speaks) in [
        ("secret/a", "kms:GetSecretValue", root, true),
        ("secret/a", "kms:ListSecretVersionIds", ann, true),
        ("secret/a", "kms:UpdateSecretVersionStage", ann, true),
        ("secret/a", "kms:TagResources", ann, true),
        ("secret/a", "kms:SetSecretPolicy", ann, false),
        ("secret/a", "kms:GetSecretPolicy", root, false),
        ("key/1", "kms:Decrypt", root, true),
        ("key/1", "kms:SetKeyPolicy", ann, true),
        ("key/1", "kms:SetKeyPolicy", root, false),
        ("key/1", "kms:GetKeyPolicy", root, false),
    ] {
        assert_eq!(ResourcePolicy::speaks_of(relative, action, requester), speaks, "{relative} {action} {requester:?}");
    }
}

/// A statement: whether it allows, to whom, what.
type Written = (bool, Vec<usize>, Vec<usize>);

const PRINCIPALS: [&str; 6] = [
    "acs:ram::1000000000000001:*",
    "acs:ram::1000000000000001:root",
    "acs:ram::1000000000000001:user/ann",
    "acs:ram::1000000000000001:user/ben",
    "acs:ram::1000000000000002:user/ann",
    "acs:ram::1000000000000001:role/ann",
];

const ACTIONS: [&str; 4] = ["kms:GetSecretValue", "kms:Get*", "kms:PutSecretValue", "kms:*"];

/// The definition: a Deny that is about the caller and the action wins; else an Allow to the user itself is needed.
fn model(statements: &[Written], user: Option<&str>, action: &str) -> Decision<'static> {
    let acts = |indices: &[usize]| {
        indices.iter().any(|i| match ACTIONS[*i] {
            "kms:*" => true,
            "kms:Get*" => action.starts_with("kms:Get"),
            exact => exact == action,
        })
    };
    let user_is = |i: usize| (i == 2 && user == Some("ann")) || (i == 3 && user == Some("ben"));
    let about = |allow: bool, who: &[usize]| who.iter().any(|i| user_is(*i) || (!allow && *i < 2));
    let matching = |allow: bool| statements.iter().any(|s| s.0 == allow && acts(&s.2) && about(allow, &s.1));
    match (matching(false), matching(true)) {
        (true, otherwise) => Decision::Denied { by: RESOURCE_POLICY, otherwise },
        (false, true) => ALLOWED,
        (false, false) => Decision::NotAllowed,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn decisions_follow_the_definition(
        statements in prop::collection::vec(
            (any::<bool>(), prop::collection::vec(0..6usize, 1..3), prop::collection::vec(0..4usize, 1..3)), 1..5),
        user in prop::option::of(prop::sample::select(vec!["ann", "ben", "cid"])),
        action in prop::sample::select(vec!["kms:GetSecretValue", "kms:PutSecretValue", "kms:DescribeSecret"]),
    ) {
        let written: Vec<_> = statements.iter().map(|(allow, who, what)| {
            let pick = |list: &[&str], indices: &[usize]| indices.iter().map(|i| list[*i].to_owned()).collect::<Vec<_>>();
            serde_json::json!({
                "Effect": if *allow { "Allow" } else { "Deny" },
                "Principal": { "RAM": pick(&PRINCIPALS, who) },
                "Action": pick(&ACTIONS, what),
                "Resource": "*",
            })
        }).collect();
        let text = serde_json::json!({ "Version": "1", "Statement": written }).to_string();
        prop_assert_eq!(decide(&text, user, action, &[]), model(&statements, user, action));
    }
}
