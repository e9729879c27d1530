//! What is written through one door reads the same through the other: random operations through both on the same secrets.
//!
//! A failure prints the operations on the secret so far and the seed; `BULLA_SEED` runs the same again.

use bulla_test_support::client::{Answer, Client};
use bulla_test_support::server::Server;
use bulla_test_support::sizes::{seed, size};
use fastrand::Rng;
use serde_json::{Value, json};

use crate::vault::Bearer;
use crate::{on_postgres, on_sqlite};

/// Clients at a time; each has secrets of its own.
const CLIENTS: usize = 4;
/// Secrets of a client.
const SECRETS: usize = 3;
/// Between two looks at all versions of a secret.
const LOOK_EVERY: usize = 12;

#[test]
fn on_sqlite_both_doors_show_one_history() {
    let (_folder, server) = on_sqlite();
    run(&server, size(600, 5_000));
}

#[test]
fn on_postgres_both_doors_show_one_history() {
    let (_folder, server) = on_postgres();
    run(&server, size(400, 5_000));
}

fn run(server: &Server, operations: usize) {
    let seed = seed("two doors");
    std::thread::scope(|scope| {
        for n in 0..CLIENTS {
            scope.spawn(move || {
                let client = server.client();
                let door = Bearer::login(&client);
                let mut random = Rng::with_seed(seed ^ n as u64);
                let mut secrets: Vec<_> = (0..SECRETS).map(|s| Secret::new(&client, &door, format!("doors/{n}/{s}"))).collect();
                for _ in 0..operations / CLIENTS {
                    let secret = &mut secrets[random.usize(..SECRETS)];
                    secret.step(&mut random);
                }
                secrets.iter().for_each(Secret::look);
            });
        }
    });
}

/// A secret, and what was done to it.
struct Secret<'a> {
    client: &'a Client,
    door: &'a Bearer<'a>,
    name: String,
    done: Vec<String>,
    /// Makes VersionIds and values that are nobody else's.
    next: usize,
}

impl<'a> Secret<'a> {
    fn new(client: &'a Client, door: &'a Bearer<'a>, name: String) -> Self {
        Self { client, door, name, done: Vec::new(), next: 0 }
    }

    /// The first door.
    fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        let all = [&[("SecretName", self.name.as_str())], parameters].concat();
        for _ in 0..20 {
            let answer = self.client.call(action, &all);
            if answer.status != 503 {
                return answer;
            }
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
        panic!("{action} is turned away again and again");
    }

    /// The second.
    fn ask(&self, method: &str, kind: &str, more: &str, body: &Value) -> Answer {
        self.door.ask(method, &format!("secret/{kind}/{}{more}", self.name), body)
    }

    /// What the second door says of the versions; none where there is no secret.
    fn metadata(&self) -> Option<Value> {
        let answer = self.ask("GET", "metadata", "", &Value::Null);
        (answer.status == 200).then(|| answer.json["data"].clone())
    }

