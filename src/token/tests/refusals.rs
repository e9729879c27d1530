//! Vendors' refusals, one at a time and two: a deployment's keys are made, or what is missing is said.

use bulla_test_support::chaos::Function;

use super::tokens::{line, under_chaos};
use super::*;
use crate::base::secret::KeyMaterial;
use crate::base::words::{ImportAlgorithm, KeySpec, MacAlgorithm, SignatureAlgorithm};
use crate::token::material::Curve;

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
                    Err(error) => assert!(says_what(&error, &[command, more]), "{name}, {other}: {error}"),
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
    let keys = [ObjectKind::Sys, ObjectKind::Int, ObjectKind::Aud, ObjectKind::Row].map(|kind| (KeyVersionId::new(), kind));
    let used = keys.iter().try_for_each(|(id, kind)| token.create(id, *kind)).and_then(|()| {
        token.authenticate_with(keys[1].0);
        let suite = token.probe()?;
        let wrapped = token.wrap(suite, &keys[0].0, b"x", &context("a"))?;
        assert_eq!(*token.unwrap(suite, &keys[0].0, &wrapped, &context("a"))?, b"x");
        assert_ne!(token.mac(&keys[3].0, b"one")?, token.mac(&keys[3].0, b"two")?);
        assert_ne!(token.mac(&keys[3].0, b"one")?, token.mac(&keys[1].0, b"one")?);
        let signature = token.sign(&keys[2].0, b"m")?;
        assert!(token.public_key(&keys[2].0)?.verifies_message(b"m", &signature));
        keys.iter().try_for_each(|(id, kind)| token.prove_system_key(id, *kind))
    });
    for (id, _) in &keys {
        token.destroy_own(id).expect("nothing is left behind");
    }
    used
}

/// Whether an administrator who reads it knows what the token lacks that was told these commands.
fn says_what(error: &TokenError, commands: &[&str]) -> bool {
    let text = error.to_string();
    match error {
        TokenError::Full => commands.iter().any(|command| command.starts_with("objects")),
        TokenError::Unsupported(_) => {
            commands.iter().flat_map(|command| command.split(' ')).any(|word| word.starts_with("CKA_") && text.contains(word))
        }
        _ => false,
    }
}

/// The other attributes that templates name, alone and with the next.
#[test]
fn every_other_attribute_is_lived_without_or_named() {
    const NAMED: [&str; 13] = [
        "CKA_LABEL",
        "CKA_UNWRAP",
        "CKA_ENCRYPT",
        "CKA_DECRYPT",
        "CKA_SIGN",
        "CKA_VERIFY",
        "CKA_EXTRACTABLE",
        "CKA_VALUE_LEN",
        "CKA_KEY_TYPE",
        "CKA_CLASS",
        "CKA_PRIVATE",
        "CKA_EC_PARAMS",
        "CKA_TOKEN",
    ];
    under_chaos(|_| {
        drop(new_token(1, 1000));
        let chaos = line();
        let mut lived = Vec::new();
        for (at, name) in NAMED.iter().enumerate() {
            for next in [None, NAMED.get(at + 1)] {
                chaos.tell("refuse none");
                let commands: Vec<String> =
                    [Some(name), next].into_iter().flatten().map(|name| format!("refuse attribute {name}")).collect();
                commands.iter().for_each(|command| drop(chaos.tell(command)));
                let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
                match deployment() {
                    Ok(()) => lived.push(*name),
                    Err(error) => assert!(says_what(&error, &commands), "{commands:?}: {error}"),
                }
            }
        }
        eprintln!("lived without: {lived:?}");
        assert!(["CKA_EXTRACTABLE", "CKA_KEY_TYPE", "CKA_EC_PARAMS"].iter().all(|name| lived.contains(name)), "{lived:?}");
    });
}

