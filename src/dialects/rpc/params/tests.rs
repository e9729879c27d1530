//! Parsing and decoding: what is read, what is refused, and under which name.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Write;

use proptest::prelude::*;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{MAX_PARAMETERS, Params};
use crate::api::Json;
use crate::api::keys::filters::KeyFilters;
use crate::api::policies::PolicyText;
use crate::api::tags::fields::NewTags;
use crate::base::ids::{KeyRef, SecretName, VersionId};
use crate::base::secret::Plaintext;
use crate::base::words::DataType;
use crate::error::{Error, Unreadable};

fn query(text: &str) -> Params {
    Params::parse(text, None, b"").unwrap()
}

fn pairs(params: &Params) -> Vec<(&str, &str)> {
    params.iter().collect()
}

fn decode<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    query(text).decode().map_err(bare)
}

/// Which part is refused; what is said of it is for people.
fn bare(error: Error) -> Error {
    match error {
        Error::Unreadable(part) => Error::Unreadable(Unreadable { why: "".into(), ..part }),
        other => other,
    }
}

fn invalid<T>(name: &'static str) -> Result<T, Error> {
    Err(super::invalid(name.into()))
}

fn missing<T>(name: &'static str) -> Result<T, Error> {
    Err(super::absent(name.into()))
}

#[test]
fn query_and_form_are_one_list() {
    let params =
        Params::parse("a=1+2&&b&=x", Some("Application/X-WWW-Form-Urlencoded; charset=UTF-8"), b"c=%e6%95%B0*~").unwrap();
    assert_eq!(pairs(&params), [("a", "1 2"), ("b", ""), ("", "x"), ("c", "数*~")]);
    assert_eq!(params.query().count(), 3);
    let untyped = Params::parse("", None, b"a=1").unwrap();
    assert_eq!(pairs(&untyped), [("a", "1")]);
    // Some clients name a type and send no body.
    for content_type in ["application/x-www-form-urlencoded", "application/json", "application/octet-stream", ""] {
        assert!(Params::parse("", Some(content_type), b"").is_ok(), "{content_type}");
    }
}

