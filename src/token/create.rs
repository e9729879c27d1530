//! Objects on the token: made, proved, looked at, destroyed.
//!
//! Owns: the steps of a creation and of a destruction. Must not know: rows and key states, retries (see `connection`).
//! Called by: `operations`. All of it that writes runs on the one read/write session, so one at a time.

use std::collections::{BTreeMap, HashSet};
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectHandle};

use super::concessions::{Concessions, Templates, not_kept};
use super::epoch::{Epoch, duplicate, find_all};
use super::errors::{Class, Failure, Lacking, TokenError, describe};
use super::left_out::Maker;
use super::material::{Curve, Material};
use super::session::Session;
use super::templates::{self, Half, ObjectKind, Shape};
use super::{asymmetric, canary, readback, signing, suites, told};
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

/// Makes objects of an id that has none. What fails is destroyed again, as is, before another attempt, whatever the token made in an earlier
/// one and did not own up to: the id was free, and is random, so all that has it is ours. `begun` tells attempts of one making from the
/// first.
///
/// # Errors
/// `Duplicate` if the id is taken; those of `make`.
pub(super) fn under_free_id<T>(
    epoch: &Epoch,
    session: &Session,
    id: &KeyVersionId,
    begun: &mut bool,
    make: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    if *begun {
        clear_away(epoch, session, id)?;
    } else if exists(session, id)? {
        log::error!("token: an object has the id {id} already");
        return Err(TokenError::Duplicate(*id).into());
    }
    *begun = true;
    let made = make();
    if made.is_err()
        && let Err(left) = clear_away(epoch, session, id)
    {
        log::error!("token: an unusable object {id} is left: {left:?}");
    }
    made
}

/// Makes the object, or the pair, of an id that is free ([`under_free_id`]), and proves it. Of a kind that may be made in several ways
/// the next is tried where one fails.
///
/// # Errors
/// See [`prove`].
pub(super) fn create(epoch: &Epoch, session: &Session, id: &KeyVersionId, kind: ObjectKind) -> Result<(), Failure> {
    if let ObjectKind::Cmk(material) = kind {
        material.check(&epoch.mechanisms)?;
    }
    let offered = |shape: &Shape| epoch.mechanisms.contains(&*shape.maker().mechanism_type());
    let mut refused = None;
    for shape in kind.shapes().into_iter().filter(offered) {
        if refused.is_some() {
            clear_away(epoch, session, id)?;
        }
        let conceded = &epoch.lasting.concessions;
        let made = conceded.if_proved(|| make(epoch, session, id, kind, shape).and_then(|()| prove(epoch, session, id, kind)));
        let Err(failure) = made else { return Ok(()) };
        match failure {
            Failure::Final(TokenError::Unsupported(_)) => refused = refused.or(Some(failure)),
            Failure::Call(ref call) if matches!(call.class(), Class::Unsupported | Class::Fatal | Class::Ambiguous) => {
                refused = refused.or(Some(failure));
            }
            failure => return Err(failure),
        }
    }
    Err(refused.unwrap_or_else(|| TokenError::Unsupported("a mechanism that makes such a key".into()).into()))
}

/// Finds what the token refuses to be told of a deployment's own keys, by making such as live for the moment. What it does not make so
/// teaches nothing.
///
/// # Errors
/// A lost session, login or token.
pub(super) fn learn(session: &Session, conceded: &Concessions) -> Result<(), Failure> {
    for kind in [ObjectKind::Sys, ObjectKind::Int, ObjectKind::Aud] {
        for shape in kind.shapes() {
            let templates = for_the_moment(kind, shape);
            let tried = conceded.if_proved(|| {
                let made = generate(session, shape, &templates, conceded)?;
                let compare = |(object, (half, template)): (&ObjectHandle, &(Half, Vec<Attribute>))| {
                    readback::compare(session, *object, *half, template, conceded)
                };
                let kept = made.iter().zip(&templates).try_for_each(compare);
                made.into_iter().try_for_each(|object| session.destroy_object(object))?;
                kept
            });
            match tried {
                Ok(()) => break,
                Err(Failure::Call(call)) if matches!(call.class(), Class::Session | Class::Login | Class::Gone) => {
                    return Err(Failure::Call(call));
                }
                Err(_) => {}
            }
        }
    }
    Ok(())
}

