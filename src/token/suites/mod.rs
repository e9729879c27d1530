//! How bytes are encrypted on the token: the suites.
//!
//! Owns: the suites' names and needs, the draw of random bytes, the proof that a key works. Must not know: sessions' origin,
//! retries. Called by: `operations` (wrap, unwrap), `canary` (the choice among them), `create` (self-test).
//!
//! | suite | mechanism | IV | file |
//! |---|---|---|---|
//! | S1 | CKM_AES_GCM | ours | `suites/gcm.rs` |
//! | S2 | CKM_AES_GCM | the token's, written into the parameter or appended to the ciphertext | `suites/gcm.rs` |
//! | S3 | CKM_AES_CBC_PAD, then CKM_SHA256_HMAC | ours | `suites/cbc.rs` |
//!
//! The suite's number is stored beside the bytes, not in them. docs/formats.md draws them all.

use std::sync::Once;

use aws_lc_rs::rand;
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::ObjectHandle;
use zeroize::Zeroizing;

use super::errors::{Class, Failure, TokenError, describe};
use super::session::Session;
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

/// Fills `out` with the token's random bytes XOR the operating system's: good if either is. A token without a generator leaves the
/// operating system's.
pub(super) fn random(session: &Session, out: &mut [u8]) -> Result<(), Failure> {
    static TOLD: Once = Once::new();
    let mut local = Zeroizing::new(vec![0; out.len()]);
    rand::fill(&mut local).map_err(|_| TokenError::Fault("the operating system gives no random bytes".into()))?;
    match session.generate_random_slice(out) {
        Ok(()) => {}
        Err(error @ Pkcs11Error::Pkcs11(RvError::RandomNoRng | RvError::FunctionNotSupported, _)) => {
            TOLD.call_once(|| log::warn!("token: {}; random bytes are the operating system's alone", describe(&error)));
            out.fill(0);
        }
        Err(error) => return Err(error.into()),
    }
    out.iter_mut().zip(local.iter()).for_each(|(byte, local)| *byte ^= local);
    Ok(())
}

/// What a token may be able to do, by the list of its mechanisms.
pub(super) struct Offer {
    /// The suites, the best first. Which of them it has, `canary` tries.
    pub(super) suites: Vec<Suite>,
}

/// What this token offers.
///
/// # Errors
/// `Unsupported` with everything that is missing.
pub(super) fn offered(mechanisms: &[u64]) -> Result<Offer, TokenError> {
    let has = |mechanism: MechanismType| mechanisms.contains(&*mechanism);
    let (gcm, hmac) = (has(MechanismType::AES_GCM), has_hmac(mechanisms));
    let mut suites = Vec::new();
    if gcm {
        suites.extend([Suite::AesGcmCallerIv, Suite::AesGcmTokenIv, Suite::AesGcmAppendedIv]);
    }
    if has(MechanismType::AES_CBC_PAD) && hmac {
        suites.push(Suite::AesCbcHmac);
    }
    let root = hmac || (has(MechanismType::AES_KEY_GEN) && has(MechanismType::AES_CBC));
    let ec = has(MechanismType::ECC_KEY_PAIR_GEN) && has(MechanismType::ECDSA);
    let rsa = has(MechanismType::RSA_PKCS_KEY_PAIR_GEN) && has(MechanismType::RSA_PKCS);
    let mut missing = Vec::new();
    if !has(MechanismType::AES_KEY_GEN) {
        missing.push("CKM_AES_KEY_GEN");
    }
    if suites.is_empty() {
        let tags =
            "CKM_AES_GCM, or CKM_SHA256_HMAC with CKM_GENERIC_SECRET_KEY_GEN or CKM_SHA256_KEY_GEN beside CKM_AES_CBC_PAD";
        let both = "CKM_AES_GCM, or CKM_AES_CBC_PAD with CKM_SHA256_HMAC";
        missing.push(if has(MechanismType::AES_CBC_PAD) { tags } else { both });
    }
    if !root {
        missing.push(
            "for the row MACs CKM_SHA256_HMAC with CKM_GENERIC_SECRET_KEY_GEN or CKM_SHA256_KEY_GEN, or CKM_AES_CBC with CKM_AES_KEY_GEN",
        );
    }
    if !ec && !rsa {
        missing.push("CKM_EC_KEY_PAIR_GEN with CKM_ECDSA, or CKM_RSA_PKCS_KEY_PAIR_GEN with CKM_RSA_PKCS");
    }
    if missing.is_empty() { Ok(Offer { suites }) } else { Err(TokenError::Unsupported(missing.join("; ").into())) }
}

/// Whether a token with these mechanisms makes keys for HMAC-SHA-256 and uses them.
fn has_hmac(mechanisms: &[u64]) -> bool {
    let has = |mechanism: MechanismType| mechanisms.contains(&*mechanism);
    has(MechanismType::SHA256_HMAC) && (has(MechanismType::GENERIC_SECRET_KEY_GEN) || has(MechanismType::SHA256_KEY_GEN))
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
        Err(Failure::Call(call)) if !matches!(call.class(), Class::Tampered | Class::Ambiguous) => Err(Failure::Call(call)),
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
        Err(Failure::Call(call)) => Err(TokenError::Fault(format!("self-test: {}", call.describe())).into()),
        Err(failure) => Err(failure),
    }
}

fn forges() -> Failure {
    TokenError::Fault("the token does not authenticate what it decrypts".into()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_missing_is_said_at_once() {
        use MechanismType as M;
        let all = [M::AES_KEY_GEN, M::AES_GCM, M::AES_CBC, M::ECC_KEY_PAIR_GEN, M::ECDSA, M::SHA256_HMAC, M::SHA256_KEY_GEN];
        let missing = |without: &[M]| {
            let left: Vec<u64> = all.iter().filter(|m| !without.contains(m)).map(|m| **m).collect();
            offered(&left).err().map(|error| error.to_string()).unwrap_or_default()
        };
        for (without, names) in [
            (&[][..], &[][..]),
            (&[M::SHA256_HMAC], &[]),
            (&[M::AES_CBC], &[]),
            (&[M::SHA256_HMAC, M::AES_CBC], &["row MACs"]),
            (&[M::SHA256_KEY_GEN, M::AES_CBC, M::ECDSA], &["row MACs", "CKM_ECDSA"]),
            (
                &[M::AES_KEY_GEN, M::AES_GCM, M::SHA256_HMAC, M::ECDSA],
                &["CKM_AES_KEY_GEN", "CKM_AES_GCM", "row MACs", "CKM_ECDSA"],
            ),
        ] {
            let said = missing(without);
            assert_eq!(said.is_empty(), names.is_empty(), "{without:?}: {said}");
            assert!(names.iter().all(|name| said.contains(name)), "{without:?}: {said}");
        }
    }
}
