//! The token layer on a real SoftHSM. Each test has a process and a token folder of its own; see softhsm/README.md.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::signature;
use cryptoki::context::Function;
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::object::AttributeType;

use super::isolated::{isolated, second_process};
use super::*;
use crate::canonical::Purpose;
use crate::kinds::KeySpec;

const S1: Suite = Suite::AesGcmCallerIv;

fn pin(text: &str) -> Pin {
    Pin::new(text.to_owned())
}

fn config(sessions: usize, wait_ms: u64) -> TokenConfig {
    TokenConfig {
        module: softhsm::module().expect("softhsm2 is installed"),
        selector: Selector::Label("bulla test".into()),
        sessions,
        session_wait: Duration::from_millis(wait_ms),
    }
}

/// A new token, open.
fn new_token(sessions: usize, wait_ms: u64) -> Token {
    let config = config(sessions, wait_ms);
    Token::initialise(&config.module, "bulla test", &pin("so-pin"), &pin("1234")).expect("a new token");
    Token::open(config, pin("1234")).expect("open")
}

fn new_key(token: &Token) -> KeyVersionId {
    let id = KeyVersionId::new();
    token.create(&id, ObjectKind::Cmk(KeySpec::Aes256)).expect("a new key");
    id
}

fn context(text: &str) -> Canonical {
    Canonical::new(Purpose::DataKey).text(text)
}

/// Work that fails with this code, the first time or always.
fn fail(token: &Token, code: RvError, times: usize) -> Result<(), TokenError> {
    let mut left = times;
    token.link.run(Operation::Unwrap, Access::ReadOnly, None, |_, session| {
        if left > 0 {
            left -= 1;
            return Err(Pkcs11Error::Pkcs11(code, Function::Decrypt).into());
        }
        session.generate_random_slice(&mut [0])?;
        Ok(())
    })
}

/// Asks until the token is back; how long it took.
fn until_back(token: &Token) -> Duration {
    let start = Instant::now();
    while let Err(error) = token.health() {
        assert_eq!(error, TokenError::Gone);
        assert!(start.elapsed() < Duration::from_secs(5), "not back");
        thread::sleep(Duration::from_millis(1));
    }
    start.elapsed()
}

fn attributes_of(token: &Token, id: &KeyVersionId, class: &str) -> BTreeMap<String, String> {
    let objects = token.inspect(id).expect("inspect");
    objects.into_iter().map(|o| o.attributes).find(|a| a["CKA_CLASS"] == class).expect("an object of that class")
}

#[test]
fn keys_are_born_with_exactly_their_attributes() {
    isolated(softhsm::prepare, |_| {
        let token = new_token(2, 1000);
        let aes = |bytes: &'static str| (bytes, "CKK_AES", true, false);
        for (kind, label, (bytes, key_type, encrypts, signs)) in [
            (ObjectKind::Cmk(KeySpec::Aes128), "cmk", aes("16")),
            (ObjectKind::Cmk(KeySpec::Aes192), "cmk", aes("24")),
            (ObjectKind::Cmk(KeySpec::Aes256), "cmk", aes("32")),
            (ObjectKind::Sys, "sys", aes("32")),
            (ObjectKind::Int, "int", ("32", "CKK_GENERIC_SECRET", false, true)),
        ] {
            let id = KeyVersionId::new();
            token.create(&id, kind).expect("create");
            assert_eq!(token.inspect(&id).expect("inspect").len(), 1);
            let found = attributes_of(&token, &id, "CKO_SECRET_KEY");
            let is = |name: &str, value: &str| assert_eq!(found[name], value, "{kind:?} {name}");
            is("CKA_KEY_TYPE", key_type);
            is("CKA_VALUE_LEN", bytes);
            is("CKA_ID", &hex::encode(id.as_bytes()));
            is("CKA_LABEL", &format!("bulla {label} {id}"));
            for name in ["TOKEN", "PRIVATE", "SENSITIVE", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "LOCAL", "DESTROYABLE"] {
                is(&format!("CKA_{name}"), "true");
            }
            for name in ["EXTRACTABLE", "MODIFIABLE", "COPYABLE", "WRAP", "UNWRAP", "DERIVE"] {
                is(&format!("CKA_{name}"), "false");
            }
            for (name, value) in [("ENCRYPT", encrypts), ("DECRYPT", encrypts), ("SIGN", signs), ("VERIFY", signs)] {
                is(&format!("CKA_{name}"), &value.to_string());
            }
            assert_eq!(token.prove(&id, kind), Ok(()));
        }
        let id = new_key(&token);
        assert!(matches!(token.prove(&id, ObjectKind::Int), Err(TokenError::Unsupported(_))), "another kind is noticed");
        let value = token.link.run(Operation::Inspect, Access::ReadOnly, None, |epoch, session| {
            Ok(session.get_attributes(epoch.handle(session, &id, Half::Secret)?, &[AttributeType::Value])?)
        });
        assert_eq!(value.expect("attributes").len(), 0, "the key's bytes cannot be read");
    });
}

