//! An error answer means that nothing has changed, through Vault's door too: every endpoint that docs/vault.md names, as it should be asked,
//! and by nobody, by strangers, with members left out, of the wrong sort, or in no JSON at all.

use std::collections::BTreeMap;

use bulla::token::softhsm;
use bulla_test_support::client::{Answer, Client};
use bulla_test_support::server::Server;
use serde_json::{Value, json};

use crate::BULLA;
use crate::api::golden::run::Maker;
use crate::api::watch::{Watch, written};
use crate::isolated::isolated;
use crate::vault::{Bearer, send_text};

/// Statuses that say that what was asked for may have happened all the same.
const MAY_HAVE_HAPPENED: [u16; 2] = [500, 503];

/// Longer than any value may be, bytes.
const TOO_LONG: usize = 40_000;

/// A request as it should be.
struct Right {
    method: &'static str,
    /// `{n}` stands for a number that no other request has, other names for what was kept.
    path: &'static str,
    body: Value,
    /// What of the answer is kept, by a JSON pointer.
    kept: Option<(&'static str, &'static str)>,
    /// Whether it must succeed, and change something when it does.
    outcome: Outcome,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Read,
    Write,
    /// Nothing that it needs is configured.
    Refused,
}

fn rights() -> Vec<Right> {
    use Outcome::{Read, Refused, Write};
    let right = |outcome, method, path, body| Right { method, path, body, kept: None, outcome };
    let keeping = |name, pointer, of: Right| Right { kept: Some((name, pointer)), ..of };
    let data = json!({ "k": "v" });
    let plain = json!({ "plaintext": "aGVsbG8=" });
    vec![
        right(Write, "POST", "auth/approle/login", json!({ "role_id": "{id}", "secret_id": "{secret}" })),
        right(Refused, "POST", "auth/jwt/login", json!({ "role": "r", "jwt": "a.b.c" })),
        right(Refused, "POST", "auth/cert/login", json!({ "name": "r" })),
        right(Read, "GET", "auth/token/lookup-self", Value::Null),
        right(
            Write,
            "POST",
            "auth/token/create",
            json!({ "ttl": "1h", "explicit_max_ttl": "2h", "renewable": true, "display_name": "x", "policies": [] }),
        ),
        right(Write, "POST", "auth/token/renew-self", json!({ "increment": "1h" })),
        right(Read, "GET", "sys/health", Value::Null),
        right(Read, "GET", "sys/seal-status", Value::Null),
        right(Read, "GET", "sys/leader", Value::Null),
        right(Read, "GET", "sys/init", Value::Null),
        right(Read, "GET", "sys/mounts", Value::Null),
        right(Read, "GET", "sys/mounts/secret", Value::Null),
        right(Read, "POST", "sys/mounts/secret/tune", json!({ "options": { "version": "2" } })),
        right(Read, "GET", "sys/internal/ui/mounts/secret", Value::Null),
        right(Read, "POST", "sys/capabilities-self", json!({ "paths": ["secret/data/a"] })),
        right(Read, "GET", "secret/config", Value::Null),
        right(Read, "POST", "secret/config", json!({ "max_versions": 10, "cas_required": false })),
        right(Write, "POST", "secret/data/cas-{n}", json!({ "data": data, "options": { "cas": 0 } })),
        right(Write, "POST", "secret/data/a", json!({ "data": data })),
        right(Write, "PUT", "secret/data/a", json!({ "data": { "k": "{n}" } })),
        right(Write, "PATCH", "secret/data/a", json!({ "data": { "l": "{n}" } })),
        right(Read, "GET", "secret/data/a?version=1", Value::Null),
        right(Read, "GET", "secret/subkeys/a?depth=1", Value::Null),
        right(Read, "LIST", "secret/metadata/", Value::Null),
        right(Read, "GET", "secret/metadata/a", Value::Null),
        right(Write, "POST", "secret/metadata/a", json!({ "custom_metadata": { "t": "{n}" } })),
        right(Write, "PATCH", "secret/metadata/a", json!({ "custom_metadata": { "u": "{n}" } })),
        right(Write, "POST", "secret/delete/a", json!({ "versions": [1] })),
        right(Write, "POST", "secret/undelete/a", json!({ "versions": [1] })),
        right(Write, "POST", "secret/destroy/a", json!({ "versions": [1] })),
        right(Write, "DELETE", "secret/data/a", Value::Null),
        keeping("blob", "/data/ciphertext", right(Read, "POST", "transit/encrypt/sealing", plain)),
        right(Read, "POST", "transit/decrypt/sealing", json!({ "ciphertext": "{blob}" })),
        right(Read, "POST", "transit/rewrap/sealing", json!({ "ciphertext": "{blob}" })),
        right(Read, "POST", "transit/datakey/plaintext/sealing", json!({ "bits": 256 })),
        right(Read, "POST", "transit/datakey/wrapped/sealing", json!({ "bits": 128 })),
        keeping("signature", "/data/signature", right(Read, "POST", "transit/sign/signing", json!({ "input": "aGVsbG8=" }))),
        right(Read, "POST", "transit/verify/signing", json!({ "input": "aGVsbG8=", "signature": "{signature}" })),
        keeping("mac", "/data/hmac", right(Read, "POST", "transit/hmac/mac", json!({ "input": "aGVsbG8=" }))),
        right(Read, "POST", "transit/verify/mac", json!({ "input": "aGVsbG8=", "hmac": "{mac}" })),
        right(Read, "GET", "transit/keys/sealing", Value::Null),
        right(Write, "DELETE", "secret/metadata/a", Value::Null),
        right(Write, "POST", "auth/token/revoke-self", Value::Null),
    ]
}

