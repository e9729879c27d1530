//! Material that comes from outside: its check value is taken first, then it is made a master key.
//!
//! Owns: the steps of an import on the token. Must not know: import tokens, rows, key states. Called by: keys.
//!
//! Wrapped material goes from the caller to the token as it is: it is unwrapped there, so this process never sees it. Where the
//! token lacks the algorithm, the caller of this module unwraps in the process and hands over [`Incoming::Clear`].

use aws_lc_rs::cipher;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::iv::FixedLength;
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use zeroize::Zeroize;

use super::create::appears;
use super::epoch::Epoch;
use super::errors::{Class, Failure, TokenError};
use super::left_out::Maker;
use super::material::Material;
use super::session::Session;
use super::templates::{self, Half};
use super::{readback, suites, wrapping};
use crate::base::canonical::{Canonical, Purpose};
use crate::base::ids::KeyVersionId;
use crate::base::secret::KeyMaterial;
use crate::base::words::{ImportAlgorithm, KeySpec, KeyUsage};

/// What the same material gives every time under the same key version, and no other material does: a hash of what a fixed input
/// encrypts to. Says nothing about the material to who cannot guess it.
pub type CheckValue = [u8; 32];

/// Bytes of a ciphertext under a wrapping pair.
pub const WRAPPED_LEN: usize = 256;

/// Material on its way to the token.
pub enum Incoming<'a> {
    /// Encrypted to a pair on the token.
    Wrapped {
        /// The pair's id.
        pair: &'a KeyVersionId,
        /// How it is encrypted.
        algorithm: ImportAlgorithm,
        /// The ciphertext.
        bytes: &'a [u8],
    },
    /// As it is.
    Clear(&'a KeyMaterial),
}

/// See [`super::Token::check_value`].
pub(super) fn check_value_of(
    epoch: &Epoch,
    session: &Session,
    material: &Incoming<'_>,
    version: &KeyVersionId,
    length: usize,
) -> Result<CheckValue, Failure> {
    // What is imported is weighed on the token too.
    offered(epoch, MechanismType::AES_CBC)?;
    if let Incoming::Clear(material) = material {
        return clear_check_value(material, version, length);
    }
    let kept = for_a_moment(session, material.bring(epoch, session, moment(false))?, |object| {
        let known = known_len(session, object)?;
        Ok((known, check_value(session, object, version).map_err(of_the_key)))
    })?;
    let known = match kept {
        (Some(known), _) => known,
        (None, _) => measure(epoch, session, material)?,
    };
    if known == length { kept.1 } else { Err(TokenError::Tampered.into()) }
}

/// See [`super::Token::import`].
pub(super) fn import(
    epoch: &Epoch,
    session: &Session,
    material: &Incoming<'_>,
    version: &KeyVersionId,
    kind: Material,
    check: &CheckValue,
) -> Result<(), Failure> {
    epoch.lasting.concessions.if_proved(|| {
        let object = material.bring(epoch, session, templates::imported(kind, version))?;
        appears(epoch, session, version, &[object])?;
        prove(epoch, session, version, kind, check)
    })
}

impl Incoming<'_> {
    /// The pair that it is wrapped for.
    pub(super) fn pair(&self) -> Option<&KeyVersionId> {
        match self {
            Incoming::Wrapped { pair, .. } => Some(pair),
            Incoming::Clear(_) => None,
        }
    }

    /// Makes an object of it.
    fn bring(&self, epoch: &Epoch, session: &Session, mut template: Vec<Attribute>) -> Result<ObjectHandle, Failure> {
        match self {
            Incoming::Wrapped { bytes, .. } if bytes.len() != WRAPPED_LEN => Err(TokenError::Tampered.into()),
            Incoming::Wrapped { pair, algorithm, bytes } => {
                let (pair, mechanism) = (epoch.handle(session, pair, Half::Private)?, wrapping::mechanism(*algorithm));
                let templates = vec![(Half::Secret, template)];
                let made = epoch.lasting.concessions.make(session, Maker::Unwrap, &templates, &mut |t| {
                    Ok(vec![session.unwrap_key(&mechanism, pair, bytes, &t[0])?])
                })?;
                first(&made)
            }
            Incoming::Clear(material) => {
                template.retain(|a| a.attribute_type() != AttributeType::ValueLen);
                let templates = vec![(Half::Secret, template)];
                let made = epoch.lasting.concessions.make(session, Maker::Create, &templates, &mut |t| {
                    let mut whole = t[0].clone();
                    whole.insert(0, Attribute::Value(material.expose().to_vec()));
                    let made = session.create_object(&whole);
                    if let Some(Attribute::Value(copy)) = whole.first_mut() {
                        copy.zeroize();
                    }
                    Ok(vec![made?])
                })?;
                first(&made)
            }
        }
    }
}

fn first(made: &[ObjectHandle]) -> Result<ObjectHandle, Failure> {
    made.first().copied().ok_or_else(|| TokenError::Fault("no handle of a new key".into()).into())
}

/// What an imported key of this spec is on the token, and its length in bytes.
pub(super) fn aes(spec: KeySpec) -> Result<(Material, usize), TokenError> {
    match Material::of(spec, KeyUsage::EncryptDecrypt)? {
        material @ Material::Aes(bytes) => Ok((material, usize::try_from(bytes).unwrap_or(usize::MAX))),
        _ => Err(TokenError::Unsupported("material of a key that is not AES".into())),
    }
}

/// A key that lives for the moment in which its check value is taken.
fn moment(extractable: bool) -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(extractable),
        Attribute::Encrypt(true),
        Attribute::Decrypt(false),
    ]
}

