//! What the second door answers to requests that are nearly right: what they ask for happens, or a text says what would be right; nothing
//! that they say is left out in silence.

use std::io;
use std::path::{Path, PathBuf};

use bulla::token::softhsm;
use bulla_test_support::client::{Answer, Client};
use bulla_test_support::server::Server;
use serde_json::{Value, json};

use crate::BULLA;
use crate::api::policies::user;
use crate::isolated::isolated;
use crate::vault::{Bearer, send_text};

fn prepare(home: &Path) -> io::Result<PathBuf> {
    softhsm::prepare(&home.join("data"))
}

/// A server, a client of its root, and its token.
fn with_a_door(home: &Path, test: impl FnOnce(&Server, &Client, &Bearer<'_>)) {
    let server = Server::dev(BULLA, home.join("data"), None);
    let client = server.client();
    let door = Bearer::login(&client);
    test(&server, &client, &door);
}

fn said(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json["errors"].as_array().map(|texts| texts.iter().map(shown).collect()).unwrap_or_default())
}

fn shown(text: &Value) -> String {
    text.as_str().unwrap_or_default().to_owned()
}

/// It is refused, and the text says what would be right.
#[track_caller]
fn refused(answer: &Answer, with: &str) {
    let (status, text) = said(answer);
    assert!(status == 400 && text.contains(with), "{status} {text:?}, not {with:?}");
}

#[test]
fn no_part_of_a_value_is_lost() {
    isolated(prepare, |home| with_a_door(home, values));
}

