//! Wrapping pairs: RSA-2048 pairs to which a caller encrypts material that is to become a key.
//!
//! Owns: their attributes, the mechanisms that unwrap with them, and the trial that says whether a token can. Must not know: rows, retries (see `connection`). Called by: `import`.
//!
//! The private key may unwrap and nothing else: it is no oracle that decrypts for whoever asks.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, Pkcs1PublicEncryptingKey, PublicEncryptingKey,
    PublicKeyComponents,
};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectHandle};

use super::concessions::Concessions;
use super::create::appears;
use super::epoch::Epoch;
use super::errors::{Class, Failure, TokenError};
use super::left_out::Maker;
use super::material::Material;
use super::readback;
use super::session::Session;
use super::templates::{self, Half};
use crate::base::ids::KeyVersionId;
use crate::base::words::ImportAlgorithm;

/// Bits of the modulus (GetParametersForImport, WrappingKeySpec RSA_2048).
const BITS: u64 = 2048;

/// 65,537.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// Makes a pair that lives on the token under this id, reads its attributes back and tries it. Answers the public key:
/// SubjectPublicKeyInfo in DER.
pub(super) fn make(
    epoch: &Epoch,
    session: &Session,
    id: &KeyVersionId,
    algorithm: ImportAlgorithm,
) -> Result<Vec<u8>, Failure> {
    let known = &epoch.lasting.concessions;
    let (public, private) = generate(session, Some(id), known)?;
    appears(epoch, session, id, &[public, private])?;
    for (half, object) in [(Half::Public, public), (Half::Private, private)] {
        readback::compare(session, object, half, &expected(half, id), known)?;
    }
    let info = public_key(session, public)?;
    trial(session, private, &info, algorithm, known)?;
    Ok(info)
}

/// Whether the token unwraps with this algorithm into a key that is locked in, found by doing it once with a pair that lives for the
/// moment.
///
/// # Errors
/// Only what says nothing about the algorithm: a lost session, login or token.
pub(super) fn supported(session: &Session, algorithm: ImportAlgorithm, known: &Concessions) -> Result<bool, Failure> {
    let tried = generate(session, None, known).and_then(|(public, private)| {
        let tried =
            public_key(session, public).and_then(|info| known.if_proved(|| trial(session, private, &info, algorithm, known)));
        session.destroy_object(public)?;
        session.destroy_object(private)?;
        tried
    });
    match tried {
        Ok(()) => Ok(true),
        Err(Failure::Call(call)) if !says_no(call.class()) => Err(Failure::Call(call)),
        Err(failure) => {
            log::info!("token: {algorithm} does not unwrap here: {}", TokenError::from(failure));
            Ok(false)
        }
    }
}

fn generate(
    session: &Session,
    id: Option<&KeyVersionId>,
    known: &Concessions,
) -> Result<(ObjectHandle, ObjectHandle), Failure> {
    let templates = vec![(Half::Public, template(Half::Public, id)), (Half::Private, template(Half::Private, id))];
    let made = known.make(session, Maker::Pair, &templates, &mut |t| {
        let (public, private) = session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &t[0], &t[1])?;
        Ok(vec![public, private])
    })?;
    match made.as_slice() {
        [public, private] => Ok((*public, *private)),
        _ => Err(TokenError::Fault("no handles of a new pair".into()).into()),
    }
}

/// Whether a failure of this class is about what was asked, rather than about session or token.
pub(super) fn says_no(class: Class) -> bool {
    !matches!(class, Class::Session | Class::Login | Class::Gone | Class::Busy | Class::Full | Class::Handle)
}

