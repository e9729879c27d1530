//! Material from outside: its check value, imported, proved.

use zeroize::Zeroizing;

use super::tokens::{line, on_softhsm, under_chaos};
use super::*;
use crate::base::secret::KeyMaterial;
use crate::base::words::{ImportAlgorithm, KeySpec};
use crate::token::wrapping;

const SPECS: [(KeySpec, usize); 3] = [(KeySpec::Aes128, 16), (KeySpec::Aes192, 24), (KeySpec::Aes256, 32)];

fn clear(bytes: &[u8]) -> KeyMaterial {
    KeyMaterial::new(Zeroizing::new(bytes.to_vec()))
}

/// A pair, and something wrapped with it.
fn wrapped(token: &Token, algorithm: ImportAlgorithm, bytes: &[u8]) -> (KeyVersionId, Vec<u8>) {
    let pair = KeyVersionId::new();
    let public = token.create_wrapping_pair(&pair, algorithm).expect("a pair");
    (pair, wrapping::wrap(&public, algorithm, bytes).expect("wrapped"))
}

/// SoftHSM 2.6.1 knows OAEP with SHA-1 only; a token that knows more needs no other code.
#[test]
fn the_token_says_what_it_unwraps() {
    on_softhsm(|_| {
        let token = new_token(2, 1000);
        for algorithm in ImportAlgorithm::ALL {
            let first = token.unwraps(*algorithm).expect("asked");
            assert_eq!(token.unwraps(*algorithm), Ok(first));
            let pair = token.create_wrapping_pair(&KeyVersionId::new(), *algorithm);
            assert_eq!(pair.is_ok(), first, "{algorithm}: {pair:?}");
        }
        assert_eq!(token.unwraps(ImportAlgorithm::OaepSha1), Ok(true));
        assert_eq!(token.unwraps(ImportAlgorithm::Pkcs1), Ok(true));
        assert_eq!(token.status().epoch, 1);
    });
}

#[test]
fn imported_keys_work_and_say_where_they_come_from() {
    on_softhsm(|_| {
        let token = new_token(2, 1000);
        for (spec, length) in SPECS {
            let bytes = vec![7; length];
            let (pair, sealed) = wrapped(&token, ImportAlgorithm::OaepSha1, &bytes);
            let on_token = Incoming::Wrapped { pair: &pair, algorithm: ImportAlgorithm::OaepSha1, bytes: &sealed };
            let in_process = clear(&bytes);
            let mut ids = Vec::new();
            for material in [on_token, Incoming::Clear(&in_process)] {
                let id = KeyVersionId::new();
                let check = token.check_value(&material, &id, spec).expect("a check value");
                assert_eq!(token.exists(&id), Ok(false), "a check value keeps nothing");
                assert_eq!(token.check_value(&Incoming::Clear(&in_process), &id, spec), Ok(check), "the same both ways");
                assert_ne!(token.check_value(&material, &KeyVersionId::new(), spec), Ok(check), "bound to the version");
                token.import(&material, &id, spec, &check).expect("imported");
                assert_eq!(token.import(&material, &id, spec, &check), Err(TokenError::Duplicate(id)));
                let object = token.inspect(&id).expect("inspected").remove(0);
                for (name, value) in [
                    ("CKA_LOCAL", "false"),
                    ("CKA_ALWAYS_SENSITIVE", "false"),
                    ("CKA_NEVER_EXTRACTABLE", "false"),
                    ("CKA_SENSITIVE", "true"),
                    ("CKA_EXTRACTABLE", "false"),
                    ("CKA_MODIFIABLE", "false"),
                    ("CKA_COPYABLE", "false"),
                    ("CKA_WRAP", "false"),
                    ("CKA_UNWRAP", "false"),
                ] {
                    assert_eq!(object.attributes.get(name).map(String::as_str), Some(value), "{name}");
                }
                ids.push(id);
            }
            // The same material under two ids: the token really has it.
            let sealed = token.wrap(suite(), &ids[0], b"x", &context("a")).expect("wrap");
            assert_eq!(*token.unwrap(suite(), &ids[1], &sealed, &context("a")).expect("unwrap"), b"x");
        }
    });
}

