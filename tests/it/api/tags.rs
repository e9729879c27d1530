//! Tags over many resources: pages, whose places are good for one account only, and calls that change all or nothing.

use bulla_test_support::client::Client;

use crate::{create, on_sqlite};

const HERE: [(&str, &str); 2] = [("RegionId", "cn-hangzhou"), ("ResourceType", "secret")];

/// Sets twenty tags on each of these secrets, which are made.
fn tagged(client: &Client, names: &[String]) {
    for name in names {
        create(client, name, "value").ok();
    }
    let mut parameters = HERE.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    parameters.extend(names.iter().enumerate().map(|(i, name)| (format!("ResourceId.{}", i + 1), name.clone())));
    for i in 1..=20 {
        parameters.push((format!("Tag.{i}.Key"), format!("key{i}")));
        parameters.push((format!("Tag.{i}.Value"), format!("value{}", i % 3)));
    }
    let parameters: Vec<_> = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    client.call("TagResources", &parameters).ok();
}

/// A page of the secrets that have `key1`: how many tags, the names of the secrets, the place of the next.
fn page(client: &Client, token: &str) -> (usize, Vec<String>, String) {
    let answer = client.call("ListTagResources", &[HERE[0], HERE[1], ("Tag.1.Key", "key1"), ("NextToken", token)]).ok();
    let tags = answer.json["TagResources"]["TagResource"].as_array().expect("a list").clone();
    let mut names: Vec<_> = tags.iter().map(|tag| tag["ResourceId"].as_str().expect("a name").to_owned()).collect();
    names.dedup();
    (tags.len(), names, answer.text("NextToken").to_owned())
}

#[test]
fn pages_end_and_their_places_are_of_one_account() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let names: Vec<_> = (0..23).map(|i| format!("page/{i}")).collect();
    tagged(&client, &names);
    let (mut seen, mut token, mut sizes) = (Vec::new(), String::new(), Vec::new());
    let mut places = Vec::new();
    loop {
        let (size, names, next) = page(&client, &token);
        sizes.push(size);
        seen.extend(names);
        if next.is_empty() {
            break;
        }
        places.push(next.clone());
        token = next;
    }
    assert_eq!(sizes, [200, 200, 60]);
    seen.sort();
    let mut all = names.clone();
    all.sort();
    assert_eq!(seen, all, "each once");

    let made = server.admin(&["account", "create", "other"]);
    let text = |field: &str| made[field].as_str().expect("shown").to_owned();
    let other = server.client_as(&text("AccessKeyId"), &text("AccessKeySecret"));
    let with = |client: &Client, kind: &str, place: &str| {
        let parameters = [HERE[0], ("ResourceType", kind), ("Tag.1.Key", "key1"), ("NextToken", place)];
        client.call("ListTagResources", &parameters).code().to_owned()
    };
    assert_eq!(with(&other, "secret", &places[0]), "InvalidParameter", "another account");
    assert_eq!(with(&client, "key", &places[0]), "InvalidParameter", "another kind");
    for question in
        [&[("Tag.1.Key", "key2")][..], &[("Tag.1.Key", "key1"), ("Tag.1.Value", "value1")], &[("ResourceId.1", &*names[0])]]
    {
        let asked = [&[HERE[0], HERE[1], ("NextToken", &*places[0])][..], question].concat();
        assert_eq!(client.call("ListTagResources", &asked).code(), "InvalidParameter", "another question: {question:?}");
    }
    let mut changed = places[0].clone().into_bytes();
    changed[3] = if changed[3] == b'A' { b'B' } else { b'A' };
    assert_eq!(with(&client, "secret", &String::from_utf8(changed).expect("ASCII")), "InvalidParameter", "another place");
    assert_eq!(with(&client, "secret", &places[0]), "");
}

#[test]
fn a_call_changes_all_or_nothing() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    tagged(&client, &["full".to_owned()]);
    create(&client, "free", "value").ok();
    let both = [HERE[0], HERE[1], ("ResourceId.1", "free"), ("ResourceId.2", "full"), ("Tag.1.Key", "one-more")];
    assert_eq!(client.call("TagResources", &both).code(), "Rejected.LimitExceeded");
    let one = client.call("ListTagResources", &[HERE[0], HERE[1], ("ResourceId.1", "free")]).ok();
    assert_eq!(one.json["TagResources"]["TagResource"], serde_json::json!([]));
    // A tag that is there gets another value, also where there are twenty.
    let again = [HERE[0], HERE[1], ("ResourceId.1", "full"), ("Tag.1.Key", "key1"), ("Tag.1.Value", "new")];
    client.call("TagResources", &again).ok();
    // A secret made again under a name has none of the tags of the one before.
    client.call("DeleteSecret", &[("SecretName", "full"), ("ForceDeleteWithoutRecovery", "true")]).ok();
    create(&client, "full", "value").ok();
    let described = client.call("DescribeSecret", &[("SecretName", "full"), ("FetchTags", "true")]).ok();
    assert_eq!(described.json["Tags"]["Tag"], serde_json::json!([]));
}

#[test]
fn names_that_are_too_many_are_refused() {
    let (_folder, server) = on_sqlite();
    let numbered: Vec<_> = (1..=51).map(|i| format!("ResourceId.{i}")).collect();
    let mut parameters = HERE.to_vec();
    parameters.extend(numbered.iter().map(|name| (name.as_str(), "a")));
    parameters.push(("Tag.1.Key", "k"));
    assert_eq!(server.client().call("TagResources", &parameters).code(), "InvalidParameter");
}
