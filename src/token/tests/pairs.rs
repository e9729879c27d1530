//! Pairs and MAC keys of master keys: made, proved, at work.

use super::tokens::on_softhsm;
use super::*;
use crate::base::words::{EncryptionAlgorithm, KeySpec, KeyUsage, MacAlgorithm, SignatureAlgorithm};

fn new(token: &Token, spec: KeySpec, usage: KeyUsage) -> KeyVersionId {
    let id = KeyVersionId::new();
    token.create(&id, ObjectKind::Cmk(Material::of(spec, usage).expect("known"))).expect("create");
    id
}

#[test]
fn pairs_that_sign() {
    on_softhsm(|_| {
        let token = new_token(2, 1000);
        use SignatureAlgorithm::{EcdsaSha256, RsaPkcs1Sha256, RsaPssSha256};
        for (spec, algorithms) in [
            (KeySpec::Rsa2048, &[RsaPssSha256, RsaPkcs1Sha256][..]),
            (KeySpec::EcP256, &[EcdsaSha256]),
            (KeySpec::EcP256k, &[EcdsaSha256]),
        ] {
            let id = new(&token, spec, KeyUsage::SignVerify);
            let public = token.public_key(&id).expect("public key");
            for algorithm in algorithms {
                let signed = token.sign_digest(&id, *algorithm, &[7; 32]).expect("sign");
                assert!(public.verifies(*algorithm, &[7; 32], &signed), "{spec} {algorithm}");
                assert!(!public.verifies(*algorithm, &[8; 32], &signed), "{spec} {algorithm}");
                for other in SignatureAlgorithm::ALL.iter().filter(|other| *other != algorithm) {
                    assert!(!public.verifies(*other, &[7; 32], &signed), "{spec} {algorithm} as {other}");
                }
                for at in 0..signed.len() {
                    let mut changed = signed.clone();
                    changed[at] ^= 1;
                    assert!(!public.verifies(*algorithm, &[7; 32], &changed), "{spec} {algorithm} byte {at}");
                }
            }
            for object in token.inspect(&id).expect("inspect") {
                for (class, name) in [("CKO_PRIVATE_KEY", "CKA_SIGN"), ("CKO_PUBLIC_KEY", "CKA_VERIFY")] {
                    if object.attributes["CKA_CLASS"] == class {
                        assert_eq!(object.attributes[name], "true");
                        let others = ["CKA_DECRYPT", "CKA_ENCRYPT", "CKA_WRAP", "CKA_UNWRAP", "CKA_DERIVE", "CKA_EXTRACTABLE"];
                        let others = others.iter().filter_map(|name| object.attributes.get(*name));
                        assert!(others.into_iter().all(|value| value == "false"), "{class}");
                    }
                }
            }
            let refused = token.decrypt_oaep(&id, EncryptionAlgorithm::OaepSha256, &[7; 256]);
            assert!(refused.is_err(), "a pair that signs decrypts nothing");
            assert_eq!(token.destroy_own(&id), Ok(()));
            assert_eq!(token.exists(&id), Ok(false));
        }
    });
}

#[test]
fn a_pair_that_decrypts() {
    on_softhsm(|_| {
        let token = new_token(2, 1000);
        let id = new(&token, KeySpec::Rsa2048, KeyUsage::EncryptDecrypt);
        let public = token.public_key(&id).expect("public key");
        for (algorithm, longest) in [(EncryptionAlgorithm::OaepSha256, 190), (EncryptionAlgorithm::OaepSha1, 214)] {
            for length in [1, 32, longest] {
                let plaintext = vec![0x5a; length];
                let sealed = public.encrypt(algorithm, &plaintext).expect("fits");
                assert_eq!(*token.decrypt_oaep(&id, algorithm, &sealed).expect("decrypts"), plaintext, "{algorithm}");
                for at in [0, 1, 128, 255] {
                    let mut changed = sealed.clone();
                    changed[at] ^= 1;
                    assert_eq!(
                        token.decrypt_oaep(&id, algorithm, &changed).err(),
                        Some(TokenError::Tampered),
                        "{algorithm} {at}"
                    );
                }
            }
            // Not below the modulus; of another length; of the other hash.
            for bad in [&[0xff; 256][..], &[0; 256], &[7; 255], &[7; 257], &[]] {
                let refused = token.decrypt_oaep(&id, algorithm, bad);
                assert_eq!(refused.err(), Some(TokenError::Tampered), "{algorithm} {} bytes", bad.len());
            }
        }
        let sealed = public.encrypt(EncryptionAlgorithm::OaepSha1, b"x").expect("fits");
        let crossed = token.decrypt_oaep(&id, EncryptionAlgorithm::OaepSha256, &sealed);
        assert_eq!(crossed.err(), Some(TokenError::Tampered));
        assert!(token.sign_digest(&id, SignatureAlgorithm::RsaPssSha256, &[7; 32]).is_err(), "it signs nothing");
        assert_eq!((token.status().epoch, token.status().up), (1, true));
    });
}

#[test]
fn mac_keys() {
    on_softhsm(|_| {
        let token = new_token(2, 1000);
        for (spec, algorithm, length) in [
            (KeySpec::HmacSha224, MacAlgorithm::HmacSha224, 28),
            (KeySpec::HmacSha256, MacAlgorithm::HmacSha256, 32),
            (KeySpec::HmacSha384, MacAlgorithm::HmacSha384, 48),
            (KeySpec::HmacSha512, MacAlgorithm::HmacSha512, 64),
        ] {
            let id = new(&token, spec, KeyUsage::GenerateVerifyMac);
            let mac = token.hmac(&id, algorithm, b"message").expect("mac");
            assert_eq!(mac.len(), length);
            assert_eq!(token.hmac(&id, algorithm, b"message"), Ok(mac.clone()));
            assert_ne!(token.hmac(&id, algorithm, b"massage"), Ok(mac));
            assert_eq!(token.hmac(&id, algorithm, &[7; 100_000]).expect("mac").len(), length);
        }
    });
}

#[test]
fn pairs_are_proved_again_after_an_interrupted_creation() {
    on_softhsm(|_| {
        let token = new_token(2, 1000);
        let id = new(&token, KeySpec::EcP256k, KeyUsage::SignVerify);
        let kind = |spec| ObjectKind::Cmk(Material::of(spec, KeyUsage::SignVerify).expect("known"));
        assert_eq!(token.prove(&id, kind(KeySpec::EcP256k)), Ok(()));
        assert!(matches!(token.prove(&id, kind(KeySpec::EcP256)), Err(TokenError::Unsupported(_))), "another curve");
        assert!(token.prove(&id, kind(KeySpec::Rsa2048)).is_err(), "another kind of pair");
    });
}