#[test]
fn a_pair_only_signs() {
    isolated(softhsm::prepare, |_| {
        let token = new_token(2, 1000);
        let id = KeyVersionId::new();
        token.create(&id, ObjectKind::Aud).expect("create");
        let private = attributes_of(&token, &id, "CKO_PRIVATE_KEY");
        for name in ["TOKEN", "PRIVATE", "SENSITIVE", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "LOCAL", "SIGN"] {
            assert_eq!(private[&format!("CKA_{name}")], "true", "{name}");
        }
        for name in ["EXTRACTABLE", "MODIFIABLE", "COPYABLE", "DECRYPT", "UNWRAP", "DERIVE", "SIGN_RECOVER"] {
            assert_eq!(private[&format!("CKA_{name}")], "false", "{name}");
        }
        let public = attributes_of(&token, &id, "CKO_PUBLIC_KEY");
        assert_eq!(private["CKA_ID"], public["CKA_ID"]);
        assert_eq!((public["CKA_VERIFY"].as_str(), public["CKA_ENCRYPT"].as_str()), ("true", "false"));

        let public = token.public_key(&id).expect("public key");
        let public = signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, public);
        for message in [b"".as_slice(), b"checkpoint", &[7; 5000]] {
            let signed = token.sign(&id, message).expect("sign");
            assert!(public.verify(message, &signed).is_ok());
            assert!(public.verify(b"another", &signed).is_err());
        }
        assert_eq!(token.mac(&id, b"x"), Err(TokenError::NoSuchKey(id)), "a pair is no HMAC key");
        assert_eq!(token.create(&id, ObjectKind::Sys), Err(TokenError::Duplicate(id)), "whatever its class");
        assert_eq!(token.destroy(&id), Ok(()));
        assert_eq!(token.inspect(&id), Ok(vec![]));
        assert_eq!(token.sign(&id, b"x"), Err(TokenError::NoSuchKey(id)));
    });
}

#[test]
fn macs_are_hmac_sha_256() {
    isolated(softhsm::prepare, |_| {
        let token = new_token(2, 1000);
        let (one, two) = (KeyVersionId::new(), KeyVersionId::new());
        token.create(&one, ObjectKind::Int).expect("create");
        token.create(&two, ObjectKind::Int).expect("create");
        let mac = token.mac(&one, b"input").expect("mac");
        assert_eq!(token.mac(&one, b"input"), Ok(mac));
        assert_ne!(token.mac(&one, b"inpuT"), Ok(mac));
        assert_ne!(token.mac(&two, b"input"), Ok(mac));
        assert!(matches!(token.wrap(S1, &one, b"x", &context("a")), Err(TokenError::Fault(_) | TokenError::Unsupported(_))));
        assert_eq!(token.status().epoch, 1);
    });
}

#[test]
fn what_is_wrapped_comes_back() {
    isolated(softhsm::prepare, |_| {
        let token = new_token(2, 1000);
        assert_eq!(token.probe(), Ok(S1));
        for spec in KeySpec::ALL {
            let id = KeyVersionId::new();
            token.create(&id, ObjectKind::Cmk(*spec)).expect("create");
            let (key, wrapped) = token.new_data_key(S1, &id, &context("a")).expect("data key");
            assert_eq!(wrapped.len(), 12 + 32 + 16);
            let back = token.unwrap_data_key(S1, &id, &wrapped, &context("a")).expect("unwrap");
            assert_eq!(back.expose(), key.expose());
            for length in [1, 15, 16, 17, 4096, 6144] {
                let secret = vec![0x5a; length];
                let wrapped = token.wrap(S1, &id, &secret, &context("a")).expect("wrap");
                assert_ne!(token.wrap(S1, &id, &secret, &context("a")).expect("wrap")[..12], wrapped[..12], "a new IV");
                assert_eq!(*token.unwrap(S1, &id, &wrapped, &context("a")).expect("unwrap"), secret);
                if length != 32 {
                    let as_key = token.unwrap_data_key(S1, &id, &wrapped, &context("a"));
                    assert_eq!(as_key.err(), Some(TokenError::Tampered));
                }
            }
        }
        assert!(matches!(token.wrap(S1, &new_key(&token), b"", &context("a")), Err(TokenError::Unsupported(_))));
        let (mut one, mut two) = ([0; 64], [0; 64]);
        token.random(&mut one).expect("random");
        token.random(&mut two).expect("random");
        assert!(one != two && one != [0; 64]);
    });
}

