//! Vendors' refusals, one at a time and two: a deployment's keys are made, or what is missing is said.

use bulla_test_support::chaos::Function;

use super::tokens::{line, under_chaos};
use super::*;
use crate::base::words::{MacAlgorithm, SignatureAlgorithm};

/// What each token refuses, and which vendor does.
const PROFILES: [(&str, &str); 16] = [
    ("no CKA_COPYABLE (NSS)", "refuse attribute CKA_COPYABLE"),
    ("no CKA_SIGN_RECOVER (CloudHSM)", "refuse attribute CKA_SIGN_RECOVER"),
    ("no CKA_VERIFY_RECOVER (CloudHSM)", "refuse attribute CKA_VERIFY_RECOVER"),
    ("no CKA_DERIVE", "refuse attribute CKA_DERIVE"),
    ("no CKA_MODIFIABLE", "refuse attribute CKA_MODIFIABLE"),
    ("no CKA_WRAP", "refuse attribute CKA_WRAP"),
    ("no CKA_SENSITIVE", "refuse attribute CKA_SENSITIVE"),
    ("no CKA_ID", "refuse attribute CKA_ID"),
    ("public halves are private (CloudHSM)", "refuse value CKA_PRIVATE 00"),
    ("no generic secrets (nShield, YubiHSM)", "refuse value CKA_KEY_TYPE 1000000000000000"),
    ("no session objects (YubiHSM)", "refuse value CKA_TOKEN 00"),
    ("no sessions that only read (CloudHSM)", "refuse read-only"),
    ("no random generator", "fail C_GenerateRandom CKR_RANDOM_NO_RNG"),
    ("no clock (openCryptoki)", "clock none"),
    ("three sessions (smart cards)", "sessions 3"),
    ("two objects", "objects 2"),
];

#[test]
fn every_refusal_alone_and_in_pairs_is_lived_with_or_named() {
    under_chaos(|_| {
        drop(new_token(1, 1000));
        let chaos = line();
        let mut served = 0;
        for (first, (name, command)) in PROFILES.iter().enumerate() {
            for (other, more) in PROFILES.iter().skip(first) {
                chaos.tell("clear");
                chaos.tell("refuse none");
                chaos.tell("sessions any");
                chaos.tell(command);
                if more != command {
                    chaos.tell(more);
                }
                match deployment() {
                    Ok(()) => served += 1,
                    Err(error) => assert!(says_what(&error), "{name}, {other}: {error}"),
                }
            }
        }
        eprintln!("{served} of {} served", PROFILES.len() * (PROFILES.len() + 1) / 2);
        // Ten of them are lived with, each with each other; the others lack what a key cannot be without, and that was said.
        assert!(served >= 10 * 11 / 2, "{served}");
        assert_eq!(chaos.calls(Function::C_SetAttributeValue), 0);
    });
}

/// The steps of `bulla init`, and what the first requests do.
fn deployment() -> Result<(), TokenError> {
    let token = Token::open(config(8, 1000), pin("1234"))?;
    let keys = [ObjectKind::Sys, ObjectKind::Int, ObjectKind::Aud].map(|kind| (KeyVersionId::new(), kind));
    let used = keys.iter().try_for_each(|(id, kind)| token.create(id, *kind)).and_then(|()| {
        token.authenticate_with(keys[1].0);
        let suite = token.probe()?;
        let wrapped = token.wrap(suite, &keys[0].0, b"x", &context("a"))?;
        assert_eq!(*token.unwrap(suite, &keys[0].0, &wrapped, &context("a"))?, b"x");
        assert_ne!(token.mac(&keys[1].0, b"one")?, token.mac(&keys[1].0, b"two")?);
        let signature = token.sign(&keys[2].0, b"m")?;
        assert!(token.public_key(&keys[2].0)?.verifies_message(b"m", &signature));
        keys.iter().try_for_each(|(id, kind)| token.prove_system_key(id, *kind))
    });
    for (id, _) in &keys {
        token.destroy(id).expect("nothing is left behind");
    }
    used
}

/// Whether an administrator who reads it knows what the token lacks.
fn says_what(error: &TokenError) -> bool {
    let text = error.to_string();
    match error {
        TokenError::Full => true,
        TokenError::Unsupported(_) => text.contains("CKA_") || text.contains("CKM_"),
        _ => false,
    }
}

