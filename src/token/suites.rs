//! How bytes are encrypted on the token: the suites, and the choice among them.
//!
//! Owns: the layout of wrapped bytes, and the draw of random bytes. Must not know: sessions' origin, handles, retries.
//! Called by: `mod` (wrap, unwrap), `epoch` (canary), `create` (self-test).
//!
//! Wrapped bytes of suite S1 (CKM_AES_GCM, caller's IV); the suite's number is stored beside them, not in them:
//!
//! ```text
//! IV (12 bytes) | ciphertext (as long as the secret) | tag (16 bytes)      associated data = the context, never empty
//! ```
//!
//! S2 (the token makes the IV) and S3 (CBC + HMAC) get an arm in [`seal`], [`open`] and [`choose`], nothing else changes.

use aws_lc_rs::rand;
use cryptoki::context::Pkcs11;
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::slot::Slot;
use zeroize::Zeroizing;

use super::errors::{Class, Failure, TokenError, describe};
use super::templates;
use crate::canonical::{Canonical, Purpose};
use crate::kinds::Suite;

/// Bytes of the IV of S1; other lengths make GCM hash the IV.
pub(super) const IV_LEN: usize = 12;

/// Bytes of the tag; never shorter.
const TAG_LEN: usize = 16;

/// Encrypts `secret` under `key`. `iv` must be new and random.
pub(super) fn seal(
    suite: Suite,
    session: &Session,
    key: ObjectHandle,
    iv: &[u8; IV_LEN],
    secret: &[u8],
    context: &Canonical,
) -> Result<Vec<u8>, Failure> {
    match suite {
        Suite::AesGcmCallerIv => {
            let mut sent = *iv;
            let encrypted = session.encrypt(&gcm(&mut sent, context)?, key, secret)?;
            if sent != *iv || encrypted.len() != secret.len() + TAG_LEN {
                return Err(TokenError::Unsupported("the caller's IV in CKM_AES_GCM".into()).into());
            }
            let mut sealed = Vec::with_capacity(IV_LEN + encrypted.len());
            sealed.extend_from_slice(iv);
            sealed.extend_from_slice(&encrypted);
            Ok(sealed)
        }
    }
}

/// Decrypts what [`seal`] made.
pub(super) fn open(
    suite: Suite,
    session: &Session,
    key: ObjectHandle,
    sealed: &[u8],
    context: &Canonical,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    match suite {
        Suite::AesGcmCallerIv => {
            let Some((iv, encrypted)) = sealed.split_first_chunk::<IV_LEN>() else {
                return Err(TokenError::Tampered.into());
            };
            if encrypted.len() <= TAG_LEN {
                return Err(TokenError::Tampered.into());
            }
            let mut iv = *iv;
            Ok(Zeroizing::new(session.decrypt(&gcm(&mut iv, context)?, key, encrypted)?))
        }
    }
}

fn gcm<'a>(iv: &'a mut [u8; IV_LEN], context: &'a Canonical) -> Result<Mechanism<'a>, Failure> {
    let tag_bits = (TAG_LEN as u64 * 8).into();
    Ok(Mechanism::AesGcm(GcmParams::new(iv, context.as_bytes(), tag_bits)?))
}

/// Fills `out` with the token's random bytes XOR the operating system's: good if either is.
pub(super) fn random(session: &Session, out: &mut [u8]) -> Result<(), Failure> {
    let mut local = Zeroizing::new(vec![0; out.len()]);
    rand::fill(&mut local).map_err(|_| TokenError::Fault("the operating system gives no random bytes".into()))?;
    session.generate_random_slice(out)?;
    out.iter_mut().zip(local.iter()).for_each(|(byte, local)| *byte ^= local);
    Ok(())
}

/// The suite for this token, by what its mechanisms are.
///
/// # Errors
/// `Unsupported` with the mechanisms that are missing.
pub(super) fn choose(pkcs11: &Pkcs11, slot: Slot) -> Result<Suite, TokenError> {
    let needed = [
        (MechanismType::AES_GCM, "CKM_AES_GCM"),
        (MechanismType::SHA256_HMAC, "CKM_SHA256_HMAC"),
        (MechanismType::ECDSA, "CKM_ECDSA"),
    ];
    let mut missing = Vec::new();
    for (mechanism, name) in needed.into_iter().chain(templates::MAKERS) {
        match pkcs11.get_mechanism_info(slot, mechanism) {
            Ok(_) => {}
            Err(Pkcs11Error::Pkcs11(RvError::MechanismInvalid, _)) => missing.push(name),
            Err(e) => return Err(Failure::Call(e).into()),
        }
    }
    if missing.is_empty() { Ok(Suite::AesGcmCallerIv) } else { Err(TokenError::Unsupported(missing.join(", "))) }
}

/// Proves that a key encrypts, decrypts, and refuses what it did not encrypt: a flipped bit in IV, ciphertext and tag, another
/// context, a shortened tag. Afterwards it must still decrypt on the same session.
pub(super) fn prove(suite: Suite, session: &Session, key: ObjectHandle) -> Result<(), Failure> {
    const SAMPLE: [u8; 32] = *b"a bulla is a sealed clay envelop";
    let context = Canonical::new(Purpose::SelfTest).text("round");
    let mut iv = [0; IV_LEN];
    random(session, &mut iv)?;
    let sealed = seal(suite, session, key, &iv, &SAMPLE, &context)?;
    let decrypts = |sealed: &[u8], context: &Canonical| match open(suite, session, key, sealed, context) {
        Ok(secret) => Ok(secret.as_slice() == SAMPLE),
        Err(Failure::Call(e)) if !matches!(Class::of(&e), Class::Tampered | Class::Ambiguous) => Err(Failure::Call(e)),
        Err(failure) => {
            log::trace!("token: forged bytes give {failure:?}");
            Ok(false)
        }
    };
    let spoiled = |at: usize| {
        let mut spoiled = sealed.clone();
        spoiled[at] ^= 0x01;
        spoiled
    };
    let other = Canonical::new(Purpose::SelfTest).text("another round");
    let refuses = !decrypts(&spoiled(0), &context)?
        && !decrypts(&spoiled(IV_LEN), &context)?
        && !decrypts(&spoiled(sealed.len() - 1), &context)?
        && !decrypts(&sealed[..sealed.len() - 4], &context)?
        && !decrypts(&sealed, &other)?;
    if sealed.windows(SAMPLE.len()).any(|window| window == SAMPLE) || !refuses {
        return Err(TokenError::Fault("the token does not authenticate what it decrypts".into()).into());
    }
    match open(suite, session, key, &sealed, &context) {
        Ok(secret) if secret.as_slice() == SAMPLE => Ok(()),
        Ok(_) => Err(TokenError::Fault("the token does not decrypt what it encrypted".into()).into()),
        Err(Failure::Call(e)) => Err(TokenError::Fault(format!("self-test: {}", describe(&e))).into()),
        Err(failure) => Err(failure),
    }
}