#[test]
fn forged_bytes_are_refused_and_cost_nobody_else_anything() {
    isolated(softhsm::prepare, |_| {
        let token = new_token(2, 1000);
        let (id, other) = (new_key(&token), new_key(&token));
        let wrapped = token.wrap(S1, &id, b"a secret", &context("a")).expect("wrap");
        let refused = |under: &KeyVersionId, wrapped: &[u8], context: &Canonical| {
            assert_eq!(token.unwrap(S1, under, wrapped, context).err(), Some(TokenError::Tampered));
        };
        refused(&other, &wrapped, &context("a"));
        refused(&id, &wrapped, &context("b"));
        for length in 0..wrapped.len() {
            refused(&id, &wrapped[..length], &context("a"));
        }
        refused(&id, &[wrapped.as_slice(), &[0]].concat(), &context("a"));
        for n in 0..1000 {
            let mut forged = wrapped.clone();
            let at = n % forged.len();
            forged[at] ^= 1 << (n % 8);
            refused(&id, &forged, &context("a"));
        }
        assert_eq!(*token.unwrap(S1, &id, &wrapped, &context("a")).expect("unwrap"), b"a secret");
        let status = token.status();
        assert_eq!((status.epoch, status.up, status.sessions_open, status.sessions_in_use), (1, true, 1, 0));
    });
}

#[test]
fn two_objects_with_one_id_are_refused() {
    isolated(softhsm::prepare, |_| {
        let token = new_token(2, 1000);
        let id = new_key(&token);
        assert_eq!(token.create(&id, ObjectKind::Cmk(KeySpec::Aes256)), Err(TokenError::Duplicate(id)));
        let wrapped = token.wrap(S1, &id, b"x", &context("a")).expect("wrap");
        let plant = |epoch: &epoch::Epoch, session: &cryptoki::session::Session| {
            session.generate_key(&Mechanism::AesKeyGen, &ObjectKind::Sys.template(Half::Secret, &id))?;
            epoch.forget(&id);
            Ok(())
        };
        token.link.run(Operation::Create, Access::ReadWrite, None, plant).expect("planted");
        assert_eq!(token.unwrap(S1, &id, &wrapped, &context("a")).err(), Some(TokenError::Duplicate(id)));
        assert_eq!(token.prove(&id, ObjectKind::Sys), Err(TokenError::Duplicate(id)));
        assert_eq!(token.destroy(&id), Err(TokenError::Duplicate(id)), "which one is ours is for a person to say");
        assert_eq!(token.inspect(&id).expect("inspect").len(), 2);
        new_key(&token);
    });
}

#[test]
fn destroyed_keys_stay_gone_and_others_stay() {
    isolated(softhsm::prepare, |_| {
        let token = new_token(2, 1000);
        let (id, kept) = (new_key(&token), new_key(&token));
        let wrapped = token.wrap(S1, &kept, b"x", &context("a")).expect("wrap");
        assert_eq!(token.exists(&id), Ok(true));
        assert_eq!(token.destroy(&id), Ok(()));
        assert_eq!(token.destroy(&id), Ok(()), "done already is success");
        assert_eq!(token.exists(&id), Ok(false));
        assert_eq!(token.wrap(S1, &id, b"x", &context("a")), Err(TokenError::NoSuchKey(id)));
        drop(token);
        let token = Token::open(config(2, 1000), pin("1234")).expect("open again");
        assert_eq!(token.exists(&id), Ok(false), "also after a new login");
        assert_eq!(*token.unwrap(S1, &kept, &wrapped, &context("a")).expect("unwrap"), b"x");
    });
}

#[test]
fn a_stale_handle_is_looked_up_anew() {
    isolated(softhsm::prepare, |_| {
        let token = new_token(1, 1000);
        let id = new_key(&token);
        let wrapped = token.wrap(S1, &id, b"x", &context("a")).expect("wrap");
        // Behind the cache: the object goes, the handle stays known.
        let remove = |epoch: &epoch::Epoch, session: &cryptoki::session::Session| {
            Ok(session.destroy_object(epoch.handle(session, &id, Half::Secret)?)?)
        };
        token.link.run(Operation::Destroy, Access::ReadWrite, None, remove).expect("removed");
        assert_eq!(token.unwrap(S1, &id, &wrapped, &context("a")).err(), Some(TokenError::NoSuchKey(id)));
        token.create(&id, ObjectKind::Cmk(KeySpec::Aes256)).expect("made again");
        assert_eq!(token.unwrap(S1, &id, &wrapped, &context("a")).err(), Some(TokenError::Tampered), "another key");
        assert_eq!(token.status().epoch, 1);
    });
}

