//! The script: what a deployment does in its life, from `bulla init` on.

use std::fs::File;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bulla_test_support::chaos::Chaos;
use bulla_test_support::client::{Answer, Client};
use bulla_test_support::server::{spawn, terminate};

use super::rig::Rig;
use super::table::{Outcome, Table};
use crate::api::import::{ALGORITHMS, wrap};

/// SHA-256 of something.
const DIGEST: [u8; 32] = [0x5a; 32];

/// What a deployment stands on, as commands name it.
const STEPS: [&str; 6] = ["Suite", "RowMacRoot", "AuditSignature", "SelfTestKey", "AttributesLeftOut", "AttributesRefused"];

/// Those members of what a command says.
pub(super) fn members(rig: &Rig, command: &[&str]) -> [serde_json::Value; 6] {
    let said = rig.bulla(command).output().expect("bulla");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let told: serde_json::Value = serde_json::from_str(said.lines().next().unwrap_or_default()).unwrap_or_default();
    STEPS.map(|name| told[name].clone())
}

/// Runs all of it.
pub(super) fn run(rig: &Rig) -> Table {
    rig.configure();
    let mut table = Table::new();
    let init = rig.bulla(&["init", "--json"]).output().expect("bulla init");
    let said = String::from_utf8_lossy(&init.stderr).into_owned() + &String::from_utf8_lossy(&init.stdout);
    if !init.status.success() {
        table.push(("`bulla init`".into(), refusal_of_init(&said)));
        return table;
    }
    table.push(("`bulla init`".into(), Outcome::Works));
    let key: serde_json::Value = serde_json::from_slice(&init.stdout).unwrap_or_else(|e| panic!("{e}: {said}"));
    let part = |name: &str| key[name].as_str().expect("shown once").to_owned();
    let (id, secret) = (part("AccessKeyId"), part("AccessKeySecret"));

    let server = Serving::start(rig, &id, &secret);
    secrets(&server.client, &mut table);
    symmetric(&server.client, &mut table);
    asymmetric(&server.client, &mut table);
    macs(&server.client, &mut table);
    imports(&server.client, &mut table);
    let rotating = used_up(&server.client);
    server.stop();

    let server = Serving::start(rig, &id, &secret);
    let read = server.client.call("GetSecretValue", &[("SecretName", "app/db")]);
    table.push(("a secret after a restart".into(), expect(&read, read.text("SecretData") == "second")));
    table.push(("rotation of a key, and what it encrypted before".into(), rotated(&server.client, &rotating)));
    assert_eq!(server.client.figure("bulla_integrity_alarms_total"), 0.0);
    server.stop();
    let check = rig.bulla(&["check", "--json"]).output().expect("bulla check");
    let report: serde_json::Value = serde_json::from_slice(&check.stdout).unwrap_or_default();
    let word = |name: &str| report[name].as_str().unwrap_or_default().to_owned();
    let sound = match check.status.success() {
        true => Outcome::Works,
        false => Outcome::Fails(String::from_utf8_lossy(&check.stderr).into_owned()),
    };
    table.push(("`bulla check`".into(), sound));
    let steps: Vec<String> = STEPS[..4].iter().map(|name| format!("{name}: {}", word(name))).collect();
    let left_out = report["AttributesLeftOut"]
        .as_array()
        .map_or(String::new(), |names| names.iter().filter_map(|name| name.as_str()).collect::<Vec<_>>().join(", "));
    let left_out = if left_out.is_empty() { "none".to_owned() } else { left_out };
    assert_eq!(members(rig, &["inventory", "--json"]), STEPS.map(|name| report[name].clone()), "inventory says the same");
    let text = rig.bulla(&["check"]).output().expect("bulla check");
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    let line = text.lines().find(|line| line.contains("  steps ")).unwrap_or_else(|| panic!("{text}"));
    assert!(STEPS[..4].iter().all(|name| line.contains(&word(name))), "people are told: {line}");
    table.push((format!("it stands on: {}; attributes left out: {left_out}", steps.join("; ")), Outcome::Works));
    table
}

