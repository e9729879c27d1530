//! MACs and signatures on the token.
//!
//! Owns: their forms. Must not know: what is signed, handles' origin, retries. Called by: `mod`, `create` (self-test).

use aws_lc_rs::digest;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;

use super::errors::{Failure, TokenError};

/// SubjectPublicKeyInfo of a P-256 key up to the point (RFC 5480): SEQUENCE { SEQUENCE { ecPublicKey, prime256v1 }, BIT STRING }.
const P256_INFO: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
    0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Bytes of an uncompressed point of P-256: 0x04, X, Y.
const POINT_LEN: usize = 65;

/// HMAC-SHA-256.
pub(super) fn mac(session: &Session, key: ObjectHandle, input: &[u8]) -> Result<[u8; 32], Failure> {
    exactly(session.sign(&Mechanism::Sha256Hmac, key, input)?)
}

/// ECDSA P-256 over SHA-256 of the message: r and s, 32 bytes each. The digest is made here: CKM_ECDSA is what every token has.
pub(super) fn sign(session: &Session, key: ObjectHandle, message: &[u8]) -> Result<[u8; 64], Failure> {
    let digest = digest::digest(&digest::SHA256, message);
    exactly(session.sign(&Mechanism::Ecdsa, key, digest.as_ref())?)
}

/// The public key as SubjectPublicKeyInfo in DER.
pub(super) fn public_key(session: &Session, key: ObjectHandle) -> Result<Vec<u8>, Failure> {
    let attributes = session.get_attributes(key, &[AttributeType::EcPoint])?;
    let Some(Attribute::EcPoint(encoded)) = attributes.first() else {
        return Err(TokenError::Unsupported("CKA_EC_POINT".into()).into());
    };
    // In an OCTET STRING as the standard says, or bare as some tokens give it.
    let point = encoded.strip_prefix(&[0x04, POINT_LEN as u8]).filter(|p| p.len() == POINT_LEN).unwrap_or(encoded);
    if point.len() != POINT_LEN || point[0] != 0x04 {
        return Err(TokenError::Unsupported("uncompressed points in CKA_EC_POINT".into()).into());
    }
    Ok([P256_INFO.as_slice(), point].concat())
}

fn exactly<const N: usize>(bytes: Vec<u8>) -> Result<[u8; N], Failure> {
    let length = bytes.len();
    bytes.try_into().map_err(|_| TokenError::Fault(format!("a signature of {length} bytes instead of {N}")).into())
}
