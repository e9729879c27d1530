//! Signatures and MACs of a key, by the number of its version.

use crate::api::numbered_keys::{newest, version};
use crate::api::versions::ready;
use crate::api::{Context, Effect, Operation, Target, UsedKey};
use crate::base::ids::KeyRef;
use crate::base::public_key::Digest32;
use crate::base::words::{KeySpec, MacAlgorithm, SignatureAlgorithm};
use crate::error::Error;
use crate::keys::Use;

/// What is signed, or said to be.
pub struct Signing {
    /// The key.
    pub key: KeyRef,
    /// SHA-256 of it.
    pub digest: Digest32,
    /// It, where it is a MAC's.
    pub message: Vec<u8>,
    /// Whether an RSA key signs in the older way.
    pub pkcs1: bool,
    /// The number of the version that is asked for: it must be the newest's, which signs.
    pub version: Option<usize>,
}

/// The same, with a signature.
pub struct Proof {
    /// What is said to be signed.
    pub of: Signing,
    /// The number of the version.
    pub version: usize,
    /// The signature.
    pub signature: Vec<u8>,
}

/// A signature, and the number of the version that made it.
pub struct Signed {
    /// The signature.
    pub signature: Vec<u8>,
    /// The version's number.
    pub version: usize,
}

ready!(Signing, Proof);

fn algorithm(spec: KeySpec, pkcs1: bool) -> SignatureAlgorithm {
    match spec {
        KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 if pkcs1 => SignatureAlgorithm::RsaPkcs1Sha256,
        KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => SignatureAlgorithm::RsaPssSha256,
        KeySpec::EcP256 | KeySpec::EcP256k => SignatureAlgorithm::EcdsaSha256,
        KeySpec::EcSm2 => SignatureAlgorithm::Sm2Dsa,
        // Of no use to a key that does not sign: it is refused.
        KeySpec::Aes256 | KeySpec::Aes192 | KeySpec::Aes128 | KeySpec::Sm4 | KeySpec::Des3 => SignatureAlgorithm::EcdsaSha256,
        KeySpec::HmacSm3 | KeySpec::HmacSha224 | KeySpec::HmacSha256 | KeySpec::HmacSha384 | KeySpec::HmacSha512 => {
            SignatureAlgorithm::EcdsaSha256
        }
    }
}

/// AsymmetricSign with the newest version.
pub struct NumberedSign;

impl Operation for NumberedSign {
    const NAME: &'static str = "AsymmetricSign";
    const EFFECT: Effect = Effect::Read;
    type Input = Signing;
    type Response = Signed;

    fn target(asked: &Signing) -> Target<'_> {
        Target::using(Use::AsymmetricSign, UsedKey::Named(&asked.key))
    }

    fn run(cx: &Context<'_>, asked: Signing) -> Result<Signed, Error> {
        let key = cx.key_for(Use::AsymmetricSign)?;
        let algorithm = algorithm(key.spec(), asked.pkcs1);
        let (id, number) = version(cx, key.key(), None)?;
        newest(asked.version, number)?;
        let key = cx.key_version_for(Use::AsymmetricSign, &id)?;
        Ok(Signed { signature: cx.keys.sign(&key, algorithm, &asked.digest)?, version: number })
    }
}

/// AsymmetricVerify.
pub struct NumberedVerify;

impl Operation for NumberedVerify {
    const NAME: &'static str = "AsymmetricVerify";
    const EFFECT: Effect = Effect::Read;
    type Input = Proof;
    type Response = bool;

    fn target(asked: &Proof) -> Target<'_> {
        Target::using(Use::AsymmetricVerify, UsedKey::Named(&asked.of.key))
    }

    fn run(cx: &Context<'_>, asked: Proof) -> Result<bool, Error> {
        let key = cx.key_for(Use::AsymmetricVerify)?;
        let algorithm = algorithm(key.spec(), asked.of.pkcs1);
        let (id, _) = version(cx, key.key(), Some(asked.version))?;
        let key = cx.key_version_for(Use::AsymmetricVerify, &id)?;
        cx.keys.verify(&key, algorithm, &asked.of.digest, &asked.signature)
    }
}

/// GenerateMac, HMAC with SHA-256.
pub struct NumberedMac;

impl Operation for NumberedMac {
    const NAME: &'static str = "GenerateMac";
    const EFFECT: Effect = Effect::Read;
    type Input = Signing;
    type Response = Signed;

    fn target(asked: &Signing) -> Target<'_> {
        Target::using(Use::GenerateMac, UsedKey::Named(&asked.key))
    }

    fn run(cx: &Context<'_>, asked: Signing) -> Result<Signed, Error> {
        let key = cx.key_for(Use::GenerateMac)?;
        // Such a key has one version.
        newest(asked.version, 1)?;
        Ok(Signed { signature: cx.keys.mac(&key, MacAlgorithm::HmacSha256, &asked.message)?, version: 1 })
    }
}

/// VerifyMac.
pub struct NumberedVerifyMac;

impl Operation for NumberedVerifyMac {
    const NAME: &'static str = "VerifyMac";
    const EFFECT: Effect = Effect::Read;
    type Input = Proof;
    type Response = bool;

    fn target(asked: &Proof) -> Target<'_> {
        Target::using(Use::VerifyMac, UsedKey::Named(&asked.of.key))
    }

    fn run(cx: &Context<'_>, asked: Proof) -> Result<bool, Error> {
        let key = cx.key_for(Use::VerifyMac)?;
        let verifies = cx.keys.mac_verifies(&key, MacAlgorithm::HmacSha256, &asked.of.message, &asked.signature)?;
        Ok(asked.version == 1 && verifies)
    }
}