/// A refusal names what is missing, by PKCS#11's names; anything else is a failure.
fn refusal_of_init(said: &str) -> Outcome {
    let told = said.lines().find_map(|line| {
        let error: serde_json::Value = serde_json::from_str(line).ok()?;
        error["error"]["message"].as_str().map(str::to_owned)
    });
    let reason = told.unwrap_or_else(|| said.lines().find(|line| line.contains("token")).unwrap_or(said).trim().to_owned());
    let named = reason.contains("does not support") && (reason.contains("CKM_") || reason.contains("CKA_"));
    if named { Outcome::Refused(reason) } else { Outcome::Fails(said.to_owned()) }
}

/// A server on the token.
pub(super) struct Serving {
    pub(super) client: Client,
    child: Child,
}

impl Serving {
    pub(super) fn start(rig: &Rig, id: &str, secret: &str) -> Self {
        let log = rig.folder.path().join("serve.log");
        let file = File::create(&log).expect("a log");
        let mut command = rig.bulla(&["serve"]);
        command.stdout(Stdio::null()).stdin(Stdio::null()).stderr(file);
        let mut serving = Self { client: Client::new("127.0.0.1:0", id, secret), child: spawn(command).expect("bulla serve") };
        let begun = Instant::now();
        loop {
            let text = std::fs::read_to_string(&log).expect("a log");
            let endpoint = text.lines().find_map(|line| line.split_once("serving on ")).map(|(_, at)| at.trim().to_owned());
            if let Some(endpoint) = endpoint {
                let endpoint = endpoint.split([' ', ',']).next().unwrap_or_default().trim_start_matches("http://").to_owned();
                serving.client = Client::new(&endpoint, id, secret);
                if serving.client.page("/readyz").status == 200 {
                    return serving;
                }
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not serve:\n{text}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The line to its chaos module, which it was started with.
    pub(super) fn chaos(&self, rig: &Rig) -> Chaos {
        Chaos::of(rig.folder.path(), self.child.id())
    }

    pub(super) fn stop(mut self) {
        assert!(terminate(&mut self.child).success(), "it ends in good order");
    }
}

/// What an answer means for the table.
pub(super) fn expect(answer: &Answer, right: bool) -> Outcome {
    match answer.status {
        200 if right => Outcome::Works,
        400 if answer.code() == "UnsupportedOperation" => Outcome::Refused(answer.text("Message").to_owned()),
        _ => Outcome::Fails(format!("{answer:?}")),
    }
}

pub(super) fn secrets(client: &Client, table: &mut Table) {
    let made = client.call("CreateSecret", &[("SecretName", "app/db"), ("VersionId", "v1"), ("SecretData", "first")]);
    let put = client.call("PutSecretValue", &[("SecretName", "app/db"), ("VersionId", "v2"), ("SecretData", "second")]);
    let read = client.call("GetSecretValue", &[("SecretName", "app/db")]);
    let old = client.call("GetSecretValue", &[("SecretName", "app/db"), ("VersionId", "v1")]);
    for answer in [&made, &put, &old] {
        if answer.status != 200 {
            return table.push(("secrets: made, put, read".into(), expect(answer, false)));
        }
    }
    let right = read.text("SecretData") == "second" && old.text("SecretData") == "first";
    table.push(("secrets: made, put, read".into(), expect(&read, right)));
}

/// A new key of this spec and usage, or what the table says of it.
pub(super) fn key(client: &Client, spec: &str, usage: &str) -> Result<String, Outcome> {
    // Long moduli take as long as luck and the machine's load have it, also longer than a request waits.
    let mut attempts = (0..5).map(|_| client.call("CreateKey", &[("KeySpec", spec), ("KeyUsage", usage)]));
    let made = attempts.find(|made| made.status != 503).unwrap_or_else(|| panic!("no {spec} in five attempts"));
    match made.status {
        200 => Ok(made.json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned()),
        _ => Err(expect(&made, false)),
    }
}

fn symmetric(client: &Client, table: &mut Table) {
    for spec in ["Aliyun_AES_128", "Aliyun_AES_192", "Aliyun_AES_256"] {
        let outcome = key(client, spec, "ENCRYPT/DECRYPT").map_or_else(|refused| refused, |id| encrypts(client, &id));
        table.push((format!("{spec}: Encrypt, Decrypt, GenerateDataKey"), outcome));
    }
}

pub(super) fn encrypts(client: &Client, id: &str) -> Outcome {
    let text = STANDARD.encode("a text");
    let sealed = client.call("Encrypt", &[("KeyId", id), ("Plaintext", &text)]);
    let opened = client.call("Decrypt", &[("CiphertextBlob", sealed.text("CiphertextBlob"))]);
    let data_key = client.call("GenerateDataKey", &[("KeyId", id)]);
    let again = client.call("Decrypt", &[("CiphertextBlob", data_key.text("CiphertextBlob"))]);
    for answer in [&sealed, &data_key, &again] {
        if answer.status != 200 {
            return expect(answer, false);
        }
    }
    let right = opened.text("Plaintext") == text && again.text("Plaintext") == data_key.text("Plaintext");
    expect(&opened, right)
}

fn asymmetric(client: &Client, table: &mut Table) {
    let signs = [
        ("RSA_2048", &["RSA_PSS_SHA_256", "RSA_PKCS1_SHA_256"][..]),
        ("RSA_3072", &["RSA_PSS_SHA_256", "RSA_PKCS1_SHA_256"]),
        ("RSA_4096", &["RSA_PSS_SHA_256", "RSA_PKCS1_SHA_256"]),
        ("EC_P256", &["ECDSA_SHA_256"]),
        ("EC_P256K", &["ECDSA_SHA_256"]),
    ];
    for (spec, algorithms) in signs {
        let made = key(client, spec, "SIGN/VERIFY");
        for algorithm in algorithms {
            let outcome = made.clone().map_or_else(|refused| refused, |id| signs_with(client, &id, algorithm));
            table.push((format!("{spec}: {algorithm}"), outcome));
        }
    }
    for spec in ["RSA_2048", "RSA_3072", "RSA_4096"] {
        let made = key(client, spec, "ENCRYPT/DECRYPT");
        for algorithm in ["RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1"] {
            let outcome = made.clone().map_or_else(|refused| refused, |id| decrypts_with(client, &id, algorithm));
            table.push((format!("{spec}: {algorithm}"), outcome));
        }
    }
    // The SMs have no number in PKCS#11 that tokens share.
    let sm2 = key(client, "EC_SM2", "SIGN/VERIFY").map_or_else(|refused| refused, |_| Outcome::Works);
    table.push(("EC_SM2".to_owned(), sm2));
}

pub(super) fn signs_with(client: &Client, id: &str, algorithm: &str) -> Outcome {
    let (version, digest) = (client.key_version(id), STANDARD.encode(DIGEST));
    let which = [("KeyId", id), ("KeyVersionId", &*version), ("Algorithm", algorithm), ("Digest", &digest)];
    let signed = client.call("AsymmetricSign", &which);
    if signed.status != 200 {
        return expect(&signed, false);
    }
    let verified = client.call("AsymmetricVerify", &[&which[..], &[("Value", signed.text("Value"))]].concat());
    let other = STANDARD.encode([1; 32]);
    let mut forged = which.to_vec();
    forged[3] = ("Digest", &other);
    let refused = client.call("AsymmetricVerify", &[&forged[..], &[("Value", signed.text("Value"))]].concat());
    let public = client.call("GetPublicKey", &which[..2]);
    let right = verified.json["Value"] == true && refused.json["Value"] == false && public.status == 200;
    expect(&verified, right)
}

fn decrypts_with(client: &Client, id: &str, algorithm: &str) -> Outcome {
    let (version, text) = (client.key_version(id), STANDARD.encode("a text"));
    let which = [("KeyId", id), ("KeyVersionId", &*version), ("Algorithm", algorithm)];
    let sealed = client.call("AsymmetricEncrypt", &[&which[..], &[("Plaintext", &*text)]].concat());
    if sealed.status != 200 {
        return expect(&sealed, false);
    }
    let blob = sealed.text("CiphertextBlob").to_owned();
    let opened = client.call("AsymmetricDecrypt", &[&which[..], &[("CiphertextBlob", &*blob)]].concat());
    expect(&opened, opened.text("Plaintext") == text)
}

fn macs(client: &Client, table: &mut Table) {
    for algorithm in ["HMAC_SHA_224", "HMAC_SHA_256", "HMAC_SHA_384", "HMAC_SHA_512"] {
        let made = key(client, algorithm, "GENERATE/VERIFY_MAC");
        let outcome = made.map_or_else(|refused| refused, |id| macs_with(client, &id, algorithm));
        table.push((format!("{algorithm}: GenerateMac, VerifyMac"), outcome));
    }
}

pub(super) fn macs_with(client: &Client, id: &str, algorithm: &str) -> Outcome {
    let message = STANDARD.encode("a message");
    let which = [("KeyId", id), ("Algorithm", algorithm), ("Message", &*message)];
    let made = client.call("GenerateMac", &which);
    if made.status != 200 {
        return expect(&made, false);
    }
    let verified = client.call("VerifyMac", &[&which[..], &[("Mac", made.text("Mac"))]].concat());
    expect(&verified, verified.json["Value"] == true)
}

fn imports(client: &Client, table: &mut Table) {
    for algorithm in ALGORITHMS {
        table.push((format!("ImportKeyMaterial, {algorithm}"), import(client, algorithm)));
    }
}

fn import(client: &Client, algorithm: &str) -> Outcome {
    let made = client.call("CreateKey", &[("Origin", "EXTERNAL")]);
    let Some(id) = made.json["KeyMetadata"]["KeyId"].as_str().map(str::to_owned) else { return expect(&made, false) };
    let asked = [("KeyId", &*id), ("WrappingAlgorithm", algorithm), ("WrappingKeySpec", "RSA_2048")];
    let parameters = client.call("GetParametersForImport", &asked);
    if parameters.status != 200 {
        return expect(&parameters, false);
    }
    let wrapped = wrap(&parameters, algorithm, &[7; 32]);
    let token = parameters.text("ImportToken").to_owned();
    let sent = [("KeyId", &*id), ("EncryptedKeyMaterial", &*wrapped), ("ImportToken", &*token), ("KeyMaterialExpireUnix", "0")];
    let imported = client.call("ImportKeyMaterial", &sent);
    if imported.status != 200 {
        return expect(&imported, false);
    }
    let outcome = encrypts(client, &id);
    let removed = client.call("DeleteKeyMaterial", &[("KeyId", &id)]);
    if outcome == Outcome::Works { expect(&removed, true) } else { outcome }
}

/// A key that has encrypted as often as it may before it gets a new version, its first version and a blob of that.
fn used_up(client: &Client) -> (String, String, String) {
    let id = key(client, "Aliyun_AES_256", "ENCRYPT/DECRYPT").unwrap_or_else(|refused| panic!("{refused:?}"));
    let rotated = client
        .call("UpdateRotationPolicy", &[("KeyId", &id), ("EnableAutomaticRotation", "true"), ("RotationInterval", "604800s")]);
    rotated.ok();
    let version = client.key_version(&id);
    let text = STANDARD.encode("before");
    let blobs: Vec<_> = (0..20)
        .map(|_| client.call("Encrypt", &[("KeyId", &id), ("Plaintext", &text)]).ok().text("CiphertextBlob").to_owned())
        .collect();
    (id, version, blobs[0].clone())
}

fn rotated(client: &Client, (id, version, blob): &(String, String, String)) -> Outcome {
    let begun = Instant::now();
    loop {
        let described = client.call("DescribeKey", &[("KeyId", id)]).ok();
        if described.json["KeyMetadata"]["PrimaryKeyVersion"] != version.as_str() {
            break;
        }
        if begun.elapsed() > Duration::from_secs(60) {
            return Outcome::Fails("it has no new version after 60 s".into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let opened = client.call("Decrypt", &[("CiphertextBlob", blob)]);
    let before = expect(&opened, opened.text("Plaintext") == STANDARD.encode("before"));
    if before == Outcome::Works { encrypts(client, id) } else { before }
}
