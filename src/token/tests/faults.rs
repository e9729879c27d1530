//! Sessions run out, logins end, tokens go and come back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::Instant;

use cryptoki::context::Function;
use cryptoki::error::{Error as Pkcs11Error, RvError};

use super::tokens::{on_every_softhsm, on_softhsm};
use super::*;
use crate::token::material::{Curve, Pair};

/// Work that fails with this code, the first time or always.
fn fail(token: &Token, code: RvError, times: usize) -> Result<(), TokenError> {
    let mut left = times;
    token.connection.run(Operation::Unwrap, Access::ReadOnly, None, |_, session| {
        if left > 0 {
            left -= 1;
            return Err(Pkcs11Error::Pkcs11(code, Function::Decrypt).into());
        }
        session.generate_random_slice(&mut [0])?;
        Ok(())
    })
}

/// Work that has a session while the other side waits between the two meetings, and then ends as it is told.
fn hold(token: &Token, held: &Barrier, mut end: impl FnMut(&Session) -> Result<(), Failure>) -> Result<(), TokenError> {
    token.connection.run(Operation::Health, Access::ReadOnly, None, |_, session| {
        held.wait();
        held.wait();
        end(session)
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

#[test]
fn sixteen_threads_share_one_session() {
    on_every_softhsm(|_| {
        let token = new_token(1, 20_000);
        let id = new_key(&token);
        thread::scope(|scope| {
            for thread in 0..16 {
                let (token, id) = (&token, &id);
                scope.spawn(move || {
                    let context = context(&thread.to_string());
                    for _ in 0..100 {
                        let (key, wrapped) = token.new_data_key(suite(), id, &context).expect("data key");
                        let back = token.unwrap_data_key(suite(), id, &wrapped, &context).expect("unwrap");
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
fn a_session_goes_to_whoever_has_waited_longest() {
    on_every_softhsm(|_| {
        let token = new_token(1, 20_000);
        let (held, order) = (Barrier::new(2), Mutex::new(Vec::new()));
        let work = |n: usize| {
            token.connection.run(Operation::Health, Access::ReadOnly, None, |_, _| {
                order.lock().expect("no panic").push(n);
                Ok(())
            })
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                hold(&token, &held, |_| Ok(())).expect("a session");
                // It is there already, and comes last all the same.
                work(8).expect("a session");
            });
            held.wait();
            for n in 0..8 {
                scope.spawn(move || work(n).expect("a session"));
                while token.status().sessions_waited_for <= n {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            held.wait();
        });
        assert_eq!(order.into_inner().expect("no panic"), (0..=8).collect::<Vec<_>>());
    });
}

#[test]
fn a_full_pool_is_busy_in_time() {
    on_every_softhsm(|_| {
        let token = new_token(1, 50);
        let held = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| hold(&token, &held, |_| Ok(())));
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
fn a_wrong_pin_is_tried_once() {
    on_every_softhsm(|_| {
        drop(new_token(1, 50));
        assert_eq!(Token::open(config(1, 50), pin("4321")).err(), Some(wrong_pin()));
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
    on_every_softhsm(|home| {
        let token = new_token(1, 50);
        // Somebody changes the PIN while the link is up.
        let changed = token.connection.run(Operation::Create, Access::ReadWrite, None, |_, session| {
            Ok(session.set_pin(&auth_pin(&pin("1234")), &auth_pin(&pin("5678")))?)
        });
        assert_eq!(changed, Ok(()), "{home:?}");
        assert_eq!(fail(&token, RvError::TokenNotPresent, 1), Err(TokenError::Gone));
        let start = Instant::now();
        while token.health() == Err(TokenError::Gone) && start.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(300));
        assert_eq!(token.health(), Err(wrong_pin()));
        assert!(!token.status().up);
    });
}

#[test]
fn failures_are_judged_by_class() {
    on_every_softhsm(|_| {
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
    on_every_softhsm(|_| {
        let token = new_token(2, 1000);
        let id = new_key(&token);
        let wrapped = token.wrap(suite(), &id, b"x", &context("a")).expect("wrap");
        for _ in 0..5 {
            let log_out = |_: &Epoch, session: &Session| Ok(session.logout()?);
            token.connection.run(Operation::Health, Access::ReadOnly, None, log_out).expect("logged out");
            let start = Instant::now();
            loop {
                match token.unwrap(suite(), &id, &wrapped, &context("a")) {
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
    on_every_softhsm(|_| {
        let token = new_token(2, 1000);
        let ids = [new_key(&token), new_key(&token)];
        let wrapped = ids.map(|id| token.wrap(suite(), &id, id.as_bytes(), &context("a")).expect("wrap"));
        let (done, right) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for thread in 0..4 {
                let (token, done, right, ids, wrapped) = (&token, &done, &right, &ids, &wrapped);
                scope.spawn(move || {
                    while done.load(Ordering::Relaxed) == 0 {
                        let n = thread % 2;
                        match token.unwrap(suite(), &ids[n], &wrapped[n], &context("a")) {
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

#[test]
fn a_token_that_returns_is_served_within_two_seconds() {
    on_every_softhsm(|home| {
        let token = new_token(2, 1000);
        let id = new_key(&token);
        let wrapped = token.wrap(suite(), &id, b"x", &context("a")).expect("wrap");
        let (there, away) = (home.join("tokens"), home.join("away"));
        std::fs::rename(&there, &away).expect("unplugged");
        std::fs::create_dir(&there).expect("an empty slot");
        assert_eq!(fail(&token, RvError::TokenNotPresent, 1), Err(TokenError::Gone));
        thread::sleep(Duration::from_millis(700));
        assert_eq!(token.unwrap(suite(), &id, &wrapped, &context("a")).err(), Some(TokenError::Gone));
        assert!(!token.status().up);
        std::fs::remove_dir(&there).expect("empty");
        std::fs::rename(&away, &there).expect("plugged in");
        assert!(until_back(&token) < Duration::from_secs(2));
        assert_eq!(*token.unwrap(suite(), &id, &wrapped, &context("a")).expect("unwrap"), b"x");
        assert_eq!(token.status().epoch, 2, "attempts that fail are no epochs");

        std::fs::rename(&there, &away).expect("unplugged");
        assert_eq!(fail(&token, RvError::TokenNotPresent, 1), Err(TokenError::Gone));
        let start = Instant::now();
        drop(token);
        assert!(start.elapsed() < Duration::from_millis(500), "stopping does not wait for the token");
    });
}

#[test]
fn a_call_that_hangs_holds_up_the_reconnect_and_nobody_else() {
    on_every_softhsm(|_| {
        let token = new_token(2, 1000);
        let held = Barrier::new(2);
        thread::scope(|scope| {
            let hanging = scope.spawn(|| hold(&token, &held, |session| Ok(session.generate_random_slice(&mut [0])?)));
            held.wait();
            assert_eq!(fail(&token, RvError::DeviceRemoved, 1), Err(TokenError::Gone));
            for _ in 0..20 {
                let start = Instant::now();
                assert_eq!(token.health(), Err(TokenError::Gone));
                assert!(start.elapsed() < Duration::from_millis(50));
                thread::sleep(Duration::from_millis(5));
            }
            assert_eq!(token.status().epoch, 1, "nothing is finalised under the call");
            held.wait();
            assert_eq!(hanging.join().expect("no panic"), Ok(()), "its session was still good");
        });
        until_back(&token);
        assert_eq!(token.status().epoch, 2);
    });
}

#[test]
fn a_waiting_caller_hears_of_the_loss_at_once() {
    on_every_softhsm(|_| {
        let token = new_token(1, 20_000);
        let held = Barrier::new(2);
        let lost = |_: &Session| Err(Pkcs11Error::Pkcs11(RvError::DeviceRemoved, Function::GenerateRandom).into());
        thread::scope(|scope| {
            scope.spawn(|| hold(&token, &held, lost));
            held.wait();
            let waiting = scope.spawn(|| token.health());
            thread::sleep(Duration::from_millis(50));
            held.wait();
            let start = Instant::now();
            assert_eq!(waiting.join().expect("no panic"), Err(TokenError::Gone));
            assert!(start.elapsed() < Duration::from_secs(1));
        });
        until_back(&token);
    });
}

#[test]
fn a_panic_in_a_call_costs_its_session_only() {
    on_every_softhsm(|_| {
        let token = new_token(1, 50);
        assert_eq!(token.health(), Ok(()));
        thread::scope(|scope| {
            let panics = scope
                .spawn(|| token.connection.run::<()>(Operation::Health, Access::ReadOnly, None, |_, _| panic!("on purpose")));
            assert!(panics.join().is_err());
        });
        assert_eq!(token.status().sessions_open, 0, "closed, not lent again");
        assert_eq!(token.health(), Ok(()));
        assert_eq!((token.status().epoch, token.status().up), (1, true));
    });
}

#[test]
fn a_token_that_keeps_nothing_for_the_moment_is_not_one_that_cannot() {
    on_softhsm(|folder| {
        let token = new_token(2, 1_000);
        let kinds = [Material::Aes(32), Material::Rsa(2048, Pair::Signs), Material::Ec(Curve::P256k)].map(ObjectKind::Cmk);
        let (there, away) = (folder.join("tokens"), folder.join("away"));
        std::fs::rename(&there, &away).expect("a folder of ours");
        for kind in kinds {
            let refused = token.create(&KeyVersionId::new(), kind).expect_err("there is nowhere to keep it");
            assert!(matches!(refused, TokenError::KeepsNothing(_) | TokenError::Gone), "{kind:?}: {refused}");
        }
        std::fs::rename(&away, &there).expect("a folder of ours");
        until_back(&token);
        for kind in kinds {
            assert_eq!(token.create(&KeyVersionId::new(), kind), Ok(()), "{kind:?}");
        }
    });
}