#[test]
fn what_is_no_request() {
    for bad in ["a=%", "a=%4", "a=%zz", "a=%+1", "%=1", "a=%FF", "a=%C3", "a%C3=%A9", "%C3=1&%A9=2"] {
        assert!(matches!(Params::parse(bad, None, b"").err(), Some(Error::MalformedRequest(why)) if !why.is_empty()), "{bad}");
    }
    for (content_type, body) in [
        ("text/plain", "a=1"),
        ("application/octet-stream", "a=1"),
        ("application/json", "[]"),
        ("application/json", "{"),
        ("application/json", "{} {}"),
        ("application/json", r#"{"a":"\ud800"}"#),
        ("application/json", r#"{"a":"\ud800\u0041"}"#),
        ("application/json", "{\"a\":\"\n\"}"),
    ] {
        let refused = Params::parse("", Some(content_type), body.as_bytes()).err();
        assert!(matches!(refused, Some(Error::MalformedRequest(why)) if !why.is_empty()), "{content_type} {body}");
    }
    assert!(Params::parse("", Some("application/json"), b"{\"a\":\"\xff\"}").is_err());
}

#[test]
fn the_number_of_parameters_is_bounded() {
    let most = "a&".repeat(MAX_PARAMETERS);
    assert!(Params::parse(&most, None, b"").is_ok());
    assert!(matches!(Params::parse(&most, None, b"b").err(), Some(Error::MalformedRequest(_))));
}

#[test]
fn json_body() {
    let body = r#" {"SecretName":"a\/b", "SecretData":"\"\\\b\f\n\r\t\u6570\ud83d\udE00数", "DryRun":true, "N":7, "Gone":null,
                   "Tags":[{"TagKey": "k"}], "\u0041":""} "#;
    let params = Params::parse("Q=1", Some("application/json;charset=utf-8"), body.as_bytes()).unwrap();
    assert_eq!(
        pairs(&params),
        [
            ("Q", "1"),
            ("SecretName", "a/b"),
            ("SecretData", "\"\\\u{8}\u{c}\n\r\t数😀数"),
            ("DryRun", "true"),
            ("N", "7"),
            ("Tags", r#"[{"TagKey": "k"}]"#),
            ("A", ""),
        ]
    );
}

#[test]
fn single_values() {
    let params = query("a=1&a=1&b=1&b=2&c=");
    assert_eq!(params.single("a"), Ok(Some("1")));
    assert_eq!(params.single("b").map_err(bare), Err(super::invalid("b".into())));
    assert_eq!(params.single("c"), Ok(None));
    assert_eq!(params.single("d"), Ok(None));
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Create {
    secret_name: SecretName,
    version_id: VersionId,
    secret_data: Plaintext,
    secret_data_type: Option<DataType>,
    description: Option<String>,
    encryption_key_id: Option<KeyRef>,
    recovery_window_in_days: Option<u16>,
    dry_run: Option<bool>,
    tags: Option<Json<Vec<BTreeMap<String, String>>>>,
}

const CREATE: &str = "SecretName=app/db&VersionId=v1&SecretData=s%20s";

#[test]
fn structs() {
    let create: Create = decode(&format!(
        "{CREATE}&SecretDataType=binary&Description=&EncryptionKeyId=alias/x&RecoveryWindowInDays=30&DryRun=True\
         &Tags=%5B%7B%22TagKey%22%3A%22k%22%7D%5D&Unknown=1&unknown.1.x=2"
    ))
    .unwrap();
    assert_eq!(create.secret_name.as_str(), "app/db");
    assert_eq!(create.version_id.as_str(), "v1");
    assert_eq!(create.secret_data.expose(), b"s s");
    assert_eq!(create.secret_data_type, Some(DataType::Binary));
    assert_eq!(create.description.as_deref(), Some(""), "an empty text is a text");
    assert!(create.encryption_key_id.is_some());
    assert_eq!(create.recovery_window_in_days, Some(30));
    assert_eq!(create.dry_run, Some(true));
    assert_eq!(create.tags.unwrap().0[0]["TagKey"], "k");
}

#[test]
fn what_is_not_sent() {
    let empty = "&SecretDataType=&EncryptionKeyId=&RecoveryWindowInDays=&DryRun=&Tags=";
    for sent in [CREATE.to_owned(), format!("{CREATE}{empty}"), format!("{empty}&{CREATE}&Description=")] {
        let create: Create = decode(&sent).unwrap();
        assert!(create.secret_data_type.is_none() && create.encryption_key_id.is_none() && create.tags.is_none());
        assert!(create.recovery_window_in_days.is_none() && create.dry_run.is_none());
    }
}

#[test]
fn errors_name_the_parameter() {
    let create = |text: &str| decode::<Create>(text).map(|_| ());
    assert_eq!(create("VersionId=v1&SecretData=x"), missing("SecretName"));
    assert_eq!(create("SecretName=&VersionId=v1&SecretData=x"), invalid("SecretName"), "required and empty");
    for (parameter, name) in [
        ("SecretName=other", "SecretName"),
        ("DryRun=1", "DryRun"),
        ("RecoveryWindowInDays=-1", "RecoveryWindowInDays"),
        ("RecoveryWindowInDays=70000", "RecoveryWindowInDays"),
        ("RecoveryWindowInDays=7.0", "RecoveryWindowInDays"),
        ("SecretDataType=Binary", "SecretDataType"),
        ("EncryptionKeyId=a%20b", "EncryptionKeyId"),
        ("Tags=[", "Tags"),
        ("Tags={}", "Tags"),
        ("Tags=[]x", "Tags"),
        ("Description.1=x", "Description"),
        ("Description=a&Description=b", "Description"),
        ("DryRun=&DryRun=true", "DryRun"),
    ] {
        assert_eq!(create(&format!("{CREATE}&{parameter}")), invalid(name), "{parameter}");
    }
    assert_eq!(create(&format!("{CREATE}&VersionId=v1&DryRun=true&DryRun=true")), Ok(()), "the same value twice");
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: Option<VersionId>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
struct TagResources {
    resource_id: Vec<SecretName>,
    tag: Option<Vec<Tag>>,
    tag_key: Option<Vec<String>>,
}

fn name(text: &str) -> SecretName {
    text.parse().unwrap()
}

#[test]
fn lists() {
    let tag = |key: &str, value: Option<&str>| Tag { key: key.into(), value: value.map(|v| v.parse().unwrap()) };
    let read: TagResources = decode(
        "Tag.10.Key=j&Tag.2.Value=2&ResourceId.2=b&Tag.1.Key=a&TagKey.1=x&Tag.2.Key=b&ResourceId.1=a&Tag.10.Value=&Tag.1.Other=1",
    )
    .unwrap();
    assert_eq!(read.resource_id, [name("a"), name("b")]);
    assert_eq!(read.tag, Some(vec![tag("a", None), tag("b", Some("2")), tag("j", None)]));
    assert_eq!(read.tag_key, Some(vec!["x".to_owned()]));

    let body = br#"{"ResourceId":["a","b"],"Tag":[{"Key":"k","Value":"v"}]}"#;
    let read: TagResources = Params::parse("", Some("application/json"), body).unwrap().decode().unwrap();
    assert_eq!(read.resource_id, [name("a"), name("b")]);
    assert_eq!(read.tag, Some(vec![tag("k", Some("v"))]));

    let refused = |text: &str| decode::<TagResources>(text).map(|_| ());
    assert_eq!(refused("TagKey.1=x"), missing("ResourceId"));
    for (text, name) in [
        ("ResourceId.0=a", "ResourceId"),
        ("ResourceId.01=a", "ResourceId"),
        ("ResourceId.x=a", "ResourceId"),
        ("ResourceId.-1=a", "ResourceId"),
        ("ResourceId=a", "ResourceId"),
        ("ResourceId=[\"a\"]&ResourceId.1=a", "ResourceId"),
        ("ResourceId.1=a&ResourceId.1=b", "ResourceId.1"),
        ("ResourceId.1=a&ResourceId.2=a%20b", "ResourceId.2"),
        ("ResourceId.1=a&Tag.1.Key=a&Tag.1.Key=b", "Tag.1.Key"),
        ("ResourceId.1=a&Tag.1.Key=a&Tag.1.Value=%00", "Tag.1.Value"),
    ] {
        assert_eq!(refused(text), invalid(name), "{text}");
    }
    assert_eq!(refused("ResourceId.1=a&Tag.1.Value=v"), missing("Tag.1.Key"));
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Maps {
    encryption_context: Option<BTreeMap<String, String>>,
    extended_config: Option<ExtendedConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ExtendedConfig {
    custom_data: BTreeMap<String, String>,
}

fn context(text: &str) -> Result<Option<Vec<(String, String)>>, Error> {
    decode::<Maps>(text).map(|maps| maps.encryption_context.map(|map| map.into_iter().collect()))
}

#[test]
fn the_encryption_context_is_never_dropped() {
    let two = Ok(Some(vec![("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]));
    for same in [
        "EncryptionContext={\"b\":+\"2\",%0A\"a\":\"1\"}",
        "EncryptionContext.b=2&EncryptionContext.a=1",
        "EncryptionContext.2.Key=a&EncryptionContext.1.Value=2&EncryptionContext.1.Key=b&EncryptionContext.2.Value=1",
        "EncryptionContext=&EncryptionContext.a=1&EncryptionContext.b=2",
        "EncryptionContext.a=1&EncryptionContext.b=2&EncryptionContext.a=1",
    ] {
        assert_eq!(context(same), two, "{same}");
    }
    for none in ["", "EncryptionContext="] {
        assert_eq!(context(none), Ok(None), "{none}");
    }
    assert_eq!(context("EncryptionContext={}"), Ok(Some(vec![])));
    // A numbered half is a key like any other, and so is one with dots.
    assert_eq!(context("EncryptionContext.1.Key=x"), Ok(Some(vec![("1.Key".to_owned(), "x".to_owned())])));
    assert_eq!(context("EncryptionContext.a.b="), Ok(Some(vec![("a.b".to_owned(), String::new())])));
    for bad in [
        "EncryptionContext=x",
        "EncryptionContext=[]",
        "EncryptionContext={\"a\":1}",
        "EncryptionContext={\"a\":\"1\"}&EncryptionContext.a=1",
        "EncryptionContext.a=1&EncryptionContext.a=2",
        "EncryptionContext.1.Key=a&EncryptionContext.1.Value=1&EncryptionContext.2.Key=a&EncryptionContext.2.Value=2",
    ] {
        assert_eq!(context(bad), invalid("EncryptionContext"), "{bad}");
    }
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct JsonOnly {
        #[allow(dead_code)]
        encryption_context: Option<Json<BTreeMap<String, String>>>,
    }
    let flat = decode::<JsonOnly>("EncryptionContext.a=1").map(|_| ());
    assert_eq!(flat, invalid("EncryptionContext"), "a form that the field cannot hold is refused, not ignored");
}

#[test]
fn nested_maps() {
    for text in [
        "ExtendedConfig.CustomData.a=b",
        "ExtendedConfig.CustomData={\"a\":\"b\"}",
        "ExtendedConfig={\"CustomData\":{\"a\":\"b\"}}",
    ] {
        let maps: Maps = decode(text).unwrap();
        assert_eq!(maps.extended_config.unwrap().custom_data["a"], "b", "{text}");
    }
    assert_eq!(decode::<Maps>("ExtendedConfig.Other=1").map(|_| ()), missing("ExtendedConfig.CustomData"));
}

#[test]
fn requests_without_parameters() {
    #[derive(Debug, Deserialize)]
    struct Braces {}
    #[derive(Debug, Deserialize)]
    struct Unit;
    assert!(decode::<Braces>("a=1").is_ok() && decode::<Unit>("a=1").is_ok() && decode::<Braces>("").is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn decoding_undoes_encoding(name in any::<String>(), value in any::<String>(), in_body in any::<bool>()) {
        let mut text = String::new();
        for (part, after) in [(&name, "="), (&value, "")] {
            for byte in part.bytes() {
                write!(text, "%{byte:02x}").unwrap();
            }
            text.push_str(after);
        }
        let params = if in_body { Params::parse("", None, text.as_bytes()) } else { Params::parse(&text, None, b"") }.unwrap();
        prop_assert_eq!(pairs(&params), [(name.as_str(), value.as_str())]);
    }

    #[test]
    fn json_strings_are_read_as_serde_json_reads_them(value in any::<String>(), raw in "\"(\\\\[\"\\\\/bfnrtu]|[0-9a-fA-Fd8]|.)*\"") {
        let body = serde_json::json!({ "v": value }).to_string();
        let params = Params::parse("", Some("application/json"), body.as_bytes()).unwrap();
        prop_assert_eq!(pairs(&params), [("v", value.as_str())]);

        let body = format!("{{\"v\":{raw}}}");
        let ours = Params::parse("", Some("application/json"), body.as_bytes()).ok().map(|p| p.single("v").unwrap().map(str::to_owned));
        let theirs = serde_json::from_str::<BTreeMap<String, String>>(&body).ok().map(|m| m.get("v").cloned().filter(|v| !v.is_empty()));
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn nothing_panics(
        query in "(Tag|ResourceId|EncryptionContext|TagKey|[.=&%+{}\\[\\]\"0-9]|.){0,40}",
        body in prop::collection::vec(any::<u8>(), 0..64),
        json in any::<bool>(),
    ) {
        let content_type = json.then_some("application/json");
        if let Ok(params) = Params::parse(&query, content_type, &body) {
            for decoded in [params.decode::<TagResources>().err(), params.decode::<Maps>().err(), params.decode::<Create>().err()] {
                let named = matches!(decoded, None | Some(Error::Unreadable(_)));
                prop_assert!(named);
            }
        }
    }
}

/// What does not fit and is empty is left out, and everything read again; a caller cannot have that done a thousand times.
#[test]
fn many_empty_parameters_cost_little() {
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    #[expect(dead_code, reason = "never made")]
    struct Listed {
        number: Vec<u32>,
    }
    let text: Vec<String> = (1..=980).map(|n| format!("Number.{n}=")).collect();
    let begun = std::time::Instant::now();
    assert!(decode::<Listed>(&text.join("&")).is_err(), "980 numbers that are none");
    assert!(begun.elapsed() < std::time::Duration::from_millis(500), "{:?}", begun.elapsed());
}

#[test]
fn null_is_not_given_where_json_can_stand() {
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Lists {
        tags: Option<NewTags>,
        filters: Option<KeyFilters>,
        policy: Option<PolicyText>,
        description: Option<String>,
    }
    let read = decode::<Lists>("Tags=null&Filters=+null&Policy=null&Description=null").expect("readable");
    assert!(read.tags.is_none() && read.filters.is_none() && read.policy.is_none());
    assert_eq!(read.description.as_deref(), Some("null"), "a text is a text");

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Needed {
        #[allow(dead_code)]
        tags: NewTags,
    }
    assert!(decode::<Needed>("Tags=null").is_err());
    // Nor within it.
    let read = decode::<Lists>(r#"Tags=[{"TagKey":"a","TagValue":null},null]&Filters=[{"Key":"KeyState","Values":null}]"#);
    assert_eq!(read.expect("readable").tags.map(|tags| tags.0), Some(vec![("a".to_owned(), String::new())]));
    let read: TagResources =
        decode(r#"ResourceId=["a","",null]&TagKey=["x",""]&Tag=[{"Key":"k","Value":null}]"#).expect("readable");
    assert_eq!(read.resource_id, [name("a")]);
    assert_eq!(read.tag_key, Some(vec!["x".to_owned()]));
    assert!(read.tag.is_some_and(|tags| tags.len() == 1 && tags[0].key == "k" && tags[0].value.is_none()));
}

#[test]
fn what_is_wrong_within_json_is_said_without_a_value() {
    let told = |text: &str| format!("{:?}", query(text).decode::<TagResources>().map(|_| ()).expect_err("refused"));
    let lacking = told(r#"ResourceId=["a"]&Tag=[{"Value":"v"}]"#);
    assert!(lacking.contains("It must be JSON, a list (missing field `Key`"), "{lacking}");
    let wrong = told(r#"ResourceId=["a"]&TagKey=["x",{"s3cret":1}]"#);
    assert!(wrong.contains("It must be JSON, a list.") && !wrong.contains("s3cret"), "{wrong}");
}
