//! Suites S1 and S2: AES-GCM, associated data = the context, tag 16 bytes.
//!
//! Owns: the layout. Called by: `suites`.
//!
//! ```text
//! S1, S2 in place   IV (12) | ciphertext (as long as the secret) | tag (16)
//! S2 appended       length of the IV (1 byte: 12 or 16) | IV | ciphertext | tag (16)
//! ```

use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use zeroize::Zeroizing;

use super::{Keyed, SEED_LEN};
use crate::base::canonical::Canonical;
use crate::token::errors::{Failure, TokenError};

/// Bytes of the IV of S1 and of S2 in place; other lengths make GCM hash the IV.
const IV_LEN: usize = 12;

/// Bytes of an IV that a token appends: most make 12, Luna makes 16.
const APPENDED_LENS: [usize; 2] = [12, 16];

/// Bytes of the tag; never shorter.
const TAG_LEN: usize = 16;

/// S1: the IV is ours, and the token leaves it alone.
pub(super) fn seal_with_iv(
    key: &Keyed<'_>,
    seed: &[u8; SEED_LEN],
    secret: &[u8],
    context: &Canonical,
) -> Result<Vec<u8>, Failure> {
    let (iv, _) = seed.split_first_chunk::<IV_LEN>().expect("a seed is longer than an IV");
    let mut sent = *iv;
    let encrypted = encrypt(key, &mut sent, secret, context)?;
    if sent != *iv || encrypted.len() != secret.len() + TAG_LEN {
        return Err(unsupported("the caller's IV"));
    }
    Ok([iv.as_slice(), &encrypted].concat())
}

/// S2: the token is given zeros and writes its IV over them.
pub(super) fn seal_in_place(key: &Keyed<'_>, secret: &[u8], context: &Canonical) -> Result<Vec<u8>, Failure> {
    let mut iv = [0; IV_LEN];
    let encrypted = encrypt(key, &mut iv, secret, context)?;
    if iv == [0; IV_LEN] || encrypted.len() != secret.len() + TAG_LEN {
        return Err(unsupported("the token's IV in the parameter"));
    }
    Ok([iv.as_slice(), &encrypted].concat())
}

/// S2: the token is given no IV and puts its own behind the tag.
pub(super) fn seal_appended(key: &Keyed<'_>, secret: &[u8], context: &Canonical) -> Result<Vec<u8>, Failure> {
    let encrypted = encrypt(key, &mut [], secret, context)?;
    let Some((encrypted, iv)) = encrypted.split_at_checked(secret.len() + TAG_LEN).filter(|(_, iv)| is_appended(iv)) else {
        return Err(unsupported("the token's IV behind the ciphertext"));
    };
    Ok([&[iv.len() as u8], iv, encrypted].concat())
}

/// Opens S1 and S2 in place.
pub(super) fn open(key: &Keyed<'_>, sealed: &[u8], context: &Canonical) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let (iv, encrypted) = sealed.split_first_chunk::<IV_LEN>().ok_or(TokenError::Tampered)?;
    decrypt(key, &mut iv.clone(), encrypted, context)
}

/// Opens S2 appended.
pub(super) fn open_appended(key: &Keyed<'_>, sealed: &[u8], context: &Canonical) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let (length, rest) = sealed.split_first().ok_or(TokenError::Tampered)?;
    let (iv, encrypted) = rest.split_at_checked(usize::from(*length)).ok_or(TokenError::Tampered)?;
    if !is_appended(iv) {
        return Err(TokenError::Tampered.into());
    }
    decrypt(key, &mut iv.to_vec(), encrypted, context)
}

/// Whether these bytes can be an IV that a token appended.
fn is_appended(iv: &[u8]) -> bool {
    APPENDED_LENS.contains(&iv.len()) && iv.iter().any(|byte| *byte != 0)
}

fn encrypt(key: &Keyed<'_>, iv: &mut [u8], secret: &[u8], context: &Canonical) -> Result<Vec<u8>, Failure> {
    key.session.encrypt(&mechanism(iv, context)?, key.cipher, secret, TAG_LEN + APPENDED_LENS[1])
}

fn decrypt(key: &Keyed<'_>, iv: &mut [u8], encrypted: &[u8], context: &Canonical) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if encrypted.len() <= TAG_LEN {
        return Err(TokenError::Tampered.into());
    }
    key.session.decrypt(&mechanism(iv, context)?, key.cipher, encrypted)
}

fn mechanism<'a>(iv: &'a mut [u8], context: &'a Canonical) -> Result<Mechanism<'a>, Failure> {
    let tag_bits = (TAG_LEN as u64 * 8).into();
    Ok(Mechanism::AesGcm(GcmParams::new(iv, context.as_bytes(), tag_bits)?))
}

fn unsupported(what: &str) -> Failure {
    TokenError::Unsupported(format!("{what} in CKM_AES_GCM").into()).into()
}