/// All that is asked for of a key that stays, of one that lives as long as its session.
fn for_the_moment(kind: ObjectKind, shape: Shape) -> Templates {
    let of = |half: &Half| {
        let mut template = kind.template(shape, *half, &KeyVersionId::new());
        template.retain(|a| !matches!(a, Attribute::Id(_) | Attribute::Label(_) | Attribute::Token(_)));
        template.push(Attribute::Token(false));
        (*half, template)
    };
    shape.halves().iter().map(of).collect()
}

fn make(epoch: &Epoch, session: &Session, id: &KeyVersionId, kind: ObjectKind, shape: Shape) -> Result<(), Failure> {
    let template = |half: &Half| (*half, kind.template(shape, *half, id));
    let templates: Templates = shape.halves().iter().map(template).collect();
    let made = generate(session, shape, &templates, &epoch.lasting.concessions);
    let made = made.map_err(|failure| smaller(epoch, session, kind, shape, failure))?;
    appears(epoch, session, id, &made)
}

/// Makes what these templates describe; their order is that of [`Shape::halves`].
fn generate(session: &Session, shape: Shape, templates: &Templates, known: &Concessions) -> Result<Vec<ObjectHandle>, Failure> {
    let maker = if shape.halves().len() > 1 { Maker::Pair } else { Maker::Key };
    known.make(session, maker, templates, &mut |t| told::make(session, shape, t))
}

/// A failure to make a key or a pair, named after its curve or its length if that is what the token lacks: most tokens have a code for it,
/// some say CKR_GENERAL_ERROR. Another of its kind, which lives for the moment, tells.
fn smaller(epoch: &Epoch, session: &Session, kind: ObjectKind, shape: Shape, failure: Failure) -> Failure {
    let usual = match shape {
        Shape::Ec(Curve::P256k) => Some((Shape::Ec(Curve::P256), "curve secp256k1 (CKM_EC_KEY_PAIR_GEN)".to_owned())),
        Shape::Ec(Curve::P256) => Some((Shape::Ec(Curve::P256k), "curve secp256r1 (CKM_EC_KEY_PAIR_GEN)".to_owned())),
        Shape::Rsa(bits, pair) => {
            let other = if bits > 2048 { 2048 } else { 3072 };
            Some((Shape::Rsa(other, pair), format!("modulus of {bits} bits (CKM_RSA_PKCS_KEY_PAIR_GEN)")))
        }
        // System keys are of 32 bytes: whatever token is in use makes those.
        Shape::Aes(bytes) if bytes < 32 => Some((Shape::Aes(32), format!("CKA_VALUE_LEN = {bytes} (CKM_AES_KEY_GEN)"))),
        Shape::Aes(_) | Shape::Hmac(..) => None,
    };
    match failure {
        Failure::Call(call) if matches!(call.class(), Class::Unsupported | Class::Ambiguous | Class::Fatal | Class::Data) => {
            // Where nothing lives for a session, the plainest key tells whether this user makes any.
            if epoch.canary.place() != canary::CanaryKey::Session
                && epoch.canary.lives(session)
                && !is_made(epoch, session, ObjectKind::Canary, Shape::Aes(32))
            {
                return not_kept(&call).into();
            }
            match usual {
                Some((usual, what)) if call.class() == Class::Unsupported || is_made(epoch, session, kind, usual) => {
                    TokenError::Unsupported(Lacking::told(what, call.describe())).into()
                }
                _ => Failure::Call(call),
            }
        }
        other => other,
    }
}

/// Whether the token makes such a pair; it is destroyed again. For the moment, if it keeps anything for so long.
fn is_made(epoch: &Epoch, session: &Session, kind: ObjectKind, shape: Shape) -> bool {
    let templates = if epoch.canary.place() == canary::CanaryKey::Session {
        templates::of_session(shape)
    } else {
        let id = KeyVersionId::new();
        shape.halves().iter().map(|half| (*half, kind.template(shape, *half, &id))).collect()
    };
    let Ok(made) = generate(session, shape, &templates, &epoch.lasting.concessions) else { return false };
    for object in made {
        if let Err(left) = session.destroy_object(object) {
            log::error!("token: half of a pair that was made for a trial is left: {left:?}");
        }
    }
    true
}

