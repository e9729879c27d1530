//! A token whose user may not make or destroy keys: told, remembered, and nothing else ends.

use bulla_test_support::chaos::Function;

use super::codes::{Meaning, codes};
use super::tokens::{line, under_chaos};
use super::*;
use crate::base::words::MacAlgorithm;
use crate::token::material::{Curve, Pair};

/// One of each kind.
const KINDS: [Material; 5] = [
    Material::Aes(32),
    Material::Aes(16),
    Material::Ec(Curve::P256k),
    Material::Rsa(2048, Pair::Signs),
    Material::Hmac(MacAlgorithm::HmacSha256, 32),
];

/// As a server has it: the module is not initialised anew at each miss.
fn served() -> Token {
    let config = TokenConfig { look_again: Duration::from_secs(2), ..config(2, 1000) };
    Token::open(config, pin("1234")).expect("open")
}

fn create(token: &Token, kind: Material) -> Result<(), TokenError> {
    token.create(&KeyVersionId::new(), ObjectKind::Cmk(kind))
}

/// A deployment's keys, made while that was allowed, and what is encrypted under one.
fn deployment() -> (KeyVersionId, KeyVersionId, Wrapped) {
    let token = new_token(2, 1000);
    let (sys, int) = (KeyVersionId::new(), KeyVersionId::new());
    token.create(&sys, ObjectKind::Sys).expect("create");
    token.create(&int, ObjectKind::Int).expect("create");
    let wrapped = token.wrap(suite(), &sys, b"x", &context("a")).expect("wrap");
    (sys, int, wrapped)
}

/// All that needs no new key is served.
fn serves(token: &Token, (sys, int, wrapped): &(KeyVersionId, KeyVersionId, Wrapped)) {
    assert_eq!(*token.unwrap(suite(), sys, wrapped, &context("a")).expect("unwrap"), b"x");
    token.new_data_key(suite(), sys, &context("b")).expect("a data key");
    token.mac(int, b"x").expect("mac");
    assert_eq!(token.prove_system_key(sys, ObjectKind::Sys), Ok(()));
}

/// Whatever code the token has for it: the caller is told, whatever the key was to be, and nobody loses the connection.
#[test]
fn a_refused_creation_is_told_and_ends_nothing_else() {
    under_chaos(|_| {
        let made = deployment();
        let chaos = line();
        for of_session in ["refuse none", "refuse value CKA_TOKEN 00"] {
            chaos.tell(of_session);
            let token = served();
            let logins = chaos.calls(Function::C_Login);
            for (code, meaning) in codes() {
                let nobody = ["CKR_USER_NOT_LOGGED_IN", "CKR_SESSION_READ_ONLY"].contains(&&*code);
                // Nor is a full token one of the user's rights.
                let full = code == "CKR_TOKEN_RESOURCE_EXCEEDED";
                if full || !nobody && !matches!(meaning, Meaning::Unsupported | Meaning::Fault | Meaning::Ambiguous) {
                    continue;
                }
                chaos.tell(&format!("refuse value CKA_TOKEN 01 {code}"));
                let own_fault =
                    ["CKR_GENERAL_ERROR", "CKR_FUNCTION_FAILED", "CKR_DEVICE_ERROR", "CKR_ARGUMENTS_BAD"].contains(&&*code);
                for kind in KINDS {
                    let refused = create(&token, kind).expect_err("refused");
                    match &refused {
                        TokenError::KeepsNothing(said) if own_fault => assert!(said.contains(&*code), "{said}"),
                        TokenError::MayNotMake(said) if !own_fault => assert!(said.contains("C_Generate"), "{code}: {said}"),
                        other => panic!("{of_session}: {code}, {kind:?}: {other:?}"),
                    }
                    assert!(!token.makes_keys() && !token.status().makes_keys, "{code}");
                }
                serves(&token, &made);
                chaos.tell("refuse none");
                chaos.tell(of_session);
                // It is found out at the next attempt that it is allowed again.
                assert_eq!(create(&token, Material::Aes(32)), Ok(()), "{code}");
                assert!(token.makes_keys() && token.status().makes_keys, "{code}");
            }
            // One for each of the codes that tokens have for their own faults: a module may not know that its place is there again.
            let more = chaos.calls(Function::C_Login) - logins;
            assert!(more <= 4, "{more} logins more");
        }
    });
}

