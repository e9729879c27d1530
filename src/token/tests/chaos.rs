//! What only a token that obeys can show: one attempt with a PIN, forged ciphertexts, numbers that become others, sessions that run
//! out, keys that hide, attributes that lie.

use bulla_test_support::chaos::{Function, RETURN_CODES};
use bulla_test_support::sizes::size;

use super::tokens::{line, under_chaos};
use super::*;
use crate::base::secret::KeyMaterial;
use crate::base::words::{ImportAlgorithm, KeySpec};
use crate::token::material::Curve;
use crate::token::wrapping;

#[test]
fn a_wrong_pin_is_presented_once() {
    under_chaos(|_| {
        drop(new_token(1, 50));
        let chaos = line();
        let before = chaos.calls(Function::C_Login);
        assert_eq!(Token::open(config(1, 50), pin("4321")).err(), Some(wrong_pin()));
        assert_eq!(chaos.calls(Function::C_Login), before + 1);

        // Refused at a reconnect: once, and never again by itself.
        let token = Token::open(config(1, 50), pin("1234")).expect("the right one");
        chaos.tell("fail C_Login CKR_PIN_INCORRECT");
        let before = chaos.calls(Function::C_Login);
        chaos.tell("fail C_GenerateRandom CKR_DEVICE_REMOVED times=1");
        assert_eq!(token.health(), Err(TokenError::Gone));
        let start = std::time::Instant::now();
        while token.health() != Err(wrong_pin()) {
            assert!(start.elapsed() < Duration::from_secs(10));
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(Duration::from_millis(500));
        assert_eq!(chaos.calls(Function::C_Login), before + 1);
    });
}

#[test]
fn a_token_that_does_not_open_at_once_is_tried_again() {
    under_chaos(|_| {
        drop(new_token(1, 50));
        let chaos = line();
        let patient = || TokenConfig { open_wait: Duration::from_secs(5), ..config(1, 50) };
        // In no slot; gone between the look at the slots and the login; half-written when the login looks at it.
        for (fault, times) in [
            ("C_GetTokenInfo CKR_TOKEN_NOT_PRESENT", 3),
            ("C_OpenSession CKR_TOKEN_NOT_PRESENT", 3),
            ("C_Login CKR_GENERAL_ERROR", 1),
            ("C_Login CKR_USER_PIN_NOT_INITIALIZED", 1),
        ] {
            chaos.tell(&format!("fail {fault} times={}", times + 1));
            assert!(Token::open(config(1, 50), pin("1234")).is_err());
            let token = Token::open(patient(), pin("1234")).expect("tried again");
            assert_eq!((token.health(), token.status().epoch), (Ok(()), 1));
            chaos.tell("clear");
        }
        // A C_Finalize that fails leaves the library initialised.
        let token = Token::open(patient(), pin("1234")).expect("open");
        chaos.tell("fail C_Finalize CKR_DEVICE_ERROR times=1");
        chaos.tell("fail C_GenerateRandom CKR_DEVICE_REMOVED times=1");
        assert_eq!(token.health(), Err(TokenError::Gone));
        let start = std::time::Instant::now();
        while token.health() != Ok(()) {
            assert!(start.elapsed() < Duration::from_secs(2), "not back");
            thread::sleep(Duration::from_millis(1));
        }
    });
}

/// Tokens lock after a few wrong PINs, and not every one says that it was the PIN.
#[test]
fn whatever_a_login_answers_the_pin_is_presented_at_most_twice() {
    under_chaos(|_| {
        drop(new_token(1, 50));
        let chaos = line();
        let patient = || TokenConfig { open_wait: Duration::from_millis(700), ..config(1, 50) };
        for (code, _) in RETURN_CODES {
            let before = chaos.calls(Function::C_Login);
            chaos.tell(&format!("fail C_Login {code}"));
            let refused = Token::open(patient(), pin("1234")).err().expect("no login");
            chaos.tell("clear");
            let presented = chaos.calls(Function::C_Login) - before;
            let of_pin = code.starts_with("CKR_PIN_") || ["CKR_NEW_PIN_MODE", "CKR_NEXT_OTP"].contains(code);
            assert_eq!(matches!(refused, TokenError::Pin(_)), of_pin, "{code}: {refused:?}");
            assert!(of_pin || matches!(refused, TokenError::PinInDoubt(_)), "{code}: {refused:?}");
            assert_eq!(presented, if of_pin { 1 } else { 2 }, "{code}");
        }
    });
}

/// However long the first login takes, the second is of the same start: who starts again in its place presents the PIN for ever.
#[test]
fn a_slow_login_is_tried_again_and_then_in_doubt() {
    under_chaos(|_| {
        drop(new_token(1, 50));
        let chaos = line();
        let impatient = || TokenConfig { open_wait: Duration::from_millis(100), ..config(1, 50) };
        chaos.tell("fail C_Login CKR_GENERAL_ERROR");
        chaos.tell("delay C_Login 300");
        let before = chaos.calls(Function::C_Login);
        assert!(matches!(Token::open(impatient(), pin("1234")).err(), Some(TokenError::PinInDoubt(_))));
        assert_eq!(chaos.calls(Function::C_Login), before + 2);
        // Gone after the first: that the PIN may have been refused is still what is said, and an operator is told.
        chaos.tell("clear");
        chaos.tell("delay C_Login 300");
        chaos.tell("fail C_Login CKR_GENERAL_ERROR times=1");
        // Two slots are looked at before it.
        chaos.tell("fail C_GetTokenInfo CKR_TOKEN_NOT_PRESENT after=2");
        let pins = Pins::from(pin("4321"));
        let operator = pins.clone();
        thread::scope(|scope| {
            let opened = scope.spawn(|| Token::open(impatient(), pins.clone()));
            let told = operator.offer(pin("1234"), Duration::from_secs(20), |told| told);
            assert!(matches!(told, Err(TokenError::LoginFailed(_))), "{told:?}");
            assert!(matches!(opened.join().expect("no panic").err(), Some(TokenError::LoginFailed(_))));
        });
    });
}

/// A PIN is presented in vain for no code, and none where the token has none; and a token that is up takes no other.
#[test]
fn what_is_no_login_is_none() {
    under_chaos(|_| {
        drop(new_token(1, 50));
        let chaos = line();
        chaos.tell("fail C_Login CKR_USER_ALREADY_LOGGED_IN");
        let before = chaos.calls(Function::C_Login);
        assert!(matches!(Token::open(config(1, 50), pin("1234")).err(), Some(TokenError::PinInDoubt(_))));
        assert_eq!(chaos.calls(Function::C_Login), before + 2);
        // It did log in: C_GetSessionInfo says so.
        chaos.tell("clear");
        chaos.tell("fail C_Login CKR_USER_ALREADY_LOGGED_IN late");
        let pins = Pins::from(pin("1234"));
        let token = Token::open(config(1, 50), pins.clone()).expect("logged in");
        let start = std::time::Instant::now();
        assert_eq!(pins.offer(pin("4321"), Duration::from_secs(20), |told| told), Ok(Offer::NotNeeded));
        assert!(start.elapsed() < Duration::from_secs(1));
        chaos.tell("fail C_GenerateRandom CKR_DEVICE_REMOVED times=1");
        assert_eq!(token.health(), Err(TokenError::Gone));
        while token.health() != Ok(()) {
            assert!(start.elapsed() < Duration::from_secs(10), "not back with the PIN that it had");
            thread::sleep(Duration::from_millis(5));
        }
    });
}

/// What is configured wrongly is said as that, and costs no try of the PIN.
#[test]
fn settings_that_cannot_be_are_told_as_settings() {
    under_chaos(|_| {
        let none = Path::new("/etc/passwd");
        let refused = Claim::take(none).err();
        assert!(matches!(&refused, Some(TokenError::Setting(what)) if what.contains("/etc/passwd")), "{refused:?}");
        // A token whose user has no PIN.
        let claim = Claim::take(&tokens::module()).expect("the module");
        claim.initialize().expect("C_Initialize");
        let pkcs11 = claim.pkcs11();
        let slot = pkcs11.get_slots_with_token().expect("slots").into_iter().next().expect("a blank one");
        pkcs11.init_token(slot, &auth_pin(&pin("so-pin")), tokens::label()).expect("C_InitToken");
        claim.finalize();
        drop(claim);
        let chaos = line();
        let before = chaos.calls(Function::C_Login);
        let refused = Token::open(config(1, 50), pin("1234")).err();
        assert!(
            matches!(&refused, Some(TokenError::Setting(what)) if what.contains("CKF_USER_PIN_INITIALIZED")),
            "{refused:?}"
        );
        assert_eq!(chaos.calls(Function::C_Login), before);
        // And another of the same label.
        tokens::initialise();
        let refused = Token::open(config(1, 50), pin("1234")).err();
        assert!(matches!(&refused, Some(TokenError::Setting(what)) if what.contains("serial numbers")), "{refused:?}");
    });
}

#[test]
fn too_few_sessions_are_said_by_their_code() {
    under_chaos(|_| {
        drop(new_token(1, 50));
        let chaos = line();
        for most in [1, 2] {
            chaos.tell(&format!("sessions {most}"));
            let said = Token::open(config(1, 50), pin("1234")).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(["C_OpenSession", "CKR_SESSION_COUNT", "three"].iter().all(|word| said.contains(word)), "{most}: {said}");
        }
        chaos.tell("sessions 3");
        new_key(&Token::open(config(1, 50), pin("1234")).expect("three do"));
    });
}

/// At a reconnect, where nobody is there to see: twice, and then another PIN or an operator, however often the token goes.
#[test]
fn a_login_in_doubt_waits_for_something_to_change() {
    under_chaos(|_| {
        drop(new_token(1, 50));
        let chaos = line();
        let text = std::sync::Arc::new(parking_lot::Mutex::new("1234".to_owned()));
        let file = std::sync::Arc::clone(&text);
        let pins = Pins::from_source(move || Ok(Pin::new(file.lock().clone())), false);
        let token = Token::open(config(1, 50), pins.clone()).expect("open");
        chaos.tell("fail C_Login CKR_GENERAL_ERROR");
        let before = chaos.calls(Function::C_Login);
        chaos.tell("fail C_GenerateRandom CKR_DEVICE_REMOVED times=1");
        let until = |wanted: &dyn Fn(&Result<(), TokenError>) -> bool| {
            let start = std::time::Instant::now();
            while !wanted(&token.health()) {
                assert!(start.elapsed() < Duration::from_secs(10), "{:?}", token.health());
                thread::sleep(Duration::from_millis(10));
            }
        };
        until(&|health| matches!(health, Err(TokenError::PinInDoubt(_))));
        assert!(token.status().refused);
        thread::sleep(Duration::from_millis(1500));
        for command in ["unplug", "replug"] {
            chaos.tell(command);
            thread::sleep(Duration::from_millis(1200));
        }
        assert_eq!(chaos.calls(Function::C_Login), before + 2);
        // The file changes, to a PIN that the token refuses outright: once.
        chaos.tell("clear");
        "4321".clone_into(&mut text.lock());
        until(&|health| *health == Err(wrong_pin()));
        thread::sleep(Duration::from_millis(1500));
        assert_eq!(chaos.calls(Function::C_Login), before + 3);
        // An operator gives a wrong one, then the right one.
        let offer = |text: &str| pins.offer(pin(text), Duration::from_secs(10), |told| told);
        assert_eq!(offer("999999"), Err(wrong_pin()));
        assert_eq!(offer("1234"), Ok(Offer::LoggedIn));
        until(&|health| health.is_ok());
        assert_eq!(chaos.calls(Function::C_Login), before + 5);
    });
}

#[test]
fn forged_ciphertexts_reconnect_nothing_whatever_the_token_says_of_them() {
    under_chaos(|_| {
        let token = new_token(2, 1000);
        let chaos = line();
        let id = new_key(&token);
        let wrapped = token.wrap(suite(), &id, b"a secret", &context("a")).expect("wrap");
        let (sessions, logins) = (chaos.calls(Function::C_OpenSession), chaos.calls(Function::C_Login));
        let codes = ["own", "CKR_GENERAL_ERROR", "CKR_FUNCTION_FAILED", "CKR_DEVICE_ERROR", "CKR_ENCRYPTED_DATA_INVALID"];
        let vendors = ["CKR_AEAD_DECRYPT_FAILED", "0x80000001", "0x1ff"];
        // For each code; 10,000 in all.
        let forgeries = size(1_250, 125_000);
        for code in codes.iter().chain(&vendors) {
            chaos.tell(&format!("forged {code}"));
            for n in 0..forgeries {
                let mut forged = wrapped.clone();
                let at = n % forged.len();
                forged[at] ^= 1 << (n % 8);
                let opened = token.unwrap(suite(), &id, &forged, &context("a"));
                assert_eq!(opened.err(), Some(TokenError::Tampered), "{code}");
            }
            assert_eq!(*token.unwrap(suite(), &id, &wrapped, &context("a")).expect("unwrap"), b"a secret");
        }
        assert_eq!(token.status().epoch, 1);
        assert!(chaos.calls(Function::C_OpenSession) <= sessions + 1, "no session is thrown away for it");
        assert_eq!(chaos.calls(Function::C_Login), logins);
    });
}

#[test]
fn numbers_that_become_others_mean_no_other_key() {
    under_chaos(|_| {
        let token = new_token(2, 1000);
        let chaos = line();
        let keys: Vec<KeyVersionId> = (0..6).map(|_| new_key(&token)).collect();
        let wrap = |id: &KeyVersionId| token.wrap(suite(), id, id.as_bytes(), &context("a"));
        let known: Vec<Wrapped> = keys.iter().map(|id| wrap(id).expect("wrap")).collect();
        let times = size(200, 10_000);
        for _ in 0..times {
            chaos.tell("unplug");
            chaos.tell("replug");
            let start = std::time::Instant::now();
            for (id, known) in keys.iter().zip(&known) {
                // What was wrapped before opens, and what is wrapped now opens as the same key's: none is another's.
                let wrapped = loop {
                    match wrap(id) {
                        Ok(wrapped) => break wrapped,
                        Err(error) => assert_eq!(error, TokenError::Gone),
                    }
                    assert!(start.elapsed() < Duration::from_secs(20), "not back");
                    thread::sleep(Duration::from_millis(1));
                };
                for wrapped in [known, &wrapped] {
                    let opened = token.unwrap(suite(), id, wrapped, &context("a")).expect("its own");
                    assert_eq!(*opened, id.as_bytes());
                }
            }
        }
        assert_eq!(token.status().epoch, times as u64 + 1);
        assert_eq!(chaos.ivs().1, 0);
    });
}

#[test]
fn sessions_that_run_out_are_lived_without() {
    under_chaos(|_| {
        let token = new_token(8, 5000);
        let chaos = line();
        let id = new_key(&token);
        // The anchor, the writer and two readers.
        chaos.tell("sessions 4");
        thread::scope(|scope| {
            for thread in 0..8 {
                let (token, id) = (&token, &id);
                scope.spawn(move || {
                    let context = context(&thread.to_string());
                    for _ in 0..50 {
                        let (key, wrapped) = token.new_data_key(suite(), id, &context).expect("data key");
                        let back = token.unwrap_data_key(suite(), id, &wrapped, &context).expect("unwrap");
                        assert_eq!(key.expose(), back.expose());
                    }
                });
            }
        });
        assert!(token.status().sessions_open <= 2);
        assert_eq!(token.status().epoch, 1);
        // None at all: busy, not gone, and back with the first that is to be had.
        chaos.tell("fail C_GenerateRandom CKR_SESSION_HANDLE_INVALID times=1");
        chaos.tell("sessions 1");
        chaos.tell("fail C_GenerateRandom CKR_SESSION_CLOSED");
        assert_ne!(token.health(), Ok(()));
        chaos.tell("clear");
        chaos.tell("sessions any");
        let start = std::time::Instant::now();
        while token.health() != Ok(()) {
            assert!(start.elapsed() < Duration::from_secs(20), "not back");
            thread::sleep(Duration::from_millis(1));
        }
    });
}

#[test]
fn an_attribute_that_is_not_as_demanded_refuses_the_key() {
    under_chaos(|_| {
        let token = new_token(1, 1000);
        let chaos = line();
        let id = new_key(&token);
        let kind = ObjectKind::Cmk(Material::Aes(32));
        for (attribute, bytes) in [
            ("CKA_SENSITIVE", "00"),
            ("CKA_EXTRACTABLE", "01"),
            ("CKA_NEVER_EXTRACTABLE", "00"),
            ("CKA_ALWAYS_SENSITIVE", "00"),
            ("CKA_LOCAL", "00"),
            ("CKA_MODIFIABLE", "01"),
            ("CKA_COPYABLE", "01"),
            ("CKA_WRAP", "01"),
            ("CKA_UNWRAP", "01"),
            ("CKA_DERIVE", "01"),
            ("CKA_SIGN", "01"),
            ("CKA_DECRYPT", "00"),
            ("CKA_PRIVATE", "00"),
            ("CKA_TOKEN", "00"),
            ("CKA_ID", "00000000000000000000000000000000"),
            ("CKA_VALUE_LEN", "1000000000000000"),
        ] {
            chaos.tell(&format!("lie {attribute} {bytes}"));
            let Err(TokenError::Unsupported(what)) = token.prove(&id, kind) else { panic!("{attribute} is believed") };
            assert!(what.what().starts_with(attribute), "{what}");
            chaos.tell("lie none");
        }
        assert_eq!(token.prove(&id, kind), Ok(()));
        // A new key that lies is not left behind.
        let id = KeyVersionId::new();
        chaos.tell("lie CKA_EXTRACTABLE 01");
        assert!(matches!(token.create(&id, kind), Err(TokenError::Unsupported(_))));
        chaos.tell("lie none");
        assert_eq!(token.exists(&id), Ok(false));
        assert_eq!(chaos.calls(Function::C_SetAttributeValue), 0);
    });
}

#[test]
fn a_new_key_that_hides_is_waited_for() {
    under_chaos(|_| {
        let token = new_token(1, 1000);
        let chaos = line();
        chaos.tell("hide 700");
        for kind in [ObjectKind::Cmk(Material::Aes(32)), ObjectKind::Aud] {
            let id = KeyVersionId::new();
            let start = std::time::Instant::now();
            token.create(&id, kind).expect("found in the end");
            assert!(start.elapsed() >= Duration::from_millis(700));
            assert_eq!(token.prove(&id, kind), Ok(()));
        }
        // One that does not appear at all is not used.
        chaos.tell("hide 600000");
        let id = KeyVersionId::new();
        assert!(matches!(token.create(&id, ObjectKind::Sys), Err(TokenError::Fault(_))));
        chaos.tell("hide 0");
        assert_eq!(token.status().epoch, 1);
    });
}

#[test]
fn a_token_that_hangs_costs_its_sessions_and_nobody_waits_for_it() {
    under_chaos(|_| {
        let token = new_token(3, 60_000);
        let chaos = line();
        assert_eq!(token.health(), Ok(()));
        chaos.tell("hang C_GenerateRandom");
        thread::scope(|scope| {
            let hung: Vec<_> = (0..3).map(|_| scope.spawn(|| token.health())).collect();
            while chaos.hanging() < 3 {
                thread::sleep(Duration::from_millis(1));
            }
            // The first finds out; the rest are told at once, long before the wait for a session is over.
            for _ in 0..20 {
                assert_eq!(token.health(), Err(TokenError::Busy));
            }
            assert_eq!(chaos.hanging(), 3);
            chaos.tell("release");
            for call in hung {
                assert_eq!(call.join().expect("no panic"), Ok(()), "its session was good");
            }
        });
        assert_eq!(token.health(), Ok(()));
        assert_eq!((token.status().epoch, token.status().sessions_open), (1, 3));
    });
}

#[test]
fn a_token_that_is_sick_for_a_moment_is_not_put_on_a_lesser_suite() {
    under_chaos(|_| {
        drop(new_token(1, 50));
        let chaos = line();
        chaos.tell("fail C_EncryptInit CKR_DEVICE_ERROR times=3");
        assert_eq!(Token::open(config(1, 50), pin("1234")).err().map(|e| e.to_string()).as_deref(), Some(SICK));
        let token = Token::open(config(1, 50), pin("1234")).expect("well again");
        assert_eq!(token.probe(), Ok(Suite::AesGcmCallerIv));
    });
}

const SICK: &str = "the token failed: C_EncryptInit with CKM_AES_GCM: CKR_DEVICE_ERROR";

/// What a call has made that ended in an error is neither taken for the key nor left on the token.
#[test]
fn what_a_failed_call_has_made_is_cleared_away() {
    under_chaos(|_| {
        let token = new_token(2, 1000);
        let chaos = line();
        let bytes = KeyMaterial::new(vec![7; 32].into());
        let algorithm = ImportAlgorithm::OaepSha1;
        let pair = KeyVersionId::new();
        let public = token.create_wrapping_pair(&pair, algorithm).expect("a pair");
        let wrapped = wrapping::wrap(&public, algorithm, bytes.expose()).expect("wrapped");
        let from_both = [Incoming::Wrapped { pair: &pair, algorithm, bytes: &wrapped }, Incoming::Clear(&bytes)];
        let codes = ["CKR_GENERAL_ERROR", "CKR_DEVICE_ERROR", "CKR_SESSION_HANDLE_INVALID", "CKR_TEMPLATE_INCONSISTENT"];
        for (code, times) in codes.iter().flat_map(|code| [(code, 1), (code, 2), (code, 30)]) {
            let late = |function: &str| chaos.tell(&format!("fail {function} {code} late times={times}"));
            let looks = |id: &KeyVersionId, objects: usize, made: Result<(), TokenError>| {
                chaos.tell("clear");
                let start = std::time::Instant::now();
                while token.health() != Ok(()) {
                    assert!(start.elapsed() < Duration::from_secs(20), "not back");
                    thread::sleep(Duration::from_millis(1));
                }
                let left = token.inspect(id).expect("looked at").len();
                assert!(!matches!(made, Err(TokenError::Duplicate(_))), "{code}, {times} times: {made:?}");
                assert_eq!(left, if made.is_ok() { objects } else { 0 }, "{code}, {times} times: {made:?}");
            };
            let id = KeyVersionId::new();
            late("C_GenerateKey");
            looks(&id, 1, token.create(&id, ObjectKind::Cmk(Material::Aes(32))));
            let id = KeyVersionId::new();
            late("C_GenerateKeyPair");
            looks(&id, 2, token.create(&id, ObjectKind::Cmk(Material::Ec(Curve::P256))));
            let id = KeyVersionId::new();
            late("C_GenerateKeyPair");
            looks(&id, 2, token.create_wrapping_pair(&id, algorithm).map(drop));
            for material in &from_both {
                let id = KeyVersionId::new();
                let check = token.check_value(material, &id, KeySpec::Aes256).expect("a check value");
                late("C_UnwrapKey");
                late("C_CreateObject");
                looks(&id, 1, token.import(material, &id, KeySpec::Aes256, &check));
            }
        }
    });
}
