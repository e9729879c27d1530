//! Keys: made, inspected, found, destroyed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use aws_lc_rs::signature;
use cryptoki::object::AttributeType;

use super::tokens::{line, on_every_softhsm, on_every_token, on_softhsm, under_chaos};
use super::*;
use crate::token::isolated::second_process;

fn attributes_of(token: &Token, id: &KeyVersionId, class: &str) -> BTreeMap<String, String> {
    let objects = token.inspect(id).expect("inspect");
    objects.into_iter().map(|o| o.attributes).find(|a| a["CKA_CLASS"] == class).expect("an object of that class")
}

#[test]
fn keys_are_born_with_exactly_their_attributes() {
    on_every_token(|_| {
        let token = new_token(2, 1000);
        let aes = |bytes: &'static str| (bytes, "CKK_AES", true, false);
        for (kind, label, (bytes, key_type, encrypts, signs)) in [
            (ObjectKind::Cmk(Material::Aes(16)), "cmk", aes("16")),
            (ObjectKind::Cmk(Material::Aes(24)), "cmk", aes("24")),
            (ObjectKind::Cmk(Material::Aes(32)), "cmk", aes("32")),
            (ObjectKind::Sys, "sys", aes("32")),
            (ObjectKind::Int, "int", ("32", "CKK_GENERIC_SECRET", false, true)),
            (ObjectKind::Row, "row", ("32", "CKK_GENERIC_SECRET", false, true)),
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
            for name in ["EXTRACTABLE", "MODIFIABLE", "WRAP", "UNWRAP", "DERIVE"] {
                is(&format!("CKA_{name}"), "false");
            }
            // NSS knows no such attribute, and is not told it.
            assert_ne!(found.get("CKA_COPYABLE").map(String::as_str), Some("true"));
            for (name, value) in [("ENCRYPT", encrypts), ("DECRYPT", encrypts), ("SIGN", signs), ("VERIFY", signs)] {
                is(&format!("CKA_{name}"), &value.to_string());
            }
            assert_eq!(token.prove(&id, kind), Ok(()));
        }
        let id = new_key(&token);
        assert!(matches!(token.prove(&id, ObjectKind::Int), Err(TokenError::Unsupported(_))), "another kind is noticed");
        let value = token.connection.run(Operation::Inspect, Access::ReadOnly, None, |epoch, session| {
            Ok(session.get_attributes(epoch.handle(session, &id, Half::Secret)?, &[AttributeType::Value])?)
        });
        assert_eq!(value.expect("attributes").len(), 0, "the key's bytes cannot be read");
    });
}

/// As on a node that serves while `bulla check` compares: objects go between the search and the look at them.
#[test]
fn what_goes_while_objects_are_listed_is_no_failure() {
    on_every_softhsm(|_| {
        let token = new_token(4, 1000);
        let stays = new_key(&token);
        let go: Vec<_> = (0..100).map(|_| new_key(&token)).collect();
        thread::scope(|scope| {
            let destroyer = scope.spawn(|| go.iter().for_each(|id| token.destroy_own(id).expect("destroy")));
            while !destroyer.is_finished() {
                assert!(token.ids().expect("ids").contains(&stays));
            }
        });
        let left = token.ids().expect("ids");
        assert!(go.iter().all(|id| !left.contains(id)), "what was destroyed is listed");
    });
}

/// Set whether or not the test panics, so that the threads end.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// SoftHSM 2.6.1 reads an object that it shows to a search from its file again, also one that another thread is still making.
#[test]
fn keys_are_made_while_objects_are_listed_and_looked_up() {
    on_softhsm(|_| {
        let token = new_token(4, 5000);
        let stays = new_key(&token);
        let made = AtomicBool::new(false);
        let mut refused = Vec::new();
        thread::scope(|scope| {
            let _over = Over(&made);
            for _ in 0..2 {
                scope.spawn(|| {
                    while !made.load(Ordering::Relaxed) {
                        assert!(token.ids().expect("ids").contains(&stays));
                        assert_eq!(token.exists(&KeyVersionId::new()), Ok(false));
                    }
                });
            }
            for n in 0..60 {
                let id = KeyVersionId::new();
                let kind = if n % 10 == 0 { ObjectKind::Aud } else { ObjectKind::Cmk(Material::Aes(32)) };
                match token.create(&id, kind) {
                    Ok(()) => token.destroy_own(&id).expect("destroyed"),
                    Err(error) => refused.push((n, error)),
                }
            }
        });
        assert_eq!(refused, vec![]);
        assert_eq!(token.connection.lasting.concessions.left_out(), LeftOut::default(), "nothing is learnt from it");
    });
}

