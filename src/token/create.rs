//! Objects on the token: made, proved, looked at, destroyed.
//!
//! Owns: the steps of a creation and of a destruction. Must not know: rows and key states, retries (see `link`).
//! Called by: `mod`. All of it that writes runs on the one read/write session, so one at a time.

use std::collections::{BTreeMap, HashSet};
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::{constant_time, signature};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;

use super::epoch::{Epoch, duplicate, find};
use super::errors::{Failure, TokenError, describe};
use super::material::Material;
use super::templates::{self, Half, ObjectKind};
use super::{asymmetric, signing, suites};
use crate::base::ids::KeyVersionId;
use crate::base::public_key::PublicKey;

/// How long a new object may take to be found.
const APPEARS_WITHIN: Duration = Duration::from_secs(5);

/// Between two looks for it.
const LOOKS_EVERY: Duration = Duration::from_millis(50);

/// An object as the token describes it. Holds no key material.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Attributes that the object has, by their PKCS#11 names (`CKA_SENSITIVE`); booleans are `true` and `false`, bytes are hex.
    pub attributes: BTreeMap<String, String>,
}

/// Makes the object, or the pair, and proves it. What fails is destroyed again.
///
/// # Errors
/// `Duplicate` if the id is taken; see [`prove`].
pub(super) fn create(epoch: &Epoch, session: &Session, id: &KeyVersionId, kind: ObjectKind) -> Result<(), Failure> {
    if !all_of(session, id)?.is_empty() {
        log::error!("token: an object has the id {id} already");
        return Err(TokenError::Duplicate(*id).into());
    }
    if let ObjectKind::Cmk(material) = kind {
        material.check(&epoch.mechanisms)?;
    }
    let made =
        generate(session, id, kind).and_then(|()| appears(session, id, kind)).and_then(|()| prove(epoch, session, id, kind));
    if made.is_err() {
        // Also after a failed generation: some tokens fail and leave half an object.
        if let Err(failure) = destroy(epoch, session, id) {
            log::error!("token: an unusable object {id} is left: {failure:?}");
        }
    }
    made
}

fn generate(session: &Session, id: &KeyVersionId, kind: ObjectKind) -> Result<(), Failure> {
    match kind {
        ObjectKind::Cmk(Material::Aes(_)) | ObjectKind::Sys => {
            session.generate_key(&Mechanism::AesKeyGen, &kind.template(Half::Secret, id))?;
        }
        ObjectKind::Cmk(Material::Hmac(..)) | ObjectKind::Int => {
            session.generate_key(&Mechanism::GenericSecretKeyGen, &kind.template(Half::Secret, id))?;
        }
        ObjectKind::Cmk(Material::Rsa(..)) => {
            let (public, private) = (kind.template(Half::Public, id), kind.template(Half::Private, id));
            session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private)?;
        }
        ObjectKind::Cmk(Material::Ec(_)) | ObjectKind::Aud => {
            let (public, private) = (kind.template(Half::Public, id), kind.template(Half::Private, id));
            session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)?;
        }
    }
    Ok(())
}

/// Waits until a new object is found: in a cluster of tokens it is not at once on every member.
pub(super) fn appears(session: &Session, id: &KeyVersionId, kind: ObjectKind) -> Result<(), Failure> {
    let begun = Instant::now();
    while all_of(session, id)?.len() < kind.halves().len() {
        if begun.elapsed() > APPEARS_WITHIN {
            log::error!(
                "token: the new object {id} has not appeared in {APPEARS_WITHIN:?}; it may do so later, and is not used"
            );
            return Err(TokenError::NoSuchKey(*id).into());
        }
        thread::sleep(LOOKS_EVERY);
    }
    Ok(())
}

/// Proves an object: it is found by its id and is the only one, has exactly the attributes of its kind, works, and refuses what
/// it must refuse.
///
/// # Errors
/// `NoSuchKey`, `Duplicate`; `Unsupported` for an attribute that is not as demanded; `Fault` if a round goes wrong.
pub(super) fn prove(epoch: &Epoch, session: &Session, id: &KeyVersionId, kind: ObjectKind) -> Result<(), Failure> {
    identify(epoch, session, id, kind)?;
    match kind {
        ObjectKind::Cmk(Material::Aes(_)) | ObjectKind::Sys => {
            let key = epoch.canary.keyed(session, epoch.handle(session, id, Half::Secret)?);
            suites::prove(epoch.canary.suite(), &key)
        }
        ObjectKind::Cmk(material) => asymmetric::prove(epoch, session, id, material),
        ObjectKind::Int => prove_mac(session, epoch.handle(session, id, Half::Secret)?),
        ObjectKind::Aud => {
            let public = signing::public_key(session, epoch.handle(session, id, Half::Public)?)?;
            prove_signature(session, epoch.handle(session, id, Half::Private)?, &public)
        }
    }
}