/// What requests may name.
struct Names {
    kept: BTreeMap<&'static str, String>,
    requests: usize,
}

impl Names {
    fn fill(&self, text: &str) -> String {
        let text = text.replace("{n}", &self.requests.to_string());
        self.kept.iter().fold(text, |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }
}

/// The bodies that a request which takes one is tried with besides its own: each member left out and of the wrong sort, and no JSON.
fn wrong_bodies(body: &Value) -> Vec<String> {
    let Value::Object(members) = body else { return Vec::new() };
    let mut all = vec!["{".to_owned(), "[]".to_owned(), format!("{}1{}", "[".repeat(200), "]".repeat(200))];
    for name in members.keys() {
        for wrong in [json!(7), json!("%"), json!({ "deep": [[]] }), json!([99]), json!("x".repeat(TOO_LONG)), Value::Null] {
            let mut changed = members.clone();
            changed.insert(name.clone(), wrong);
            all.push(Value::Object(changed).to_string());
        }
        let mut less = members.clone();
        less.remove(name);
        all.push(Value::Object(less).to_string());
    }
    all
}

struct Door<'a> {
    client: &'a Client,
    watch: Watch,
    names: Names,
    problems: Vec<String>,
}

impl Door<'_> {
    /// Asks, and notes an error that left something behind; with the answer, what has changed.
    fn ask(&mut self, token: &str, right: &Right, body: &str, headers: &str) -> (Answer, Vec<String>) {
        self.names.requests += 1;
        let (path, body) = (self.names.fill(right.path), self.names.fill(body));
        let media = if right.method == "PATCH" { "Content-Type: application/merge-patch+json\r\n" } else { "" };
        self.watch.changes();
        let answer = send_text(self.client, token, right.method, &path, &body, &format!("{media}{headers}"));
        let answer = answer.unwrap_or_else(|e| panic!("no answer to {} {path}: {e}", right.method));
        let changes = self.watch.changes();
        if answer.status >= 400 && !changes.is_empty() && !MAY_HAVE_HAPPENED.contains(&answer.status) {
            let body: String = body.chars().take(200).collect();
            self.problems.push(format!("{} {path} {body}: {}, and {changes:#?}", right.method, answer.status));
        }
        (answer, changes)
    }
}

