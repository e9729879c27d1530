//! What a version of a master key is on the token, by what its key is made of and used for.
//!
//! Owns: the table from the API's words to objects, and which mechanisms each needs. Must not know: attributes (see
//! `templates`), sessions. Called by: `operations`, `create`, `templates`.

use cryptoki::mechanism::MechanismType;

use super::errors::TokenError;
use crate::base::words::{KeySpec, KeyUsage, MacAlgorithm};

/// The object, or the pair, of one version of a master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Material {
    /// AES of this many bytes: encrypts and decrypts.
    Aes(u64),
    /// Generic secret for one HMAC, as long as its MACs.
    Hmac(MacAlgorithm, u64),
    /// RSA pair of this many bits: either signs or decrypts.
    Rsa(u64, Pair),
    /// EC pair: signs.
    Ec(Curve),
}

/// What the private half of a pair does, the public half undoing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pair {
    /// Signs.
    Signs,
    /// Decrypts.
    Decrypts,
}

/// A curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// secp256r1.
    P256,
    /// secp256k1.
    P256k,
}

impl Material {
    /// What a key of this spec and usage is.
    ///
    /// # Errors
    /// `Unsupported` with what no token has under a number that PKCS#11 knows, or if the two do not go together.
    pub fn of(spec: KeySpec, usage: KeyUsage) -> Result<Self, TokenError> {
        use KeyUsage::{EncryptDecrypt, GenerateVerifyMac, SignVerify};
        let pair = |bits| match usage {
            SignVerify => Ok(Material::Rsa(bits, Pair::Signs)),
            EncryptDecrypt => Ok(Material::Rsa(bits, Pair::Decrypts)),
            GenerateVerifyMac => Err(unsupported("a MAC with a key pair")),
        };
        let fits = |wanted, material| if usage == wanted { Ok(material) } else { Err(unsupported("such a use of such a key")) };
        match spec {
            KeySpec::Aes128 => fits(EncryptDecrypt, Material::Aes(16)),
            KeySpec::Aes192 => fits(EncryptDecrypt, Material::Aes(24)),
            KeySpec::Aes256 => fits(EncryptDecrypt, Material::Aes(32)),
            KeySpec::Rsa2048 => pair(2048),
            KeySpec::Rsa3072 => pair(3072),
            KeySpec::Rsa4096 => pair(4096),
            KeySpec::EcP256 => fits(SignVerify, Material::Ec(Curve::P256)),
            KeySpec::EcP256k => fits(SignVerify, Material::Ec(Curve::P256k)),
            KeySpec::HmacSha224 => fits(GenerateVerifyMac, Material::Hmac(MacAlgorithm::HmacSha224, 28)),
            KeySpec::HmacSha256 => fits(GenerateVerifyMac, Material::Hmac(MacAlgorithm::HmacSha256, 32)),
            KeySpec::HmacSha384 => fits(GenerateVerifyMac, Material::Hmac(MacAlgorithm::HmacSha384, 48)),
            KeySpec::HmacSha512 => fits(GenerateVerifyMac, Material::Hmac(MacAlgorithm::HmacSha512, 64)),
            // PKCS#11 has no numbers for these: each vendor that has them chose its own (docs/security.md).
            KeySpec::Sm4 => Err(unsupported("CKM_SM4_KEY_GEN and CKM_SM4_GCM")),
            KeySpec::EcSm2 => Err(unsupported("CKM_SM2_KEY_PAIR_GEN and CKM_SM2")),
            KeySpec::HmacSm3 => Err(unsupported("CKM_SM3_HMAC")),
            KeySpec::Des3 => Err(unsupported("authenticated mode of 3DES")),
        }
    }

