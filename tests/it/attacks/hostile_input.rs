//! Bad input: the API's own error, nothing written, no 5xx, and a body that clients can read.

use bulla_test_support::client::{Answer, Client, Scheme};
use bulla_test_support::sizes::{seed, size};
use fastrand::Rng;
use quick_xml::events::Event;

use crate::{create, on_sqlite};

/// Threads that send at the same time.
const THREADS: usize = 4;

/// Names of parameters, of every operation there is or may be.
#[rustfmt::skip]
const NAMES: [&str; 40] = [
    "SecretName", "VersionId", "SecretData", "SecretDataType", "EncryptionKeyId", "Description", "Tags", "SecretType",
    "EnableAutomaticRotation", "VersionStage", "DryRun", "PageNumber", "PageSize", "FetchTags", "Filters",
    "RecoveryWindowInDays", "KeyId", "AliasName", "KeySpec", "Unknown", "VersionStages", "MoveToVersion", "RemoveFromVersion",
    "RotationInterval", "ExtendedConfig", "CiphertextBlob", "Plaintext", "EncryptionContext", "NumberOfBytes", "Algorithm",
    "Digest", "KeyVersionId", "PendingWindowInDays", "Policy", "PolicyName", "ResourceType", "ResourceId.1", "TagKey.1",
    "Tag.1.Key", "PublicKeyBlob",
];

/// Values that fit nowhere, or only somewhere.
fn value(random: &mut Rng) -> String {
    const VALUES: [&str; 14] = [
        "",
        "acs/reserved",
        "acs:kms:cn-hangzhou:1:secret/x",
        "alias/none",
        "[{\"TagKey\":\"\",\"TagValue\":1}]",
        "-1",
        "99999999999999999999",
        "\u{0}\u{7}",
        "true",
        "{\"a\":{\"b\":[1,2,{}]}}",
        "[[[[[[[[]]]]]]]]",
        "AAAA",
        "%",
        "\u{10ffff}\u{202e}",
    ];
    match random.u8(..4) {
        0 | 1 => VALUES[random.usize(..VALUES.len())].to_owned(),
        2 => (0..random.usize(..40)).map(|_| random.char(..)).collect(),
        _ => (0..random.usize(..400)).map(|_| random.lowercase()).collect(),
    }
}

/// Signed bytes of a request whose operation, parameters and form are random.
fn request(client: &Client, actions: &[&str], random: &mut Rng) -> Vec<u8> {
    let action = actions[random.usize(..actions.len())];
    let mut parameters = Vec::new();
    for _ in 0..random.usize(..6) {
        parameters.push((NAMES[random.usize(..NAMES.len())], value(random)));
    }
    if action == "CreateKey" {
        // A good one would take the token a tenth of a second.
        parameters.push(("KeySpec", "Aes_1".to_owned()));
    }
    let parameters: Vec<(&str, &str)> = parameters.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let mut request = client.request(action, &parameters);
    if random.bool() {
        request = request.scheme(Scheme::Acs3);
    }
    if random.bool() {
        request = request.xml();
    }
    if random.bool() {
        request = request.in_body(&["SecretData", "Tags", "Filters", "Policy"]);
    }
    request.bytes()
}

/// Bytes flipped, cut out, doubled, put in.
fn mutate(bytes: &mut Vec<u8>, random: &mut Rng) {
    const PIECES: [&[u8]; 10] = [
        b"\r\n",
        b"\r\n\r\n",
        b"\0",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\n",
        b"%",
        b"&&==",
        b"\xff\xfe",
        b"Content-Type: application/json\r\n",
        b"{\"a\":",
    ];
    for _ in 0..random.usize(1..5) {
        let at = random.usize(..bytes.len());
        let end = (at + random.usize(1..20)).min(bytes.len());
        match random.u8(..5) {
            0 => bytes[at] = random.u8(..),
            1 => bytes.truncate(end),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => drop(bytes.splice(at..at, PIECES[random.usize(..PIECES.len())].iter().copied())),
        }
        if bytes.is_empty() {
            bytes.push(b'\n');
        }
    }
}

/// Text of the elements of an XML document, by name.
fn xml_element(body: &[u8], wanted: &str) -> Option<String> {
    let mut reader = quick_xml::Reader::from_reader(body);
    let (mut inside, mut found) = (false, None);
    loop {
        match reader.read_event().expect("well-formed XML") {
            Event::Start(start) => inside = start.name().as_ref() == wanted.as_bytes(),
            Event::Text(text) if inside => found = Some(text.decode().expect("UTF-8").into_owned()),
            Event::End(_) => inside = false,
            Event::Eof => return found,
            _ => {}
        }
    }
}

/// An answer that the API may give: no fault of the service, readable, with code and request id.
fn check(answer: &Answer, request: &[u8]) {
    let sent = || String::from_utf8_lossy(request).into_owned();
    assert!(answer.status < 500, "{answer:?} to {}", sent());
    let id = answer.header("x-acs-request-id").expect("in every answer");
    let media = answer.header("content-type").expect("in every answer");
    let (code, in_body) = if media.starts_with("application/json") {
        assert!(answer.json.is_object(), "{answer:?} to {}", sent());
        (answer.code().to_owned(), answer.text("RequestId").to_owned())
    } else {
        assert!(media.starts_with("application/xml"), "{media}");
        let element = |name| xml_element(&answer.body, name).unwrap_or_default();
        (element("Code"), element("RequestId"))
    };
    assert_eq!(in_body, id, "{answer:?} to {}", sent());
    assert_eq!(code.is_empty(), answer.status == 200, "{answer:?} to {}", sent());
}

