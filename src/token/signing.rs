//! MACs and signatures on the token.
//!
//! Owns: their forms. Must not know: what is signed, handles' origin, retries. Called by: `operations`, `create` (self-test).

use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::RsaPublicKeyComponents;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectHandle};

use super::errors::{Failure, TokenError};
use super::material::Curve;
use super::readback;
use super::session::Session;
use crate::base::public_key::PublicKey;

/// The object identifier 1.2.840.10045.2.1, id-ecPublicKey, in DER (RFC 5480).
const EC_PUBLIC_KEY: [u8; 9] = [0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

/// Bytes of an uncompressed point of a curve of 256 bits: 0x04, X, Y.
const POINT_LEN: usize = 65;

/// Bytes of r and s.
const EC_SIGNATURE_LEN: usize = 64;

/// Bytes of the longest RSA signature: of 4096 bits.
pub(super) const MAX_RSA_BYTES: usize = 512;

/// DigestInfo of SHA-256 up to the digest (RFC 8017, 9.2, note 1).
pub(super) const SHA256_INFO: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

/// HMAC-SHA-256. Where the key is AES, because the token has no HMAC, another function of key and input that nobody computes without the
/// key: SHA-256 of what CBC makes, with an IV of zeros, of SHA-256 of the input. The key encrypts nothing else.
pub(super) fn mac(session: &Session, key: ObjectHandle, input: &[u8]) -> Result<[u8; 32], Failure> {
    match session.sign(&Mechanism::Sha256Hmac, key, input, 32) {
        Ok(mac) => exactly(mac),
        Err(failure) => match readback::read(session, key, &[AttributeType::KeyType])?.as_slice() {
            [Attribute::KeyType(KeyType::AES)] => {
                let block = digest::digest(&digest::SHA256, input);
                let encrypted = session.encrypt(&Mechanism::AesCbc([0; 16]), key, block.as_ref(), 0)?;
                exactly(digest::digest(&digest::SHA256, &encrypted).as_ref().to_vec())
            }
            _ => Err(failure),
        },
    }
}

/// A signature over SHA-256 of the message, under a pair of the service: ECDSA P-256 as r and s of 32 bytes each, or RSA with PKCS #1
/// padding, by what the key is. The digest is made here: CKM_ECDSA and CKM_RSA_PKCS are what every token has.
pub(super) fn sign(session: &Session, key: ObjectHandle, message: &[u8]) -> Result<Vec<u8>, Failure> {
    let digest = digest::digest(&digest::SHA256, message);
    match session.sign(&Mechanism::Ecdsa, key, digest.as_ref(), EC_SIGNATURE_LEN) {
        // What it says of a key of another kind differs; the key says what it is.
        Err(failure) => match readback::read(session, key, &[AttributeType::KeyType])?.as_slice() {
            [Attribute::KeyType(KeyType::RSA)] => {
                session.sign(&Mechanism::RsaPkcs, key, &[&SHA256_INFO[..], digest.as_ref()].concat(), MAX_RSA_BYTES)
            }
            _ => Err(failure),
        },
        Ok(signature) => exactly::<EC_SIGNATURE_LEN>(signature).map(Vec::from),
    }
}

/// A public key, from what the token shows of it.
pub(super) fn public_key(session: &Session, key: ObjectHandle) -> Result<PublicKey, Failure> {
    match session.get_attributes(key, &[AttributeType::KeyType])?.as_slice() {
        [Attribute::KeyType(KeyType::EC)] => ec_public_key(session, key),
        [Attribute::KeyType(KeyType::RSA)] => rsa_public_key(session, key),
        _ => Err(lacking("CKA_KEY_TYPE")),
    }
}

fn rsa_public_key(session: &Session, key: ObjectHandle) -> Result<PublicKey, Failure> {
    let numbers = session.get_attributes(key, &[AttributeType::Modulus, AttributeType::PublicExponent])?;
    let [Attribute::Modulus(modulus), Attribute::PublicExponent(exponent)] = numbers.as_slice() else {
        return Err(lacking("CKA_MODULUS and CKA_PUBLIC_EXPONENT"));
    };
    let trimmed = |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
    let components = RsaPublicKeyComponents { n: trimmed(modulus), e: trimmed(exponent) };
    let der = components.as_der().map_err(|_| TokenError::Fault("the token shows no RSA public key".into()))?;
    Ok(PublicKey::from_der(der.as_ref().to_vec()))
}

fn ec_public_key(session: &Session, key: ObjectHandle) -> Result<PublicKey, Failure> {
    let attributes = session.get_attributes(key, &[AttributeType::EcParams, AttributeType::EcPoint])?;
    let [Attribute::EcParams(parameters), Attribute::EcPoint(encoded)] = attributes.as_slice() else {
        return Err(lacking("CKA_EC_PARAMS and CKA_EC_POINT"));
    };
    // In an OCTET STRING as the standard says, or bare as some tokens give it.
    let point = encoded.strip_prefix(&[0x04, POINT_LEN as u8]).filter(|p| p.len() == POINT_LEN).unwrap_or(encoded);
    let known = [Curve::P256, Curve::P256k].into_iter().any(|curve| curve.parameters() == parameters);
    if !known || point.len() != POINT_LEN || point[0] != 0x04 {
        return Err(lacking("uncompressed points of a known curve in CKA_EC_POINT"));
    }
    let algorithm = sequence(&[&EC_PUBLIC_KEY[..], parameters].concat());
    let bits = [&[0x03, POINT_LEN as u8 + 1, 0x00], point].concat();
    Ok(PublicKey::from_der(sequence(&[algorithm, bits].concat())))
}

/// ECDSA-Sig-Value (RFC 3279): r and s, as PKCS#11 has them in equal halves, as a SEQUENCE of two INTEGERs. For curves of 256
/// bits: every length fits in one byte.
pub(super) fn ecdsa_der(halves: &[u8]) -> Vec<u8> {
    let (r, s) = halves.split_at(halves.len() / 2);
    sequence(&[integer(r), integer(s)].concat())
}

/// A positive INTEGER in DER: no zeros in front but one where the first bit is set.
fn integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count().min(number.len().saturating_sub(1));
    let digits = &number[zeros..];
    let sign: &[u8] = if digits.first().is_some_and(|byte| *byte >= 0x80) { &[0] } else { &[] };
    [&[0x02, (sign.len() + digits.len()) as u8], sign, digits].concat()
}

/// A SEQUENCE in DER, of less than 128 bytes.
fn sequence(content: &[u8]) -> Vec<u8> {
    [&[0x30, content.len() as u8], content].concat()
}

fn lacking(what: &str) -> Failure {
    TokenError::Unsupported(what.into()).into()
}

fn exactly<const N: usize>(bytes: Vec<u8>) -> Result<[u8; N], Failure> {
    let length = bytes.len();
    bytes.try_into().map_err(|_| TokenError::Fault(format!("a signature of {length} bytes instead of {N}")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_in_der_have_one_form() {
        let halves = |r: &[u8], s: &[u8]| hex::encode(ecdsa_der(&[r, s].concat()));
        assert_eq!(halves(&[0x01], &[0x7f]), "300602010102017f");
        assert_eq!(halves(&[0x80], &[0xff]), "3008020200800202".to_owned() + "00ff");
        assert_eq!(halves(&[0x00, 0x00, 0x12], &[0x00, 0x80, 0x00]), "3008020112020300".to_owned() + "8000");
        assert_eq!(halves(&[0x00, 0x00], &[0x01, 0x00]), "30070201000202".to_owned() + "0100");
        assert_eq!(ecdsa_der(&[0xff; 64]).len(), 72);
    }
}
