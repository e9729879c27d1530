//! The two forms of replies and errors.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use quick_xml::events::Event;
use serde::Serialize;

use super::*;
use crate::base::secret::Plaintext;

const ID: &str = "0b7fe8a4-8a0c-4a57-9a39-6f6a3f0c1f11";

fn id() -> RequestId {
    ID.parse().unwrap()
}

fn unwritable() -> Error {
    invalid_since("Format".into(), NOT_IN_XML)
}

fn text(reply: &impl Serialize, form: Form) -> String {
    String::from_utf8(success("GetSecretValue", reply, &id(), form).unwrap()).unwrap()
}

/// A reply with everything that replies have.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    secret_name: &'static str,
    #[serde(serialize_with = "crate::api::plaintext")]
    secret_data: Plaintext,
    delete_date: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<bool>,
    total_count: u32,
    automatic: bool,
    version_stages: VersionStages,
    secret_list: SecretList,
    client_keys: Vec<Named>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VersionStages {
    version_stage: Vec<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SecretList {
    secret: Vec<Named>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    name: &'static str,
}

fn reply(data: &str) -> Reply {
    Reply {
        secret_name: "a/b",
        secret_data: Plaintext::new(data.as_bytes().to_vec()),
        delete_date: "",
        skipped: None,
        total_count: 2,
        automatic: true,
        version_stages: VersionStages { version_stage: vec!["ACSCurrent", "x"] },
        secret_list: SecretList { secret: vec![] },
        client_keys: vec![Named { name: "k1" }, Named { name: "k2" }],
    }
}

#[test]
fn json() {
    assert_eq!(
        text(&reply("{\"pw\":\"<&\r\u{1}数\"}"), Form::Json),
        format!(
            "{{\"SecretName\":\"a/b\",\"SecretData\":\"{{\\\"pw\\\":\\\"<&\\r\\u0001数\\\"}}\",\"DeleteDate\":\"\",\
             \"TotalCount\":2,\"Automatic\":true,\"VersionStages\":{{\"VersionStage\":[\"ACSCurrent\",\"x\"]}},\
             \"SecretList\":{{\"Secret\":[]}},\"ClientKeys\":[{{\"Name\":\"k1\"}},{{\"Name\":\"k2\"}}],\"RequestId\":\"{ID}\"}}"
        )
    );
}

#[test]
fn xml() {
    assert_eq!(
        text(&reply(" {\"pw\":\"<&>\r\n\t数\"} "), Form::Xml),
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><GetSecretValueResponse><SecretName>a/b</SecretName>\
             <SecretData> {{\"pw\":\"&lt;&amp;&gt;&#13;\n\t数\"}} </SecretData><DeleteDate></DeleteDate>\
             <TotalCount>2</TotalCount><Automatic>true</Automatic>\
             <VersionStages><VersionStage>ACSCurrent</VersionStage><VersionStage>x</VersionStage></VersionStages>\
             <SecretList></SecretList><ClientKeys><Name>k1</Name></ClientKeys><ClientKeys><Name>k2</Name></ClientKeys>\
             <RequestId>{ID}</RequestId></GetSecretValueResponse>"
        )
    );
}

#[test]
fn replies_without_fields_and_with_flattened_ones() {
    #[derive(Serialize)]
    struct Nothing {}
    #[derive(Serialize)]
    struct Unit;
    #[derive(Serialize)]
    struct Flat {
        #[serde(flatten)]
        named: Named,
        none: Option<u8>,
    }
    let nothing = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><GetSecretValueResponse><RequestId>".to_owned() + ID;
    assert_eq!(text(&Nothing {}, Form::Json), format!("{{\"RequestId\":\"{ID}\"}}"));
    assert_eq!(text(&Unit, Form::Json), format!("{{\"RequestId\":\"{ID}\"}}"));
    assert_eq!(text(&Nothing {}, Form::Xml), nothing.clone() + "</RequestId></GetSecretValueResponse>");
    assert_eq!(text(&Unit, Form::Xml), nothing + "</RequestId></GetSecretValueResponse>");
    let flat = text(&Flat { named: Named { name: "n" }, none: None }, Form::Xml);
    assert!(flat.contains("Response><Name>n</Name><RequestId>"), "{flat}");
}

#[test]
fn what_xml_cannot_carry_is_refused() {
    for data in ["\0", "a\u{8}", "\u{b}", "\u{1f}b", "\u{fffe}", "x\u{ffff}"] {
        let refused = success("GetSecretValue", &reply(data), &id(), Form::Xml);
        assert_eq!(refused.err(), Some(unwritable()), "{data:?}");
        assert!(success("GetSecretValue", &reply(data), &id(), Form::Json).is_ok());
    }
    let bytes = Reply { secret_data: Plaintext::new(vec![0xff]), ..reply("") };
    for format in [Form::Json, Form::Xml] {
        assert!(matches!(success("GetSecretValue", &bytes, &id(), format), Err(Error::Internal(_))));
    }
}

#[test]
fn errors() {
    let error = Error::SecretNotFound;
    let json = fault(&error, &id(), Form::Json);
    assert_eq!((json.status, json.retry_after_s), (404, None));
    assert_eq!(
        String::from_utf8(json.body.to_vec()).unwrap(),
        format!(
            "{{\"HttpStatus\":404,\"Code\":\"Forbidden.ResourceNotFound\",\"Message\":\"Resource not found. There is no secret of this name.\",\
             \"RequestId\":\"{ID}\"}}"
        )
    );
    let xml = fault(&error, &id(), Form::Xml);
    assert_eq!(
        String::from_utf8(xml.body.to_vec()).unwrap(),
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><HttpStatus>404</HttpStatus>\
             <Code>Forbidden.ResourceNotFound</Code><Message>Resource not found. There is no secret of this name.</Message><RequestId>{ID}</RequestId></Error>"
        )
    );
    assert_eq!(fault(&Error::Throttled, &id(), Form::Json).retry_after_s, Some(1));
    let unsayable = fault(&invalid_since("a\u{1}".into(), ""), &id(), Form::Xml);
    assert_eq!((unsayable.status, unsayable.media_type), (400, Form::Json.media_type()));
}

#[test]
fn the_buffer_grows() {
    let mut buffer = Buffer::default();
    for _ in 0..1000 {
        buffer.push(b"0123456789");
    }
    assert_eq!(buffer.into_bytes(), b"0123456789".repeat(1000));
}

/// The text of SecretData as a parser that is not ours reads it.
fn read_back(document: &str) -> String {
    let mut reader = quick_xml::Reader::from_str(document);
    let (mut inside, mut text) = (false, String::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => inside = start.name().as_ref() == b"SecretData",
            Event::End(_) => inside = false,
            Event::Text(piece) if inside => text.push_str(&piece.decode().unwrap()),
            Event::GeneralRef(entity) if inside => match entity.resolve_char_ref().unwrap() {
                Some(character) => text.push(character),
                None => text.push_str(quick_xml::escape::resolve_predefined_entity(&entity.decode().unwrap()).unwrap()),
            },
            Event::Eof => return text,
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn values_come_back(data in "([<>&\"'\r\n\t ]|.)*") {
        let json: serde_json::Value = serde_json::from_str(&text(&reply(&data), Form::Json)).unwrap();
        prop_assert_eq!(json["SecretData"].as_str(), Some(data.as_str()));
        match success("GetSecretValue", &reply(&data), &id(), Form::Xml) {
            Ok(xml) => prop_assert_eq!(read_back(&String::from_utf8(xml).unwrap()), data),
            Err(error) => prop_assert_eq!(error, unwritable()),
        }
    }
}