    /// Does something through one of the doors, and looks at what it wrote through the other.
    fn step(&mut self, random: &mut Rng) {
        self.next += 1;
        let (id, value) =
            (format!("id-{}", self.next), json!({ "n": self.next, "text": "schön \"1e3\"", "deep": { "a": [1, null] } }));
        let (text, plain) = (value.to_string(), format!("no object {}", self.next));
        let metadata = self.metadata();
        let numbers: Vec<i64> = metadata
            .iter()
            .flat_map(|m| m["versions"].as_object().expect("versions").keys())
            .map(|n| n.parse().expect("a number"))
            .collect();
        let number = if numbers.is_empty() { 1 } else { numbers[random.usize(..numbers.len())] };
        let current = metadata.as_ref().map_or(0, |m| m["current_version"].as_i64().expect("a number"));
        let ids = self.ids();
        let some_id = if ids.is_empty() { "id-0".to_owned() } else { ids[random.usize(..ids.len())].clone() };
        let name = |what: &str| what.to_owned();
        let (what, answer, wrote) = match random.u8(..20) {
            0..=2 => {
                let data = [("VersionId", id.as_str()), ("SecretData", text.as_str())];
                let action = if metadata.is_none() { "CreateSecret" } else { "PutSecretValue" };
                (format!("{action} {id}"), self.call(action, &data), Some(value))
            }
            3 => {
                let data = [("VersionId", id.as_str()), ("SecretData", plain.as_str())];
                let action = if metadata.is_none() { "CreateSecret" } else { "PutSecretValue" };
                (format!("{action} {id}, no object"), self.call(action, &data), Some(json!({ "value": plain })))
            }
            4..=6 => (name("put"), self.ask("POST", "data", "", &json!({ "data": value })), Some(value)),
            7 | 8 => {
                let body = json!({ "data": value, "options": { "cas": current } });
                (format!("put, cas {current}"), self.ask("PUT", "data", "", &body), Some(value))
            }
            9 => {
                let body = json!({ "data": value, "options": { "cas": current + 7 } });
                let answer = self.ask("PUT", "data", "", &body);
                assert_eq!(answer.status, 400, "{}: cas {} where {current} is", self.told(), current + 7);
                (name("put, wrong cas"), answer, None)
            }
            10 => (name("patch"), self.ask("PATCH", "data", "", &json!({ "data": { "patched": self.next } })), None),
            11 => (name("delete"), self.ask("DELETE", "data", "", &Value::Null), None),
            12 => (format!("delete {number}"), self.ask("POST", "delete", "", &json!({ "versions": [number] })), None),
            13 | 14 => (format!("undelete {number}"), self.ask("POST", "undelete", "", &json!({ "versions": [number] })), None),
            15 => (format!("destroy {number}"), self.ask("POST", "destroy", "", &json!({ "versions": [number] })), None),
            16 => {
                (format!("DestroySecretVersion {some_id}"), self.call("DestroySecretVersion", &[("VersionId", &some_id)]), None)
            }
            17 => {
                let way = [("VersionStage", "ACSCurrent"), ("MoveToVersion", some_id.as_str())];
                (format!("move ACSCurrent to {some_id}"), self.call("UpdateSecretVersionStage", &way), None)
            }
            18 => match random.u8(..4) {
                0 => (name("DeleteSecret, forced"), self.call("DeleteSecret", &[("ForceDeleteWithoutRecovery", "true")]), None),
                1 => (name("delete metadata"), self.ask("DELETE", "metadata", "", &Value::Null), None),
                _ => (name("DeleteSecret"), self.call("DeleteSecret", &[]), None),
            },
            _ => (name("RestoreSecret"), self.call("RestoreSecret", &[]), None),
        };
        self.done.push(format!("{what}: {} {}", answer.status, String::from_utf8_lossy(&answer.body).trim()));
        assert!(answer.status < 500, "{}", self.told());
        if let Some(wrote) = wrote.filter(|_| answer.status == 200) {
            assert_eq!(self.current().as_ref(), Some(&wrote), "{}: what was written is current", self.told());
        }
        if self.done.len().is_multiple_of(LOOK_EVERY) {
            self.look();
        } else {
            assert_eq!(self.current_at_the_first(), self.current(), "{}", self.told());
        }
    }

    fn told(&self) -> String {
        let from = self.done.len().saturating_sub(40);
        format!("{}, after\n{}\n", self.name, self.done[from..].join("\n"))
    }

    /// The VersionIds, oldest first.
    fn ids(&self) -> Vec<String> {
        let answer = self.call("ListSecretVersionIds", &[("IncludeDeprecated", "true"), ("PageSize", "50")]);
        let list = answer.json["VersionIds"]["VersionId"].as_array().cloned().unwrap_or_default();
        list.iter().map(|version| version["VersionId"].as_str().expect("an id").to_owned()).collect()
    }

    /// The current value at the second door.
    fn current(&self) -> Option<Value> {
        let answer = self.ask("GET", "data", "", &Value::Null);
        (answer.status == 200).then(|| answer.json["data"]["data"].clone())
    }

    fn current_at_the_first(&self) -> Option<Value> {
        value_of(&self.call("GetSecretValue", &[]))
    }

