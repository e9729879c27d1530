//! kill -9 in the middle of imports: what was acknowledged is so, every key works or waits for its material, which it then takes;
//! what was half made is reported, cleared away, and nothing is left on the token that no row knows.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bulla_test_support::client::{Answer, Client};
use bulla_test_support::server::Server;
use bulla_test_support::sizes::size;
use rustix::process::{Pid, Signal, kill_process};

use crate::api::import::{ALGORITHMS, state, wrap};
use crate::faults::crash_key_creation::{CLEARED_WITHIN, nothing_half_made_stays};
use crate::{on_sqlite, until, verify_audit};

const WAITS: &str = "PendingImport";
const WORKS: &str = "Enabled";

/// A key, and what its client was told.
struct Key {
    id: String,
    material: [u8; 32],
    /// Material wrapped for the key, and the token that goes with it.
    wrapped: Option<(String, String)>,
    /// The states it may be in: one, or two after a request without answer.
    states: Vec<&'static str>,
    blob: Option<String>,
}

/// The answer of a service that may be slow; none when it has died.
fn ask(client: &Client, action: &str, parameters: &[(&str, &str)]) -> Option<Answer> {
    loop {
        let answer = client.request(action, parameters).send().ok()?;
        if answer.status != 503 {
            return Some(answer);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Parameters for a key, and its material as they want it.
fn parameters(client: &Client, key: &str, algorithm: &str, material: &[u8]) -> Option<(String, String)> {
    let asked = [("KeyId", key), ("WrappingAlgorithm", algorithm), ("WrappingKeySpec", "RSA_2048")];
    let parameters = ask(client, "GetParametersForImport", &asked)?.ok();
    Some((wrap(&parameters, algorithm, material), parameters.text("ImportToken").to_owned()))
}

/// Brings material to a key.
fn bring(client: &Client, key: &str, (wrapped, token): &(String, String)) -> Option<Answer> {
    ask(client, "ImportKeyMaterial", &[("KeyId", key), ("EncryptedKeyMaterial", wrapped), ("ImportToken", token)])
}

impl Key {
    /// Brings its material with the parameters that were acknowledged, however long ago.
    fn bring(&self, client: &Client) -> Option<Answer> {
        Some(bring(client, &self.id, self.wrapped.as_ref().expect("parameters"))?.ok())
    }

    /// One request that leads from the known state to another; none without an answer.
    fn step(&mut self, from: &'static str, to: &'static str, ask: impl Fn(&Self) -> Option<Answer>) -> Option<()> {
        self.states = vec![from, to];
        ask(self)?;
        self.states = vec![to];
        Some(())
    }

    /// Compares with what was acknowledged, and uses it.
    fn check(&mut self, client: &Client) {
        let found = state(client, &self.id);
        assert!(self.states.contains(&found.as_str()), "{} is {found} and may be {:?}", self.id, self.states);
        self.states.retain(|state| *state == found);
        if found == WORKS {
            client.call("Encrypt", &[("KeyId", &self.id), ("Plaintext", "QQ==")]).ok();
            if let Some(blob) = &self.blob {
                assert_eq!(client.call("Decrypt", &[("CiphertextBlob", blob)]).ok().text("Plaintext"), "QQ==");
            }
        }
    }
}

/// Makes one key after the other, whose material comes, goes and comes again, until the server dies; counts the answers.
fn stream(client: &Client, keys: &mut Vec<Key>, answers: &AtomicU32) {
    while life(client, keys, answers).is_some() {}
}

fn life(client: &Client, keys: &mut Vec<Key>, answers: &AtomicU32) -> Option<()> {
    let answered = || answers.fetch_add(1, Ordering::Relaxed);
    let made = ask(client, "CreateKey", &[("Origin", "EXTERNAL")])?.ok();
    let id = made.json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned();
    let algorithm = ALGORITHMS[keys.len() % ALGORITHMS.len()];
    let material = std::array::from_fn(|_| fastrand::u8(..));
    answered();
    keys.push(Key { id, material, wrapped: None, states: vec![WAITS], blob: None });
    let key = keys.last_mut()?;
    key.wrapped = Some(parameters(client, &key.id, algorithm, &key.material)?);
    answered();
    let delete = |key: &Key| ask(client, "DeleteKeyMaterial", &[("KeyId", &key.id)]).map(Answer::ok);
    key.step(WAITS, WORKS, |key| key.bring(client))?;
    answered();
    let made = ask(client, "Encrypt", &[("KeyId", &key.id), ("Plaintext", "QQ==")])?.ok();
    key.blob = Some(made.text("CiphertextBlob").to_owned());
    key.step(WORKS, WAITS, delete)?;
    answered();
    key.step(WAITS, WORKS, |key| key.bring(client))
}

/// The last look: nothing half made stays, and every key that waits takes its material.
fn finish(mut server: Server, mut keys: Vec<Key>, algorithm: &str) {
    let client = server.client();
    let begun = Instant::now();
    nothing_half_made_stays(&server);
    eprintln!("{} keys, cleared after {:.0} s", keys.len(), begun.elapsed().as_secs_f64());
    for key in &mut keys {
        key.check(&client);
        if key.states == [WORKS] {
            continue;
        }
        let fresh = |material: &[u8]| parameters(&client, &key.id, algorithm, material).expect("an answer");
        if key.blob.is_some() {
            let answer = bring(&client, &key.id, &fresh(&[0; 32])).expect("an answer");
            assert_eq!(answer.code(), "InvalidKeyMaterial", "only what it had before");
        }
        if key.wrapped.is_none() {
            key.wrapped = Some(fresh(&key.material));
        }
        key.bring(&client).expect("an answer");
        key.states = vec![WORKS];
        key.check(&client);
    }
    server.stop();
    verify_audit(&server);
}

#[test]
fn imports_survive_kills_at_any_moment() {
    let (_folder, mut server) = on_sqlite();
    server.set_environment("BULLA_KEYS__QUARANTINE_HOURS", Some("0"));
    let mut keys = Vec::new();
    for round in 0..u32::try_from(size(40, 400)).expect("small") {
        let pid = server.pid().and_then(|pid| Pid::from_raw(pid.cast_signed())).expect("it runs");
        let answers = AtomicU32::new(0);
        std::thread::scope(|scope| {
            let (server, keys, answers) = (&server, &mut keys, &answers);
            scope.spawn(move || stream(&server.client(), keys, answers));
            // After each request of a life in turn, some milliseconds into the next.
            until(CLEARED_WITHIN, "progress", || answers.load(Ordering::Relaxed) >= round % 5);
            std::thread::sleep(Duration::from_millis(u64::from(round) * 37 % 150));
            kill_process(pid, Signal::KILL).expect("it runs");
        });
        server.kill();
        server.restart();
        let client = server.client();
        keys.iter_mut().rev().take(2).for_each(|key: &mut Key| key.check(&client));
    }
    assert!(keys.iter().filter(|key| key.blob.is_some()).count() > 5, "too few imports to mean anything");
    finish(server, keys, ALGORITHMS[0]);
}

/// At each step of an import in turn, the first and the second time that it is reached.
#[cfg(debug_assertions)]
#[test]
fn imports_survive_death_at_every_step() {
    use std::os::unix::process::ExitStatusExt;

    use bulla::base::failpoint::Step;

    const VARIABLE: &str = "BULLA_FAILPOINT";
    let (_folder, mut server) = on_sqlite();
    server.set_environment("BULLA_KEYS__QUARANTINE_HOURS", Some("0"));
    let mut keys = Vec::new();
    let of_import = Step::OF_IMPORT.into_iter().flat_map(|step| [(step, 1), (step, 2)]);
    // The writes are in turn CreateKey, GetParametersForImport, ImportKeyMaterial, DeleteKeyMaterial, ImportKeyMaterial.
    let of_writes = [Step::EffectWritten, Step::Committed].into_iter().flat_map(|step| (2..=5).map(move |n| (step, n)));
    for (step, passes) in of_import.chain(of_writes) {
        server.kill();
        server.set_environment(VARIABLE, Some(&format!("{step:?}:{passes}")));
        server.restart();
        stream(&server.client(), &mut keys, &AtomicU32::new(0));
        let status = server.wait();
        assert_eq!(status.signal(), Some(9), "{step:?} {passes}: {status}");
        server.set_environment(VARIABLE, None);
        server.restart();
        let client = server.client();
        keys.iter_mut().rev().take(2).for_each(|key: &mut Key| key.check(&client));
        let check = server.admin(&["check"]);
        assert_eq!(check["ObjectsWithoutRow"], serde_json::json!([]), "{step:?} {passes}: every object is known");
        assert!(
            !Step::OF_IMPORT.contains(&step) || check["HalfMade"] != serde_json::json!([]),
            "{step:?} {passes} is reported"
        );
    }
    finish(server, keys, ALGORITHMS[1]);
}