/// What a row that names a system key may not do: name a caller's key, or one of another role.
#[test]
fn a_system_key_is_known_by_its_attributes_and_label() {
    on_every_token(|_| {
        let token = new_token(2, 1000);
        let ([sys, int, aud, row], cmk) = (std::array::from_fn(|_| KeyVersionId::new()), new_key(&token));
        for (id, kind) in [(&sys, ObjectKind::Sys), (&int, ObjectKind::Int), (&aud, ObjectKind::Aud), (&row, ObjectKind::Row)] {
            token.create(id, kind).expect("create");
            assert_eq!(token.prove_system_key(id, kind), Ok(()));
        }
        let mac = KeyVersionId::new();
        let hmac = Material::Hmac(crate::base::words::MacAlgorithm::HmacSha256, 32);
        token.create(&mac, ObjectKind::Cmk(hmac)).expect("a caller's MAC key");
        for (id, kind) in [
            (&cmk, ObjectKind::Sys),
            (&mac, ObjectKind::Int),
            (&mac, ObjectKind::Row),
            (&int, ObjectKind::Row),
            (&sys, ObjectKind::Int),
            (&int, ObjectKind::Sys),
        ] {
            let refused = token.prove_system_key(id, kind);
            assert!(matches!(refused, Err(TokenError::Unsupported(_))), "{kind:?}: {refused:?}");
        }
        let nobody = KeyVersionId::new();
        assert_eq!(token.prove_system_key(&nobody, ObjectKind::Aud), Err(TokenError::NoSuchKey(nobody)));
    });
}

#[test]
fn a_pair_only_signs() {
    on_every_token(|_| {
        let token = new_token(2, 1000);
        let id = KeyVersionId::new();
        token.create(&id, ObjectKind::Aud).expect("create");
        let private = attributes_of(&token, &id, "CKO_PRIVATE_KEY");
        for name in ["TOKEN", "PRIVATE", "SENSITIVE", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "LOCAL", "SIGN"] {
            assert_eq!(private[&format!("CKA_{name}")], "true", "{name}");
        }
        for name in ["EXTRACTABLE", "MODIFIABLE", "DECRYPT", "UNWRAP", "DERIVE", "SIGN_RECOVER"] {
            assert_eq!(private[&format!("CKA_{name}")], "false", "{name}");
        }
        let public = attributes_of(&token, &id, "CKO_PUBLIC_KEY");
        assert_eq!(private["CKA_ID"], public["CKA_ID"]);
        assert_eq!((public["CKA_VERIFY"].as_str(), public["CKA_ENCRYPT"].as_str()), ("true", "false"));

        let public = token.public_key(&id).expect("public key");
        let public = signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, public.as_der().to_vec());
        for message in [b"".as_slice(), b"checkpoint", &[7; 5000]] {
            let signed = token.sign(&id, message).expect("sign");
            assert!(public.verify(message, &signed).is_ok());
            assert!(public.verify(b"another", &signed).is_err());
        }
        assert_eq!(token.mac(&id, b"x"), Err(TokenError::NoSuchKey(id)), "a pair is no HMAC key");
        assert_eq!(token.create(&id, ObjectKind::Sys), Err(TokenError::Duplicate(id)), "whatever its class");
        assert_eq!(token.destroy_own(&id), Ok(()));
        assert_eq!(token.inspect(&id), Ok(vec![]));
        assert_eq!(token.sign(&id, b"x"), Err(TokenError::NoSuchKey(id)));
    });
}

/// Not on NSS: there the second object takes the place of the first, and what the first encrypted is found tampered with.
#[test]
fn two_objects_with_one_id_are_refused() {
    on_every_softhsm(|_| {
        let token = new_token(2, 1000);
        let id = new_key(&token);
        assert_eq!(token.create(&id, ObjectKind::Cmk(Material::Aes(32))), Err(TokenError::Duplicate(id)));
        let wrapped = token.wrap(suite(), &id, b"x", &context("a")).expect("wrap");
        let plant = |epoch: &Epoch, session: &Session| {
            session
                .generate_key(&Mechanism::AesKeyGen, &ObjectKind::Sys.template(templates::Shape::Aes(32), Half::Secret, &id))?;
            epoch.forget(&id);
            Ok(())
        };
        token.connection.run(Operation::Create, Access::ReadWrite, None, plant).expect("planted");
        assert_eq!(token.unwrap(suite(), &id, &wrapped, &context("a")).err(), Some(TokenError::Duplicate(id)));
        assert_eq!(token.prove(&id, ObjectKind::Sys), Err(TokenError::Duplicate(id)));
        assert_eq!(token.destroy_own(&id), Err(TokenError::Duplicate(id)), "which one is ours is for a person to say");
        assert_eq!(token.inspect(&id).expect("inspect").len(), 2);
        new_key(&token);
    });
}