#[test]
fn random_and_malformed_requests_never_give_a_fault() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let seed = seed("hostile");
    let actions: Vec<&str> = bulla::api::table::names().chain(["NoSuchAction"]).collect();
    let rounds = size(50_000, 5_000_000) / THREADS;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (client, actions) = (&client, &actions);
            scope.spawn(move || {
                let mut random = Rng::with_seed(seed ^ thread as u64);
                for round in 0..rounds {
                    let mut bytes = request(client, actions, &mut random);
                    if round % 5 < 2 {
                        check(&client.send_bytes(&bytes).expect("an answer"), &bytes);
                        continue;
                    }
                    mutate(&mut bytes, &mut random);
                    // A head that breaks off has no answer, and one that became two has two.
                    client.send_and_close(&bytes).expect("whole answers").iter().for_each(|answer| check(answer, &bytes));
                }
            });
        }
    });
    assert!(!server.log().contains("panicked"), "{}", server.log());
    assert_eq!(server.client().call("ListKeys", &[]).status, 200);
}

#[test]
fn each_kind_of_bad_parameter_has_its_code() {
    let (_folder, server) = on_sqlite();
    let good = [("SecretName", "n"), ("VersionId", "v"), ("SecretData", "d")];
    let long = "x".repeat(30_721);
    let deep = "[".repeat(20_000);
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    let cases: [Case<'_>; 9] = [
        ("missing", &[("SecretName", "n"), ("VersionId", "v")], "MissingParameter"),
        ("repeated", &[("SecretName", "m"), good[0], good[1], good[2]], "InvalidParameter"),
        ("over-long", &[good[0], good[1], ("SecretData", &long)], "InvalidParameter"),
        ("empty", &[good[0], good[1], ("SecretData", "")], "InvalidParameter"),
        ("mistyped", &[good[0], good[1], good[2], ("EnableAutomaticRotation", "perhaps")], "InvalidParameter"),
        ("no word", &[good[0], good[1], good[2], ("SecretDataType", "jpeg")], "InvalidParameter"),
        ("bad JSON", &[good[0], good[1], good[2], ("Tags", "[")], "InvalidParameter"),
        ("deep JSON", &[good[0], good[1], good[2], ("Tags", &deep)], "InvalidParameter"),
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

#[test]
fn what_is_too_large_is_refused_by_its_size() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let form = |body: &str| {
        let length = body.len();
        format!(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let many: String = (0..10_000).map(|n| format!("p{n}=v&")).collect();
    let tags: String = (1..10_000).map(|n| format!("Tag.{n}.Key=k&")).collect();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let chunks = format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(20));
    let json = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let json =
        format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{json}", json.len());
    let headers: String = (0..5_000).map(|n| format!("x-{n}: v\r\n")).collect();
    for (what, request, status) in [
        ("10,000 parameters", form(&many), 400),
        ("10,000 tags", form(&tags), 400),
        ("a long body", form(&"x".repeat(1 << 20)), 413),
        ("a body without end", chunks, 413),
        ("deep JSON", json, 400),
        ("a long target", format!("GET /?{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(65_400)), 414),
        ("a longer target", format!("GET /?{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(300_000)), 414),
        ("many headers", format!("GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n"), 414),
        ("a long header", format!("GET / HTTP/1.1\r\nHost: x\r\nx: {}\r\n\r\n", "h".repeat(300_000)), 414),
    ] {
        let answer = client.send_raw(request.as_bytes()).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        check(&answer, what.as_bytes());
    }
}

/// A signed write hidden in the body of a request whose length has two readings.
#[test]
fn no_request_can_be_smuggled_in_another() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    create(&client, "before", "v").ok();
    for (n, head) in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding : chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 4\r\nContent-Length: 0\r\n",
        "Content-Length: +4\r\n",
        "Content-Length: 4, 0\r\n",
        "X: y\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n",
    ]
    .iter()
    .enumerate()
    {
        let name = format!("smuggled/{n}");
        let hidden = client.request("CreateSecret", &[("SecretName", &name), ("VersionId", "v1"), ("SecretData", "x")]).bytes();
        let mut bytes = format!("POST / HTTP/1.1\r\nHost: x\r\n{head}\r\n0\r\n\r\n").into_bytes();
        bytes.extend_from_slice(&hidden);
        let answers = client.send_and_close(&bytes).expect("whole answers");
        // Where its length has one reading only, what follows is the next request, openly.
        assert!(answers.len() == 1 && answers[0].status == 400, "{head:?}: {answers:?}");
        assert_eq!(client.call("GetSecretValue", &[("SecretName", &name)]).code(), "Forbidden.ResourceNotFound", "{head:?}");
    }
}