#[test]
fn an_error_answer_of_the_second_door_leaves_everything_as_it_was() {
    isolated(
        |home| softhsm::prepare(&home.join("data")),
        |home| {
            let server = Server::dev(BULLA, home.join("data"), None);
            let maker = Maker::new(&server);
            let (client, stranger) = maker.account("doors").into_clients();
            drop(maker);
            for (alias, spec) in [("sealing", "Aliyun_AES_256"), ("signing", "RSA_2048"), ("mac", "HMAC_SHA_256")] {
                let made = client.call("CreateKey", &[("KeySpec", spec)]).ok();
                let id = made.json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned();
                client.call("CreateAlias", &[("KeyId", &id), ("AliasName", &format!("alias/{alias}"))]).ok();
            }
            // The account's default key is made when it is first needed, by the service, whatever becomes of the request.
            crate::create(&client, "first", "value").ok();
            let (token, strange) = (Bearer::login(&client).token, Bearer::login(&stranger).token);
            let kept = [("id", client.access_key_id.clone()), ("secret", client.access_key_secret.clone())];
            let names = Names { kept: kept.into_iter().collect(), requests: 0 };
            let mut door = Door { client: &client, watch: Watch::new(&server), names, problems: Vec::new() };
            let rights = rights();
            for right in &rights {
                let body = if right.body.is_null() { String::new() } else { right.body.to_string() };
                for token in ["", "hvs.nobody", &strange] {
                    door.ask(token, right, &body, "");
                }
                for headers in ["X-Vault-Wrap-TTL: 60\r\n", "X-Vault-Namespace: other\r\n"] {
                    let (answer, _) = door.ask(&token, right, &body, headers);
                    let is_public = right.path.starts_with("sys/") && answer.status == 200;
                    assert!(answer.status >= 400 || is_public, "{} {}: {}", right.method, right.path, answer.status);
                }
                for wrong in wrong_bodies(&right.body) {
                    door.ask(&token, right, &wrong, "");
                }
                let (answer, changes) = door.ask(&token, right, &body, "");
                let told = String::from_utf8_lossy(&answer.body).into_owned();
                let fits = match right.outcome {
                    Outcome::Read => answer.status < 300,
                    Outcome::Write => answer.status < 300 && !changes.is_empty(),
                    Outcome::Refused => answer.status >= 400,
                };
                assert!(fits, "{} {}: {} {told}, and {changes:?}", right.method, right.path, answer.status);
                if let Some((name, pointer)) = right.kept {
                    let value = answer.json.pointer(pointer).and_then(Value::as_str);
                    door.names.kept.insert(name, value.unwrap_or_else(|| panic!("{pointer} in {told}")).to_owned());
                }
            }
            assert!(door.problems.is_empty(), "{}", door.problems.join("\n"));
            assert!(written(&server).len() > 8, "writes in the audit log");
            every_endpoint_was_asked(&rights);
        },
    );
}

/// Each endpoint of the table in docs/vault.md is among the paths.
fn every_endpoint_was_asked(rights: &[Right]) {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/vault.md")).expect("the page");
    let table = page.lines().skip_while(|line| !line.starts_with("| endpoint |")).take_while(|line| line.starts_with('|'));
    let cells = table.filter_map(|line| line.split('|').nth(1));
    let named = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let ends = named.map(|name| name.trim_end_matches("PATH").trim_end_matches("KEY").trim_end_matches('…'));
    let ends: Vec<&str> = ends.map(|name| name.trim_end_matches('/')).collect();
    assert!(ends.len() > 20, "the table of endpoints: {ends:?}");
    let lost: Vec<_> = ends.iter().filter(|end| !rights.iter().any(|right| right.path.contains(**end))).collect();
    assert!(lost.is_empty(), "endpoints of docs/vault.md that are not asked: {lost:?}");
}
