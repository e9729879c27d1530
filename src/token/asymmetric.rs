//! Key pairs and MAC keys of master keys: what is asked of them, and how they are proved.
//!
//! Owns: which mechanism serves which algorithm. Must not know: key states, Base64, retries (see `link`). Called by: keys (the
//! methods on [`Token`]), `create` (the proof).
//!
//! | algorithm | on the token | in this process |
//! |---|---|---|
//! | RSA_PSS_SHA_256 | CKM_RSA_PKCS_PSS over the digest | |
//! | RSA_PKCS1_SHA_256 | CKM_RSA_PKCS over DigestInfo | DigestInfo around the digest |
//! | ECDSA_SHA_256 | CKM_ECDSA over the digest | DER around r and s |
//! | RSAES_OAEP_SHA_256, _SHA_1 | CKM_RSA_PKCS_OAEP; where the token refuses its parameters, CKM_RSA_X_509 | then, decoding |
//! | HMAC_SHA_… | CKM_SHA…_HMAC | |

use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use cryptoki::context::Function;
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use zeroize::Zeroizing;

use super::epoch::Epoch;
use super::errors::{Class, Failure, TokenError};
use super::material::{Material, Pair};
use super::pool::Access;
use super::status::Operation;
use super::templates::Half;
use super::{Token, oaep, signing};
use crate::base::ids::KeyVersionId;
use crate::base::public_key::{Digest32, PublicKey};
use crate::base::words::{EncryptionAlgorithm, MacAlgorithm, SignatureAlgorithm};

/// DigestInfo of SHA-256 up to the digest (RFC 8017, 9.2, note 1).
const SHA256_INFO: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

/// Which OAEP parameters the token has refused in this epoch, so that it is asked once.
#[derive(Default)]
pub(super) struct Refused {
    sha1: AtomicBool,
    sha256: AtomicBool,
}

impl Token {
    /// Signs a digest of SHA-256 with a pair that signs. ECDSA gives DER, RSA as many bytes as the modulus has.
    ///
    /// # Errors
    /// `NoSuchKey`, `Duplicate`, `Unsupported`, `Busy`, `Gone`, `Fault`.
    pub fn sign_digest(
        &self,
        under: &KeyVersionId,
        algorithm: SignatureAlgorithm,
        digest: &Digest32,
    ) -> Result<Vec<u8>, TokenError> {
        self.link.run(Operation::Sign, Access::ReadOnly, Some(under), |epoch, session| {
            sign(session, epoch.handle(session, under, Half::Private)?, algorithm, digest)
        })
    }

    /// Decrypts with an RSA pair that decrypts.
    ///
    /// # Errors
    /// `Tampered` for whatever is wrong with the ciphertext; `NoSuchKey`, `Duplicate`, `Unsupported`, `Busy`, `Gone`, `Fault`.
    pub fn decrypt_oaep(
        &self,
        under: &KeyVersionId,
        algorithm: EncryptionAlgorithm,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        self.link.run(Operation::Unwrap, Access::ReadOnly, Some(under), |epoch, session| {
            decrypt(epoch, session, epoch.handle(session, under, Half::Private)?, algorithm, ciphertext)
        })
    }

    /// HMAC with a generic secret.
    ///
    /// # Errors
    /// `NoSuchKey`, `Duplicate`, `Unsupported`, also for a message that is too long for the token, `Busy`, `Gone`, `Fault`.
    pub fn hmac(&self, under: &KeyVersionId, algorithm: MacAlgorithm, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        self.link.run(Operation::Mac, Access::ReadOnly, Some(under), |epoch, session| {
            hmac(session, epoch.handle(session, under, Half::Secret)?, algorithm, message)
        })
    }
}

