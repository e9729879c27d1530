//! How bytes are encrypted on the token: the suites.
//!
//! Owns: the suites' names and needs, the draw of random bytes, the proof that a key works. Must not know: sessions' origin,
//! retries. Called by: `mod` (wrap, unwrap), `canary` (the choice among them), `create` (self-test).
//!
//! | suite | mechanism | IV | file |
//! |---|---|---|---|
//! | S1 | CKM_AES_GCM | ours | `suites/gcm.rs` |
//! | S2 | CKM_AES_GCM | the token's, written into the parameter or appended to the ciphertext | `suites/gcm.rs` |
//! | S3 | CKM_AES_CBC_PAD, then CKM_SHA256_HMAC | ours | `suites/cbc.rs` |
//!
//! The suite's number is stored beside the bytes, not in them. docs/formats.md draws them all.

use aws_lc_rs::rand;
use cryptoki::context::Pkcs11;
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::slot::Slot;
use zeroize::Zeroizing;

use super::errors::{Class, Failure, TokenError, describe};
use super::templates;
use crate::base::canonical::{Canonical, Purpose};
use crate::base::ids::KeyVersionId;
use crate::base::words::Suite;

mod cbc;
mod gcm;

/// Random bytes that [`seal`] is given: as many as the longest IV.
pub(super) const SEED_LEN: usize = 16;

/// A key at work.
pub(super) struct Keyed<'a> {
    pub(super) session: &'a Session,
    /// Encrypts and decrypts.
    pub(super) cipher: ObjectHandle,
    /// Whose handle that is. S3 binds it: CBC alone would decrypt under any key.
    pub(super) id: KeyVersionId,
    /// The HMAC key of S3; other suites want none.
    pub(super) mac: Option<ObjectHandle>,
}

/// Encrypts `secret`. `seed` must be new and random.
pub(super) fn seal(
    suite: Suite,
    key: &Keyed<'_>,
    seed: &[u8; SEED_LEN],
    secret: &[u8],
    context: &Canonical,
) -> Result<Vec<u8>, Failure> {
    match suite {
        Suite::AesGcmCallerIv => gcm::seal_with_iv(key, seed, secret, context),
        Suite::AesGcmTokenIv => gcm::seal_in_place(key, secret, context),
        Suite::AesGcmAppendedIv => gcm::seal_appended(key, secret, context),
        Suite::AesCbcHmac => cbc::seal(key, seed, secret, context),
    }
}

/// Decrypts what [`seal`] made.
pub(super) fn open(suite: Suite, key: &Keyed<'_>, sealed: &[u8], context: &Canonical) -> Result<Zeroizing<Vec<u8>>, Failure> {
    match suite {
        Suite::AesGcmCallerIv | Suite::AesGcmTokenIv => gcm::open(key, sealed, context),
        Suite::AesGcmAppendedIv => gcm::open_appended(key, sealed, context),
        Suite::AesCbcHmac => cbc::open(key, sealed, context),
    }
}

/// Fills `out` with the token's random bytes XOR the operating system's: good if either is.
pub(super) fn random(session: &Session, out: &mut [u8]) -> Result<(), Failure> {
    let mut local = Zeroizing::new(vec![0; out.len()]);
    rand::fill(&mut local).map_err(|_| TokenError::Fault("the operating system gives no random bytes".into()))?;
    session.generate_random_slice(out)?;
    out.iter_mut().zip(local.iter()).for_each(|(byte, local)| *byte ^= local);
    Ok(())
}

/// The suites that this token may have by what its mechanisms are, the best first. Which it has, `canary` tries.
///
/// # Errors
/// `Unsupported` with the mechanisms that are missing.
pub(super) fn offered(pkcs11: &Pkcs11, slot: Slot) -> Result<Vec<Suite>, TokenError> {
    let has = |mechanism| match pkcs11.get_mechanism_info(slot, mechanism) {
        Ok(_) => Ok(true),
        Err(Pkcs11Error::Pkcs11(RvError::MechanismInvalid, _)) => Ok(false),
        Err(e) => Err(TokenError::from(Failure::Call(e))),
    };
    let needed = [(MechanismType::SHA256_HMAC, "CKM_SHA256_HMAC"), (MechanismType::ECDSA, "CKM_ECDSA")];
    let mut missing = Vec::new();
    for (mechanism, name) in needed.into_iter().chain(templates::MAKERS) {
        if !has(mechanism)? {
            missing.push(name);
        }
    }
    let mut suites = Vec::new();
    if has(MechanismType::AES_GCM)? {
        suites.extend([Suite::AesGcmCallerIv, Suite::AesGcmTokenIv, Suite::AesGcmAppendedIv]);
    }
    if has(MechanismType::AES_CBC_PAD)? {
        suites.push(Suite::AesCbcHmac);
    }
    if suites.is_empty() {
        missing.push("CKM_AES_GCM or CKM_AES_CBC_PAD");
    }
    if missing.is_empty() { Ok(suites) } else { Err(TokenError::Unsupported(missing.join(", "))) }
}

/// Proves that a key encrypts, each time otherwise, decrypts, and refuses what it did not encrypt: a flipped bit at the front, in
/// the middle and at the end, another context, a shortened tag. Afterwards it must still decrypt on the same session.
pub(super) fn prove(suite: Suite, key: &Keyed<'_>) -> Result<(), Failure> {
    const SAMPLE: [u8; 32] = *b"a bulla is a sealed clay envelop";
    let context = Canonical::new(Purpose::SelfTest).text("round");
    let round = || {
        let mut seed = [0; SEED_LEN];
        random(key.session, &mut seed)?;
        seal(suite, key, &seed, &SAMPLE, &context)
    };
    let (sealed, again) = (round()?, round()?);
    let decrypts = |sealed: &[u8], context: &Canonical| match open(suite, key, sealed, context) {
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
    for at in [0, 1, SEED_LEN, sealed.len() / 2, sealed.len() - 1] {
        if decrypts(&spoiled(at), &context)? {
            return Err(forges());
        }
    }
    let other = Canonical::new(Purpose::SelfTest).text("another round");
    if decrypts(&sealed[..sealed.len() - 4], &context)? || decrypts(&sealed, &other)? {
        return Err(forges());
    }
    if sealed == again || sealed.windows(SAMPLE.len()).any(|window| window == SAMPLE) {
        return Err(TokenError::Fault("the token does not encrypt".into()).into());
    }
    match open(suite, key, &sealed, &context) {
        Ok(secret) if secret.as_slice() == SAMPLE => Ok(()),
        Ok(_) => Err(TokenError::Fault("the token does not decrypt what it encrypted".into()).into()),
        Err(Failure::Call(e)) => Err(TokenError::Fault(format!("self-test: {}", describe(&e))).into()),
        Err(failure) => Err(failure),
    }
}

fn forges() -> Failure {
    TokenError::Fault("the token does not authenticate what it decrypts".into()).into()
}