/// What each operation costs on the wire of a token across a network.
#[test]
fn operations_are_as_few_calls_as_can_be() {
    under_chaos(|_| {
        let token = new_token(1, 1000);
        let chaos = line();
        let (sys, int, aud, pair) = (new_key(&token), KeyVersionId::new(), KeyVersionId::new(), KeyVersionId::new());
        token.create(&int, ObjectKind::Int).expect("create");
        token.create(&aud, ObjectKind::Aud).expect("create");
        token.create(&pair, ObjectKind::Cmk(Material::Rsa(2048, material::Pair::Signs))).expect("create");
        let bound = context("a");
        let (_, wrapped) = token.new_data_key(suite(), &sys, &bound).expect("a data key");
        token.public_key(&pair).expect("public");
        let counted = |what: &str, most: u64, work: &dyn Fn()| {
            work();
            let before: u64 = all_calls(&chaos);
            work();
            assert_eq!(all_calls(&chaos) - before, most, "{what}");
        };
        counted("read", 2, &|| drop(token.unwrap_data_key(suite(), &sys, &wrapped, &bound).expect("unwrap")));
        counted("create", 3, &|| drop(token.new_data_key(suite(), &sys, &bound).expect("data key")));
        counted("encrypt", 3, &|| drop(token.wrap(suite(), &sys, b"x", &bound).expect("wrap")));
        counted("GenerateDataKey", 3, &|| {
            token.wrap_random(suite(), &sys, 32, &bound, |bytes| bytes.to_vec()).map(drop).expect("wrap");
        });
        counted("MAC", 2, &|| assert_ne!(token.mac(&int, b"x").expect("mac"), [0; 32]));
        counted("row MAC", 2, &|| drop(token.hmac(&int, MacAlgorithm::HmacSha256, b"x").expect("mac")));
        counted("checkpoint", 2, &|| drop(token.sign(&aud, b"x").expect("sign")));
        counted("sign", 2, &|| drop(token.sign_digest(&pair, SignatureAlgorithm::RsaPssSha256, &[7; 32]).expect("sign")));
        counted("public key", 0, &|| drop(token.public_key(&pair).expect("public")));
    });
}

fn all_calls(chaos: &bulla_test_support::chaos::Chaos) -> u64 {
    let counts = chaos.tell("calls");
    counts.split(' ').filter_map(|pair| pair.split_once('=')).filter_map(|(_, n)| n.parse::<u64>().ok()).sum()
}

/// A token that is full says so, and is no busy one; and says so no more when there is room again.
#[test]
fn a_full_token_is_not_a_busy_one() {
    under_chaos(|_| {
        let token = new_token(2, 1000);
        let chaos = line();
        chaos.tell("objects 3");
        let ids: Vec<KeyVersionId> = (0..3).map(|_| new_key(&token)).collect();
        let one_more = || token.create(&KeyVersionId::new(), ObjectKind::Cmk(Material::Aes(32)));
        assert_eq!(one_more(), Err(TokenError::Full));
        assert_eq!(token.create(&KeyVersionId::new(), ObjectKind::Aud), Err(TokenError::Full));
        token.destroy(&ids[0]).expect("destroyed");
        assert_eq!(one_more(), Ok(()));
        token.ids().expect("ids");
        assert_eq!(token.status().objects, Some(3));
    });
}

/// On a device with few sessions readers do not keep the one that makes keys from its session, and a limit that was another
/// process's is forgotten.
#[test]
fn the_writer_has_its_session_and_a_limit_is_forgotten() {
    under_chaos(|_| {
        let token = new_token(8, 5000);
        let chaos = line();
        let id = new_key(&token);
        chaos.tell("sessions 3");
        let read = || {
            let (key, wrapped) = token.new_data_key(suite(), &id, &context("a")).expect("data key");
            let back = token.unwrap_data_key(suite(), &id, &wrapped, &context("a")).expect("unwrap");
            assert_eq!(key.expose(), back.expose());
        };
        thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(read))));
        // The writer's session dies, and readers have all that are left.
        chaos.tell("fail C_GenerateKey CKR_SESSION_HANDLE_INVALID times=1");
        new_key(&token);
        thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(read))));
        new_key(&token);
        assert_eq!(token.status().epoch, 1);
        chaos.tell("sessions any");
        let start = std::time::Instant::now();
        while token.status().sessions_open < 3 {
            assert!(start.elapsed() < Duration::from_secs(20), "{:?}", token.status());
            thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(read))));
        }
    });
}

/// A refusal that passes teaches nothing: neither one that a second attempt does not meet, nor one behind which the token took a
/// template less an attribute and made a key that is none of ours.
#[test]
fn a_refusal_for_the_moment_spoils_no_later_key() {
    under_chaos(|_| {
        let token = new_token(2, 1000);
        let chaos = line();
        chaos.tell("fail C_GenerateKey CKR_TEMPLATE_INCONSISTENT times=1");
        new_key(&token);
        for times in [2, 3, 8, 40] {
            chaos.tell(&format!("fail C_GenerateKey CKR_TEMPLATE_INCONSISTENT times={times}"));
            let made = token.create(&KeyVersionId::new(), ObjectKind::Cmk(Material::Aes(32)));
            assert!(matches!(made, Ok(()) | Err(TokenError::Unsupported(_))), "{made:?}");
            chaos.tell("clear");
            new_key(&token);
            token.create(&KeyVersionId::new(), ObjectKind::Aud).expect("a pair");
        }
        assert_eq!(token.status().epoch, 1);
    });
}