fn sign(session: &Session, key: ObjectHandle, algorithm: SignatureAlgorithm, digest: &Digest32) -> Result<Vec<u8>, Failure> {
    match algorithm {
        SignatureAlgorithm::RsaPssSha256 => {
            let (hash_alg, mgf) = (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256);
            let parameters = PkcsPssParams { hash_alg, mgf, s_len: 32.into() };
            Ok(session.sign(&Mechanism::RsaPkcsPss(parameters), key, digest)?)
        }
        SignatureAlgorithm::RsaPkcs1Sha256 => {
            Ok(session.sign(&Mechanism::RsaPkcs, key, &[&SHA256_INFO[..], digest].concat())?)
        }
        SignatureAlgorithm::EcdsaSha256 => Ok(signing::ecdsa_der(&session.sign(&Mechanism::Ecdsa, key, digest)?)),
        SignatureAlgorithm::Sm2Dsa => Err(TokenError::Unsupported("CKM_SM2".into()).into()),
    }
}

fn decrypt(
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
            Err(Pkcs11Error::Pkcs11(
                RvError::MechanismInvalid | RvError::MechanismParamInvalid | RvError::ArgumentsBad,
                Function::DecryptInit,
            )) => refused.store(true, Ordering::Relaxed),
            done => return Ok(Zeroizing::new(done?)),
        }
    }
    let mut block = Zeroizing::new(session.decrypt(&Mechanism::RsaX509, key, ciphertext)?);
    // Some tokens drop leading zeros.
    let missing = ciphertext.len().saturating_sub(block.len());
    if missing > 0 {
        let whole = Zeroizing::new([vec![0; missing], block.to_vec()].concat());
        block = whole;
    }
    oaep::decode(hash, &block).ok_or(Failure::Final(TokenError::Tampered))
}

fn hmac(session: &Session, key: ObjectHandle, algorithm: MacAlgorithm, message: &[u8]) -> Result<Vec<u8>, Failure> {
    let mechanism = match algorithm {
        MacAlgorithm::HmacSha224 => Mechanism::Sha224Hmac,
        MacAlgorithm::HmacSha256 => Mechanism::Sha256Hmac,
        MacAlgorithm::HmacSha384 => Mechanism::Sha384Hmac,
        MacAlgorithm::HmacSha512 => Mechanism::Sha512Hmac,
        MacAlgorithm::HmacSm3 => return Err(TokenError::Unsupported("CKM_SM3_HMAC".into()).into()),
    };
    Ok(session.sign(&mechanism, key, message)?)
}

/// Proves the objects of a key version that is no AES key: what the token does is undone or verified in this process, with the
/// public key that it shows, and what is spoiled is refused.
pub(super) fn prove(epoch: &Epoch, session: &Session, id: &KeyVersionId, material: Material) -> Result<(), Failure> {
    match material {
        Material::Aes(_) => Ok(()),
        Material::Hmac(algorithm, length) => prove_hmac(session, epoch.handle(session, id, Half::Secret)?, algorithm, length),
        Material::Rsa(_, Pair::Decrypts) => {
            let public = signing::public_key(session, epoch.handle(session, id, Half::Public)?)?;
            let key = epoch.handle(session, id, Half::Private)?;
            [EncryptionAlgorithm::OaepSha256, EncryptionAlgorithm::OaepSha1]
                .into_iter()
                .try_for_each(|algorithm| prove_decryption(epoch, session, key, &public, algorithm))
        }
        Material::Rsa(_, Pair::Signs) | Material::Ec(_) => {
            let public = signing::public_key(session, epoch.handle(session, id, Half::Public)?)?;
            let key = epoch.handle(session, id, Half::Private)?;
            let algorithms: &[SignatureAlgorithm] = match material {
                Material::Ec(_) => &[SignatureAlgorithm::EcdsaSha256],
                _ => &[SignatureAlgorithm::RsaPssSha256, SignatureAlgorithm::RsaPkcs1Sha256],
            };
            algorithms.iter().try_for_each(|algorithm| prove_signature(session, key, &public, *algorithm))
        }
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
        Err(Failure::Call(e)) if !matches!(Class::of(&e), Class::Tampered | Class::Ambiguous | Class::Data) => {
            Err(Failure::Call(e))
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