/// Whatever else a token refuses, a login that it answers so is not tried a third time, and it is the login that is told.
#[test]
fn a_pin_is_presented_at_most_twice_whatever_else_is_refused() {
    under_chaos(|_| {
        drop(new_token(1, 1000));
        let chaos = line();
        let before_any_key = ["session objects", "sessions that only read", "random generator", "clock", "three sessions"];
        for (name, command) in PROFILES.iter().filter(|(name, _)| before_any_key.iter().any(|what| name.contains(what))) {
            for (code, times) in [("CKR_GENERAL_ERROR", 2), ("CKR_PIN_INCORRECT", 1)] {
                chaos.tell("clear");
                chaos.tell("refuse none");
                chaos.tell("sessions any");
                chaos.tell(command);
                chaos.tell(&format!("fail C_Login {code}"));
                let before = chaos.calls(Function::C_Login);
                let refused = Token::open(config(2, 1000), pin("1234")).err().expect("no login");
                assert!(refused.to_string().contains(code), "{name}, {code}: {refused}");
                assert_eq!(chaos.calls(Function::C_Login) - before, times, "{name}, {code}");
            }
        }
    });
}

/// What was made by a process that learnt what the token refuses is proved by one that did not, and people are told of it there too.
#[test]
fn what_one_process_left_out_another_lives_with() {
    under_chaos(|_| {
        drop(new_token(1, 1000));
        let chaos = line();
        for (refusal, name) in [
            ("attribute CKA_COPYABLE", "CKA_COPYABLE"),
            ("attribute CKA_MODIFIABLE", "CKA_MODIFIABLE"),
            ("value CKA_COPYABLE 00", "CKA_COPYABLE"),
            ("value CKA_MODIFIABLE 00", "CKA_MODIFIABLE"),
        ] {
            chaos.tell(&format!("refuse {refusal}"));
            let keys =
                [ObjectKind::Sys, ObjectKind::Int, ObjectKind::Aud, ObjectKind::Row].map(|kind| (KeyVersionId::new(), kind));
            let token = Token::open(config(2, 1000), pin("1234")).expect("open");
            keys.iter().for_each(|(id, kind)| token.create(id, *kind).expect("create"));
            drop(token);
            // Nothing of it is in the memory of the next.
            let token = Token::open(config(2, 1000), pin("1234")).expect("open");
            keys.iter().for_each(|(id, kind)| assert_eq!(token.prove_system_key(id, *kind), Ok(()), "{refusal} {kind:?}"));
            assert_eq!(refused_now(&token).names(), [name], "{refusal}");
            // Told of one that the token does take, it still has to be right.
            let other = if name == "CKA_COPYABLE" { "CKA_MODIFIABLE" } else { "CKA_COPYABLE" };
            chaos.tell(&format!("lie {other} 01"));
            for (id, kind) in &keys {
                assert!(matches!(token.prove_system_key(id, *kind), Err(TokenError::Unsupported(_))), "{refusal} {kind:?}");
            }
            chaos.tell("lie none");
            chaos.tell("refuse none");
            keys.iter().for_each(|(id, _)| token.destroy_own(id).expect("destroyed"));
        }
        assert_eq!(chaos.calls(Function::C_SetAttributeValue), 0);
    });
}

/// Where nothing lives for a session only, what the token says of the two has to do.
#[test]
fn without_keys_of_the_moment_a_deployment_starts_again_too() {
    under_chaos(|_| {
        drop(new_token(1, 1000));
        let chaos = line();
        chaos.tell("refuse value CKA_TOKEN 00");
        chaos.tell("refuse attribute CKA_COPYABLE");
        let keys = [ObjectKind::Sys, ObjectKind::Aud].map(|kind| (KeyVersionId::new(), kind));
        let token = Token::open(config(2, 1000), pin("1234")).expect("open");
        keys.iter().for_each(|(id, kind)| token.create(id, *kind).expect("create"));
        drop(token);
        let token = Token::open(config(2, 1000), pin("1234")).expect("open");
        keys.iter().for_each(|(id, kind)| assert_eq!(token.prove_system_key(id, *kind), Ok(()), "{kind:?}"));
        assert_eq!(refused_now(&token).names(), ["CKA_COPYABLE"]);
    });
}

fn refused_now(token: &Token) -> LeftOut {
    token.left_out().expect("found").1
}