/// Proves an object by what it says of itself: it is found by its id, is the only one, and has the attributes and the label of its
/// kind.
///
/// # Errors
/// `NoSuchKey`, `Duplicate`; `Unsupported` for an attribute that is not as demanded.
pub(super) fn identify(epoch: &Epoch, session: &Session, id: &KeyVersionId, kind: ObjectKind) -> Result<(), Failure> {
    if all_of(session, id)?.len() > kind.halves().len() {
        return Err(duplicate(id).into());
    }
    for half in kind.halves() {
        let object = epoch.handle(session, id, *half)?;
        compare(session, object, &kind.expected(*half, id))?;
    }
    Ok(())
}

/// Reads back every attribute that was demanded.
pub(super) fn compare(session: &Session, object: ObjectHandle, expected: &[Attribute]) -> Result<(), Failure> {
    let types: Vec<AttributeType> = expected.iter().map(Attribute::attribute_type).collect();
    let found = session.get_attributes(object, &types)?;
    match expected.iter().find(|attribute| !found.contains(attribute)) {
        None => Ok(()),
        Some(attribute) => {
            let (name, value) = (attribute.attribute_type(), templates::text_of(attribute));
            Err(TokenError::Unsupported(format!("{name} = {value}")).into())
        }
    }
}

fn prove_mac(session: &Session, key: ObjectHandle) -> Result<(), Failure> {
    let one = signing::mac(session, key, b"one")?;
    let again = signing::mac(session, key, b"one")?;
    let two = signing::mac(session, key, b"two")?;
    let equal = |a: &[u8; 32], b: &[u8; 32]| constant_time::verify_slices_are_equal(a, b).is_ok();
    if !equal(&one, &again) || equal(&one, &two) || equal(&one, &[0; 32]) {
        return Err(TokenError::Fault("the token's HMAC is no function of its input".into()).into());
    }
    session.verify(&Mechanism::Sha256Hmac, key, b"one", &one)?;
    Ok(())
}

/// Verifies in software what the token signs, so that the token is not its own witness.
fn prove_signature(session: &Session, key: ObjectHandle, public: &PublicKey) -> Result<(), Failure> {
    let signed = signing::sign(session, key, b"one")?;
    let public = signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, public.as_der());
    if public.verify(b"one", &signed).is_err() || public.verify(b"two", &signed).is_ok() {
        return Err(TokenError::Fault("the token's signatures do not verify under its public key".into()).into());
    }
    Ok(())
}

/// Destroys every object of the id, and looks that none is left. None to begin with is success.
///
/// # Errors
/// `Duplicate` if there are more than one of a class: which of them is ours is for a person to say. `Fault` if one is left.
pub(super) fn destroy(epoch: &Epoch, session: &Session, id: &KeyVersionId) -> Result<(), Failure> {
    epoch.forget(id);
    for half in Half::ALL {
        match find(session, id, half)?.as_slice() {
            [] => {}
            [object] => session.destroy_object(*object)?,
            [..] => return Err(duplicate(id).into()),
        }
    }
    if !all_of(session, id)?.is_empty() {
        return Err(TokenError::Fault(format!("object {id} is still there after its destruction")).into());
    }
    Ok(())
}

/// Describes every object of the id; empty if there is none.
pub(super) fn inspect(session: &Session, id: &KeyVersionId) -> Result<Vec<Object>, Failure> {
    let mut objects = Vec::new();
    for object in all_of(session, id)? {
        let mut attributes = BTreeMap::new();
        // One by one: a token may refuse a whole list for one attribute that the object does not have.
        for wanted in templates::INSPECTED {
            match session.get_attributes(object, &[wanted]) {
                Ok(found) => {
                    attributes.extend(found.iter().map(|a| (a.attribute_type().to_string(), templates::text_of(a))));
                }
                Err(e) => log::debug!("token: {wanted} of {id}: {}", describe(&e)),
            }
        }
        objects.push(Object { attributes });
    }
    Ok(objects)
}

/// The ids of all objects that look like ours.
pub(super) fn ids(session: &Session) -> Result<HashSet<KeyVersionId>, Failure> {
    let mut ids = HashSet::new();
    for half in Half::ALL {
        for object in session.find_objects(&[Attribute::Class(half.class()), Attribute::Token(true)])? {
            let (mut ours, mut id) = (false, None);
            for attribute in session.get_attributes(object, &[AttributeType::Label, AttributeType::Id])? {
                match attribute {
                    Attribute::Label(label) => ours = label.starts_with(templates::LABEL_PREFIX.as_bytes()),
                    Attribute::Id(bytes) => id = <[u8; 16]>::try_from(bytes).ok().map(KeyVersionId::from_bytes),
                    _ => {}
                }
            }
            ids.extend(id.filter(|_| ours));
        }
    }
    Ok(ids)
}

/// Whether any object has the id.
pub(super) fn exists(session: &Session, id: &KeyVersionId) -> Result<bool, Failure> {
    Ok(!all_of(session, id)?.is_empty())
}

fn all_of(session: &Session, id: &KeyVersionId) -> Result<Vec<ObjectHandle>, Failure> {
    let mut all = Vec::new();
    for half in Half::ALL {
        all.extend(find(session, id, half)?);
    }
    Ok(all)
}
