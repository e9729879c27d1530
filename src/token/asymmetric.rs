//! Key pairs and MAC keys of master keys: what is asked of them, and how they are proved.
//!
//! Owns: which mechanism serves which algorithm. Must not know: key states, Base64, retries (see `connection`). Called by:
//! `operations`, `create` (the proof).
//!
//! | algorithm | on the token | in this process |
//! |---|---|---|
//! | RSA_PSS_SHA_256 | CKM_RSA_PKCS_PSS over the digest | |
//! | RSA_PKCS1_SHA_256 | CKM_RSA_PKCS over DigestInfo | DigestInfo around the digest |
//! | ECDSA_SHA_256 | CKM_ECDSA over the digest | DER around r and s |
//! | RSAES_OAEP_SHA_256, _SHA_1 | CKM_RSA_PKCS_OAEP; where the token refuses its parameters, CKM_RSA_X_509 | then, decoding |
//! | HMAC_SHA_… | CKM_SHA…_HMAC | |

use std::sync::atomic::Ordering;

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use cryptoki::context::Function;
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::ObjectHandle;
use zeroize::Zeroizing;

use super::epoch::Epoch;
use super::errors::{Called, Class, Failure, Lacking, TokenError};
use super::material::{Material, Pair};
use super::session::Session;
use super::signing::{MAX_RSA_BYTES, SHA256_INFO};
use super::templates::Half;
use super::{oaep, signing};
use crate::base::ids::KeyVersionId;
use crate::base::public_key::{Digest32, PublicKey};
use crate::base::words::{EncryptionAlgorithm, MacAlgorithm, SignatureAlgorithm};

/// Signs a digest of SHA-256. ECDSA gives DER, RSA as many bytes as the modulus has.
pub(super) fn sign(
    session: &Session,
    key: ObjectHandle,
    algorithm: SignatureAlgorithm,
    digest: &Digest32,
) -> Result<Vec<u8>, Failure> {
    match algorithm {
        SignatureAlgorithm::RsaPssSha256 => {
            let (hash_alg, mgf) = (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256);
            let parameters = PkcsPssParams { hash_alg, mgf, s_len: 32.into() };
            session.sign(&Mechanism::RsaPkcsPss(parameters), key, digest, MAX_RSA_BYTES)
        }
        SignatureAlgorithm::RsaPkcs1Sha256 => {
            session.sign(&Mechanism::RsaPkcs, key, &[&SHA256_INFO[..], digest].concat(), MAX_RSA_BYTES)
        }
        SignatureAlgorithm::EcdsaSha256 => Ok(signing::ecdsa_der(&session.sign(&Mechanism::Ecdsa, key, digest, 64)?)),
        SignatureAlgorithm::Sm2Dsa => Err(TokenError::Unsupported("CKM_SM2".into()).into()),
    }
}

