//! What keys of each spec are for.
//!
//! Owns: the table of specs, usages and algorithms. Must not know: tokens (what a token lacks shows when a key is made).
//! Called by: api (CreateKey), admit, asymmetric. Source: the page of key specs; HMAC specs and their usage have no published
//! names, so they are called as their algorithms are.

use crate::base::words::{EncryptionAlgorithm, KeySpec, KeyUsage, MacAlgorithm, SignatureAlgorithm};

impl KeySpec {
    /// What keys of this spec may be for; the first where nothing is said (signing, where a key can sign).
    pub fn usages(self) -> &'static [KeyUsage] {
        match self {
            KeySpec::Aes256 | KeySpec::Aes192 | KeySpec::Aes128 | KeySpec::Sm4 | KeySpec::Des3 => &[KeyUsage::EncryptDecrypt],
            KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 | KeySpec::EcSm2 => {
                &[KeyUsage::SignVerify, KeyUsage::EncryptDecrypt]
            }
            KeySpec::EcP256 | KeySpec::EcP256k => &[KeyUsage::SignVerify],
            KeySpec::HmacSm3 | KeySpec::HmacSha224 | KeySpec::HmacSha256 | KeySpec::HmacSha384 | KeySpec::HmacSha512 => {
                &[KeyUsage::GenerateVerifyMac]
            }
        }
    }

    /// Whether keys of this spec have a public half.
    pub fn is_pair(self) -> bool {
        self.usages().contains(&KeyUsage::SignVerify)
    }

    /// How many objects one version has on the token.
    pub fn objects(self) -> i64 {
        if self.is_pair() { 2 } else { 1 }
    }

    /// Whether keys of this spec encrypt and decrypt with one and the same secret.
    pub fn is_symmetric(self) -> bool {
        self.usages() == [KeyUsage::EncryptDecrypt]
    }

    /// Whether a key of this spec, if it signs, signs with this algorithm.
    pub fn signs_with(self, algorithm: SignatureAlgorithm) -> bool {
        match algorithm {
            SignatureAlgorithm::RsaPssSha256 | SignatureAlgorithm::RsaPkcs1Sha256 => self.rsa_bytes().is_some(),
            SignatureAlgorithm::EcdsaSha256 => matches!(self, KeySpec::EcP256 | KeySpec::EcP256k),
            SignatureAlgorithm::Sm2Dsa => self == KeySpec::EcSm2,
        }
    }

    /// Whether a key of this spec, if it encrypts, encrypts with this algorithm.
    pub fn encrypts_with(self, algorithm: EncryptionAlgorithm) -> bool {
        match algorithm {
            EncryptionAlgorithm::OaepSha256 | EncryptionAlgorithm::OaepSha1 => self.rsa_bytes().is_some(),
            EncryptionAlgorithm::Sm2Pke => self == KeySpec::EcSm2,
        }
    }

    /// The one algorithm of a MAC key.
    pub fn mac_algorithm(self) -> Option<MacAlgorithm> {
        match self {
            KeySpec::HmacSm3 => Some(MacAlgorithm::HmacSm3),
            KeySpec::HmacSha224 => Some(MacAlgorithm::HmacSha224),
            KeySpec::HmacSha256 => Some(MacAlgorithm::HmacSha256),
            KeySpec::HmacSha384 => Some(MacAlgorithm::HmacSha384),
            KeySpec::HmacSha512 => Some(MacAlgorithm::HmacSha512),
            KeySpec::Aes256 | KeySpec::Aes192 | KeySpec::Aes128 | KeySpec::Sm4 | KeySpec::Des3 => None,
            KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => None,
            KeySpec::EcP256 | KeySpec::EcP256k | KeySpec::EcSm2 => None,
        }
    }

    /// Bytes of an RSA modulus, and of all that is encrypted or signed with it.
    pub fn rsa_bytes(self) -> Option<usize> {
        match self {
            KeySpec::Rsa2048 => Some(256),
            KeySpec::Rsa3072 => Some(384),
            KeySpec::Rsa4096 => Some(512),
            KeySpec::Aes256 | KeySpec::Aes192 | KeySpec::Aes128 | KeySpec::Sm4 | KeySpec::Des3 => None,
            KeySpec::EcP256 | KeySpec::EcP256k | KeySpec::EcSm2 => None,
            KeySpec::HmacSm3 | KeySpec::HmacSha224 | KeySpec::HmacSha256 | KeySpec::HmacSha384 | KeySpec::HmacSha512 => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spec_is_of_one_sort() {
        for spec in KeySpec::ALL {
            let sorts = [spec.is_symmetric(), spec.is_pair(), spec.mac_algorithm().is_some()];
            assert_eq!(sorts.iter().filter(|is| **is).count(), 1, "{spec}");
            let signs = SignatureAlgorithm::ALL.iter().any(|a| spec.signs_with(*a));
            assert_eq!(signs, spec.is_pair(), "{spec}");
            let encrypts = EncryptionAlgorithm::ALL.iter().any(|a| spec.encrypts_with(*a));
            assert_eq!(encrypts, spec.is_pair() && spec.usages().contains(&KeyUsage::EncryptDecrypt), "{spec}");
        }
    }
}
