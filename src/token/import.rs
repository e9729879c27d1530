//! Material that comes from outside: weighed first, then made a master key.
//!
//! Owns: the steps of an import on the token. Must not know: import tokens, rows, key states. Called by: keys.
//!
//! Wrapped material goes from the caller to the token as it is: it is unwrapped there, so this process never sees it. Where the
//! token lacks the algorithm, the caller of this module unwraps in the process and hands over [`Incoming::Clear`].

use aws_lc_rs::digest::{SHA256, digest};
use cryptoki::error::Error as Pkcs11Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use zeroize::Zeroize;

use super::create::{appears, compare, destroy, exists};
use super::epoch::Epoch;
use super::errors::{Class, Failure, TokenError};
use super::material::Material;
use super::pool::Access;
use super::status::Operation;
use super::templates::{Half, ObjectKind};
use super::{Token, suites, wrapping};
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

impl Token {
    /// Whether the token unwraps material with this algorithm. Found by doing it, once for each login.
    ///
    /// # Errors
    /// `Busy`, `Gone`, `Fault`.
    pub fn unwraps(&self, algorithm: ImportAlgorithm) -> Result<bool, TokenError> {
        self.link.run(Operation::Probe, Access::ReadOnly, None, |epoch, session| {
            epoch.unwraps(algorithm, || wrapping::supported(session, algorithm))
        })
    }

    /// Makes a wrapping pair under this id. Answers its public key: SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// As [`Token::create`].
    pub fn create_wrapping_pair(&self, id: &KeyVersionId, algorithm: ImportAlgorithm) -> Result<Vec<u8>, TokenError> {
        self.link.run(Operation::Create, Access::ReadWrite, Some(id), |epoch, session| {
            alone(session, id)?;
            let made = wrapping::make(session, id, algorithm);
            clean_up(epoch, session, id, made)
        })
    }

    /// The check value of material for a key version, without keeping the material.
    ///
    /// # Errors
    /// `Tampered` if it does not decrypt, or has not the length that the spec wants; `NoSuchKey` if the pair is gone;
    /// `Unsupported` for a spec that is not AES; `Busy`, `Gone`, `Fault`.
    pub fn weigh(&self, material: &Incoming<'_>, version: &KeyVersionId, spec: KeySpec) -> Result<CheckValue, TokenError> {
        let (_, length) = aes(spec)?;
        // An ambiguous failure here is a failure to unwrap. What is made here lives for the moment, so no lock of creation is needed.
        self.link.run(Operation::Unwrap, Access::ReadOnly, material.pair(), |epoch, session| {
            let kept = for_a_moment(session, material.bring(epoch, session, moment(false))?, |object| {
                let known = known_len(session, object)?;
                Ok((known, check_value(session, object, version)))
            })?;
            let known = match kept {
                (Some(known), _) => known,
                (None, _) => measure(epoch, session, material)?,
            };
            if known == length { kept.1 } else { Err(TokenError::Tampered.into()) }
        })
    }

    /// Makes material that was weighed the key of this version, reads its attributes back and tries it; a key that fails is
    /// destroyed again.
    ///
    /// # Errors
    /// `Duplicate` if an object has the id; `NoSuchKey` if the pair is gone; `Unsupported` if the token does not keep to an
    /// attribute; `Busy`, `Gone`, `Fault`.
    pub fn import(
        &self,
        material: &Incoming<'_>,
        version: &KeyVersionId,
        spec: KeySpec,
        check: &CheckValue,
    ) -> Result<(), TokenError> {
        let (kind, _) = aes(spec)?;
        self.link.run(Operation::Create, Access::ReadWrite, Some(version), |epoch, session| {
            alone(session, version)?;
            let made = material
                .bring(epoch, session, kept(kind, version))
                .and_then(|_| appears(session, version, ObjectKind::Cmk(kind)))
                .and_then(|()| prove(epoch, session, version, kind, check));
            clean_up(epoch, session, version, made)
        })
    }
}

impl Incoming<'_> {
    fn pair(&self) -> Option<&KeyVersionId> {
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
                let pair = epoch.handle(session, pair, Half::Private)?;
                Ok(session.unwrap_key(&wrapping::mechanism(*algorithm), pair, bytes, &template)?)
            }
            Incoming::Clear(material) => {
                template.insert(0, Attribute::Value(material.expose().to_vec()));
                let made = session.create_object(&template);
                if let Some(Attribute::Value(copy)) = template.first_mut() {
                    copy.zeroize();
                }
                Ok(made?)
            }
        }
    }
}

