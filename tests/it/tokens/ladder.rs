//! The lower steps of the ladder (docs/tokens.md): tokens without something that a better step needs, and what a deployment does on each.

use std::process::Stdio;

use super::rig::{self, Absent, Rig};
use super::script::{self, Serving};
use super::table::{Outcome, Table};
use super::{had, text};

/// A step: which token, what it is told before `bulla init` and before what follows, and what `bulla check` must say.
struct Step {
    init: &'static str,
    then: &'static str,
    /// How `Suite` begins; RowMacRoot, AuditSignature, SelfTestKey.
    stands: [&'static str; 4],
}

fn climbs(name: &str, behind: Result<Rig, Absent>, step: &Step) {
    let Some(mut rig) = had(name, behind) else { return };
    rig.behind_chaos(step.init);
    rig.configure();
    let init = rig.bulla(&["init", "--json"]).output().expect("bulla init");
    assert!(init.status.success(), "{}", text(&init));
    let key: serde_json::Value = serde_json::from_slice(&init.stdout).expect("an access key");
    let part = |name: &str| key[name].as_str().expect("shown once").to_owned();
    let (id, secret) = (part("AccessKeyId"), part("AccessKeySecret"));

    let server = Serving::start(&rig, &id, &secret);
    let client = &server.client;
    let mut table = Table::new();
    script::secrets(client, &mut table);
    let aes = script::key(client, "Aliyun_AES_256", "ENCRYPT/DECRYPT").expect("a key");
    table.push(("AES".into(), script::encrypts(client, &aes)));
    let pair = script::key(client, "EC_P256", "SIGN/VERIFY").map(|id| (id, "ECDSA_SHA_256"));
    let pair = pair.or_else(|_| script::key(client, "RSA_2048", "SIGN/VERIFY").map(|id| (id, "RSA_PSS_SHA_256")));
    let (pair, algorithm) = pair.expect("a pair that signs");
    table.push(("a signature".into(), script::signs_with(client, &pair, algorithm)));
    let mac = script::key(client, "HMAC_SHA_256", "GENERATE/VERIFY_MAC");
    table.push(("a MAC".into(), mac.map_or_else(|refused| refused, |id| script::macs_with(client, &id, "HMAC_SHA_256"))));
    server.stop();

    rig.behind_chaos(step.then);
    let server = Serving::start(&rig, &id, &secret);
    let read = server.client.call("GetSecretValue", &[("SecretName", "app/db")]);
    table.push(("a secret after a restart".into(), script::expect(&read, read.text("SecretData") == "second")));
    table.push(("AES after a restart".into(), script::encrypts(&server.client, &aes)));
    table.push(("a signature after a restart".into(), script::signs_with(&server.client, &pair, algorithm)));
    if step.stands[3].starts_with("SYS") {
        let refused = server.client.call("CreateKey", &[]);
        assert_eq!((refused.status, refused.code()), (400, "UnsupportedOperation"));
    }
    assert_eq!(server.client.figure("bulla_integrity_alarms_total"), 0.0);
    server.stop();
    let fails: Vec<_> = table.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Fails(_))).collect();
    assert!(fails.is_empty(), "{name}: {fails:?}");
    let refused = table.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Refused(_))).count();
    // HMAC keys, on the token that has none.
    assert_eq!(refused, usize::from(step.stands[1] == "CKK_AES"), "{name}: {table:?}");

    let stands = script::members(&rig, &["check", "--json"]);
    let stands: Vec<&str> = stands.iter().filter_map(|told| told.as_str()).collect();
    assert!(stands[0].starts_with(step.stands[0]) && stands[1..] == step.stands[1..], "{name}: {stands:?}");
    let verified = rig.bulla(&["audit", "verify"]).stdin(Stdio::null()).output().expect("bulla");
    assert!(verified.status.success(), "{}", text(&verified));
}

/// A token that is told the same before and after.
fn always(init: &'static str, stands: [&'static str; 4]) -> Step {
    Step { init, then: init, stands }
}

#[test]
fn the_row_mac_root_is_aes_on_a_token_without_hmac() {
    let step = always("mechanism absent CKM_SHA256_HMAC", ["S1", "CKK_AES", "CKK_EC", "a key of the session"]);
    climbs("SoftHSM without HMAC", rig::softhsm(), &step);
}