#[test]
fn destroyed_keys_stay_gone_and_others_stay() {
    on_every_token(|_| {
        let token = new_token(2, 1000);
        let (id, kept) = (new_key(&token), new_key(&token));
        let wrapped = token.wrap(suite(), &kept, b"x", &context("a")).expect("wrap");
        assert_eq!(token.exists(&id), Ok(true));
        assert_eq!(token.destroy_own(&id), Ok(()));
        assert_eq!(token.destroy_own(&id), Ok(()), "done already is success");
        assert_eq!(token.exists(&id), Ok(false));
        assert_eq!(token.wrap(suite(), &id, b"x", &context("a")), Err(TokenError::NoSuchKey(id)));
        drop(token);
        let token = Token::open(config(2, 1000), pin("1234")).expect("open again");
        token.authenticate_with(INTEGRITY);
        assert_eq!(token.exists(&id), Ok(false), "also after a new login");
        assert_eq!(*token.unwrap(suite(), &kept, &wrapped, &context("a")).expect("unwrap"), b"x");
    });
}

#[test]
fn threads_make_keys_side_by_side() {
    on_every_token(|_| {
        let token = new_token(4, 20_000);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2 {
                        let id = new_key(&token);
                        let wrapped = token.wrap(suite(), &id, b"x", &context("a")).expect("wrap");
                        assert_eq!(*token.unwrap(suite(), &id, &wrapped, &context("a")).expect("unwrap"), b"x");
                    }
                });
            }
        });
    });
}

#[test]
fn a_key_made_by_another_process_is_found() {
    const MAKE: &str = "BULLA_TEST_MAKE";
    on_every_token(|_| {
        if let Ok(id) = std::env::var(MAKE) {
            let token = Token::open(config(1, 50), pin("1234")).expect("the second node");
            return token.create(&id.parse().expect("an id"), ObjectKind::Sys).expect("create");
        }
        let token = new_token(1, 50);
        let (before, id) = (new_key(&token), KeyVersionId::new());
        let missing = token.wrap(suite(), &id, b"x", &context("a"));
        assert_eq!(missing, Err(TokenError::NoSuchKey(id)), "looked for once more, in a second epoch, and not there");
        let output = second_process(|| (), MAKE, &id.to_string());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let wrapped = token.wrap(suite(), &id, b"x", &context("a")).expect("wrap");
        assert_eq!(*token.unwrap(suite(), &id, &wrapped, &context("a")).expect("unwrap"), b"x");
        assert_eq!(token.prove(&before, ObjectKind::Cmk(Material::Aes(32))), Ok(()));
        assert_eq!(token.status().epoch, 2);
    });
}

/// On a module that shows what another process made only after C_Initialize.
#[test]
fn what_another_process_made_is_not_taken_for_gone() {
    const MAKE: &str = "BULLA_TEST_MAKE";
    under_chaos(|_| {
        if let Ok(id) = std::env::var(MAKE) {
            let token = Token::open(config(1, 50), pin("1234")).expect("the second node");
            return token.create(&id.parse().expect("an id"), ObjectKind::Aud).expect("create");
        }
        drop(new_token(1, 50));
        line().tell("stale");
        // As a server has it: not each look initialises the module anew.
        let served = TokenConfig { look_again: Duration::from_millis(300), ..config(1, 50) };
        let token = Token::open(served, pin("1234")).expect("open");
        let id = KeyVersionId::new();
        let output = second_process(|| (), MAKE, &id.to_string());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert_eq!((token.exists(&id), token.status().epoch), (Ok(false), 1), "the module does not show it");
        let since = Instant::now();
        assert_eq!(token.destroy(&id, since), Ok(()));
        // Of more that are not there, each is looked for in vain as it is; and again where they may be younger than that look.
        let nobody = KeyVersionId::new();
        assert_eq!((token.destroy(&nobody, since), token.status().epoch), (Ok(()), 2));
        assert_eq!((token.destroy(&nobody, Instant::now()), token.status().epoch), (Ok(()), 3));
        line().tell("stale none");
        assert_eq!(token.exists(&id), Ok(false), "and it was there");
    });
}