/// What was recorded costs the next process no call that fails, whichever key it makes; and no more calls than a token that takes all.
#[test]
fn what_was_recorded_is_not_found_again() {
    under_chaos(|_| {
        drop(new_token(1, 1000));
        let chaos = line();
        let kinds = [ObjectKind::Sys, ObjectKind::Int, ObjectKind::Aud, ObjectKind::Row];
        let made = |left_out: LeftOut| {
            let makers = || {
                [Function::C_GenerateKey, Function::C_GenerateKeyPair, Function::C_DestroyObject].map(|call| chaos.calls(call))
            };
            let before = makers();
            let token = Token::open(TokenConfig { left_out, ..config(2, 1000) }, pin("1234")).expect("open");
            let keys = kinds.map(|kind| (KeyVersionId::new(), kind));
            keys.iter().for_each(|(id, kind)| token.create(id, *kind).expect("create"));
            keys.iter().for_each(|(id, kind)| assert_eq!(token.prove_system_key(id, *kind), Ok(())));
            let after = makers();
            let (known, found) = token.left_out().expect("found");
            keys.iter().for_each(|(id, _)| token.destroy_own(id).expect("destroyed"));
            ([0, 1, 2].map(|at| after[at] - before[at]), known.and(&found))
        };
        // The canary and three keys, and a pair.
        let (least, nothing) = made(LeftOut::default());
        assert_eq!((least, nothing), ([4, 1, 0], LeftOut::default()));
        for profile in [
            &["refuse attribute CKA_COPYABLE"][..],
            &["refuse attribute CKA_MODIFIABLE", "refuse attribute CKA_COPYABLE", "refuse attribute CKA_EXTRACTABLE"],
            &["refuse value CKA_PRIVATE 00", "refuse attribute CKA_DERIVE"],
            &["refuse value CKA_COPYABLE 00", "refuse value CKA_KEY_TYPE 1000000000000000"],
        ] {
            profile.iter().for_each(|command| drop(chaos.tell(command)));
            let (found, recorded) = made(LeftOut::default());
            assert!(found[0] > 4 || found[1] > 1, "{profile:?}: {found:?}");
            // As the row has it.
            let (again, then) = made(LeftOut::read(&recorded.to_string()));
            assert_eq!((again, &then), (least, &recorded), "{profile:?}");
            let token = Token::open(TokenConfig { left_out: recorded.clone(), ..config(2, 1000) }, pin("1234")).expect("open");
            assert_eq!(refused_now(&token).names(), recorded.names(), "{profile:?}");
            chaos.tell("refuse none");
            // It has learnt them since.
            assert_eq!(refused_now(&token), LeftOut::default(), "{profile:?}");
            drop(token);
            assert_eq!(made(recorded.clone()).0, least, "{profile:?}");
            // It refuses another one.
            chaos.tell("refuse attribute CKA_CLASS");
            let (_, more) = made(recorded.clone());
            let mut names = [recorded.names(), vec!["CKA_CLASS".to_owned()]].concat();
            let mut found = more.names();
            names.sort();
            found.sort();
            assert_eq!(found, names, "{profile:?}");
            chaos.tell("refuse none");
        }
    });
}

/// What was made without an attribute stays a key of ours when the token has learnt it; asked for a key without it, it may refuse that.
#[test]
fn a_token_that_has_learnt_an_attribute_keeps_its_keys() {
    under_chaos(|_| {
        drop(new_token(1, 1000));
        let chaos = line();
        chaos.tell("refuse attribute CKA_COPYABLE");
        let token = Token::open(config(2, 1000), pin("1234")).expect("open");
        let keys = [ObjectKind::Sys, ObjectKind::Aud].map(|kind| (KeyVersionId::new(), kind));
        keys.iter().for_each(|(id, kind)| token.create(id, *kind).expect("create"));
        let (left_out, _) = token.left_out().expect("found");
        drop(token);
        chaos.tell("refuse none");
        // Nothing tells a process that was not told that they were made so.
        let token = Token::open(config(2, 1000), pin("1234")).expect("open");
        let (sys, kind) = keys[0];
        assert!(matches!(token.prove_system_key(&sys, kind), Err(TokenError::Unsupported(_))));
        drop(token);
        let token = Token::open(TokenConfig { left_out, ..config(2, 1000) }, pin("1234")).expect("open");
        keys.iter().for_each(|(id, kind)| assert_eq!(token.prove_system_key(id, *kind), Ok(()), "{kind:?}"));
        drop(token);
        // What makes an AES key is asked without CKA_VALUE_LEN, which it cannot do without.
        let left_out = LeftOut::read("C_GenerateKey/CKA_VALUE_LEN C_GenerateKey/CKA_COPYABLE");
        let token = Token::open(TokenConfig { left_out, ..config(2, 1000) }, pin("1234")).expect("open");
        new_key(&token);
        assert_eq!(token.left_out().expect("found").0, LeftOut::default());
    });
}

