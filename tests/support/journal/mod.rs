//! Mixed writes at random, and the journal of what was acknowledged, kept outside of the service.
//!
//! Owns: what must be in the service after each answer, and what may be after none. Must not know: how the service is made to
//! fail. Called by: the tests that kill it, or take away its disk, its database, its token.
//!
//! A writer is one client with names of its own, so it alone decides what each name should be. After an answer there is one state
//! that a name can be in; after a request without answer (or answered 503, when a commit's end may be unknown) there are two, the
//! one before and the one after it, whole, and [`Writer::check`] finds out which.

mod secret;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::client::{Answer, Client};
use secret::{Secret, Seen};

/// Names of secrets that a writer uses, over and over.
const NAMES: u32 = 8;
/// Of so many writes one makes a key: that costs the token a tenth of a second.
const KEY_EVERY: u32 = 40;
/// Keys that a writer makes at most; SoftHSM looks through all of them to find one.
const KEYS: usize = 12;
/// How long the service may refuse to be read while it comes back.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client that writes, and what it was told.
pub struct Writer {
    prefix: String,
    random: Rng,
    /// The states that each name may be in; one, or two after a request without answer.
    secrets: BTreeMap<String, Vec<Secret>>,
    /// Whether each key is enabled, in the same way.
    keys: BTreeMap<String, Vec<bool>>,
    acknowledged: Vec<String>,
    refused: usize,
}

/// How a write ended.
enum End {
    Done(Answer),
    /// No answer, or one that leaves open whether it happened.
    Unknown(Option<io::Error>),
}

impl Writer {
    /// A writer of names that begin so, with a random generator that begins so.
    pub fn new(prefix: &str, seed: u64) -> Self {
        Self {
            prefix: prefix.to_owned(),
            random: Rng::with_seed(seed),
            secrets: BTreeMap::new(),
            keys: BTreeMap::new(),
            acknowledged: Vec::new(),
            refused: 0,
        }
    }

    /// Request ids of the writes that were answered with success.
    pub fn acknowledged(&self) -> &[String] {
        &self.acknowledged
    }

    /// Writes that were answered 503, or refused by a clock that was wrong.
    pub fn refused(&self) -> usize {
        self.refused
    }

    /// One write, on a name whose state is known.
    ///
    /// # Errors
    /// When no answer came: the service is gone. Its state is then found out by [`Writer::check`].
    ///
    /// # Panics
    /// When the answer does not fit what was acknowledged before.
    pub fn step(&mut self, client: &Client) -> io::Result<()> {
        if self.random.u32(..KEY_EVERY) == 0 {
            return self.step_key(client);
        }
        let name = format!("{}/{}", self.prefix, self.random.u32(..NAMES));
        if self.secrets.get(&name).is_some_and(|states| states.len() > 1) {
            return self.settle_secret(client, &name).map(drop);
        }
        let before = self.secrets.get(&name).map_or(Secret::Absent, |states| states[0].clone());
        let write = before.next(&mut self.random);
        let parameters = write.parameters.iter().map(|(name, value)| (*name, value.as_str()));
        let parameters: Vec<_> = std::iter::once(("SecretName", name.as_str())).chain(parameters).collect();
        let end = self.write(client, write.action, &parameters);
        let states = match &end {
            End::Unknown(_) if write.after != before => vec![before, write.after],
            _ => vec![write.after],
        };
        self.secrets.insert(name, states);
        ended(end)
    }

    fn step_key(&mut self, client: &Client) -> io::Result<()> {
        if self.keys.len() < KEYS && self.random.bool() {
            return match self.write(client, "CreateKey", &[]) {
                End::Done(answer) => {
                    let id = answer.json["KeyMetadata"]["KeyId"].as_str().expect("a new key has an id");
                    self.keys.insert(id.to_owned(), vec![true]);
                    Ok(())
                }
                // A key that nobody was told of; `check_keys` looks at all there are.
                unknown => ended(unknown),
            };
        }
        let Some(id) = self.random.choice(self.keys.keys()).cloned() else { return Ok(()) };
        let enable = self.random.bool();
        let end = self.write(client, if enable { "EnableKey" } else { "DisableKey" }, &[("KeyId", &id)]);
        let states = self.keys.entry(id).or_default();
        match &end {
            End::Done(_) => *states = vec![enable],
            End::Unknown(_) => states.push(enable),
        }
        ended(end)
    }

    /// Sends a write and keeps its request id when it was acknowledged.
    fn write(&mut self, client: &Client, action: &str, parameters: &[(&str, &str)]) -> End {
        match client.request(action, parameters).send() {
            Ok(answer) if answer.status == 200 => {
                self.acknowledged.push(answer.text("RequestId").to_owned());
                End::Done(answer)
            }
            Ok(answer) if refused_for_now(&answer) => {
                self.refused += 1;
                End::Unknown(None)
            }
            Ok(answer) => panic!("{action} {parameters:?} does not fit what was acknowledged: {answer:?}"),
            Err(error) => End::Unknown(Some(error)),
        }
    }