/// The mechanism that unwraps what this algorithm encrypted.
pub(super) fn mechanism(algorithm: ImportAlgorithm) -> Mechanism<'static> {
    let oaep = |hash, mgf| Mechanism::RsaPkcsOaep(PkcsOaepParams::new(hash, mgf, PkcsOaepSource::empty()));
    match algorithm {
        ImportAlgorithm::Pkcs1 => Mechanism::RsaPkcs,
        ImportAlgorithm::OaepSha1 => oaep(MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
        ImportAlgorithm::OaepSha256 => oaep(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
    }
}

/// The public key as SubjectPublicKeyInfo in DER.
fn public_key(session: &Session, public: ObjectHandle) -> Result<Vec<u8>, Failure> {
    let (mut n, mut e) = (Vec::new(), Vec::new());
    for attribute in readback::read(session, public, &[AttributeType::Modulus, AttributeType::PublicExponent])? {
        match attribute {
            Attribute::Modulus(bytes) => n = bytes,
            Attribute::PublicExponent(bytes) => e = bytes,
            _ => {}
        }
    }
    // Some tokens put a zero byte before the numbers, as DER does.
    let trimmed = |bytes: &[u8]| bytes.iter().position(|b| *b != 0).map_or(Vec::new(), |at| bytes[at..].to_vec());
    let info = AsDer::as_der(&PublicKeyComponents { n: trimmed(&n), e: trimmed(&e) });
    Ok(info.map_err(|_| TokenError::Fault("the token's RSA key is none".into()))?.as_ref().to_vec())
}

/// Wraps random bytes in software and unwraps them on the token; then looks that the token made of them what it was asked for. Some
/// ignore the template, and would leave a key that can be read.
fn trial(
    session: &Session,
    private: ObjectHandle,
    info: &[u8],
    algorithm: ImportAlgorithm,
    known: &Concessions,
) -> Result<(), Failure> {
    let fault = |_| TokenError::Fault("a wrapping pair cannot be tried".into());
    let mut sample = [0; 32];
    rand::fill(&mut sample).map_err(fault)?;
    let wrapped = wrap(info, algorithm, &sample).ok_or_else(|| TokenError::Fault("a wrapping pair cannot be tried".into()))?;
    let template = sample_template();
    let templates = vec![(Half::Secret, template.clone())];
    let unwrapped = known.make(session, Maker::Unwrap, &templates, &mut |t| {
        Ok(vec![session.unwrap_key(&mechanism(algorithm), private, &wrapped, &t[0])?])
    })?;
    unwrapped.iter().try_for_each(|object| {
        let kept =
            readback::compare(session, *object, Half::Secret, &[&template[..], &[Attribute::Local(false)]].concat(), known);
        session.destroy_object(*object)?;
        kept
    })
}

/// All that an import asks for, of a key that lives for the moment.
fn sample_template() -> Vec<Attribute> {
    let mut template = templates::imported(Material::Aes(32), &KeyVersionId::new());
    template.retain(|a| !matches!(a, Attribute::Id(_) | Attribute::Label(_) | Attribute::Token(_)));
    // Before MODIFIABLE.
    template.insert(0, Attribute::Token(false));
    template
}

/// What a caller does with the public key.
pub(super) fn wrap(info: &[u8], algorithm: ImportAlgorithm, secret: &[u8]) -> Option<Vec<u8>> {
    let public = PublicEncryptingKey::from_der(info).ok()?;
    let mut out = vec![0; public.key_size_bytes()];
    let oaep = match algorithm {
        ImportAlgorithm::Pkcs1 => {
            let written = Pkcs1PublicEncryptingKey::new(public).ok()?.encrypt(secret, &mut out).ok()?.len();
            return (written == out.len()).then_some(out);
        }
        ImportAlgorithm::OaepSha1 => &OAEP_SHA1_MGF1SHA1,
        ImportAlgorithm::OaepSha256 => &OAEP_SHA256_MGF1SHA256,
    };
    let written = OaepPublicEncryptingKey::new(public).ok()?.encrypt(oaep, secret, &mut out, None).ok()?.len();
    (written == out.len()).then_some(out)
}

fn template(half: Half, id: Option<&KeyVersionId>) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Class(half.class()),
        Attribute::KeyType(KeyType::RSA),
        Attribute::Token(id.is_some()),
        Attribute::Modifiable(false),
        Attribute::Copyable(false),
        Attribute::Derive(false),
    ];
    if let Some(id) = id {
        template.push(Attribute::Id(id.as_bytes().to_vec()));
        template.push(Attribute::Label(format!("bulla import {id}").into_bytes()));
    }
    if half == Half::Public {
        template.extend([
            Attribute::Private(false),
            Attribute::ModulusBits(BITS.into()),
            Attribute::PublicExponent(EXPONENT.to_vec()),
            Attribute::Wrap(true),
            Attribute::Encrypt(false),
            Attribute::Verify(false),
            Attribute::VerifyRecover(false),
        ]);
    } else {
        template.extend([
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Unwrap(true),
            Attribute::Decrypt(false),
            Attribute::Sign(false),
            Attribute::SignRecover(false),
        ]);
    }
    template
}

fn expected(half: Half, id: &KeyVersionId) -> Vec<Attribute> {
    let mut expected = template(half, Some(id));
    expected.push(Attribute::Local(true));
    if half != Half::Public {
        expected.extend([Attribute::AlwaysSensitive(true), Attribute::NeverExtractable(true)]);
    }
    expected
}