fn values(_: &Server, client: &Client, door: &Bearer<'_>) {
    let raw = |method: &str, path: &str, body: &str| {
        let media = if method == "PATCH" { "Content-Type: application/merge-patch+json\r\n" } else { "" };
        send_text(client, &door.token, method, path, body, media).expect("an answer")
    };
    let read = |path: &str| door.ask("GET", &format!("secret/data/{path}"), &Value::Null).ok().json["data"]["data"].clone();
    let whole = json!({ "user": "root", "db": { "password": "s3cret" } });
    door.ask("POST", "secret/data/v/sur", &json!({ "data": whole })).ok();
    for (method, body) in [
        ("POST", r#"{"data":{"user":"root","db":{"password":"s3cret","\ud83d":"x"}}}"#),
        ("POST", r#"{"data":{"\ud800":"v","b":1}}"#),
        ("POST", r#"{"data":{"b":1},"\ud800":2}"#),
        ("PATCH", r#"{"data":{"note\ud83d":"x"}}"#),
    ] {
        refused(&raw(method, "secret/data/v/sur", body), "half of a surrogate pair");
    }
    refused(&raw("POST", "secret/metadata/v/sur", r#"{"custom_metadata":{"\ud800":"x"}}"#), "half of a surrogate pair");
    assert_eq!(read("v/sur"), whole);
    crate::create(client, "v/rpc", r#"{"a":{"\ud800":1,"pw":"keep"},"b":2}"#).ok();
    refused(
        &raw("PATCH", "secret/data/v/rpc", r#"{"data":{"a":{"new":1}}}"#),
        "what the patch makes of the data cannot be stored",
    );
    // A binary value is the Base64 that it was given as, read and patched.
    let bytes = [("SecretName", "v/bin"), ("VersionId", "1"), ("SecretData", "aGVsbG8="), ("SecretDataType", "binary")];
    client.call("CreateSecret", &bytes).ok();
    assert_eq!(read("v/bin"), json!({ "value": "aGVsbG8=" }));
    door.ask("PATCH", "secret/data/v/bin", &json!({ "data": { "n": 1 } })).ok();
    assert_eq!(read("v/bin"), json!({ "n": 1, "value": "aGVsbG8=" }));
    // A patch that makes too much of a value is refused as a write of it is.
    refused(&door.ask("PATCH", "secret/data/v/sur", &json!({ "data": { "a": "x".repeat(30_720) } })), "at most 30720");
    refused(
        &raw("PATCH", "secret/data/v/sur", &format!(r#"{{"data":{{"a":{}{}}}}}"#, "[".repeat(70), "]".repeat(70))),
        "too deep",
    );
    let answer = door.ask("PATCH", "secret/data/v/sur", &json!({ "data": { "c": 1 }, "extra": 1 })).ok();
    assert_eq!(answer.json["warnings"], json!(["Endpoint ignored these unrecognized parameters: [extra]"]));
    refused(&door.ask("POST", "secret/config", &json!({ "cas_required": "x" })), "unconvertible type 'string'");
}

#[test]
fn no_limit_of_a_token_is_left_out() {
    isolated(prepare, |home| with_a_door(home, tokens));
}

fn tokens(server: &Server, client: &Client, door: &Bearer<'_>) {
    let make = |body: Value| door.ask("POST", "auth/token/create", &body);
    for (member, wrong, says) in [
        ("num_uses", json!(1), "num_uses must be 0"),
        ("num_uses", json!("-1"), "num_uses must be 0"),
        ("ttl", json!(-1), "ttl must be positive"),
        ("ttl", json!("-5"), "ttl must be positive"),
        ("explicit_max_ttl", json!("-5"), "explicit_max_ttl must be positive"),
        ("type", json!("batch"), "type must be service"),
        ("no_parent", json!(true), "no_parent must be false"),
        ("period", json!("1h"), "period cannot be given"),
        ("lease", json!("1m"), "lease cannot be given"),
        ("id", json!("root"), "id cannot be given"),
        ("entity_alias", json!("ann"), "entity_alias cannot be given"),
        ("policies", json!(["default"]), "policies of its user"),
        ("display_name", json!("a\u{1b}[2Jb"), "printable"),
        ("display_name", json!("a\nroot"), "printable"),
        ("display_name", json!("x".repeat(129)), "at most 128"),
    ] {
        refused(&make(json!({ member: wrong })), says);
    }
    // What clients send where they want nothing in particular.
    let usual = json!({ "num_uses": 0, "type": "service", "no_parent": false, "period": "", "policies": [], "ttl": "", "meta": { "a": "b" } });
    assert_eq!(make(usual).ok().json["warnings"], json!(["Endpoint ignored these unrecognized parameters: [meta]"]));
    for wrong in [json!([]), json!([0])] {
        refused(&make(json!({ "num_uses": wrong })), "unconvertible type '[]interface {}'");
    }
    assert_eq!(make(json!({ "ttl": "0.5h", "num_uses": "" })).ok().json["warnings"], Value::Null);
    refused(&door.ask("POST", "auth/token/renew-self", &json!({ "increment": -5 })), "cannot provide negative value '-5'");
    server.admin(&["user", "create", "ann"]);
    let anns = server.admin(&["token", "create", "--user", "ann", "--ttl", "1h"]);
    let anns = Bearer::with(client, anns["Token"].as_str().expect("a token"));
    let made = anns.ask("POST", "auth/token/create", &json!({ "explicit_max_ttl": "60s", "display_name": "root" })).ok();
    let longer = anns.ask("POST", "auth/token/create", &json!({ "ttl": "2h" })).ok();
    let warned = shown(&longer.json["warnings"][0]);
    assert!(warned.starts_with("TTL of \"2h0m0s\" exceeded the effective max_ttl of "), "{warned}");
    let made = Bearer::with(client, made.json["auth"]["client_token"].as_str().expect("a token"));
    let told = made.ask("GET", "auth/token/lookup-self", &Value::Null).ok().json["data"].clone();
    assert_eq!((&told["explicit_max_ttl"], &told["display_name"]), (&json!(60), &json!("root")));
    // A label says what its maker likes; whose the token is stands beside it.
    let listed = server.admin(&["token", "list"]);
    let one = listed.as_array().expect("a list").iter().find(|token| token["Accessor"] == told["accessor"]);
    let one = one.unwrap_or_else(|| panic!("{told} in {listed}"));
    assert_eq!((&one["Label"], &one["Owner"]), (&json!("root"), &json!("user/ann")));
}

#[test]
fn transit_answers_what_was_asked() {
    isolated(prepare, |home| with_a_door(home, transit));
}

fn transit(_: &Server, client: &Client, door: &Bearer<'_>) {
    for (alias, spec) in [
        ("sealing", "Aliyun_AES_256"),
        ("signing", "RSA_2048"),
        ("mac", "HMAC_SHA_256"),
        ("mac512", "HMAC_SHA_512"),
        ("a/shakey", "EC_P256"),
    ] {
        let made = client.call("CreateKey", &[("KeySpec", spec)]).ok();
        let id = made.json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned();
        client.call("CreateAlias", &[("KeyId", &id), ("AliasName", &format!("alias/{alias}"))]).ok();
    }
    let ask = |path: &str, body: Value| door.ask("POST", &format!("transit/{path}"), &body);
    let data = |path: &str, body: Value| ask(path, body).ok().json["data"].clone();
    let (plain, input) = (json!("aGVs\nbG8=\n"), json!("aGVsbG8=\r\n"));
    let made = data("encrypt/sealing", json!({ "plaintext": plain, "key_version": "1" }));
    let sealed = shown(&made["ciphertext"]);
    assert_eq!(data("decrypt/sealing", json!({ "ciphertext": format!("{sealed}\n") }))["plaintext"], "aGVsbG8=");
    refused(&ask("decrypt/sealing", json!({ "ciphertext": sealed.replace(":v1:", ":v2:") })), "not of this key and version");
    // No version but the newest encrypts and signs, and none is taken for another.
    for (path, body) in [
        ("encrypt/sealing", json!({ "plaintext": plain })),
        ("rewrap/sealing", json!({ "ciphertext": sealed })),
        ("sign/signing", json!({ "input": input })),
        ("hmac/mac", json!({ "input": input })),
    ] {
        for (version, says) in [(json!(7), "not the newest"), (json!("x"), "whole number"), (json!(-1), "not be negative")] {
            let mut asked = body.clone();
            asked["key_version"] = version;
            refused(&ask(path, asked.clone()), says);
            refused(&ask(path, json!({ "batch_input": [body, asked] })), says);
        }
        refused(&ask(path, json!({ "batch_input": vec![body.clone(); 1001] })), "batch_input may have 1000 entries");
        data(path, body);
    }
    let batch = json!({ "batch_input": [{ "plaintext": plain, "reference": "r\"1" }, { "plaintext": plain }], "frob": 1 });
    let answer = ask("encrypt/sealing", batch).ok();
    assert_eq!(answer.json["warnings"], json!(["Endpoint ignored these unrecognized parameters: [frob]"]));
    let results = answer.json["data"]["batch_results"].clone();
    assert_eq!((&results[0]["reference"], &results[1]["reference"]), (&json!("r\"1"), &json!("")));
    let opened = data("decrypt/sealing", json!({ "batch_input": [results[0], { "ciphertext": sealed }] }));
    let told = json!([{ "plaintext": "aGVsbG8=", "reference": "r\"1" }, { "plaintext": "aGVsbG8=", "reference": "" }]);
    assert_eq!(opened["batch_results"], told);
    refused(&ask("sign/signing", json!({ "input": input, "salt_length": "foo" })), "salt_length must be hash");
    let signature = data("sign/signing/sha2-256", json!({ "input": input, "salt_length": "hash" }))["signature"].clone();
    let signature = format!("{}\n", shown(&signature));
    assert_eq!(data("verify/signing", json!({ "input": input, "signature": signature })), json!({ "valid": true }));
    refused(
        &ask("verify/signing", json!({ "input": input, "signature": signature.replace(":v1:", ":v9:") })),
        "version not found",
    );
    assert_eq!(
        data("sign/a/shakey", json!({ "input": input }))["key_version"],
        1,
        "a name whose last part begins as hashes do"
    );
    let two = json!({ "batch_input": [{ "input": input, "reference": "a" }, { "input": plain }], "prehashed": false });
    for (path, member) in [("sign/signing", "signature"), ("sign/a/shakey", "signature"), ("hmac/mac", "hmac")] {
        let made = data(path, two.clone())["batch_results"].clone();
        assert_eq!((&made[0]["reference"], &made[1]["key_version"]), (&json!("a"), &json!(1)), "{path}");
        let verify = path.replace("sign/", "verify/").replace("hmac/", "verify/");
        let item = |input: &str, of: usize| json!({ "input": input, member: made[of][member], "reference": of.to_string() });
        let told = data(&verify, json!({ "batch_input": [item("aGVsbG8=", 0), item("aGVsbG8=", 1), item("YQ==", 0)] }));
        let valid: Vec<_> = told["batch_results"].as_array().expect("a list").iter().map(|one| one["valid"].clone()).collect();
        assert_eq!(
            (valid, &told["batch_results"][1]["reference"]),
            (vec![json!(true), json!(true), json!(false)], &json!("1"))
        );
        refused(&ask(&verify, json!({ "batch_input": [item("YQ==", 0), { "input": input }] })), "one of signature, hmac");
    }
    // What is wrong with a request is not told to whoever shows no token.
    let nobody = Bearer::with(client, "s.nobody");
    for body in [json!({ "input": 7 }), json!({ "input": input, "salt_length": "foo" })] {
        assert_eq!(said(&nobody.ask("POST", "transit/sign/signing", &body)), (403, "permission denied".to_owned()));
    }
    // What says nothing is not there.
    let nothing = json!({ "input": input, "signature": signature, "hmac": null, "key_version": "", "hash_algorithm": "", "algorithm": "" });
    for hmac in [Value::Null, json!("")] {
        let mut asked = nothing.clone();
        asked["hmac"] = hmac;
        assert_eq!(data("verify/signing", asked), json!({ "valid": true }));
    }
    // What is bound is the bytes, in whatever spelling of Base64 that is read.
    let bound = |context: &str| json!({ "plaintext": plain, "associated_data": context });
    let made = data("encrypt/sealing", bound("YWI=\n"));
    let opened =
        |context: &str| ask("decrypt/sealing", json!({ "ciphertext": made["ciphertext"], "associated_data": context }));
    assert_eq!(opened("YW\nI=").ok().json["data"]["plaintext"], "aGVsbG8=");
    refused(&opened("YWM="), "bound to something else");
    refused(&opened("!!"), "failed to base64-decode associated_data");
    refused(&ask("encrypt/sealing", bound("!!")), "failed to base64-decode associated_data");
    refused(&ask("datakey/wrapped/sealing", json!({ "context": "!!" })), "failed to base64-decode context");
    for bits in [json!([256]), json!([])] {
        refused(&ask("datakey/wrapped/sealing", json!({ "bits": bits })), "unconvertible type");
    }
    // A key makes MACs of its own algorithm.
    let mac = data("hmac/mac512", json!({ "input": input }))["hmac"].clone();
    for path in ["verify/mac512", "verify/mac512/sha2-512"] {
        assert_eq!(data(path, json!({ "input": input, "hmac": mac })), json!({ "valid": true }), "{path}");
    }
    assert_eq!(data("hmac/mac512", json!({ "input": input, "algorithm": "sha2-512" }))["hmac"], mac);
    refused(&ask("hmac/mac512/sha2-256", json!({ "input": input })), "hash or signature algorithm");
    let later = json!({ "input": input, "hmac": mac.as_str().expect("a text").replace("vault:v1:", "vault:v2:") });
    refused(&ask("verify/mac512", later), "version not found");
    refused(&ask("hmac/mac512/sha1", json!({ "input": input })), "that of its key");
    let keys = |path: &str| door.ask("GET", &format!("transit/keys{path}"), &Value::Null);
    assert_eq!(keys("/a/shakey").ok().json["data"]["keys"]["1"]["name"], "P-256");
    assert_eq!(keys("?list=true").status, 405);
    refused(&ask("sign/sealing", json!({ "input": input })), "the type of this key does not support signing");
    refused(&ask("hmac/sealing", json!({ "input": input })), "the type of this key does not support MACs");
    refused(&ask("encrypt/signing", json!({ "plaintext": plain })), "the type of this key does not support encryption");
}

#[test]
fn metadata_are_tags_and_come_in_pages() {
    isolated(prepare, |home| with_a_door(home, metadata));
}

fn metadata(_: &Server, client: &Client, door: &Bearer<'_>) {
    for name in ["m/a", "m/b", "m/c/d", "m/e"] {
        door.ask("POST", &format!("secret/data/{name}"), &json!({ "data": { "v": 1 } })).ok();
    }
    let list = |query: &str| door.ask("LIST", &format!("secret/metadata/m/{query}"), &Value::Null);
    for (query, keys) in [
        ("", json!(["a", "b", "c/", "e"])),
        ("?limit=2", json!(["a", "b"])),
        ("?after=a&limit=1", json!(["b"])),
        ("?after=b&limit=0", json!(["c/", "e"])),
        ("?after=b/", json!(["c/", "e"])),
        ("?after=c/&limit=-1", json!(["e"])),
    ] {
        assert_eq!(list(query).ok().json["data"]["keys"], keys, "{query}");
    }
    assert_eq!(list("?after=e").status, 404);
    refused(&list("?limit=x"), "field \"limit\"");
    // Where a path leads, its query goes.
    let moved = send_text(client, &door.token, "GET", "secret//data/m/a?version=1&x=%2F", "", "").expect("an answer");
    assert_eq!((moved.status, moved.header("location")), (307, Some("/v1/secret/data/m/a?version=1&x=%2F")));
    let set = |tags: Value| door.ask("POST", "secret/metadata/m/a", &json!({ "custom_metadata": tags }));
    for wrong in
        [json!({ "acs:x": "1" }), json!({ "Aliyun": "1" }), json!({ "a,b": "1" }), json!({ "a": "\u{1b}" }), json!({ "": "1" })]
    {
        refused(&set(wrong), "custom_metadata are tags: keys of 1 to 128");
    }
    let many: serde_json::Map<String, Value> = (0..21).map(|n| (format!("k{n}"), json!("v"))).collect();
    refused(&set(many.into()), "20 at most");
    assert_eq!(set(json!({ "owner": "ann" })).status, 204);
    let tags = "[\"owner\"]";
    client.call("UntagResource", &[("SecretName", "m/a"), ("TagKeys", tags)]).ok();
    let body = json!({ "custom_metadata": { "a": "b" }, "metadata_cas": 0 });
    refused(&door.ask("POST", "secret/metadata/m/a", &body), "metadata_cas");
    let told = door.ask("GET", "secret/metadata/m/a", &Value::Null).ok();
    assert_eq!(told.json["data"]["custom_metadata"], Value::Null);
}

#[test]
fn capabilities_are_what_the_endpoints_ask_for() {
    isolated(prepare, |home| with_a_door(home, capabilities));
}

fn capabilities(server: &Server, client: &Client, door: &Bearer<'_>) {
    let made = client.call("CreateKey", &[]).ok();
    let key = shown(&made.json["KeyMetadata"]["KeyId"]);
    client.call("CreateAlias", &[("KeyId", &key), ("AliasName", "alias/c/sealing")]).ok();
    let rights = json!({ "Version": "1", "Statement": [
        {
            "Effect": "Allow",
            "Action": ["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey", "kms:ReEncryptFrom", "kms:VerifyMac"],
            "Resource": [format!("acs:kms:*:*:key/{key}")],
        },
        { "Effect": "Allow", "Action": ["kms:GetSecretValue"], "Resource": ["acs:kms:*:*:secret/c/*"] },
    ] });
    let anns = user(server, "ann", &[&rights.to_string()]);
    let anns = Bearer::login(&anns);
    for (path, expected) in [
        ("secret/data/c/a", &["read"][..]),
        ("/secret/data/c/a", &["read"]),
        ("secret/subkeys/c/a", &["read"]),
        ("secret/data/d", &["deny"]),
        ("secret/data/c/ü", &["deny"]),
        ("secret/metadata/", &["deny"]),
        ("secret/config", &["read", "update"]),
        ("transit/encrypt/c/sealing", &["update"]),
        ("transit/decrypt/c/sealing", &["update"]),
        ("transit/rewrap/c/sealing", &["deny"]),
        ("transit/datakey/plaintext/c/sealing", &["deny"]),
        ("transit/sign/c/sealing/sha2-256", &["deny"]),
        ("transit/verify/c/sealing", &["update"]),
        ("transit/keys/c/sealing", &["read"]),
        ("transit/keys/absent", &["deny"]),
        ("auth/token/lookup-self", &["read", "update"]),
        ("sys/capabilities-self", &["update"]),
        ("sys/policies/acl/x", &["deny"]),
        ("nope", &["deny"]),
    ] {
        let told = anns.ask("POST", "sys/capabilities-self", &json!({ "path": path })).ok();
        assert_eq!(told.json["data"]["capabilities"], json!(expected), "{path}");
    }
    let told = door.ask("POST", "sys/capabilities-self", &json!({ "paths": ["transit/encrypt/x"] })).ok();
    assert_eq!(told.json["capabilities"], json!(["root"]));
    let two = anns.ask("POST", "sys/capabilities-self", &json!({ "paths": "secret/data/c/a,data" })).ok();
    assert_eq!(two.json["data"]["secret/data/c/a"], json!(["read"]));
    assert_eq!(two.json["data"]["data"], json!(["deny"]));
    // What it says is what happens.
    let ask = |path: &str, body: Value| anns.ask("POST", path, &body).status;
    assert_eq!(ask("transit/encrypt/c/sealing", json!({ "plaintext": "YQ==" })), 200);
    assert_eq!(ask("transit/datakey/plaintext/c/sealing", json!({})), 403);
}

#[test]
fn paths_lead_where_they_say() {
    isolated(prepare, |home| with_a_door(home, paths));
}

fn paths(_: &Server, client: &Client, door: &Bearer<'_>) {
    let get = |path: &str| door.ask("GET", path, &Value::Null);
    for name in ["s/tenants/bob", "s/admin", "s/folder/x"] {
        door.ask("POST", &format!("secret/data/{name}"), &json!({ "data": { "name": name } })).ok();
    }
    for path in
        ["tenants/..%2Fadmin", "tenants/%2e%2e/admin", "tenants/bob%2F..%2F..%2Fadmin", "tenants/.%2Fbob", "tenants/bob%2F."]
    {
        let (status, text) = said(&get(&format!("secret/data/s/{path}")));
        assert_eq!((status, text.as_str()), (400, "relative paths not supported"), "{path}");
    }
    refused(&get("secret/data/s/tenants%2F/bob"), "empty segments");
    assert_eq!(get("secret/data/s/tenants%2Fbob").ok().json["data"]["data"]["name"], "s/tenants/bob");
    // Names that no path says are in no list.
    for name in ["s//x", "/s/x", "s/../x", "s/./x", "s/x/", "..", "s/folder//y", "only//x"] {
        crate::create(client, name, "value").ok();
    }
    let list = |path: &str| door.ask("LIST", &format!("secret/metadata/{path}"), &Value::Null);
    assert_eq!(list("").ok().json["data"]["keys"], json!(["s/"]));
    assert_eq!(list("s/").ok().json["data"]["keys"], json!(["admin", "folder/", "tenants/"]));
    assert_eq!(list("s/folder").ok().json["data"]["keys"], json!(["x"]));
    assert_eq!(list("only").status, 404);
    // With a slash behind it, what is deleted is the same; nothing else is done there.
    for kind in ["delete", "undelete", "destroy"] {
        let answer = door.ask("POST", &format!("secret/{kind}/s/admin/"), &json!({ "versions": [1] }));
        refused(&answer, "cannot write to a path ending in '/'");
    }
    for (kind, without) in
        [("delete", "No version number"), ("undelete", "No version number"), ("destroy", "no version number")]
    {
        refused(&door.ask("POST", &format!("secret/{kind}/s/admin"), &json!({ "versions": "" })), without);
    }
    assert_eq!(door.ask("DELETE", "secret/data/s/admin/", &Value::Null).status, 204);
    assert_eq!(get("secret/data/s/admin").status, 404);
    assert_eq!(get("secret/metadata/s/admin").status, 200);
    assert_eq!(door.ask("DELETE", "secret/metadata/s/admin/", &Value::Null).status, 204);
    assert_eq!(get("secret/metadata/s/admin").status, 404);
    // A compare-and-set that says nothing is 0.
    for (method, cas) in [("POST", Value::Null), ("PUT", json!("")), ("PATCH", Value::Null), ("POST", json!("0"))] {
        let body = json!({ "data": { "other": 1 }, "options": { "cas": cas } });
        refused(&door.ask(method, "secret/data/s/tenants/bob", &body), "check-and-set parameter did not match");
        refused(&door.ask("POST", "secret/config", &json!({ "max_versions": [10] })), "unconvertible type");
    }
    assert_eq!(door.ask("POST", "secret/config", &json!({ "delete_version_after": "0.0s" })).status, 204);
    for path in ["secret/data/s/tenants/bob?list=true", "secret/subkeys/s/tenants/bob?list=true"] {
        assert_eq!(get(path).status, 405, "{path}");
    }
}

#[test]
fn a_stranger_is_not_told_what_there_is() {
    isolated(prepare, |home| with_a_door(home, strangers));
}

fn strangers(_: &Server, client: &Client, door: &Bearer<'_>) {
    let ask = |token: &str, method: &str, path: &str, headers: &str| {
        send_text(client, token, method, path, "", headers).expect("an answer").status
    };
    for (method, path, known) in [
        ("GET", "nope/x", 404),
        ("GET", "sys/nope", 404),
        ("GET", "transit/nope", 404),
        ("GET", "auth/nope", 404),
        ("GET", "secret/nope", 404),
        ("DELETE", "auth/token/create", 405),
        ("DELETE", "sys/mounts", 405),
        ("GET", "sys/capabilities-self", 405),
        ("POST", "sys/internal/ui/mounts", 405),
        ("GET", "secret/metadata/a?list=maybe", 400),
    ] {
        assert_eq!((ask("", method, path, ""), ask(&door.token, method, path, "")), (403, known), "{method} {path}");
    }
    assert_eq!(ask("", "GET", "auth/approle/login", ""), 405, "where nobody has a token yet");
    assert_eq!(ask("", "GET", "sys/init", ""), 200);
    // A header without anything in it does not hide the other.
    let bearer = format!("X-Vault-Token: \r\nAuthorization: Bearer {}\r\n", door.token);
    assert_eq!(ask("", "GET", "auth/token/lookup-self", &bearer), 200);
    let mount = door.ask("GET", "sys/mounts/secret", &Value::Null).ok();
    assert_eq!((&mount.json["data"]["type"], &mount.json["type"]), (&json!("kv"), &json!("kv")));
    assert_eq!(door.ask("GET", "sys/mounts/secret/tune", &Value::Null).ok().json["data"]["options"]["version"], "2");
    refused(&door.ask("GET", "sys/mounts/nope", &Value::Null), "No secret engine mount at nope/");
    let tune = |name: &str, body: Value| door.ask("POST", &format!("sys/mounts/{name}/tune"), &body);
    // Also as `bao kv enable-versioning` says it.
    let unsaid =
        json!({ "options": { "version": "2" }, "default_lease_ttl": "", "max_lease_ttl": "", "force_no_cache": false });
    for body in [json!({ "options": { "version": "2" } }), unsaid, json!({})] {
        assert_eq!(tune("secret", body).status, 204);
    }
    for (name, body) in [
        ("secret", json!({ "options": { "version": "1" } })),
        ("secret", json!({ "options": { "version": "2" }, "max_lease_ttl": "1h" })),
        ("transit", json!({ "options": { "version": "2" } })),
        ("secret", json!({ "options": { "version": "2" }, "force_no_cache": true })),
        ("secret", json!({ "description": "another" })),
        ("secret", json!({ "listing_visibility": "unauth" })),
    ] {
        refused(&tune(name, body), "mounts cannot be changed here");
    }
}