#[test]
fn sixteen_threads_share_one_session() {
    isolated(softhsm::prepare, |_| {
        let token = new_token(1, 20_000);
        let id = new_key(&token);
        thread::scope(|scope| {
            for thread in 0..16 {
                let (token, id) = (&token, &id);
                scope.spawn(move || {
                    let context = context(&thread.to_string());
                    for _ in 0..100 {
                        let (key, wrapped) = token.new_data_key(S1, id, &context).expect("data key");
                        let back = token.unwrap_data_key(S1, id, &wrapped, &context).expect("unwrap");
                        assert_eq!(key.expose(), back.expose());
                        assert!(token.status().sessions_open <= 1);
                    }
                });
            }
        });
        assert_eq!(token.status().sessions_limit, 1);
    });
}

#[test]
fn a_full_pool_is_busy_in_time() {
    isolated(softhsm::prepare, |_| {
        let token = new_token(1, 50);
        let held = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                token.link.run(Operation::Health, Access::ReadOnly, None, |_, _| {
                    held.wait();
                    held.wait();
                    Ok(())
                })
            });
            held.wait();
            let start = Instant::now();
            assert_eq!(token.health(), Err(TokenError::Busy));
            assert!((40..1000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
            held.wait();
        });
        assert_eq!(token.health(), Ok(()));
        assert_eq!(token.status().epoch, 1);
    });
}

#[test]
fn threads_make_keys_side_by_side() {
    isolated(softhsm::prepare, |_| {
        let token = new_token(4, 20_000);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2 {
                        let id = new_key(&token);
                        let wrapped = token.wrap(S1, &id, b"x", &context("a")).expect("wrap");
                        assert_eq!(*token.unwrap(S1, &id, &wrapped, &context("a")).expect("unwrap"), b"x");
                    }
                });
            }
        });
    });
}

#[test]
fn a_wrong_pin_is_tried_once() {
    isolated(softhsm::prepare, |_| {
        drop(new_token(1, 50));
        assert_eq!(Token::open(config(1, 50), pin("4321")).err(), Some(TokenError::Pin));
        let token = Token::open(config(1, 50), pin("1234")).expect("the right one");
        assert_eq!(token.health(), Ok(()));
        let again = Token::open(config(1, 50), pin("1234"));
        assert!(matches!(again.err(), Some(TokenError::Fault(_))), "one token in a process");
        drop(token);
        let absent = TokenConfig { selector: Selector::Label("nobody".into()), ..config(1, 50) };
        let Some(TokenError::Absent(found)) = Token::open(absent, pin("1234")).err() else { panic!("found") };
        assert!(found.contains("bulla test"), "{found}");
        let module = Path::new("/nonexistent.so");
        assert!(matches!(Claim::take(module).err(), Some(TokenError::Unsupported(_))));
    });
}

#[test]
fn a_refused_pin_ends_the_reconnecting() {
    isolated(softhsm::prepare, |home| {
        let token = new_token(1, 50);
        // The token is initialised anew behind our back, with another PIN.
        let changed = token.link.run(Operation::Create, Access::ReadWrite, None, |_, session| {
            Ok(session.set_pin(&auth_pin(&pin("1234")), &auth_pin(&pin("5678")))?)
        });
        assert_eq!(changed, Ok(()), "{home:?}");
        assert_eq!(fail(&token, RvError::TokenNotPresent, 1), Err(TokenError::Gone));
        let start = Instant::now();
        while token.health() == Err(TokenError::Gone) && start.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(300));
        assert_eq!(token.health(), Err(TokenError::Pin));
        assert!(!token.status().up);
    });
}

