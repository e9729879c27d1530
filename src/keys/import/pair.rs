//! Wrapping pairs of this process, for algorithms that the token does not unwrap with.
//!
//! Owns: making such a pair and unwrapping with it. Must not know: rows, who keeps the private key. Called by: keys::import.
//!
//! Material unwrapped here passes through this process's memory, in a type that wipes it; see docs/security.md.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, Pkcs1PrivateDecryptingKey,
    PrivateDecryptingKey,
};
use zeroize::Zeroizing;

use crate::base::secret::KeyMaterial;
use crate::base::words::ImportAlgorithm;
use crate::error::Error;

/// A new pair: the private key as PKCS #8, wiped when dropped, and the public one as SubjectPublicKeyInfo, both in DER.
///
/// # Errors
/// [`Error::Internal`] when the system gives no randomness.
pub(super) fn generate() -> Result<(Zeroizing<Vec<u8>>, Vec<u8>), Error> {
    let failed = |_| Error::Internal("no wrapping pair was made".into());
    let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).map_err(failed)?;
    let public = AsDer::as_der(&private.public_key()).map_err(failed)?;
    let private: Pkcs8V1Der<'static> = AsDer::as_der(&private).map_err(failed)?;
    Ok((Zeroizing::new(private.as_ref().to_vec()), public.as_ref().to_vec()))
}

/// Unwraps what a caller sent; none if it was not made with this pair and algorithm.
///
/// # Errors
/// [`Error::Integrity`] when the private key is none.
pub(super) fn unwrap(private: &[u8], algorithm: ImportAlgorithm, wrapped: &[u8]) -> Result<Option<KeyMaterial>, Error> {
    let broken = || Error::Integrity("the private key of a wrapping pair is none".into());
    let private = PrivateDecryptingKey::from_pkcs8(private).map_err(|_| broken())?;
    let mut out = Zeroizing::new(vec![0; private.key_size_bytes()]);
    let oaep = match algorithm {
        ImportAlgorithm::Pkcs1 => {
            let key = Pkcs1PrivateDecryptingKey::new(private).map_err(|_| broken())?;
            let length = key.decrypt(wrapped, &mut out).ok().map(|plain| plain.len());
            return Ok(length.map(|length| taken(out, length)));
        }
        ImportAlgorithm::OaepSha1 => &OAEP_SHA1_MGF1SHA1,
        ImportAlgorithm::OaepSha256 => &OAEP_SHA256_MGF1SHA256,
    };
    let key = OaepPrivateDecryptingKey::new(private).map_err(|_| broken())?;
    let length = key.decrypt(oaep, wrapped, &mut out, None).ok().map(|plain| plain.len());
    Ok(length.map(|length| taken(out, length)))
}

fn taken(mut out: Zeroizing<Vec<u8>>, length: usize) -> KeyMaterial {
    out.truncate(length);
    KeyMaterial::new(out)
}