/// Two processes that log in first at the same time make a canary each.
#[test]
fn of_two_canaries_on_the_token_one_is_used_and_none_is_added() {
    under_chaos(|_| {
        let token = new_token(1, 1000);
        let shape = templates::Shape::Aes(32);
        let template = ObjectKind::Canary.template(shape, Half::Secret, &canary::IDS[0]);
        for _ in 0..2 {
            let made = token.connection.run(Operation::Create, Access::ReadWrite, None, |_, session| {
                session.generate_key(&shape.maker(), &template).map(drop)
            });
            assert_eq!(made, Ok(()));
        }
        drop(token);
        line().tell("refuse value CKA_TOKEN 00");
        for _ in 0..3 {
            let token = Token::open(config(1, 1000), pin("1234")).expect("open");
            let described = token.description().expect("described");
            assert_eq!((described.canary, described.objects), (CanaryKey::Object, 2));
            assert_eq!(token.spare_test_keys(), Ok(1));
        }
    });
}

/// What C_GenerateKey does without, since the mechanism says it, is still said where bytes become a key.
#[test]
fn a_refused_key_type_breaks_no_import() {
    under_chaos(|_| {
        let token = new_token(2, 1000);
        line().tell("refuse value CKA_KEY_TYPE 1000000000000000");
        let hmac = Material::Hmac(MacAlgorithm::HmacSha256, 32);
        let made = token.create(&KeyVersionId::new(), ObjectKind::Cmk(hmac));
        assert!(made.is_ok(), "{made:?}");
        let names = token.connection.lasting.concessions.left_out().names();
        assert!(names.contains(&"CKA_KEY_TYPE".to_owned()), "{names:?}");
        let material = KeyMaterial::new(zeroize::Zeroizing::new(vec![7; 32]));
        let (version, spec) = (KeyVersionId::new(), KeySpec::Aes256);
        let clear = Incoming::Clear(&material);
        let check = token.check_value(&clear, &version, spec).expect("weighed");
        assert_eq!(token.import(&clear, &version, spec, &check), Ok(()));
        for algorithm in [ImportAlgorithm::Pkcs1, ImportAlgorithm::OaepSha1] {
            let (pair, version) = (KeyVersionId::new(), KeyVersionId::new());
            let public = token.create_wrapping_pair(&pair, algorithm).expect("a pair");
            let bytes = wrapping::wrap(&public, algorithm, &[7; 32]).expect("wrapped");
            let wrapped = Incoming::Wrapped { pair: &pair, algorithm, bytes: &bytes };
            let check = token.check_value(&wrapped, &version, spec).expect("weighed");
            assert_eq!(token.import(&wrapped, &version, spec, &check), Ok(()), "{algorithm}");
        }
    });
}

