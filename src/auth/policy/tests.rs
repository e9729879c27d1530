//! The grammar, the operators and the evaluation, as tables.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::parse::MAX_DOCUMENT_BYTES;
use super::*;
use crate::base::clock::Timestamp;

const SECRET: &str = "acs:kms:cn-hangzhou:1234567890123456:secret/app/db";

/// 192.0.2.10 at 2026-01-02T03:04:05.678Z over TLS, with a tag of two values and one of none.
fn conditions(extra: &[(String, String)]) -> Conditions<'_> {
    Conditions {
        source_ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)),
        current_time: Timestamp::parse("2026-01-02T03:04:05.678Z").expect("a time"),
        secure_transport: true,
        extra,
    }
}

fn decide<'p>(policies: &'p [(&str, Policy)], action: &str, resource: &str) -> Decision<'p> {
    let conditions = conditions(&[]);
    evaluate(policies.iter().map(|(name, p)| (*name, p)), &Request { action, resource, conditions: &conditions })
}

fn policy(text: &str) -> Policy {
    Policy::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn allow(statement_rest: &str) -> Result<Policy, PolicyError> {
    Policy::parse(&format!(r#"{{"Version":"1","Statement":[{{"Effect":"Allow",{statement_rest}}}]}}"#))
}

#[test]
fn forms_that_are_accepted() {
    for rest in [
        r#""Action":"*","Resource":"*""#,
        r#""Action":["kms:GetSecretValue","kms:Describe*"],"Resource":["acs:kms:*:*:secret/*"]"#,
        r#""Action":"KMS:*","Resource":"*","Condition":{"Bool":{"acs:SecureTransport":true}}"#,
        r#""Action":"kms:*","Resource":"*","Condition":{"NumericLessThan":{"x":[1,"2",3.5]},"StringEquals":{"y":[true,7,"z"]}}"#,
        r#""Action":"kms:*","Resource":"*","Condition":{"IpAddress":{"acs:SourceIp":["10.0.0.0/8","2001:db8::/32","::1"]}}"#,
        r#""Action":"kms:*","Resource":"*","Condition":{"DateLessThan":{"acs:CurrentTime":"2030-01-01T00:00:00+08:00"}}"#,
    ] {
        assert!(allow(rest).is_ok(), "{rest}: {:?}", allow(rest));
    }
}

#[test]
fn forms_that_are_refused_and_what_the_administrator_reads() {
    let statement = r#"{"Effect":"Allow","Action":"kms:*","Resource":"*"}"#;
    for (text, message) in [
        ("", "not valid JSON"),
        ("[]", "expected an object, found an array"),
        (r#"{"Statement":[]}"#, "Version is missing"),
        (r#"{"Version":"2","Statement":[]}"#, r#"Version: must be "1""#),
        (r#"{"Version":1,"Statement":[]}"#, r#"Version: must be "1""#),
        (r#"{"Version":"1"}"#, "Statement is missing"),
        (r#"{"Version":"1","Statement":[]}"#, "Statement: must have at least one statement"),
        (&format!(r#"{{"Version":"1","Statement":{statement}}}"#), "Statement: must be an array of statements"),
        (&format!(r#"{{"Version":"1","Id":"x","Statement":[{statement}]}}"#), r#"unknown member "Id""#),
        (&format!(r#"{{"Version":"1","Statement":[{statement},7]}}"#), "statement 2: expected an object, found a number"),
        (&format!(r#"{{"Version":"1","Version":"1","Statement":[{statement}]}}"#), r#"the member "Version" is given twice"#),
    ] {
        let error = Policy::parse(text).expect_err(text).to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
    for (rest, message) in [
        (r#""Resource":"*""#, "statement 1: Action is missing"),
        (r#""Action":"kms:*""#, "statement 1: Resource is missing"),
        (r#""Action":[],"Resource":"*""#, "statement 1, Action: must not be an empty array"),
        (r#""Action":"GetSecretValue","Resource":"*""#, r#"statement 1, Action: "GetSecretValue" is not of the form"#),
        (r#""Action":"kms:","Resource":"*""#, "is not of the form <service>:<action>"),
        (r#""Action":["kms:*",3],"Resource":"*""#, "statement 1, Action: expected a string, found a number"),
        (r#""Action":"kms:*","Resource":"secret/a""#, r#"statement 1, Resource: "secret/a" is neither * nor"#),
        (r#""Action":"kms:*","Resource":null"#, "statement 1, Resource: expected a string, found null"),
        (r#""NotAction":"kms:*","Resource":"*""#, "NotAction is not supported"),
        (r#""Action":"kms:*","NotResource":"*""#, "NotResource is not supported"),
        (r#""Action":"kms:*","Resource":"*","Principal":"*""#, "Principal has no place"),
        (r#""Action":"kms:*","Resource":"*","effect":"Deny""#, r#"unknown member "effect""#),
        (r#""Action":"kms:*","Resource":"*","Effect":"Deny""#, r#"the member "Effect" is given twice"#),
        (r#""Action":"kms:*","Resource":"*","Condition":[]"#, "statement 1, Condition: expected an object, found an array"),
        (r#""Action":"kms:*","Resource":"*","Condition":{}"#, "statement 1, Condition: must not be empty"),
        (r#""Action":"kms:*","Resource":"*","Condition":{"Bool":{}}"#, "statement 1, Condition, Bool: must not be empty"),
    ] {
        let error = allow(rest).expect_err(rest).to_string();
        assert!(error.contains(message), "{rest}: {error}");
    }
    for (condition, message) in [
        (r#"{"StringEqual":{"x":"y"}}"#, "StringEqual, x: unknown condition operator"),
        (r#"{"stringequals":{"x":"y"}}"#, "unknown condition operator"),
        (r#"{"StringEquals":{"x":[]}}"#, "must not be an empty array"),
        (r#"{"StringEquals":{"x":{"y":"z"}}}"#, "an object is no value for this operator"),
        (r#"{"StringEquals":{"x":1.5}}"#, "a number is no value for this operator"),
        (r#"{"StringEquals":{"x":null}}"#, "null is no value for this operator"),
        (r#"{"Bool":{"x":"True"}}"#, r#""True" is no value for this operator"#),
        (r#"{"NumericEquals":{"x":"NaN"}}"#, r#""NaN" is no value for this operator"#),
        (r#"{"DateEquals":{"x":"yesterday"}}"#, r#""yesterday" is no value for this operator"#),
        (r#"{"DateEquals":{"x":"2026-01-01T00:00:00"}}"#, "is no value for this operator"),
        (r#"{"IpAddress":{"acs:SourceIp":"10.0.0.0/33"}}"#, "Condition, IpAddress, acs:SourceIp: \"10.0.0.0/33\" is no value"),
        (r#"{"StringEquals":{"acs:SourceIp":"10.0.0.1"}}"#, "this key needs IpAddress or NotIpAddress"),
        (r#"{"IpAddress":{"acs:currenttime":"10.0.0.1"}}"#, "this key needs a Date operator"),
        (r#"{"StringEquals":{"acs:SecureTransport":"true"}}"#, "this key needs Bool"),
    ] {
        let error = allow(&format!(r#""Action":"kms:*","Resource":"*","Condition":{condition}"#)).expect_err(condition);
        assert!(error.to_string().contains(message), "{condition}: {error}");
    }
    let long = format!("{}{}", r#"{"Version":"1","Statement":[]}"#, " ".repeat(MAX_DOCUMENT_BYTES));
    assert!(Policy::parse(&long).expect_err("long").to_string().contains("longer than 32768 bytes"));
    assert!(Policy::parse(&"[".repeat(20_000)).is_err(), "nesting is bounded");
}

#[test]
fn operators_against_a_value_and_against_an_absent_key() {
    let extra: Vec<(String, String)> =
        [("kms:tag/Team", "Blue"), ("kms:tag/Team", "Red"), ("n", "7"), ("d", "2026-01-02T03:04:05Z"), ("b", "false")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
    let request = conditions(&extra);
    let holds = |condition: &str| {
        let policy = allow(&format!(r#""Action":"*","Resource":"*","Condition":{condition}"#)).expect(condition);
        policy.statements[0].applies(&Request { action: "kms:X", resource: SECRET, conditions: &request })
    };
    for (operator, key, values, expected) in [
        ("StringEquals", "kms:tag/Team", r#"["Green","Red"]"#, true),
        ("StringEquals", "KMS:TAG/Team", r#""Blue""#, true),
        ("StringEquals", "kms:tag/team", r#""Blue""#, false),
        ("StringEquals", "kms:tag/Team", r#""blue""#, false),
        ("StringEquals", "kms:tag/Team", r#""B*""#, false),
        ("StringNotEquals", "kms:tag/Team", r#""Green""#, true),
        ("StringNotEquals", "kms:tag/Team", r#"["Green","Red"]"#, false),
        ("StringEqualsIgnoreCase", "kms:tag/Team", r#""bLUE""#, true),
        ("StringEqualsIgnoreCase", "kms:tag/Team", r#""bLU""#, false),
        ("StringNotEqualsIgnoreCase", "kms:tag/Team", r#""bLUE""#, false),
        ("StringNotEqualsIgnoreCase", "kms:tag/Team", r#""green""#, true),
        ("StringLike", "kms:tag/Team", r#""?l*""#, true),
        ("StringLike", "kms:tag/Team", r#""?L*""#, false),
        ("StringNotLike", "kms:tag/Team", r#""?l*""#, false),
        ("StringNotLike", "kms:tag/Team", r#""x*""#, true),
        ("NumericEquals", "n", r#""7.0""#, true),
        ("NumericEquals", "n", "8", false),
        ("NumericNotEquals", "n", "[6,8]", true),
        ("NumericNotEquals", "n", "[7,8]", false),
        ("NumericLessThan", "n", "7", false),
        ("NumericLessThan", "n", "7.5", true),
        ("NumericLessThanEquals", "n", "7", true),
        ("NumericLessThanEquals", "n", "6", false),
        ("NumericGreaterThan", "n", "7", false),
        ("NumericGreaterThan", "n", "-7", true),
        ("NumericGreaterThanEquals", "n", "7", true),
        ("NumericGreaterThanEquals", "n", "8", false),
        ("NumericEquals", "kms:tag/Team", "7", false),
        ("NumericNotEquals", "kms:tag/Team", "7", true),
        ("DateEquals", "acs:CurrentTime", r#""2026-01-02T03:04:05Z""#, true),
        ("DateEquals", "acs:CurrentTime", r#""2026-01-02T11:04:05+08:00""#, true),
        ("DateNotEquals", "acs:CurrentTime", r#""2026-01-02T03:04:05Z""#, false),
        ("DateNotEquals", "acs:CurrentTime", r#""2026-01-02T03:04:06Z""#, true),
        ("DateLessThan", "acs:currentTIME", r#""2026-01-02T03:04:06Z""#, true),
        ("DateLessThan", "acs:CurrentTime", r#""2026-01-02T03:04:05Z""#, false),
        ("DateLessThanEquals", "acs:CurrentTime", r#""2026-01-02T03:04:05Z""#, true),
        ("DateLessThanEquals", "acs:CurrentTime", r#""2026-01-02T03:04:04Z""#, false),
        ("DateGreaterThan", "acs:CurrentTime", r#""2026-01-02T03:04:04Z""#, true),
        ("DateGreaterThan", "d", r#""2026-01-02T03:04:05Z""#, false),
        ("DateGreaterThanEquals", "d", r#""2026-01-02T03:04:05Z""#, true),
        ("DateGreaterThanEquals", "d", r#""2026-01-02T03:04:06Z""#, false),
        ("Bool", "acs:SecureTransport", r#""true""#, true),
        ("Bool", "acs:SecureTransport", "false", false),
        ("Bool", "b", "false", true),
        ("Bool", "b", "true", false),
        ("IpAddress", "acs:SourceIp", r#""192.0.2.10""#, true),
        ("IpAddress", "ACS:SOURCEIP", r#"["10.0.0.0/8","192.0.2.0/24"]"#, true),
        ("IpAddress", "acs:SourceIp", r#""192.0.3.0/24""#, false),
        ("IpAddress", "acs:SourceIp", r#""::/0""#, false),
        ("IpAddress", "acs:SourceIp", r#""::ffff:192.0.2.0/120""#, true),
        ("NotIpAddress", "acs:SourceIp", r#"["10.0.0.0/8","192.0.2.0/24"]"#, false),
        ("NotIpAddress", "acs:SourceIp", r#"["10.0.0.0/8","192.0.3.0/24"]"#, true),
    ] {
        let condition = format!(r#"{{"{operator}":{{"{key}":{values}}}}}"#);
        assert_eq!(holds(&condition), expected, "{condition}");
    }
    for (operator, value) in [
        ("StringEquals", "a"),
        ("StringEqualsIgnoreCase", "a"),
        ("StringLike", "*"),
        ("NumericEquals", "1"),
        ("NumericLessThan", "1"),
        ("NumericLessThanEquals", "1"),
        ("NumericGreaterThan", "1"),
        ("NumericGreaterThanEquals", "1"),
        ("DateEquals", "2026-01-02T03:04:05Z"),
        ("DateLessThan", "2026-01-02T03:04:05Z"),
        ("DateLessThanEquals", "2026-01-02T03:04:05Z"),
        ("DateGreaterThan", "2026-01-02T03:04:05Z"),
        ("DateGreaterThanEquals", "2026-01-02T03:04:05Z"),
        ("Bool", "true"),
        ("IpAddress", "0.0.0.0/0"),
    ] {
        assert!(!holds(&format!(r#"{{"{operator}":{{"acs:SourceVpc":"{value}"}}}}"#)), "{operator} without the key");
    }
    for (operator, value) in [
        ("StringNotEquals", "a"),
        ("StringNotEqualsIgnoreCase", "a"),
        ("StringNotLike", "*"),
        ("NumericNotEquals", "1"),
        ("DateNotEquals", "2026-01-02T03:04:05Z"),
        ("NotIpAddress", "0.0.0.0/0"),
    ] {
        assert!(holds(&format!(r#"{{"{operator}":{{"acs:SourceVpc":"{value}"}}}}"#)), "{operator} without the key");
    }
    for (condition, expected) in [
        (r#"{"NumericEquals":{"n":7},"Bool":{"b":false}}"#, true),
        (r#"{"NumericEquals":{"n":7},"Bool":{"b":true}}"#, false),
        (r#"{"StringEquals":{"kms:tag/Team":"Red","n":"7"}}"#, true),
        (r#"{"StringEquals":{"kms:tag/Team":"Red","n":"8"}}"#, false),
    ] {
        assert_eq!(holds(condition), expected, "{condition}");
    }
}

/// The peer of a dual-stack socket.
#[test]
fn mapped_addresses_are_ipv4() {
    let policy =
        allow(r#""Action":"*","Resource":"*","Condition":{"IpAddress":{"acs:SourceIp":"192.0.2.0/24"}}"#).expect("valid");
    for (peer, applies) in [("::ffff:192.0.2.10", true), ("::ffff:192.0.3.10", false), ("2001:db8::1", false)] {
        let conditions = Conditions { source_ip: peer.parse().expect("an address"), ..conditions(&[]) };
        let request = Request { action: "kms:X", resource: SECRET, conditions: &conditions };
        assert_eq!(policy.statements[0].applies(&request), applies, "{peer}");
    }
}

#[test]
fn deny_wins_and_nothing_is_the_default() {
    let allow_all = policy(r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}"#);
    let deny_get = policy(
        r#"{"Version":"1","Statement":[{"Effect":"Deny","Action":"kms:getsecretvalue","Resource":"acs:kms:*:*:secret/app/*"}]}"#,
    );
    assert_eq!(decide(&[], "kms:GetSecretValue", SECRET), Decision::NotAllowed);
    let both = [("allow", allow_all.clone()), ("deny", deny_get.clone())];
    assert_eq!(decide(&both, "kms:GetSecretValue", SECRET), Decision::Denied { by: "deny", otherwise: true });
    assert_eq!(decide(&both, "kms:DescribeSecret", SECRET), Decision::Allowed { by: "allow" });
    assert_eq!(decide(&both[1..], "kms:DescribeSecret", SECRET), Decision::NotAllowed);
    assert_eq!(decide(&both, "ecs:DescribeInstances", SECRET), Decision::NotAllowed);
}

#[test]
fn system_policies_grant_what_their_names_say() {
    assert!(SYSTEM_POLICIES.is_sorted_by_key(|(name, _)| *name), "looked up by binary search");
    let key = "acs:kms:r:1:key/k";
    let container = "acs:kms:r:1:secret";
    for (name, action, resource, allowed) in [
        ("AliyunKMSFullAccess", "kms:ScheduleKeyDeletion", key, true),
        ("AliyunKMSFullAccess", "ram:CreateServiceLinkedRole", "acs:ram:*:1:role/x", false),
        ("AliyunKMSReadOnlyAccess", "kms:ListSecrets", container, true),
        ("AliyunKMSReadOnlyAccess", "kms:DescribeKey", key, true),
        ("AliyunKMSReadOnlyAccess", "kms:GetSecretValue", SECRET, false),
        ("AliyunKMSReadOnlyAccess", "kms:Decrypt", key, false),
        ("AliyunKMSCryptoUserAccess", "kms:GenerateDataKey", key, true),
        ("AliyunKMSCryptoUserAccess", "kms:ReEncryptFrom", key, false),
        ("AliyunKMSCryptoUserAccess", "kms:GetSecretValue", SECRET, false),
        ("AliyunKMSCryptoAdminAccess", "kms:CreateKey", "acs:kms:r:1:key", true),
        ("AliyunKMSCryptoAdminAccess", "kms:CreateAlias", "acs:kms:r:1:alias/a", true),
        ("AliyunKMSCryptoAdminAccess", "kms:GetSecretValue", SECRET, false),
        ("AliyunKMSCryptoAdminAccess", "ecs:TagResources", SECRET, true),
        ("AliyunKMSSecretUserAccess", "kms:GetSecretValue", SECRET, true),
        ("AliyunKMSSecretUserAccess", "kms:CreateSecret", container, false),
        ("AliyunKMSSecretUserAccess", "kms:Decrypt", key, false),
        ("AliyunKMSSecretAdminAccess", "kms:CreateSecret", container, true),
        ("AliyunKMSSecretAdminAccess", "kms:GetSecretValue", SECRET, true),
        ("AliyunKMSSecretAdminAccess", "kms:GetRandomPassword", "*", true),
        ("AliyunKMSSecretAdminAccess", "kms:Decrypt", key, false),
    ] {
        let policies = [(name, system_policy(name).expect(name).clone())];
        let expected = if allowed { Decision::Allowed { by: name } } else { Decision::NotAllowed };
        assert_eq!(decide(&policies, action, resource), expected, "{name}: {action} on {resource}");
    }
    assert_eq!(system_policy("AliyunKMSfullAccess"), None);
}

/// One statement of a random document: effect, action, resource.
fn any_statement() -> impl Strategy<Value = (bool, &'static str, &'static str)> {
    let action = prop::sample::select(vec!["*", "kms:*", "kms:Get*", "KMS:getA", "kms:PutA", "kms:???A"]);
    let resource = prop::sample::select(vec!["*", "acs:kms:r:1:*", "acs:kms:*:*:secret/*", "acs:kms:r:1:secret/a", "acs:x"]);
    (any::<bool>(), action, resource)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    /// Whatever the text: a policy or a reason, never a panic; and a document of which a piece is missing or doubled is no
    /// other policy by accident of its reading.
    #[test]
    fn any_text_is_a_policy_or_refused(at in 0usize..200, length in 0usize..40, piece in "\\PC{0,12}", noise in ".{0,200}") {
        let good = r#"{"Version":"1","Statement":[{"Effect":"Deny","Action":["kms:Get*"],"Resource":"*","Condition":{"Bool":{"acs:SecureTransport":"false"}}}]}"#;
        let (at, end) = (at.min(good.len()), (at + length).min(good.len()));
        let _ = Policy::parse(&noise);
        let _ = Policy::parse(&format!("{}{piece}{}", &good[..at], &good[end..]));
        prop_assert!(Policy::parse(good).is_ok());
    }

    /// However statements are spread over policies: a matching Deny denies; else a matching Allow allows; else nothing.
    #[test]
    fn the_effects_that_match_decide(
        documents in prop::collection::vec(prop::collection::vec(any_statement(), 1..4), 0..4),
        action in prop::sample::select(vec!["kms:GetA", "kms:PutA", "ecs:GetA"]),
        resource in prop::sample::select(vec!["acs:kms:r:1:secret/a", "acs:kms:r:1:secret", "acs:kms:r:2:key/a"]),
    ) {
        let effect = |allow: &bool| if *allow { "Allow" } else { "Deny" };
        let write = |(allow, action, resource): &(bool, &str, &str)| {
            format!(r#"{{"Effect":"{}","Action":"{action}","Resource":"{resource}"}}"#, effect(allow))
        };
        let parse = |statements: &[(bool, &'static str, &'static str)]| {
            let list: Vec<_> = statements.iter().map(write).collect();
            policy(&format!(r#"{{"Version":"1","Statement":[{}]}}"#, list.join(",")))
        };
        let policies: Vec<_> = documents.iter().map(|d| ("p", parse(d))).collect();
        // Each statement alone, as an Allow, tells whether it matches at all.
        let matching: Vec<bool> = documents.iter().flatten()
            .filter(|(_, a, r)| decide(&[("p", parse(&[(true, *a, *r)]))], action, resource) != Decision::NotAllowed)
            .map(|(allow, ..)| *allow)
            .collect();
        let expected = match (matching.contains(&false), matching.contains(&true)) {
            (true, otherwise) => Decision::Denied { by: "p", otherwise },
            (false, true) => Decision::Allowed { by: "p" },
            (false, false) => Decision::NotAllowed,
        };
        prop_assert_eq!(decide(&policies, action, resource), expected);
    }

    /// A document with some bytes overwritten is accepted or refused, and brings nothing down.
    #[test]
    fn damaged_documents_do_no_harm(at in 0usize..500, with in r#"[{}\[\]",:*a-z0-9]{1,4}"#) {
        for (_, document) in SYSTEM_POLICIES {
            let at = at.min(document.len() - 4);
            let _ = Policy::parse(&format!("{}{with}{}", &document[..at], &document[at + with.len()..]));
        }
    }
}
