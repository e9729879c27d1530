//! Keys at work: what comes back, and what is refused.

use super::tokens::on_every_token;
use super::*;

#[test]
fn what_is_wrapped_comes_back() {
    on_every_token(|_| {
        let token = new_token(2, 1000);
        assert_eq!(token.probe(), Ok(suite()));
        for bytes in [16, 24, 32] {
            let id = KeyVersionId::new();
            token.create(&id, ObjectKind::Cmk(Material::Aes(bytes))).expect("create");
            let (key, wrapped) = token.new_data_key(suite(), &id, &context("a")).expect("data key");
            assert_eq!(wrapped.len(), tokens::sealed_len(32));
            let back = token.unwrap_data_key(suite(), &id, &wrapped, &context("a")).expect("unwrap");
            assert_eq!(back.expose(), key.expose());
            for length in [1, 15, 16, 17, 4096, 6144] {
                let secret = vec![0x5a; length];
                let wrapped = token.wrap(suite(), &id, &secret, &context("a")).expect("wrap");
                assert_ne!(token.wrap(suite(), &id, &secret, &context("a")).expect("wrap")[..12], wrapped[..12], "a new IV");
                assert_eq!(*token.unwrap(suite(), &id, &wrapped, &context("a")).expect("unwrap"), secret);
                if length != 32 {
                    let as_key = token.unwrap_data_key(suite(), &id, &wrapped, &context("a"));
                    assert_eq!(as_key.err(), Some(TokenError::Tampered));
                }
            }
        }
        assert!(matches!(token.wrap(suite(), &new_key(&token), b"", &context("a")), Err(TokenError::Unsupported(_))));
        let (mut one, mut two) = ([0; 64], [0; 64]);
        token.random(&mut one).expect("random");
        token.random(&mut two).expect("random");
        assert!(one != two && one != [0; 64]);
    });
}

#[test]
fn forged_bytes_are_refused_and_cost_nobody_else_anything() {
    on_every_token(|_| {
        let token = new_token(2, 1000);
        let (id, other) = (new_key(&token), new_key(&token));
        let wrapped = token.wrap(suite(), &id, b"a secret", &context("a")).expect("wrap");
        let refused = |under: &KeyVersionId, wrapped: &[u8], context: &Canonical| {
            assert_eq!(token.unwrap(suite(), under, wrapped, context).err(), Some(TokenError::Tampered));
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
        assert_eq!(*token.unwrap(suite(), &id, &wrapped, &context("a")).expect("unwrap"), b"a secret");
        let status = token.status();
        assert_eq!((status.epoch, status.up, status.sessions_open, status.sessions_in_use), (1, true, 1, 0));
    });
}

#[test]
fn macs_are_hmac_sha_256() {
    on_every_token(|_| {
        let token = new_token(2, 1000);
        let (one, two) = (KeyVersionId::new(), KeyVersionId::new());
        token.create(&one, ObjectKind::Int).expect("create");
        token.create(&two, ObjectKind::Int).expect("create");
        let mac = token.mac(&one, b"input").expect("mac");
        assert_eq!(token.mac(&one, b"input"), Ok(mac));
        assert_ne!(token.mac(&one, b"inpuT"), Ok(mac));
        assert_ne!(token.mac(&two, b"input"), Ok(mac));
        assert!(matches!(
            token.wrap(suite(), &one, b"x", &context("a")),
            Err(TokenError::Fault(_) | TokenError::Unsupported(_))
        ));
        assert_eq!(token.status().epoch, 1);
    });
}

#[test]
fn a_stale_handle_is_looked_up_anew() {
    on_every_token(|_| {
        let token = new_token(1, 1000);
        let id = new_key(&token);
        let wrapped = token.wrap(suite(), &id, b"x", &context("a")).expect("wrap");
        // Behind the cache: the object goes, the handle stays known.
        let remove = |epoch: &Epoch, session: &Session| session.destroy_object(epoch.handle(session, &id, Half::Secret)?);
        token.connection.run(Operation::Destroy, Access::ReadWrite, None, remove).expect("removed");
        assert_eq!(token.unwrap(suite(), &id, &wrapped, &context("a")).err(), Some(TokenError::NoSuchKey(id)));
        token.create(&id, ObjectKind::Cmk(Material::Aes(32))).expect("made again");
        assert_eq!(token.unwrap(suite(), &id, &wrapped, &context("a")).err(), Some(TokenError::Tampered), "another key");
        assert_eq!(token.status().epoch, 2, "it was looked for once more");
    });
}