/// Looks at an object, then destroys it.
fn for_a_moment<T>(
    session: &Session,
    object: ObjectHandle,
    look: impl FnOnce(ObjectHandle) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let seen = look(object);
    session.destroy_object(object)?;
    seen
}

/// The length that the token states; none if it states none.
fn known_len(session: &Session, object: ObjectHandle) -> Result<Option<usize>, Failure> {
    let attributes = readback::read(session, object, &[AttributeType::ValueLen])?;
    Ok(match attributes.first() {
        Some(Attribute::ValueLen(length)) => usize::try_from(u64::from(*length)).ok().filter(|length| *length > 0),
        _ => None,
    })
}

/// The length of wrapped material on a token that does not state it, as SoftHSM 2.6.1: the material is wrapped once more, on the
/// token, under a key that lives for the moment, and AES key wrap (RFC 3394) adds 8 bytes.
fn measure(epoch: &Epoch, session: &Session, material: &Incoming<'_>) -> Result<usize, Failure> {
    if let Incoming::Clear(material) = material {
        return Ok(material.expose().len());
    }
    offered(epoch, MechanismType::AES_KEY_WRAP)?;
    let scale = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::ValueLen(32.into()),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Wrap(true),
    ];
    let scale = session.generate_key(&Mechanism::AesKeyGen, &scale)?;
    for_a_moment(session, scale, |scale| {
        for_a_moment(session, material.bring(epoch, session, moment(true))?, |object| {
            let wrapped = session.wrap_key(&Mechanism::AesKeyWrap, scale, object);
            // What is no multiple of 8 bytes is no AES key in any case.
            let wrapped = wrapped.map_err(Failure::with(MechanismType::AES_KEY_WRAP)).map_err(of_the_key)?;
            Ok(wrapped.len().saturating_sub(8))
        })
    })
}

/// That the token has a mechanism, by its own account.
fn offered(epoch: &Epoch, mechanism: MechanismType) -> Result<(), TokenError> {
    if epoch.mechanisms.contains(&*mechanism) { Ok(()) } else { Err(TokenError::Unsupported(mechanism.to_string().into())) }
}

/// A failure of a mechanism that the token has, told of the key where the token refuses that: material of another length. An ambiguous
/// code is judged where all are, with the canary; every other is about the token.
fn of_the_key(failure: Failure) -> Failure {
    use RvError as R;
    let Failure::Call(call) = failure else { return failure };
    let refused = match &call.error {
        Pkcs11Error::Pkcs11(
            R::KeySizeRange
            | R::KeyTypeInconsistent
            | R::KeyIndigestible
            | R::KeyNotWrappable
            | R::KeyUnextractable
            | R::AttributeValueInvalid
            | R::TemplateInconsistent
            // SoftHSM 2.6.1, of AES with another length.
            | R::MechanismInvalid,
            _,
        ) => true,
        error => matches!(Class::of(error), Class::Data | Class::Tampered),
    };
    if refused { TokenError::Tampered.into() } else { Failure::Call(call) }
}

/// See [`CheckValue`]. CBC over two blocks that are the hash of the version's id: no input that GCM under the same key would use.
fn check_value(session: &Session, key: ObjectHandle, version: &KeyVersionId) -> Result<CheckValue, Failure> {
    let input = check_input(version);
    session.encrypt(&Mechanism::AesCbc([0; 16]), key, &input, 0).map(|output| hashed(&output))
}

/// The same of material that is in this process already: no token that keeps nothing for a moment is asked for it.
fn clear_check_value(material: &KeyMaterial, version: &KeyVersionId, length: usize) -> Result<CheckValue, Failure> {
    let bytes = material.expose();
    let algorithm = match bytes.len() {
        _ if bytes.len() != length => return Err(TokenError::Tampered.into()),
        16 => &cipher::AES_128,
        24 => &cipher::AES_192,
        _ => &cipher::AES_256,
    };
    let failed = |_| TokenError::Fault("material cannot be weighed".into());
    let key = cipher::UnboundCipherKey::new(algorithm, bytes).map_err(failed)?;
    let key = cipher::EncryptingKey::cbc(key).map_err(failed)?;
    let mut output = check_input(version);
    let iv = cipher::EncryptionContext::Iv128(FixedLength::from([0; 16]));
    key.less_safe_encrypt(&mut output, iv).map_err(failed)?;
    Ok(hashed(&output))
}

fn check_input(version: &KeyVersionId) -> [u8; 32] {
    let input = Canonical::new(Purpose::ImportedMaterial).text("check").field(version.as_bytes());
    digest(&SHA256, input.as_bytes()).as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

fn hashed(output: &[u8]) -> CheckValue {
    let hash = digest(&SHA256, Canonical::new(Purpose::ImportedMaterial).text("value").field(output).as_bytes());
    hash.as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// As for a key made on the token, but that LOCAL must say honestly where it comes from. What ALWAYS_SENSITIVE and NEVER_EXTRACTABLE say
/// of it differs between tokens.
fn prove(epoch: &Epoch, session: &Session, version: &KeyVersionId, kind: Material, check: &CheckValue) -> Result<(), Failure> {
    let object = epoch.handle(session, version, Half::Secret)?;
    let mut expected = templates::imported(kind, version);
    expected.push(Attribute::Local(false));
    readback::compare(session, object, Half::Secret, &expected, &epoch.lasting.concessions)?;
    if check_value(session, object, version)? != *check {
        return Err(TokenError::Fault(format!("imported object {version} is not what was weighed")).into());
    }
    suites::prove(epoch.canary.suite(), &epoch.canary.keyed(session, object))
}
