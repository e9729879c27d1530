//! Public keys: what needs no secret is done in this process, with the library and not on the token.
//!
//! Owns: encryption under a public key, verification, the forms of a public key. Must not know: whose it is, what for.
//! Called by: token (proof of a new pair), keys, admin. Sources: RFC 8017 (RSA), SEC 1 (ECDSA), RFC 5280 and 7468 (forms).

use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P256K1_SHA256_ASN1, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::base::words::{EncryptionAlgorithm, SignatureAlgorithm};

/// SHA-256 of what is signed.
pub type Digest32 = [u8; 32];

/// A public key: SubjectPublicKeyInfo in DER. Read when it is used, so it need not be sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(Vec<u8>);

/// The key is no key for the algorithm, or the plaintext is longer than it can encrypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfit;

impl PublicKey {
    /// Whether this signs a message as the service's own pair does: ECDSA P-256 with SHA-256 as r and s of 32 bytes each, or RSA of
    /// 2048 bits or more with PKCS #1 padding and SHA-256, by what the key is.
    pub fn verifies_message(&self, message: &[u8], signature: &[u8]) -> bool {
        let verifies = |by: &'static dyn VerificationAlgorithm| UnparsedPublicKey::new(by, &self.0).verify(message, signature);
        match self.rsa_bits() {
            Some(_) => verifies(&RSA_PKCS1_2048_8192_SHA256).is_ok(),
            None => verifies(&ECDSA_P256_SHA256_FIXED).is_ok(),
        }
    }

    /// The key with this SubjectPublicKeyInfo.
    pub fn from_der(der: Vec<u8>) -> Self {
        Self(der)
    }

    /// SubjectPublicKeyInfo in DER.
    pub fn as_der(&self) -> &[u8] {
        &self.0
    }

    /// The same as PEM (RFC 7468).
    pub fn to_pem(&self) -> String {
        let text = STANDARD.encode(&self.0);
        let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// The bits of the modulus of an RSA key; none if it is another kind of key, or no key.
    pub fn rsa_bits(&self) -> Option<usize> {
        PublicEncryptingKey::from_der(&self.0).ok().map(|key| key.key_size_bits())
    }

    /// The most bytes that [`PublicKey::encrypt`] takes.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn longest_plaintext(&self, algorithm: EncryptionAlgorithm) -> Result<usize, Unfit> {
        let (key, algorithm) = self.encrypting(algorithm)?;
        Ok(key.max_plaintext_size(algorithm))
    }

    /// Encrypts under an RSA key of at least 2,048 bits.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn encrypt(&self, algorithm: EncryptionAlgorithm, plaintext: &[u8]) -> Result<Vec<u8>, Unfit> {
        let (key, algorithm) = self.encrypting(algorithm)?;
        let mut ciphertext = vec![0; key.ciphertext_size()];
        key.encrypt(algorithm, plaintext, &mut ciphertext, None).map_err(|_| Unfit)?;
        Ok(ciphertext)
    }

    /// Whether this is a signature of the digest. A signature that is no signature at all, or of another algorithm, is none.
    pub fn verifies(&self, algorithm: SignatureAlgorithm, digest: &Digest32, signature: &[u8]) -> bool {
        let algorithms: &[&'static dyn VerificationAlgorithm] = match algorithm {
            SignatureAlgorithm::RsaPssSha256 => &[&RSA_PSS_2048_8192_SHA256],
            SignatureAlgorithm::RsaPkcs1Sha256 => &[&RSA_PKCS1_2048_8192_SHA256],
            // The key says of which curve it is; with the other algorithm it does not parse.
            SignatureAlgorithm::EcdsaSha256 => &[&ECDSA_P256_SHA256_ASN1, &ECDSA_P256K1_SHA256_ASN1],
            SignatureAlgorithm::Sm2Dsa => &[],
        };
        let Ok(digest) = Digest::import_less_safe(digest, &SHA256) else { return false };
        algorithms.iter().any(|a| UnparsedPublicKey::new(*a, &self.0).verify_digest(&digest, signature).is_ok())
    }

    fn encrypting(&self, algorithm: EncryptionAlgorithm) -> Result<(OaepPublicEncryptingKey, &'static OaepAlgorithm), Unfit> {
        let algorithm = match algorithm {
            EncryptionAlgorithm::OaepSha256 => &OAEP_SHA256_MGF1SHA256,
            EncryptionAlgorithm::OaepSha1 => &OAEP_SHA1_MGF1SHA1,
            EncryptionAlgorithm::Sm2Pke => return Err(Unfit),
        };
        let key = PublicEncryptingKey::from_der(&self.0).map_err(|_| Unfit)?;
        Ok((OaepPublicEncryptingKey::new(key).map_err(|_| Unfit)?, algorithm))
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rsa::{KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey};

    use super::*;

    #[test]
    fn encrypts_up_to_what_the_padding_leaves() {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).expect("a key");
        let public = PublicKey::from_der(private.public_key().as_der().expect("DER").as_ref().to_vec());
        assert_eq!(public.rsa_bits(), Some(2048));
        let private = OaepPrivateDecryptingKey::new(private).expect("a key");
        for (algorithm, theirs, longest) in [
            (EncryptionAlgorithm::OaepSha256, &OAEP_SHA256_MGF1SHA256, 190),
            (EncryptionAlgorithm::OaepSha1, &OAEP_SHA1_MGF1SHA1, 214),
        ] {
            assert_eq!(public.longest_plaintext(algorithm), Ok(longest));
            let sealed = public.encrypt(algorithm, &vec![7; longest]).expect("fits");
            let mut out = vec![0; 256];
            assert_eq!(private.decrypt(theirs, &sealed, &mut out, None).expect("opens"), vec![7; longest]);
            assert_eq!(public.encrypt(algorithm, &vec![7; longest + 1]), Err(Unfit));
        }
        assert_eq!(public.encrypt(EncryptionAlgorithm::Sm2Pke, b"x"), Err(Unfit));
        assert_eq!(PublicKey::from_der(vec![0x30, 0x00]).encrypt(EncryptionAlgorithm::OaepSha1, b"x"), Err(Unfit));
    }

    #[test]
    fn no_bytes_are_a_signature_of_no_key() {
        for der in [vec![], vec![0x30; 91]] {
            let key = PublicKey::from_der(der);
            assert!(SignatureAlgorithm::ALL.iter().all(|a| !key.verifies(*a, &[0; 32], &[0; 256])));
            assert_eq!(key.rsa_bits(), None);
        }
    }
}
