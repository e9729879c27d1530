//! Suite S3: AES-CBC with padding, then HMAC-SHA-256 over everything, which is checked before anything is decrypted.
//!
//! Owns: the layout. Called by: `suites`.
//!
//! ```text
//! IV (16, ours) | ciphertext (PKCS#7 padding) | tag (32) = HMAC-SHA-256(purpose 18: CKA_ID of the key, context, IV, ciphertext)
//! ```
//!
//! The HMAC key is INT, one for all keys, so the tag covers the CKA_ID of the key too. INT also derives the keys of audit
//! lines, from another purpose: no input of one use is an input of the other, and what HMAC gives for one tells nothing of the other.

use aws_lc_rs::constant_time;
use cryptoki::mechanism::Mechanism;
use zeroize::Zeroizing;

use super::{Keyed, SEED_LEN};
use crate::base::canonical::{Canonical, Purpose};
use crate::token::errors::{Failure, TokenError};
use crate::token::signing;

/// Bytes of the IV and of a block.
const BLOCK_LEN: usize = SEED_LEN;

/// Bytes of the tag.
const TAG_LEN: usize = 32;

/// Encrypts, then authenticates.
pub(super) fn seal(key: &Keyed<'_>, iv: &[u8; BLOCK_LEN], secret: &[u8], context: &Canonical) -> Result<Vec<u8>, Failure> {
    let encrypted = key.session.encrypt(&Mechanism::AesCbcPad(*iv), key.cipher, secret, BLOCK_LEN)?;
    if encrypted.len() != (secret.len() / BLOCK_LEN + 1) * BLOCK_LEN {
        return Err(TokenError::Unsupported("the padding of CKM_AES_CBC_PAD".into()).into());
    }
    let tag = tag(key, iv, &encrypted, context)?;
    Ok([iv.as_slice(), &encrypted, &tag].concat())
}

/// Authenticates, then decrypts: bytes that were not made here never reach the padding.
pub(super) fn open(key: &Keyed<'_>, sealed: &[u8], context: &Canonical) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let (iv, rest) = sealed.split_first_chunk::<BLOCK_LEN>().ok_or(TokenError::Tampered)?;
    let (encrypted, found) = rest.split_last_chunk::<TAG_LEN>().ok_or(TokenError::Tampered)?;
    if encrypted.is_empty() || !encrypted.len().is_multiple_of(BLOCK_LEN) {
        return Err(TokenError::Tampered.into());
    }
    let tag = tag(key, iv, encrypted, context)?;
    constant_time::verify_slices_are_equal(&tag, found).map_err(|_| TokenError::Tampered)?;
    key.session.decrypt(&Mechanism::AesCbcPad(*iv), key.cipher, encrypted)
}

fn tag(key: &Keyed<'_>, iv: &[u8; BLOCK_LEN], encrypted: &[u8], context: &Canonical) -> Result<[u8; TAG_LEN], Failure> {
    let mac = key.mac.ok_or_else(|| TokenError::Fault("suite S3 without its HMAC key".into()))?;
    let input = Canonical::new(Purpose::SuiteTag).field(key.id.as_bytes()).field(context.as_bytes()).field(iv).field(encrypted);
    signing::mac(key.session, mac, input.as_bytes())
}