#[test]
fn the_row_mac_root_is_typed_on_a_token_without_generic_secrets() {
    let stands = ["S1", "CKK_SHA256_HMAC", "CKK_EC", "a key of the session"];
    climbs("kryoptic with typed HMAC", rig::kryoptic(), &always("mechanism absent CKM_GENERIC_SECRET_KEY_GEN", stands));
}

#[test]
fn typed_keys_authenticate_what_has_no_gcm() {
    let stands = ["S3", "CKK_SHA256_HMAC", "CKK_EC", "a key of the session"];
    let step = always("mechanism absent CKM_GENERIC_SECRET_KEY_GEN CKM_AES_GCM", stands);
    climbs("kryoptic with typed HMAC, without GCM", rig::kryoptic(), &step);
}

#[test]
fn rsa_signs_the_log_and_an_object_tests_a_token_without_either() {
    let stands = ["S1", "CKK_GENERIC_SECRET", "CKK_RSA", "an object of its own"];
    climbs("SoftHSM without ECDSA", rig::softhsm(), &always("mechanism absent CKM_ECDSA; refuse value CKA_TOKEN 00", stands));
}

#[test]
fn system_keys_test_a_token_whose_user_makes_none() {
    let then = "mechanism absent CKM_AES_GCM; refuse value CKA_TOKEN 00; refuse value CKA_TOKEN 01 CKR_FUNCTION_REJECTED";
    let stands = ["S3", "CKK_GENERIC_SECRET", "CKK_EC", "SYS: this user makes no keys"];
    climbs("SoftHSM whose user makes no keys", rig::softhsm(), &Step { init: "mechanism absent CKM_AES_GCM", then, stands });
}

/// `bulla init` itself on tokens that refuse something: lived with, or said by its name.
#[test]
fn init_lives_with_a_refusal_or_names_it() {
    let Ok(mut rig) = rig::softhsm() else { panic!("softhsm2 is installed") };
    for (profile, said) in [
        ("refuse attribute CKA_COPYABLE; refuse attribute CKA_MODIFIABLE", &[][..]),
        ("refuse value CKA_PRIVATE 00; refuse read-only", &[]),
        ("refuse value CKA_KEY_TYPE 1000000000000000; refuse value CKA_TOKEN 00", &[]),
        ("refuse attribute CKA_ID", &["CKA_ID", "CKR_ATTRIBUTE_TYPE_INVALID"]),
        ("objects 2", &["full"]),
        ("objects 1 CKR_HOST_MEMORY", &["full"]),
        ("refuse value CKA_TOKEN 01 CKR_FUNCTION_REJECTED", &["may not make keys", "CKR_FUNCTION_REJECTED"]),
        ("mechanism absent CKM_AES_KEY_GEN CKM_ECDSA CKM_RSA_PKCS", &["CKM_AES_KEY_GEN", "CKM_ECDSA", "CKM_RSA_PKCS"]),
        ("sessions 2", &["CKR_SESSION_COUNT"]),
    ] {
        rig.anew();
        rig.behind_chaos(profile);
        rig.configure();
        let init = rig.bulla(&["init"]).stdin(Stdio::null()).output().expect("bulla init");
        let told = text(&init);
        assert_eq!(init.status.success(), said.is_empty(), "{profile}: {told}");
        assert!(said.iter().all(|word| told.contains(word)), "{profile}: {told}");
    }
}

/// Flags that say that the PIN is at its end are respected by each process that is started, and by one that runs.
#[test]
fn a_pin_that_the_token_says_is_at_its_end_is_not_presented() {
    let Ok(mut rig) = rig::softhsm() else { panic!("softhsm2 is installed") };
    rig.behind_chaos("");
    rig.configure();
    let init = rig.bulla(&["init"]).output().expect("bulla init");
    assert!(init.status.success(), "{}", text(&init));
    for (flags, held) in [("0x20000", true), ("0x40000", true), ("0x10000", false)] {
        // Presented, it would be refused with a code.
        let fails = if held { "; fail C_Login CKR_PIN_INCORRECT" } else { "" };
        rig.behind_chaos(&format!("pin-flags {flags}{fails}"));
        for command in if held { &["serve", "serve", "inventory"][..] } else { &["inventory"] } {
            let ended = rig.bulla(&[command]).stdin(Stdio::null()).output().expect("bulla");
            let told = text(&ended);
            assert_eq!(ended.status.code(), Some(if held { 8 } else { 0 }), "{flags}, {command}: {told}");
            assert!(!held || told.contains("no PIN is presented") && !told.contains("C_Login"), "{flags}, {command}: {told}");
        }
    }
}