/// Waits until what was made is found: in a cluster of tokens it is not at once on every member. What else has the id was made by a call
/// that ended in an error, and is destroyed.
pub(super) fn appears(epoch: &Epoch, session: &Session, id: &KeyVersionId, made: &[ObjectHandle]) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        let mut found = find_all(session, id)?;
        if found.len() > made.len() {
            let (ours, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, object)| made.contains(object));
            if ours.len() < made.len() {
                return Err(duplicate(id).into());
            }
            for (_, other) in others {
                log::warn!("token: a call that failed has made an object {id} all the same; it is destroyed");
                session.destroy_object(other)?;
            }
            found = ours;
        }
        if found.len() == made.len() {
            epoch.found(id, &found);
            return Ok(());
        }
        if begun.elapsed() > APPEARS_WITHIN {
            log::error!(
                "token: the new object {id} has not appeared in {APPEARS_WITHIN:?}; it may do so later, and is not used"
            );
            return Err(TokenError::Fault(format!("the new object {id} is not found")).into());
        }
        thread::sleep(LOOKS_EVERY);
    }
}

/// Proves an object: it has the attributes of its kind, works, and refuses what it must refuse.
///
/// # Errors
/// `NoSuchKey`, `Duplicate`; `Unsupported` for an attribute that is not as demanded; `Fault` if a round goes wrong.
pub(super) fn prove(epoch: &Epoch, session: &Session, id: &KeyVersionId, kind: ObjectKind) -> Result<(), Failure> {
    describes_itself(epoch, session, id, kind)?;
    match kind {
        ObjectKind::Cmk(Material::Aes(_)) | ObjectKind::Sys | ObjectKind::Head | ObjectKind::Canary => {
            let key = epoch.canary.keyed(session, epoch.handle(session, id, Half::Secret)?);
            suites::prove(epoch.canary.suite(), &key)
        }
        ObjectKind::Cmk(material) => asymmetric::prove(epoch, session, id, material),
        ObjectKind::Int | ObjectKind::Row | ObjectKind::CanaryMac => {
            prove_mac(session, epoch.handle(session, id, Half::Secret)?)
        }
        ObjectKind::Aud => {
            let public = signing::public_key(session, epoch.handle(session, id, Half::Public)?)?;
            prove_signature(session, epoch.handle(session, id, Half::Private)?, &public)
        }
    }
}

/// The same as [`identify`], of objects that were found already.
fn describes_itself(epoch: &Epoch, session: &Session, id: &KeyVersionId, kind: ObjectKind) -> Result<(), Failure> {
    let mut shapes = kind.shapes();
    for half in kind.halves() {
        let object = epoch.handle(session, id, *half)?;
        if shapes.len() > 1 {
            let found = readback::read(session, object, &[AttributeType::KeyType])?;
            shapes.retain(|shape| matches!(found.as_slice(), [Attribute::KeyType(of)] if *of == shape.key_type()));
        }
        let shape = shapes.first().ok_or_else(|| TokenError::Unsupported("CKA_KEY_TYPE of this key".into()))?;
        let expected = kind.expected(*shape, *half, id);
        readback::compare(session, object, *half, &expected, &epoch.lasting.concessions)?;
    }
    Ok(())
}

/// Proves an object by what it says of itself: it is found by its id, is the only one, and has the attributes and the label of its
/// kind.
///
/// # Errors
/// `NoSuchKey`, `Duplicate`; `Unsupported` for an attribute that is not as demanded.
pub(super) fn identify(epoch: &Epoch, session: &Session, id: &KeyVersionId, kind: ObjectKind) -> Result<(), Failure> {
    if find_all(session, id)?.len() > kind.halves().len() {
        return Err(duplicate(id).into());
    }
    describes_itself(epoch, session, id, kind)
}

/// Whether a key that was made before works, and is what it must be.
///
/// # Errors
/// As [`prove`].
pub(super) fn prove_alone(epoch: &Epoch, session: &Session, id: &KeyVersionId, kind: ObjectKind) -> Result<(), Failure> {
    if find_all(session, id)?.len() > kind.halves().len() {
        return Err(duplicate(id).into());
    }
    prove(epoch, session, id, kind)
}