/// Of any kind, at the first attempt: neither a curve nor a length is blamed.
#[test]
fn no_attribute_is_blamed_for_a_user_who_may_not_make_keys() {
    under_chaos(|_| {
        drop(deployment());
        let chaos = line();
        for code in ["CKR_FUNCTION_REJECTED", "CKR_TOKEN_WRITE_PROTECTED", "CKR_ATTRIBUTE_VALUE_INVALID", "0x80000001"] {
            for kind in KINDS {
                let token = served();
                chaos.tell(&format!("refuse value CKA_TOKEN 01 {code}"));
                let refused = create(&token, kind);
                assert!(matches!(refused, Err(TokenError::MayNotMake(_))), "{code}, {kind:?}: {refused:?}");
                let made = |chaos: &bulla_test_support::chaos::Chaos| {
                    chaos.calls(Function::C_GenerateKey) + chaos.calls(Function::C_GenerateKeyPair)
                };
                let before = made(&chaos);
                assert_eq!(create(&token, kind).map_err(|e| matches!(e, TokenError::MayNotMake(_))), Err(true));
                assert_eq!(made(&chaos) - before, 1, "{code}, {kind:?}");
                assert_eq!(token.status().epoch, 1);
                chaos.tell("refuse none");
            }
        }
    });
}

/// Neither for a session nor for good: the canary is SYS, and the plainest key tells.
#[test]
fn a_user_who_may_make_nothing_at_all_is_served() {
    under_chaos(|_| {
        let made = deployment();
        let chaos = line();
        let fail = |code: &str| {
            for function in ["C_GenerateKey", "C_GenerateKeyPair"] {
                chaos.tell(&format!("fail {function} {code}"));
            }
        };
        for code in
            ["CKR_FUNCTION_REJECTED", "CKR_USER_NOT_LOGGED_IN", "CKR_SESSION_READ_ONLY", "0x80000001", "CKR_KEY_SIZE_RANGE"]
        {
            fail(code);
            let token = served();
            assert_eq!(token.description().expect("described").canary, CanaryKey::SystemKey);
            serves(&token, &made);
            for kind in KINDS {
                let refused = create(&token, kind);
                assert!(matches!(refused, Err(TokenError::MayNotMake(_))), "{code}, {kind:?}: {refused:?}");
            }
            serves(&token, &made);
            assert_eq!(token.status().epoch, 1, "{code}");
            chaos.tell("clear");
        }
    });
}

#[test]
fn a_refused_destruction_is_told_and_ends_nothing_else() {
    under_chaos(|_| {
        let made = deployment();
        let (chaos, token) = (line(), served());
        let id = new_key(&token);
        for code in ["CKR_FUNCTION_REJECTED", "CKR_USER_NOT_LOGGED_IN", "CKR_SESSION_READ_ONLY", "CKR_TOKEN_WRITE_PROTECTED"] {
            chaos.tell(&format!("fail C_DestroyObject {code}"));
            let refused = token.destroy_own(&id);
            assert!(matches!(refused, Err(TokenError::MayNotDestroy(_))), "{code}: {refused:?}");
            assert!(!token.destroys_keys() && token.makes_keys(), "{code}");
            serves(&token, &made);
            chaos.tell("clear");
            // That nothing was there to be destroyed says nothing.
            assert_eq!(token.destroy_own(&KeyVersionId::new()), Ok(()));
            assert!(!token.destroys_keys());
        }
        assert_eq!(token.destroy_own(&id), Ok(()));
        assert!(token.destroys_keys());
        assert_eq!(token.status().epoch, 1);
    });
}

/// What asks whether keys are made makes one that stays: others than those of a session are refused.
#[test]
fn whether_keys_are_made_is_asked_with_one_that_stays() {
    under_chaos(|_| {
        drop(deployment());
        let (chaos, token) = (line(), served());
        let before = token.description().expect("described").objects;
        assert_eq!(token.try_making(), Ok(()));
        assert_eq!(token.description().expect("described").objects, before, "nothing is left of it");
        chaos.tell("refuse value CKA_TOKEN 01 CKR_FUNCTION_REJECTED");
        assert!(matches!(token.try_making(), Err(TokenError::MayNotMake(_))));
        chaos.tell("refuse none");
        assert_eq!(token.try_making(), Ok(()));
    });
}
