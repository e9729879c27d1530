//! Versions and labels of a secret through HTTP: what the tables of the two operations' pages say, case by case.

use bulla_test_support::client::{Answer, Client};
use serde_json::{Value, json};

use crate::{create, on_sqlite};

/// Calls an operation on secret `s`.
fn on(client: &Client, action: &str, parameters: &[(&str, &str)]) -> Answer {
    client.call(action, &[&[("SecretName", "s")], parameters].concat())
}

fn put(client: &Client, version: &str, value: &str) -> Answer {
    on(client, "PutSecretValue", &[("VersionId", version), ("SecretData", value)])
}

/// `v1[label,label] v2[]`, oldest first.
fn versions(client: &Client) -> String {
    let listed = on(client, "ListSecretVersionIds", &[("IncludeDeprecated", "true")]).ok();
    let shown = |version: &Value| {
        let stages = version["VersionStages"]["VersionStage"].as_array().expect("a list");
        let stages: Vec<_> = stages.iter().map(|s| s.as_str().expect("a text")).collect();
        format!("{}[{}]", version["VersionId"].as_str().expect("a text"), stages.join(","))
    };
    let versions = listed.json["VersionIds"]["VersionId"].as_array().expect("a list");
    assert_eq!(listed.json["TotalCount"], versions.len());
    versions.iter().map(shown).collect::<Vec<_>>().join(" ")
}

#[test]
fn putting_values() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    create(&client, "s", "one").ok();
    let answer = put(&client, "v2", "two").ok();
    assert_eq!((answer.text("SecretName"), answer.text("VersionId")), ("s", "v2"));
    assert_eq!(answer.json["VersionStages"], json!({"VersionStage": ["ACSCurrent"]}));
    assert_eq!(on(&client, "GetSecretValue", &[]).ok().text("SecretData"), "two");
    assert_eq!(on(&client, "GetSecretValue", &[("VersionStage", "ACSPrevious")]).ok().text("SecretData"), "one");
    assert_eq!(versions(&client), "v1[ACSPrevious] v2[ACSCurrent]");

    // Both forms of VersionStages; the labels of the service stay.
    let labelled = [("VersionId", "v3"), ("SecretData", "three"), ("VersionStages", "[\"green\", \"blue\"]")];
    let answer = on(&client, "PutSecretValue", &labelled).ok();
    assert_eq!(answer.json["VersionStages"], json!({"VersionStage": ["blue", "green"]}));
    let labelled =
        [("VersionId", "v4"), ("SecretData", "four"), ("VersionStages", "{\"VersionStage\":[\"ACSCurrent\",\"blue\"]}")];
    on(&client, "PutSecretValue", &labelled).ok();
    assert_eq!(versions(&client), "v1[] v2[ACSPrevious] v3[green] v4[ACSCurrent,blue]");
    for wrong in ["blue", "[]", "[\"a b\"]", "{}", "[1]", "{\"VersionStage\":\"blue\"}"] {
        let labelled = [("VersionId", "v5"), ("SecretData", "five"), ("VersionStages", wrong)];
        let refused = on(&client, "PutSecretValue", &labelled);
        assert_eq!((refused.status, refused.code()), (400, "InvalidParameter"), "{wrong}");
    }

    // Again: nothing changes, whatever labels are asked for. Another value or type is refused.
    let again = [("VersionId", "v2"), ("SecretData", "two"), ("VersionStages", "[\"ACSCurrent\"]")];
    let answer = on(&client, "PutSecretValue", &again).ok();
    assert_eq!(answer.json["VersionStages"], json!({"VersionStage": ["ACSPrevious"]}));
    assert_eq!(put(&client, "v1", "one").ok().json["VersionStages"], json!({"VersionStage": []}));
    for other in [[("SecretData", "two!"), ("SecretDataType", "text")], [("SecretData", "two"), ("SecretDataType", "binary")]] {
        let refused = on(&client, "PutSecretValue", &[&[("VersionId", "v2")], &other[..]].concat());
        assert_eq!((refused.status, refused.code()), (409, "Rejected.ResourceExist"), "{other:?}");
    }
    assert_eq!(versions(&client), "v1[] v2[ACSPrevious] v3[green] v4[ACSCurrent,blue]");
    assert_eq!(client.call("PutSecretValue", &[("SecretName", "t"), ("VersionId", "v1"), ("SecretData", "x")]).status, 404);
}

#[test]
fn ten_versions_and_eight_labels() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    create(&client, "s", "one").ok();
    let mark = |label: &str, version: &str| {
        on(&client, "UpdateSecretVersionStage", &[("VersionStage", label), ("MoveToVersion", version)])
    };
    mark("keep", "v1").ok();
    for n in 2..=10 {
        put(&client, &format!("v{n}"), "x").ok();
    }
    assert_eq!(put(&client, "v2", "x").ok().status, 200, "a version that is there pushes none out");
    put(&client, "v11", "x").ok();
    assert_eq!(versions(&client), "v1[keep] v3[] v4[] v5[] v6[] v7[] v8[] v9[] v10[ACSPrevious] v11[ACSCurrent]");
    assert_eq!(on(&client, "GetSecretValue", &[("VersionId", "v2")]).code(), "Forbidden.ResourceNotFound");
    // A name that is free again may have another value.
    put(&client, "v2", "y").ok();
    assert_eq!(versions(&client), "v1[keep] v4[] v5[] v6[] v7[] v8[] v9[] v10[] v11[ACSPrevious] v2[ACSCurrent]");

    for label in ["a", "b", "c", "d", "e"] {
        mark(label, "v4").ok();
    }
    let full = versions(&client);
    let refused = mark("f", "v4");
    assert_eq!((refused.status, refused.code()), (400, "Rejected.LimitExceeded"));
    let refused = on(&client, "PutSecretValue", &[("VersionId", "v3"), ("SecretData", "x"), ("VersionStages", "[\"f\"]")]);
    assert_eq!((refused.status, refused.code()), (400, "Rejected.LimitExceeded"));
    assert_eq!(versions(&client), full);
}