fn prove_mac(session: &Session, key: ObjectHandle) -> Result<(), Failure> {
    let one = signing::mac(session, key, b"one")?;
    let again = signing::mac(session, key, b"one")?;
    let two = signing::mac(session, key, b"two")?;
    let equal = |a: &[u8; 32], b: &[u8; 32]| constant_time::verify_slices_are_equal(a, b).is_ok();
    if !equal(&one, &again) || equal(&one, &two) || equal(&one, &[0; 32]) {
        return Err(TokenError::Fault("the token's HMAC is no function of its input".into()).into());
    }
    match readback::read(session, key, &[AttributeType::KeyType])?.as_slice() {
        [Attribute::KeyType(KeyType::AES)] => Ok(()),
        _ => Ok(session.verify(&Mechanism::Sha256Hmac, key, b"one", &one)?),
    }
}

/// Verifies in software what the token signs, so that the token is not its own witness.
fn prove_signature(session: &Session, key: ObjectHandle, public: &PublicKey) -> Result<(), Failure> {
    let signed = signing::sign(session, key, b"one")?;
    if !public.verifies_message(b"one", &signed) || public.verifies_message(b"two", &signed) {
        return Err(TokenError::Fault("the token's signatures do not verify under its public key".into()).into());
    }
    Ok(())
}

/// Destroys every object of the id, and looks that none is left; how many there were. None to begin with is success.
///
/// # Errors
/// `Duplicate` if there are more than one of a class: which of them is ours is for a person to say. `Fault` if one is left.
pub(super) fn destroy(epoch: &Epoch, session: &Session, id: &KeyVersionId) -> Result<usize, Failure> {
    let found = find_all(session, id)?;
    if Half::ALL.iter().any(|half| found.iter().filter(|(of, _)| of == half).count() > 1) {
        return Err(duplicate(id).into());
    }
    clear_away(epoch, session, id)
}

/// The same, however many there are.
fn clear_away(epoch: &Epoch, session: &Session, id: &KeyVersionId) -> Result<usize, Failure> {
    epoch.forget(id);
    let found = find_all(session, id)?;
    for (_, object) in &found {
        session.destroy_object(*object)?;
    }
    if !found.is_empty() && !find_all(session, id)?.is_empty() {
        return Err(TokenError::Fault(format!("object {id} is still there after its destruction")).into());
    }
    Ok(found.len())
}

/// Describes every object of the id; empty if there is none.
pub(super) fn inspect(session: &Session, id: &KeyVersionId) -> Result<Vec<Object>, Failure> {
    let mut objects = Vec::new();
    for (_, object) in find_all(session, id)? {
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

/// The ids of all objects that look like ours, and how many objects there are of these classes.
pub(super) fn ids(session: &Session) -> Result<(HashSet<KeyVersionId>, u64), Failure> {
    let (mut ids, mut objects) = (HashSet::new(), 0);
    for half in Half::ALL {
        let template = [Attribute::Class(half.class()), Attribute::Token(true)];
        for (_, attributes) in readback::search(session, &template, &[AttributeType::Label, AttributeType::Id])? {
            objects += 1;
            let (mut ours, mut id) = (false, None);
            for attribute in attributes {
                match attribute {
                    Attribute::Label(label) => ours = label.starts_with(templates::LABEL_PREFIX.as_bytes()),
                    Attribute::Id(bytes) => id = <[u8; 16]>::try_from(bytes).ok().map(KeyVersionId::from_bytes),
                    _ => {}
                }
            }
            ids.extend(id.filter(|id| ours && !canary::IDS.contains(id)));
        }
    }
    Ok((ids, objects))
}

/// Whether any object has the id.
pub(super) fn exists(session: &Session, id: &KeyVersionId) -> Result<bool, Failure> {
    Ok(!find_all(session, id)?.is_empty())
}

/// How many objects there are on the token, ours and others'.
pub(super) fn count(session: &Session) -> Result<u64, Failure> {
    Ok(session.find_objects(&[Attribute::Token(true)])?.len() as u64)
}