/// Decrypts with an RSA private half.
pub(super) fn decrypt(
    epoch: &Epoch,
    session: &Session,
    key: ObjectHandle,
    algorithm: EncryptionAlgorithm,
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let (refused, hash, hash_alg, mgf) = match algorithm {
        EncryptionAlgorithm::OaepSha256 => (&epoch.refused.sha256, &SHA256, MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
        EncryptionAlgorithm::OaepSha1 => {
            (&epoch.refused.sha1, &SHA1_FOR_LEGACY_USE_ONLY, MechanismType::SHA1, PkcsMgfType::MGF1_SHA1)
        }
        EncryptionAlgorithm::Sm2Pke => return Err(TokenError::Unsupported("CKM_SM2".into()).into()),
    };
    if !refused.load(Ordering::Relaxed) {
        let parameters = PkcsOaepParams::new(hash_alg, mgf, PkcsOaepSource::empty());
        match session.decrypt(&Mechanism::RsaPkcsOaep(parameters), key, ciphertext) {
            // Refused before it saw the ciphertext. SoftHSM 2.6.1 has OAEP with SHA-1 only, and calls all else bad arguments.
            Err(Failure::Call(Called {
                error:
                    Pkcs11Error::Pkcs11(
                        RvError::MechanismInvalid | RvError::MechanismParamInvalid | RvError::ArgumentsBad,
                        Function::DecryptInit,
                    ),
                ..
            })) => refused.store(true, Ordering::Relaxed),
            done => return done,
        }
    }
    let raw = session.decrypt(&Mechanism::RsaX509, key, ciphertext);
    let block = raw.map_err(|failure| match failure {
        // The padding is what is missing; that raw RSA is too, only says why it is not made here.
        Failure::Call(call) if matches!(call.class(), Class::Unsupported | Class::Fatal) => {
            let padding = format!("CKM_RSA_PKCS_OAEP with {hash_alg}");
            TokenError::Unsupported(Lacking::told(padding, call.describe())).into()
        }
        other => other,
    })?;
    oaep::decode(hash, &whole(&block, ciphertext.len())).ok_or(Failure::Final(TokenError::Tampered))
}

/// A block of so many bytes, of which some tokens drop leading zeros. All are copied, so that it takes the same time whether there were any,
/// which is what whoever guesses at paddings wants to know.
fn whole(block: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    let mut whole = Zeroizing::new(vec![0; length]);
    let missing = length.saturating_sub(block.len());
    whole[missing..].copy_from_slice(&block[block.len() - (length - missing)..]);
    whole
}

/// A MAC.
pub(super) fn hmac(session: &Session, key: ObjectHandle, algorithm: MacAlgorithm, message: &[u8]) -> Result<Vec<u8>, Failure> {
    let mechanism = match algorithm {
        MacAlgorithm::HmacSha224 => Mechanism::Sha224Hmac,
        MacAlgorithm::HmacSha256 => Mechanism::Sha256Hmac,
        MacAlgorithm::HmacSha384 => Mechanism::Sha384Hmac,
        MacAlgorithm::HmacSha512 => Mechanism::Sha512Hmac,
        MacAlgorithm::HmacSm3 => return Err(TokenError::Unsupported("CKM_SM3_HMAC".into()).into()),
    };
    session.sign(&mechanism, key, message, 64)
}

/// Proves the objects of a key version that is no AES key: what the token does is undone or verified in this process, with the
/// public key that it shows, and what is spoiled is refused. Of several paddings one is enough: who uses another is told.
pub(super) fn prove(epoch: &Epoch, session: &Session, id: &KeyVersionId, material: Material) -> Result<(), Failure> {
    match material {
        Material::Aes(_) => Ok(()),
        Material::Hmac(algorithm, length) => prove_hmac(session, epoch.handle(session, id, Half::Secret)?, algorithm, length),
        Material::Rsa(_, Pair::Decrypts) => {
            let public = signing::public_key(session, epoch.handle(session, id, Half::Public)?)?;
            let key = epoch.handle(session, id, Half::Private)?;
            any([EncryptionAlgorithm::OaepSha256, EncryptionAlgorithm::OaepSha1], |algorithm| {
                prove_decryption(epoch, session, key, &public, algorithm)
            })
        }
        Material::Rsa(_, Pair::Signs) => {
            let public = signing::public_key(session, epoch.handle(session, id, Half::Public)?)?;
            let key = epoch.handle(session, id, Half::Private)?;
            any([SignatureAlgorithm::RsaPssSha256, SignatureAlgorithm::RsaPkcs1Sha256], |algorithm| {
                prove_signature(session, key, &public, algorithm)
            })
        }
        Material::Ec(_) => {
            let public = signing::public_key(session, epoch.handle(session, id, Half::Public)?)?;
            prove_signature(session, epoch.handle(session, id, Half::Private)?, &public, SignatureAlgorithm::EcdsaSha256)
        }
    }
}

/// Proves each; those that the token lacks do not count, unless it lacks them all.
fn any<A>(all: [A; 2], mut prove: impl FnMut(A) -> Result<(), Failure>) -> Result<(), Failure> {
    let (mut proved, mut lacking) = (false, None);
    for one in all {
        match prove(one) {
            Ok(()) => proved = true,
            Err(Failure::Final(error @ TokenError::Unsupported(_))) => lacking = Some(error.into()),
            Err(Failure::Call(call)) if call.class() == Class::Unsupported => lacking = Some(Failure::Call(call)),
            Err(failure) => return Err(failure),
        }
    }
    match lacking {
        Some(lacking) if !proved => Err(lacking),
        _ => Ok(()),
    }
}

fn prove_signature(
    session: &Session,
    key: ObjectHandle,
    public: &PublicKey,
    algorithm: SignatureAlgorithm,
) -> Result<(), Failure> {
    let digest =
        |text: &[u8]| -> Digest32 { digest::digest(&SHA256, text).as_ref().try_into().expect("SHA-256 gives 32 bytes") };
    let signed = sign(session, key, algorithm, &digest(b"one"))?;
    if public.verifies(algorithm, &digest(b"one"), &signed) && !public.verifies(algorithm, &digest(b"two"), &signed) {
        return Ok(());
    }
    Err(TokenError::Fault(format!("the token's {algorithm} does not verify under its public key")).into())
}

fn prove_decryption(
    epoch: &Epoch,
    session: &Session,
    key: ObjectHandle,
    public: &PublicKey,
    algorithm: EncryptionAlgorithm,
) -> Result<(), Failure> {
    let fault = |what: &str| Failure::Final(TokenError::Fault(format!("the token's {algorithm} {what}")));
    let mut sealed = public.encrypt(algorithm, b"one").map_err(|_| fault("has no usable public key"))?;
    let opened = decrypt(epoch, session, key, algorithm, &sealed)?;
    if opened.as_slice() != b"one" {
        return Err(fault("does not decrypt what its public key encrypted"));
    }
    if let Some(last) = sealed.last_mut() {
        *last ^= 1;
    }
    match decrypt(epoch, session, key, algorithm, &sealed) {
        Ok(_) => Err(fault("accepts a changed ciphertext")),
        Err(Failure::Call(call)) if !matches!(call.class(), Class::Tampered | Class::Ambiguous | Class::Data) => {
            Err(Failure::Call(call))
        }
        Err(_) => Ok(()),
    }
}

fn prove_hmac(session: &Session, key: ObjectHandle, algorithm: MacAlgorithm, length: u64) -> Result<(), Failure> {
    let mac = |message: &[u8]| hmac(session, key, algorithm, message);
    let one = mac(b"one")?;
    if one.len() as u64 != length || one != mac(b"one")? || one == mac(b"two")? || one.iter().all(|byte| *byte == 0) {
        return Err(TokenError::Fault(format!("the token's {algorithm} is no function of its input")).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_that_a_token_drops_are_put_back() {
        for (block, expected) in
            [(&[][..], [0, 0, 0, 0]), (&[7], [0, 0, 0, 7]), (&[1, 2, 3, 4], [1, 2, 3, 4]), (&[0, 1, 2, 3, 4], [1, 2, 3, 4])]
        {
            assert_eq!(whole(block, 4)[..], expected);
        }
    }
}