/// What an imported key of this spec is on the token, and its length in bytes.
fn aes(spec: KeySpec) -> Result<(Material, usize), TokenError> {
    match Material::of(spec, KeyUsage::EncryptDecrypt)? {
        material @ Material::Aes(bytes) => Ok((material, usize::try_from(bytes).unwrap_or(usize::MAX))),
        _ => Err(TokenError::Unsupported("material of a key that is not AES".into())),
    }
}

/// That no object has the id yet.
fn alone(session: &Session, id: &KeyVersionId) -> Result<(), Failure> {
    if exists(session, id)? {
        log::error!("token: an object has the id {id} already");
        return Err(TokenError::Duplicate(*id).into());
    }
    Ok(())
}

/// Destroys what a failed creation left.
fn clean_up<T>(epoch: &Epoch, session: &Session, id: &KeyVersionId, made: Result<T, Failure>) -> Result<T, Failure> {
    if made.is_err()
        && let Err(failure) = destroy(epoch, session, id)
    {
        log::error!("token: an unusable object {id} is left: {failure:?}");
    }
    made
}

/// The template of a master key of imported material. Its length is the material's own. MODIFIABLE stands last: SoftHSM 2.6.1
/// refuses every attribute after it.
fn kept(kind: Material, version: &KeyVersionId) -> Vec<Attribute> {
    let mut template = ObjectKind::Cmk(kind).template(Half::Secret, version);
    template.retain(|a| !matches!(a, Attribute::ValueLen(_) | Attribute::Modifiable(_)));
    template.push(Attribute::Modifiable(false));
    template
}

/// A key that lives for the moment in which it is weighed.
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
    let attributes = session.get_attributes(object, &[AttributeType::ValueLen])?;
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
            match session.wrap_key(&Mechanism::AesKeyWrap, scale, object) {
                Ok(wrapped) => Ok(wrapped.len().saturating_sub(8)),
                // No multiple of 8 bytes: no AES key in any case.
                Err(error) if is_about_the_key(&error) => Err(TokenError::Tampered.into()),
                Err(error) => Err(error.into()),
            }
        })
    })
}

/// Whether the token refuses the key itself. An ambiguous code is judged where all are, with the canary.
fn is_about_the_key(error: &Pkcs11Error) -> bool {
    let class = Class::of(error);
    class != Class::Ambiguous && wrapping::says_no(class)
}

/// See [`CheckValue`]. CBC over two blocks that are the hash of the version's id: no input that GCM under the same key would use.
fn check_value(session: &Session, key: ObjectHandle, version: &KeyVersionId) -> Result<CheckValue, Failure> {
    let input = Canonical::new(Purpose::ImportedMaterial).text("check").field(version.as_bytes());
    let input = digest(&SHA256, input.as_bytes());
    let output = match session.encrypt(&Mechanism::AesCbc([0; 16]), key, input.as_ref()) {
        Ok(output) => output,
        // No AES key: of another length.
        Err(error) if is_about_the_key(&error) => return Err(TokenError::Tampered.into()),
        Err(error) => return Err(error.into()),
    };
    let hash = digest(&SHA256, Canonical::new(Purpose::ImportedMaterial).text("value").field(&output).as_bytes());
    let mut value = CheckValue::default();
    value.copy_from_slice(hash.as_ref());
    Ok(value)
}

/// As for a key made on the token, but that LOCAL, ALWAYS_SENSITIVE and NEVER_EXTRACTABLE must say honestly where it comes from.
fn prove(epoch: &Epoch, session: &Session, version: &KeyVersionId, kind: Material, check: &CheckValue) -> Result<(), Failure> {
    let object = epoch.handle(session, version, Half::Secret)?;
    let mut expected = kept(kind, version);
    expected.extend([Attribute::Local(false), Attribute::AlwaysSensitive(false), Attribute::NeverExtractable(false)]);
    compare(session, object, &expected)?;
    if check_value(session, object, version)? != *check {
        return Err(TokenError::Fault(format!("imported object {version} is not what was weighed")).into());
    }
    suites::prove(epoch.canary.suite(), &epoch.canary.keyed(session, object))
}