    /// Compares every version at both doors.
    fn look(&self) {
        let Some(metadata) = self.metadata() else {
            assert_eq!(self.call("DescribeSecret", &[]).code(), "Forbidden.ResourceNotFound", "{}", self.told());
            return;
        };
        let versions = metadata["versions"].as_object().expect("versions");
        let mut numbers: Vec<i64> = versions.keys().map(|number| number.parse().expect("a number")).collect();
        numbers.sort_unstable();
        let ids = self.ids();
        assert_eq!(ids.len(), numbers.len(), "{}: {ids:?} {numbers:?}", self.told());
        let in_window = self.call("GetSecretValue", &[("VersionId", &ids[0])]).code() == "Rejected.ResourceInDeleteWindow"
            && self.call("DescribeSecret", &[]).json["PlannedDeleteTime"].as_str().is_some_and(|time| !time.is_empty());
        for (id, number) in ids.iter().zip(&numbers) {
            let first = value_of(&self.call("GetSecretValue", &[("VersionId", id)]));
            let second = self.ask("GET", "data", &format!("?version={number}"), &Value::Null);
            let told = (second.status == 200).then(|| second.json["data"]["data"].clone());
            assert_eq!(first, told, "{}: {id} is {number}; in the window: {in_window}", self.told());
            let version = &versions[&number.to_string()];
            let withheld = version["destroyed"] == true || version["deletion_time"] != "";
            assert_eq!(told.is_none(), withheld || in_window, "{}: {number}: {version}", self.told());
        }
        assert_eq!(self.current_at_the_first(), self.current(), "{}", self.told());
    }
}

/// A value of the first door as the second tells it; none where it is not served.
fn value_of(answer: &Answer) -> Option<Value> {
    let data = answer.json["SecretData"].as_str()?;
    let object = serde_json::from_str::<Value>(data).ok().filter(Value::is_object);
    Some(object.unwrap_or_else(|| json!({ "value": data })))
}

/// At each step of a write through the second door, alone and after a deletion at the first: what was acknowledged is there, nothing is half there.
#[cfg(debug_assertions)]
#[test]
fn dies_at_every_step_of_a_put_and_loses_nothing() {
    use std::os::unix::process::ExitStatusExt;

    use bulla::base::failpoint::Step;

    let (_folder, mut server) = on_sqlite();
    let token = Bearer::login(&server.client()).token;
    let (mut acknowledged, mut deletes) = (0, false);
    let steps = [
        Step::AuditWritten,
        Step::AuditSynced,
        Step::IntentRecorded,
        Step::NonceWritten,
        Step::EffectWritten,
        Step::Committed,
        Step::OutcomeRecorded,
    ];
    for round in 0..size(2, 40) {
        for step in steps {
            server.kill();
            server.set_environment("BULLA_FAILPOINT", Some(&format!("{step:?}:{}", 3 + round)));
            if server.try_restart().is_ok() {
                let client = server.client();
                let door = Bearer::with(&client, &token);
                loop {
                    deletes = !deletes;
                    if deletes && client.request("DeleteSecret", &[("SecretName", "doors/crash")]).send().is_err() {
                        break;
                    }
                    let body = json!({ "data": { "n": acknowledged + 1 }, "options": { "cas": acknowledged } });
                    let Ok(answer) = door.send("POST", "secret/data/doors/crash", &body) else { break };
                    assert_eq!(answer.ok().json["data"]["version"], acknowledged + 1, "{step:?}");
                    acknowledged += 1;
                }
                let status = server.wait();
                assert_eq!(status.signal(), Some(9), "{step:?}: {status}");
            }
            server.set_environment("BULLA_FAILPOINT", None);
            server.restart();
            let client = server.client();
            let door = Bearer::with(&client, &token);
            let metadata = door.ask("GET", "secret/metadata/doors/crash", &Value::Null);
            let found =
                if metadata.status == 404 { 0 } else { metadata.json["data"]["current_version"].as_i64().expect("a number") };
            assert!(
                found == acknowledged || found == acknowledged + 1,
                "{step:?}: {found} where {acknowledged} was acknowledged"
            );
            acknowledged = found;
            if found > 0 {
                // The last deletion may have had its effect or not; a version that is served is whole at both doors.
                drop(client.call("RestoreSecret", &[("SecretName", "doors/crash")]));
                let read = door.ask("GET", "secret/data/doors/crash", &Value::Null).ok();
                assert_eq!(read.json["data"]["data"], json!({ "n": found }), "{step:?}");
                let first = client.call("GetSecretValue", &[("SecretName", "doors/crash")]).ok();
                assert_eq!(value_of(&first), Some(json!({ "n": found })));
            }
        }
    }
    assert!(acknowledged > 2, "too few writes to mean anything: {acknowledged}");
    crate::verify_audit(&server);
}