    /// Compares everything with the journal; what was unknown is known afterwards.
    ///
    /// # Panics
    /// When an acknowledged write is lost, a write is half there, or no answer comes.
    pub fn check(&mut self, client: &Client) {
        for name in self.secrets.keys().cloned().collect::<Vec<_>>() {
            let begun = Instant::now();
            while self.settle_secret(client, &name).expect("an answer") != 1 {
                assert!(begun.elapsed() < PATIENCE, "{name} cannot be read");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        for (id, states) in &mut self.keys {
            let key = client.call("DescribeKey", &[("KeyId", id)]).ok();
            let enabled = match key.json["KeyMetadata"]["KeyState"].as_str() {
                Some("Enabled") => true,
                Some("Disabled") => false,
                other => panic!("key {id} is {other:?}"),
            };
            assert!(states.contains(&enabled), "key {id}: enabled is {enabled}, and may be {states:?}");
            *states = vec![enabled];
        }
    }

    /// Finds out which of its states a secret is in, unless that is refused for now; how many it may be in.
    fn settle_secret(&mut self, client: &Client, name: &str) -> io::Result<usize> {
        let seen = Seen::read(client, name)?;
        let states = self.secrets.get_mut(name).expect("it was written");
        let Some(seen) = seen else { return Ok(states.len().max(2)) };
        let may_be = states.clone();
        states.retain(|state| state.is(&seen));
        assert!(states.len() == 1, "{name} is in no state that it may be in: {seen:#?}\nmay be: {may_be:#?}");
        Ok(states.len())
    }
}

/// Whether it may be otherwise later: the service is not well, or its clock is wrong.
fn refused_for_now(answer: &Answer) -> bool {
    answer.status == 503 || answer.code().starts_with("InvalidTimeStamp")
}

/// Every key that is listed works: none is half there.
///
/// # Panics
/// When one does not.
pub fn check_keys(client: &Client, round: usize) {
    let keys = client.call("ListKeys", &[("PageSize", "100")]).ok();
    for (n, key) in keys.json["Keys"]["Key"].as_array().expect("a list").iter().enumerate() {
        let id = key["KeyId"].as_str().expect("a key has an id");
        let state = client.call("DescribeKey", &[("KeyId", id)]).ok();
        if state.json["KeyMetadata"]["KeyState"] == "Enabled" {
            let name = format!("proof/{round}/{n}");
            let parameters = [("SecretName", name.as_str()), ("VersionId", "v1"), ("SecretData", id), ("EncryptionKeyId", id)];
            client.call("CreateSecret", &parameters).ok();
            assert_eq!(client.call("GetSecretValue", &[("SecretName", &name)]).ok().text("SecretData"), id);
            client.call("DeleteSecret", &[("SecretName", &name), ("ForceDeleteWithoutRecovery", "true")]).ok();
        }
    }
}

/// Every acknowledged write has its outcome in these lines of an audit log, and no intent is without one.
///
/// # Panics
/// When a line is missing.
pub fn check_audit<'a>(lines: &str, acknowledged: impl Iterator<Item = &'a String>) {
    let (mut intents, mut outcomes) = (BTreeMap::new(), BTreeMap::new());
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        match line["kind"].as_str() {
            Some("intent") => drop(intents.insert(text("request_id"), text("action"))),
            Some("outcome") => {
                let other = outcomes.insert(text("request_id"), text("code"));
                assert_eq!(other, None, "two outcomes of {}", text("request_id"));
            }
            _ => {}
        }
    }
    for (id, action) in &intents {
        assert!(outcomes.contains_key(id), "the {action} {id} has no outcome");
    }
    for id in acknowledged {
        assert_eq!(outcomes.get(id).map(String::as_str), Some("OK"), "the acknowledged write {id}");
    }
}

fn ended(end: End) -> io::Result<()> {
    match end {
        End::Unknown(Some(error)) => Err(error),
        End::Done(_) | End::Unknown(None) => Ok(()),
    }
}

/// Every write that these lines of an audit log say was done, was acknowledged to its client. What the service did of
/// itself, as an account's default key, has none.
///
/// # Panics
/// When one was not.
pub fn check_answered<'a>(lines: &str, acknowledged: impl Iterator<Item = &'a String>) {
    let acknowledged: BTreeSet<&str> = acknowledged.map(String::as_str).collect();
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        if line["kind"] == "outcome" && line["code"] == "OK" && line["principal"] != "service" {
            let id = line["request_id"].as_str().expect("in every outcome");
            assert!(acknowledged.contains(id), "nobody was told of {line}");
        }
    }
}