#[test]
fn three_harmless_refusals_make_no_deployment_fail_and_blame_no_other() {
    under_chaos(|_| {
        drop(new_token(1, 1000));
        let chaos = line();
        for attribute in ["CKA_EXTRACTABLE", "CKA_CLASS", "CKA_KEY_TYPE"] {
            chaos.tell(&format!("refuse attribute {attribute}"));
        }
        assert_eq!(deployment().map_err(|error| error.to_string()), Ok(()));
        chaos.tell("refuse attribute CKA_ID");
        let Err(TokenError::Unsupported(what)) = deployment() else { panic!("without CKA_ID") };
        assert!(what.what().starts_with("CKA_ID"), "{what}");
    });
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

/// A search costs as much as there are objects.
#[test]
fn a_key_is_made_with_as_few_searches_as_can_be() {
    under_chaos(|_| {
        let token = new_token(1, 1000);
        let chaos = line();
        for kind in [Material::Aes(32), Material::Ec(Curve::P256), Material::Hmac(MacAlgorithm::HmacSha256, 32)] {
            let before = chaos.calls(Function::C_FindObjectsInit);
            token.create(&KeyVersionId::new(), ObjectKind::Cmk(kind)).expect("create");
            // That its id is free, and that it is found.
            assert_eq!(chaos.calls(Function::C_FindObjectsInit) - before, 2, "{kind:?}");
        }
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
        let full = || token.status().failures.iter().find(|(class, _)| *class == "full").map(|(_, times)| *times);
        // The usual code, openCryptoki's and that of PKCS#11 3.0.
        for code in ["CKR_DEVICE_MEMORY", "CKR_HOST_MEMORY", "CKR_TOKEN_RESOURCE_EXCEEDED"] {
            chaos.tell(&format!("objects 3 {code}"));
            let before = full().expect("counted");
            assert_eq!(one_more(), Err(TokenError::Full), "{code}");
            assert_eq!(token.create(&KeyVersionId::new(), ObjectKind::Aud), Err(TokenError::Full), "{code}");
            assert_eq!(full(), Some(before + 2), "{code}");
        }
        // A module that has no memory at all is busy.
        chaos.tell("fail C_GenerateKey CKR_HOST_MEMORY");
        assert_eq!(one_more(), Err(TokenError::Busy));
        chaos.tell("clear");
        token.destroy_own(&ids[0]).expect("destroyed");
        assert_eq!(one_more(), Ok(()));
        token.ids().expect("ids");
        assert_eq!(token.status().objects, Some(3));
    });
}

/// What is free is asked again when it was asked a minute ago, and not before.
#[test]
fn what_is_free_on_the_token_is_asked_once_a_minute() {
    under_chaos(|_| {
        drop(new_token(1, 1000));
        let chaos = line();
        chaos.tell("room 4000");
        let token = Token::open(config(2, 1000), pin("1234")).expect("open");
        chaos.tell("room 3000");
        let before = chaos.calls(Function::C_GetTokenInfo);
        assert_eq!((token.look_at_room(), token.status().free_private), (Ok(()), Some(4000)));
        assert_eq!(chaos.calls(Function::C_GetTokenInfo), before);
        token.connection.epoch.read().as_ref().expect("up").room.lock().asked -= epoch::ROOM_EVERY;
        for _ in 0..3 {
            assert_eq!((token.look_at_room(), token.status().free_public), (Ok(()), Some(3000)));
        }
        assert_eq!(chaos.calls(Function::C_GetTokenInfo), before + 1);
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

/// Also on a token that keeps nothing for a moment, and that has no code for what it lacks.
#[test]
fn a_curve_or_length_that_is_missing_is_named_whatever_else_is() {
    under_chaos(|_| {
        drop(new_token(1, 1000));
        let chaos = line();
        let lacking = [
            ("CKA_EC_PARAMS 06052b8104000a", Material::Ec(Curve::P256k), "secp256k1"),
            ("CKA_EC_PARAMS 06082a8648ce3d030107", Material::Ec(Curve::P256), "secp256r1"),
            ("CKA_MODULUS_BITS 0008000000000000", Material::Rsa(2048, material::Pair::Signs), "modulus of 2048 bits"),
            ("CKA_VALUE_LEN 1000000000000000", Material::Aes(16), "CKA_VALUE_LEN = 16"),
        ];
        for more in ["refuse none", "refuse value CKA_TOKEN 00"] {
            chaos.tell("refuse none");
            chaos.tell(more);
            let token = Token::open(config(2, 1000), pin("1234")).expect("open");
            let before = token.description().expect("described").objects;
            for code in ["CKR_GENERAL_ERROR", "CKR_FUNCTION_FAILED", "CKR_ATTRIBUTE_VALUE_INVALID"] {
                for (value, material, name) in lacking {
                    chaos.tell("refuse none");
                    chaos.tell(more);
                    chaos.tell(&format!("refuse value {value} {code}"));
                    let refused = token.create(&KeyVersionId::new(), ObjectKind::Cmk(material));
                    let lacks =
                        |error: &TokenError| matches!(error, TokenError::Unsupported(_)) && error.to_string().contains(name);
                    assert!(refused.as_ref().is_err_and(lacks), "{more}, {code}, {name}: {refused:?}");
                }
            }
            chaos.tell("refuse none");
            assert_eq!(token.description().expect("described").objects, before, "nothing is left of the trials");
        }
    });
}