#[test]
fn moving_labels() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    create(&client, "s", "one").ok();
    put(&client, "v2", "two").ok();
    put(&client, "v3", "three").ok();
    assert_eq!(versions(&client), "v1[] v2[ACSPrevious] v3[ACSCurrent]");
    let [current, previous] = ["ACSCurrent", "ACSPrevious"];
    // Label, MoveToVersion, RemoveFromVersion, what the answer is, what stands then.
    let table = [
        (current, "v2", "", 200, "", "v1[] v2[ACSCurrent] v3[ACSPrevious]"),
        (current, "v1", "v2", 200, "", "v1[ACSCurrent] v2[ACSPrevious] v3[]"),
        (current, "v1", "", 200, "", "v1[ACSCurrent] v2[ACSPrevious] v3[]"),
        (current, "v3", "v2", 400, "InvalidParameter", "v1[ACSCurrent] v2[ACSPrevious] v3[]"),
        (current, "", "v1", 400, "InvalidParameter", "v1[ACSCurrent] v2[ACSPrevious] v3[]"),
        (previous, "", "v2", 400, "InvalidParameter", "v1[ACSCurrent] v2[ACSPrevious] v3[]"),
        (previous, "v3", "", 200, "", "v1[ACSCurrent] v2[] v3[ACSPrevious]"),
        ("blue", "v2", "", 200, "", "v1[ACSCurrent] v2[blue] v3[ACSPrevious]"),
        ("blue", "v3", "", 200, "", "v1[ACSCurrent] v2[] v3[ACSPrevious,blue]"),
        ("blue", "v1", "v3", 200, "", "v1[ACSCurrent,blue] v2[] v3[ACSPrevious]"),
        ("blue", "v1", "v1", 200, "", "v1[ACSCurrent,blue] v2[] v3[ACSPrevious]"),
        ("blue", "v2", "v3", 400, "InvalidParameter", "v1[ACSCurrent,blue] v2[] v3[ACSPrevious]"),
        ("blue", "", "v3", 400, "InvalidParameter", "v1[ACSCurrent,blue] v2[] v3[ACSPrevious]"),
        ("blue", "v9", "", 404, "Forbidden.ResourceNotFound", "v1[ACSCurrent,blue] v2[] v3[ACSPrevious]"),
        ("blue", "v2", "v9", 404, "Forbidden.ResourceNotFound", "v1[ACSCurrent,blue] v2[] v3[ACSPrevious]"),
        ("green", "", "v1", 400, "InvalidParameter", "v1[ACSCurrent,blue] v2[] v3[ACSPrevious]"),
        ("blue", "", "", 400, "MissingParameter", "v1[ACSCurrent,blue] v2[] v3[ACSPrevious]"),
        ("blue", "", "v1", 200, "", "v1[ACSCurrent] v2[] v3[ACSPrevious]"),
    ];
    for (label, to, from, status, code, after) in table {
        let parameters = [("VersionStage", label), ("MoveToVersion", to), ("RemoveFromVersion", from)];
        let answer = on(&client, "UpdateSecretVersionStage", &parameters);
        assert_eq!((answer.status, answer.code()), (status, code), "{label} to {to:?} from {from:?}");
        assert_eq!(versions(&client), after, "{label} to {to:?} from {from:?}");
    }
}

#[test]
fn listing_versions() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    create(&client, "s", "one").ok();
    for n in 2..=4 {
        put(&client, &format!("v{n}"), "x").ok();
    }
    let page = |parameters: &[(&str, &str)]| {
        let listed = on(&client, "ListSecretVersionIds", parameters).ok().json;
        let ids: Vec<_> =
            listed["VersionIds"]["VersionId"].as_array().expect("a list").iter().map(|v| v["VersionId"].clone()).collect();
        json!([listed["PageNumber"], listed["PageSize"], listed["TotalCount"], ids])
    };
    assert_eq!(page(&[]), json!([1, 20, 2, ["v3", "v4"]]));
    assert_eq!(page(&[("IncludeDeprecated", "True")]), json!([1, 20, 4, ["v1", "v2", "v3", "v4"]]));
    let second = [("IncludeDeprecated", "true"), ("PageNumber", "2"), ("PageSize", "3")];
    assert_eq!(page(&second), json!([2, 3, 4, ["v4"]]));
    assert_eq!(page(&[("PageNumber", "3")]), json!([3, 20, 2, []]));
    for (name, value) in [("PageNumber", "0"), ("PageSize", "101"), ("PageSize", "0"), ("IncludeDeprecated", "yes")] {
        assert_eq!(on(&client, "ListSecretVersionIds", &[(name, value)]).code(), "InvalidParameter", "{name}={value}");
    }
}