    /// Whether a token with these mechanisms can make and use it.
    ///
    /// # Errors
    /// `Unsupported` with the names of those that it lacks.
    pub(super) fn check(self, mechanisms: &[u64]) -> Result<(), TokenError> {
        let lacks = |(one_of, _): &&(Needs, &str)| !one_of.iter().any(|m| mechanisms.contains(m));
        let missing: Vec<&str> = self.needs().iter().filter(lacks).map(|(_, name)| *name).collect();
        if missing.is_empty() { Ok(()) } else { Err(TokenError::Unsupported(missing.join(", ").into())) }
    }

    /// What it needs: of each line one mechanism.
    fn needs(self) -> &'static [(Needs, &'static str)] {
        use MechanismType as M;
        const MAKES_RSA: (Needs, &str) = (&[M::RSA_PKCS_KEY_PAIR_GEN], "CKM_RSA_PKCS_KEY_PAIR_GEN");
        match self {
            // How AES encrypts is the suite's affair; a token without one is not opened.
            Material::Aes(_) => &[(&[M::AES_KEY_GEN], "CKM_AES_KEY_GEN")],
            Material::Hmac(MacAlgorithm::HmacSm3, _) => &[],
            Material::Hmac(MacAlgorithm::HmacSha224, _) => &[
                (&[M::GENERIC_SECRET_KEY_GEN, M::SHA224_KEY_GEN], "CKM_GENERIC_SECRET_KEY_GEN"),
                (&[M::SHA224_HMAC], "CKM_SHA224_HMAC"),
            ],
            Material::Hmac(MacAlgorithm::HmacSha256, _) => &[
                (&[M::GENERIC_SECRET_KEY_GEN, M::SHA256_KEY_GEN], "CKM_GENERIC_SECRET_KEY_GEN"),
                (&[M::SHA256_HMAC], "CKM_SHA256_HMAC"),
            ],
            Material::Hmac(MacAlgorithm::HmacSha384, _) => &[
                (&[M::GENERIC_SECRET_KEY_GEN, M::SHA384_KEY_GEN], "CKM_GENERIC_SECRET_KEY_GEN"),
                (&[M::SHA384_HMAC], "CKM_SHA384_HMAC"),
            ],
            Material::Hmac(MacAlgorithm::HmacSha512, _) => &[
                (&[M::GENERIC_SECRET_KEY_GEN, M::SHA512_KEY_GEN], "CKM_GENERIC_SECRET_KEY_GEN"),
                (&[M::SHA512_HMAC], "CKM_SHA512_HMAC"),
            ],
            Material::Rsa(_, Pair::Signs) => {
                &[MAKES_RSA, (&[M::RSA_PKCS, M::RSA_PKCS_PSS], "CKM_RSA_PKCS_PSS or CKM_RSA_PKCS")]
            }
            // With or without CKM_RSA_X_509, whether each padding works shows in the new key's proof.
            Material::Rsa(_, Pair::Decrypts) => &[MAKES_RSA],
            Material::Ec(_) => &[(&[M::ECC_KEY_PAIR_GEN], "CKM_EC_KEY_PAIR_GEN"), (&[M::ECDSA], "CKM_ECDSA")],
        }
    }
}

/// Mechanisms of which one is enough.
type Needs = &'static [MechanismType];

fn unsupported(what: &str) -> TokenError {
    TokenError::Unsupported(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let sm4 = Material::of(KeySpec::Sm4, KeyUsage::EncryptDecrypt);
        assert_eq!(sm4, Err(TokenError::Unsupported("CKM_SM4_KEY_GEN and CKM_SM4_GCM".into())));
        let rsa = Material::of(KeySpec::Rsa3072, KeyUsage::SignVerify).expect("a pair");
        let some = [*MechanismType::RSA_PKCS_KEY_PAIR_GEN, *MechanismType::AES_GCM];
        assert_eq!(rsa.check(&some), Err(TokenError::Unsupported("CKM_RSA_PKCS_PSS or CKM_RSA_PKCS".into())));
        let all = [&some[..], &[*MechanismType::RSA_PKCS]].concat();
        assert_eq!(rsa.check(&all), Ok(()), "one padding is enough");
    }
}
