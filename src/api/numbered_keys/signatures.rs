//! Signatures and MACs of a key, by the number of its version.

use crate::api::numbered_keys::{newest, version, versions};
use crate::api::versions::ready;
use crate::api::{Context, Effect, Operation, Target, UsedKey};
use crate::base::ids::KeyRef;
use crate::base::public_key::Digest32;
use crate::base::words::{KeySpec, MacAlgorithm, SignatureAlgorithm};
use crate::error::Error;
use crate::keys::Use;

/// What is signed, or said to be: of a request, or of its batch.
pub struct Signing {
    /// The key.
    pub key: KeyRef,
    /// Each.
    pub items: Vec<Signable>,
    /// Whether an RSA key signs in the older way.
    pub pkcs1: bool,
    /// The algorithm of a MAC; none for that of the key.
    pub mac: Option<MacAlgorithm>,
    /// The numbers of versions that are asked for: they must be the newest's, which signs.
    pub versions: Vec<usize>,
}

/// One thing that is signed.
pub struct Signable {
    /// SHA-256 of it.
    pub digest: Digest32,
    /// It, where it is a MAC's.
    pub message: Vec<u8>,
}

/// The same, with a signature of each.
pub struct Proof {
    /// What is said to be signed.
    pub of: Signing,
    /// The signatures, in the same order.
    pub shown: Vec<Signed>,
}

/// A signature, and the number of the version that made it, or is said to have.
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
    type Response = Vec<Signed>;

    fn target(asked: &Signing) -> Target<'_> {
        Target::using(Use::AsymmetricSign, UsedKey::Named(&asked.key))
    }

    fn run(cx: &Context<'_>, asked: Signing) -> Result<Vec<Signed>, Error> {
        let key = cx.key_for(Use::AsymmetricSign)?;
        let algorithm = algorithm(key.spec(), asked.pkcs1);
        let versions = versions(cx, key.key())?;
        let (id, number) = (version(&versions, versions.len())?, versions.len());
        asked.versions.iter().try_for_each(|given| newest(Some(*given), number))?;
        let key = cx.key_version_for(Use::AsymmetricSign, &id)?;
        let sign = |item: &Signable| cx.keys.sign(&key, algorithm, &item.digest);
        asked.items.iter().map(|item| Ok(Signed { signature: sign(item)?, version: number })).collect()
    }
}

/// AsymmetricVerify.
pub struct NumberedVerify;

impl Operation for NumberedVerify {
    const NAME: &'static str = "AsymmetricVerify";
    const EFFECT: Effect = Effect::Read;
    type Input = Proof;
    type Response = Vec<bool>;

    fn target(asked: &Proof) -> Target<'_> {
        Target::using(Use::AsymmetricVerify, UsedKey::Named(&asked.of.key))
    }

    fn run(cx: &Context<'_>, asked: Proof) -> Result<Vec<bool>, Error> {
        let key = cx.key_for(Use::AsymmetricVerify)?;
        let algorithm = algorithm(key.spec(), asked.of.pkcs1);
        let versions = versions(cx, key.key())?;
        let verify = |(item, shown): (&Signable, &Signed)| {
            let id = version(&versions, shown.version)?;
            let key = cx.key_version_for(Use::AsymmetricVerify, &id)?;
            cx.keys.verify(&key, algorithm, &item.digest, &shown.signature)
        };
        asked.of.items.iter().zip(&asked.shown).map(verify).collect()
    }
}

/// The algorithm that is asked for, or that of the key.
fn mac_algorithm(spec: KeySpec, asked: Option<MacAlgorithm>) -> Result<MacAlgorithm, Error> {
    asked.or(spec.mac_algorithm()).ok_or(Error::UnsupportedOperation("keys of this type make no MACs"))
}

/// GenerateMac.
pub struct NumberedMac;

impl Operation for NumberedMac {
    const NAME: &'static str = "GenerateMac";
    const EFFECT: Effect = Effect::Read;
    type Input = Signing;
    type Response = Vec<Signed>;

    fn target(asked: &Signing) -> Target<'_> {
        Target::using(Use::GenerateMac, UsedKey::Named(&asked.key))
    }

    fn run(cx: &Context<'_>, asked: Signing) -> Result<Vec<Signed>, Error> {
        let key = cx.key_for(Use::GenerateMac)?;
        // Such a key has one version.
        asked.versions.iter().try_for_each(|given| newest(Some(*given), 1))?;
        let algorithm = mac_algorithm(key.spec(), asked.mac)?;
        let mac = |item: &Signable| cx.keys.mac(&key, algorithm, &item.message);
        asked.items.iter().map(|item| Ok(Signed { signature: mac(item)?, version: 1 })).collect()
    }
}

/// VerifyMac.
pub struct NumberedVerifyMac;

impl Operation for NumberedVerifyMac {
    const NAME: &'static str = "VerifyMac";
    const EFFECT: Effect = Effect::Read;
    type Input = Proof;
    type Response = Vec<bool>;

    fn target(asked: &Proof) -> Target<'_> {
        Target::using(Use::VerifyMac, UsedKey::Named(&asked.of.key))
    }

    fn run(cx: &Context<'_>, asked: Proof) -> Result<Vec<bool>, Error> {
        let key = cx.key_for(Use::VerifyMac)?;
        let algorithm = mac_algorithm(key.spec(), asked.of.mac)?;
        let verify = |(item, shown): (&Signable, &Signed)| {
            newest(Some(shown.version), 1)?;
            cx.keys.mac_verifies(&key, algorithm, &item.message, &shown.signature)
        };
        asked.of.items.iter().zip(&asked.shown).map(verify).collect()
    }
}