#[test]
fn a_key_made_by_another_process_is_found() {
    const MAKE: &str = "BULLA_TEST_MAKE";
    isolated(softhsm::prepare, |_| {
        if let Ok(id) = std::env::var(MAKE) {
            let token = Token::open(config(1, 50), pin("1234")).expect("the second node");
            return token.create(&id.parse().expect("an id"), ObjectKind::Sys).expect("create");
        }
        let token = new_token(1, 50);
        let (before, id) = (new_key(&token), KeyVersionId::new());
        assert_eq!(token.wrap(S1, &id, b"x", &context("a")), Err(TokenError::NoSuchKey(id)));
        let output = second_process(|| (), MAKE, &id.to_string());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let wrapped = token.wrap(S1, &id, b"x", &context("a")).expect("wrap");
        assert_eq!(*token.unwrap(S1, &id, &wrapped, &context("a")).expect("unwrap"), b"x");
        assert_eq!(token.prove(&before, ObjectKind::Cmk(KeySpec::Aes256)), Ok(()));
        assert_eq!(token.status().epoch, 1);
    });
}

#[test]
fn failures_are_judged_by_class() {
    isolated(softhsm::prepare, |_| {
        let token = new_token(2, 1000);
        use RvError as R;
        for passing in [R::SessionHandleInvalid, R::OperationActive, R::GeneralError, R::DeviceError, R::KeyHandleInvalid] {
            assert_eq!(fail(&token, passing, 1), Ok(()), "{passing:?} once");
        }
        for code in [R::GeneralError, R::FunctionFailed, R::DeviceError, R::VendorDefined(0x8000_0001)] {
            assert_eq!(fail(&token, code, 2), Err(TokenError::Tampered), "{code:?} while the canary lives");
        }
        assert_eq!(fail(&token, R::EncryptedDataInvalid, 1), Err(TokenError::Tampered));
        assert_eq!(fail(&token, R::SessionCount, 1), Err(TokenError::Busy));
        assert!(matches!(fail(&token, R::MechanismInvalid, 1), Err(TokenError::Unsupported(_))));
        assert!(matches!(fail(&token, R::ArgumentsBad, 1), Err(TokenError::Fault(_))));
        assert_eq!(token.status().epoch, 1);
        assert_eq!(token.status().sessions_in_use, 0);
        let mut epoch = 1;
        for (code, times) in [(R::SessionHandleInvalid, 2), (R::UserNotLoggedIn, 1), (R::CryptokiNotInitialized, 1)] {
            assert_eq!(fail(&token, code, times), Err(TokenError::Gone), "{code:?}");
            until_back(&token);
            epoch += 1;
            assert_eq!(token.status().epoch, epoch, "{code:?}");
        }
    });
}

#[test]
fn a_lost_login_is_no_lost_key() {
    isolated(softhsm::prepare, |_| {
        let token = new_token(2, 1000);
        let id = new_key(&token);
        let wrapped = token.wrap(S1, &id, b"x", &context("a")).expect("wrap");
        for _ in 0..5 {
            let log_out = |_: &epoch::Epoch, session: &cryptoki::session::Session| Ok(session.logout()?);
            token.link.run(Operation::Health, Access::ReadOnly, None, log_out).expect("logged out");
            let start = Instant::now();
            loop {
                match token.unwrap(S1, &id, &wrapped, &context("a")) {
                    Ok(secret) => break assert_eq!(*secret, b"x"),
                    Err(error) => assert_eq!(error, TokenError::Gone),
                }
                assert!(start.elapsed() < Duration::from_secs(5));
            }
        }
        assert_eq!(token.status().epoch, 6);
    });
}

#[test]
fn the_link_comes_back_under_load() {
    isolated(softhsm::prepare, |_| {
        let token = new_token(2, 1000);
        let ids = [new_key(&token), new_key(&token)];
        let wrapped = ids.map(|id| token.wrap(S1, &id, id.as_bytes(), &context("a")).expect("wrap"));
        let (done, right) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for thread in 0..4 {
                let (token, done, right, ids, wrapped) = (&token, &done, &right, &ids, &wrapped);
                scope.spawn(move || {
                    while done.load(Ordering::Relaxed) == 0 {
                        let n = thread % 2;
                        match token.unwrap(S1, &ids[n], &wrapped[n], &context("a")) {
                            Ok(secret) => {
                                assert_eq!(secret.as_slice(), ids[n].as_bytes());
                                right.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(error) => assert_eq!(error, TokenError::Gone),
                        }
                    }
                });
            }
            for epoch in 1..=30 {
                thread::sleep(Duration::from_millis(5));
                assert_eq!(fail(&token, RvError::DeviceRemoved, 1), Err(TokenError::Gone));
                assert!(until_back(&token) < Duration::from_secs(2));
                assert_eq!(token.status().epoch, epoch + 1, "once for each loss");
            }
            done.store(1, Ordering::Relaxed);
        });
        assert!(right.load(Ordering::Relaxed) > 100);
    });
}