#[test]
fn wrong_material_leaves_nothing() {
    on_softhsm(|_| {
        let token = new_token(2, 1000);
        let id = KeyVersionId::new();
        for algorithm in [ImportAlgorithm::OaepSha1, ImportAlgorithm::Pkcs1] {
            for length in [0, 1, 8, 15, 16, 24, 31, 33, 40, 64] {
                let (pair, bytes) = wrapped(&token, algorithm, &vec![7; length]);
                let material = Incoming::Wrapped { pair: &pair, algorithm, bytes: &bytes };
                let check = token.check_value(&material, &id, KeySpec::Aes256);
                assert_eq!(check, Err(TokenError::Tampered), "{algorithm}, {length} bytes");
            }
        }
        let (pair, bytes) = wrapped(&token, ImportAlgorithm::OaepSha1, &[7; 32]);
        let mut spoiled = bytes.clone();
        spoiled[100] ^= 1;
        let (other, _) = wrapped(&token, ImportAlgorithm::OaepSha1, &[7; 32]);
        for (pair, bytes) in [(pair, &spoiled[..]), (pair, &bytes[1..]), (pair, &[][..]), (other, &bytes[..])] {
            let material = Incoming::Wrapped { pair: &pair, algorithm: ImportAlgorithm::OaepSha1, bytes };
            assert_eq!(token.check_value(&material, &id, KeySpec::Aes256), Err(TokenError::Tampered));
        }
        for length in [16, 31, 33] {
            let material = clear(&vec![7; length]);
            assert_eq!(
                token.check_value(&Incoming::Clear(&material), &id, KeySpec::Aes256),
                Err(TokenError::Tampered),
                "{length}"
            );
        }
        // Weighed as one thing, imported as another.
        let (one, two) = (clear(&[1; 32]), clear(&[2; 32]));
        let check = token.check_value(&Incoming::Clear(&one), &id, KeySpec::Aes256).expect("a check value");
        assert!(matches!(token.import(&Incoming::Clear(&two), &id, KeySpec::Aes256, &check), Err(TokenError::Fault(_))));
        assert_eq!(token.exists(&id), Ok(false));
        assert_eq!(token.status().epoch, 1, "forged material is no outage");
    });
}

#[test]
fn a_pair_unwraps_and_does_nothing_else() {
    on_softhsm(|_| {
        let token = new_token(2, 1000);
        let pair = KeyVersionId::new();
        token.create_wrapping_pair(&pair, ImportAlgorithm::OaepSha1).expect("a pair");
        assert_eq!(token.create_wrapping_pair(&pair, ImportAlgorithm::OaepSha1), Err(TokenError::Duplicate(pair)));
        let objects = token.inspect(&pair).expect("inspected");
        let private = objects.iter().find(|o| o.attributes["CKA_CLASS"].contains("PRIVATE")).expect("a private key");
        for (name, value) in [
            ("CKA_UNWRAP", "true"),
            ("CKA_DECRYPT", "false"),
            ("CKA_SIGN", "false"),
            ("CKA_DERIVE", "false"),
            ("CKA_NEVER_EXTRACTABLE", "true"),
            ("CKA_LOCAL", "true"),
        ] {
            assert_eq!(private.attributes.get(name).map(String::as_str), Some(value), "{name}");
        }
        token.destroy_own(&pair).expect("destroyed");
        assert_eq!(token.exists(&pair), Ok(false));
    });
}

/// What the token lacks is no fault of the material: nobody counts it as an attempt, and no alarm is raised.
#[test]
fn a_mechanism_that_is_missing_is_named_and_the_material_not_blamed() {
    under_chaos(|_| {
        drop(new_token(2, 1000));
        let chaos = line();
        for lacking in ["CKM_AES_CBC", "CKM_AES_KEY_WRAP"] {
            chaos.tell("mechanism all");
            chaos.tell(&format!("mechanism absent {lacking}"));
            let token = Token::open(config(2, 1000), pin("1234")).expect("open");
            let (pair, sealed) = wrapped(&token, ImportAlgorithm::OaepSha1, &[7; 32]);
            let on_token = Incoming::Wrapped { pair: &pair, algorithm: ImportAlgorithm::OaepSha1, bytes: &sealed };
            let in_process = clear(&[7; 32]);
            let unsupported = |refused: &TokenError| matches!(refused, TokenError::Unsupported(what) if what.what() == lacking);
            for material in [on_token, Incoming::Clear(&in_process)] {
                let id = KeyVersionId::new();
                let weighed = token.check_value(&material, &id, KeySpec::Aes256);
                // Without AES key wrap only what is wrapped cannot be measured.
                if lacking == "CKM_AES_CBC" || material.pair().is_some() {
                    assert!(weighed.as_ref().is_err_and(unsupported), "{lacking}: {weighed:?}");
                } else {
                    assert_eq!(token.import(&material, &id, KeySpec::Aes256, &weighed.expect("weighed")), Ok(()));
                }
            }
            // Also where the token lists it, and the material was weighed elsewhere.
            chaos.tell("mechanism absent CKM_AES_CBC");
            let imported = token.import(&Incoming::Clear(&in_process), &KeyVersionId::new(), KeySpec::Aes256, &[7; 32]);
            assert!(matches!(&imported, Err(TokenError::Unsupported(what)) if what.what() == "CKM_AES_CBC"), "{imported:?}");
            assert_eq!(token.status().epoch, 1);
        }
    });
}

/// Some tokens keep to a template in what SENSITIVE and EXTRACTABLE say, and ignore the rest of it: what is unwrapped there could do more than
/// its one use, so material goes through this process instead.
#[test]
fn a_token_that_ignores_an_attribute_of_what_it_unwraps_is_not_asked_to() {
    under_chaos(|_| {
        drop(new_token(2, 1000));
        let chaos = line();
        for (lie, unwraps) in [("none", true), ("CKA_SIGN 01", false), ("CKA_UNWRAP 01", false), ("CKA_LOCAL 01", false)] {
            chaos.tell("lie none");
            chaos.tell(&format!("lie {lie}"));
            let token = Token::open(config(2, 1000), pin("1234")).expect("open");
            assert_eq!(token.unwraps(ImportAlgorithm::OaepSha1), Ok(unwraps), "{lie}");
        }
    });
}
