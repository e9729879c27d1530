//! The versions, labels, window and limits of secrets against a small model of them, by lists of random operations through HTTP.
//!
//! A failure prints the list's operations and its seed; `BULLA_MODEL_SEED=<seed>` runs that list alone. Whoever finds a bug here
//! keeps its list, cut down to what matters, in [`NAMED`].

mod dice;
mod model;
mod op;

use std::sync::atomic::{AtomicU64, Ordering};

use bulla_test_support::client::{Answer, Client};
use bulla_test_support::server::Server;
use dice::Dice;
use model::{Outcome, Secret};
use op::Op;
use serde_json::{Value, json};

use crate::{on_postgres, on_sqlite};

/// Lists on each database, and operations in each.
const LISTS: u64 = 50;
const OPERATIONS: usize = 200;

/// Clients at a time; each list has a secret of its own.
const CLIENTS: usize = 8;

/// Lists that mean something by themselves, one operation a line.
const NAMED: &[(&str, &str)] = &[
    ("a name comes again after its version has gone", include_str!("named/name_again.txt")),
    ("labels keep old versions", include_str!("named/labels_keep.txt")),
    ("the window keeps everything", include_str!("named/window.txt")),
];

#[test]
fn on_sqlite_as_in_the_model() {
    let (_folder, server) = on_sqlite();
    run_lists(&server);
}

#[test]
fn on_postgres_as_in_the_model() {
    let (_folder, server) = on_postgres();
    run_lists(&server);
}

#[test]
fn named_lists() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    for (number, (name, list)) in NAMED.iter().enumerate() {
        let mut run = Run::new(&client, format!("named/{number}"), (*name).to_owned());
        list.lines().map(Op::parse).for_each(|op| run.step(op));
        run.compare_all();
    }
}

fn run_lists(server: &Server) {
    let chosen = std::env::var("BULLA_MODEL_SEED").ok().map(|seed| seed.parse::<u64>().expect("BULLA_MODEL_SEED is a number"));
    let (first, lists) = match chosen {
        Some(seed) => (seed, 1),
        None => (uuid::Uuid::new_v4().as_u64_pair().1 >> 16, LISTS),
    };
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let client = server.client();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= lists {
                        break;
                    }
                    let seed = first + number;
                    let mut dice = Dice(seed);
                    let mut run = Run::new(&client, format!("model/{seed}"), format!("BULLA_MODEL_SEED={seed}"));
                    for _ in 0..OPERATIONS {
                        run.step(dice.operation(&run.secret));
                    }
                    run.compare_all();
                }
            });
        }
    });
}

/// One list under way.
struct Run<'a> {
    client: &'a Client,
    name: String,
    title: String,
    secret: Secret,
    done: Vec<String>,
}

impl<'a> Run<'a> {
    fn new(client: &'a Client, name: String, title: String) -> Self {
        Self { client, name, title, secret: Secret::default(), done: Vec::new() }
    }

    /// Does an operation on both sides.
    fn step(&mut self, op: Op) {
        let answer = call(self.client, &self.name, &op);
        self.done.push(op.to_string());
        let (expected, found) = (self.secret.apply(&op), outcome(&op, answer));
        assert_eq!(found, expected, "{}: the last of\n{}\n", self.title, self.done.join("\n"));
    }

    fn compare_all(&mut self) {
        self.secret.reads().into_iter().for_each(|read| self.step(read));
    }
}

fn call(client: &Client, name: &str, op: &Op) -> Answer {
    let labels;
    let (action, parameters): (_, Vec<(&str, Option<&str>)>) = match op {
        Op::Create { version, value } => ("CreateSecret", vec![("VersionId", Some(version)), ("SecretData", Some(value))]),
        Op::Put { version, value, kind, labels: of } => {
            // Both forms of the parameter, and none where the default is meant.
            labels = match of.len() {
                1 if of[0] == "ACSCurrent" => None,
                1 => Some(json!(of).to_string()),
                _ => Some(json!({ "VersionStage": of }).to_string()),
            };
            let value = [("VersionId", Some(version.as_str())), ("SecretData", Some(value)), ("SecretDataType", Some(kind))];
            ("PutSecretValue", [&value[..], &[("VersionStages", labels.as_deref())]].concat())
        }
        Op::Move { label, from, to } => (
            "UpdateSecretVersionStage",
            vec![("VersionStage", Some(label)), ("RemoveFromVersion", from.as_deref()), ("MoveToVersion", to.as_deref())],
        ),
        Op::Get { version, label } => {
            ("GetSecretValue", vec![("VersionId", version.as_deref()), ("VersionStage", label.as_deref())])
        }
        Op::List { deprecated } => ("ListSecretVersionIds", vec![("IncludeDeprecated", deprecated.then_some("true"))]),
        Op::Describe => ("DescribeSecret", vec![]),
        Op::Update { description } => ("UpdateSecret", vec![("Description", Some(description))]),
        Op::Delete => ("DeleteSecret", vec![]),
        Op::DeleteNow => ("DeleteSecret", vec![("ForceDeleteWithoutRecovery", Some("true"))]),
        Op::Restore => ("RestoreSecret", vec![]),
    };
    let given = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let parameters: Vec<_> = [("SecretName", name)].into_iter().chain(given).collect();
    // On a machine with too much to do, a server may turn a request away; the client comes again, as the answer says, and finds
    // that nothing has happened.
    let mut turned_away = 0;
    loop {
        let answer = client.call(action, &parameters);
        if answer.status != 503 || turned_away == 20 {
            return answer;
        }
        turned_away += 1;
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

/// Of an answer, what the model speaks of.
fn outcome(op: &Op, answer: Answer) -> Outcome {
    if answer.status != 200 {
        return Err((answer.status, answer.code().to_owned()));
    }
    let json = answer.json;
    let stages = |of: &Value| of["VersionStages"]["VersionStage"].clone();
    Ok(match op {
        // The label of a new secret's version is in no answer, so that of the rule is put here.
        Op::Create { .. } => json!(["ACSCurrent"]),
        Op::Put { .. } => stages(&json),
        Op::Get { .. } => json!([json["VersionId"], json["SecretData"], json["SecretDataType"], stages(&json)]),
        Op::List { .. } => {
            let listed = json["VersionIds"]["VersionId"].as_array().expect("a list");
            assert_eq!(json["TotalCount"], listed.len());
            listed.iter().map(|v| json!([v["VersionId"], stages(v)])).collect()
        }
        Op::Describe => json!([json["Description"].as_str().unwrap_or_default(), !json["PlannedDeleteTime"].is_null()]),
        Op::Move { .. } | Op::Update { .. } | Op::Delete | Op::DeleteNow | Op::Restore => Value::Null,
    })
}
