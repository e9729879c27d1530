//! What an object must say of itself.
//!
//! Owns: which attributes must be read as they are demanded, and which may be unknown to the token. Must not know: how objects are
//! made. Called by: whoever made or looks at an object.
//!
//! | attribute | must be |
//! |---|---|
//! | CLASS, KEY_TYPE, ID, LABEL, TOKEN, SENSITIVE, EXTRACTABLE, PRIVATE of what is secret, EC_PARAMS | read, and as demanded |
//! | LOCAL, ALWAYS_SENSITIVE, NEVER_EXTRACTABLE, every use, DERIVE | as demanded, or unknown to the token: a use that it does not know it cannot do |
//! | MODIFIABLE, COPYABLE | the same; of any value where the token refuses to be told, or makes nothing for the moment and cannot be asked |
//! | MODULUS_BITS | as demanded; where a token tells it of new keys only (PKCS#11 asks no more), as long as CKA_MODULUS |
//! | VALUE_LEN, PUBLIC_EXPONENT | as demanded, or unknown |
//! | PRIVATE of public halves | of any value |

use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};

use super::concessions::Concessions;
use super::errors::{Class, Failure, TokenError};
use super::session::Session;
use super::templates::{Half, text_of};
use super::told;

/// Reads back every attribute that was demanded.
///
/// # Errors
/// `Unsupported` with the first attribute that is not as demanded.
pub(super) fn compare(
    session: &Session,
    object: ObjectHandle,
    half: Half,
    expected: &[Attribute],
    conceded: &Concessions,
) -> Result<(), Failure> {
    let types: Vec<AttributeType> = expected.iter().map(Attribute::attribute_type).collect();
    let found = read(session, object, &types)?;
    for attribute in expected {
        let of = attribute.attribute_type();
        let known = found.iter().find(|a| a.attribute_type() == of);
        let fine = match (known, demand(half, of)) {
            (_, Demand::Nothing) => true,
            (Some(known), _) if same(known, attribute) => true,
            (None, Demand::Unless | Demand::UnlessConceded) => true,
            // Made by this process or before it: the token says itself which it lets itself be told.
            (_, Demand::UnlessConceded) => conceded.unsaid(of) || !told::takes(session, half, attribute, conceded)?,
            (None, Demand::Modulus) => modulus_bits(session, object)? == bits(attribute),
            _ => false,
        };
        if !fine {
            let said = known.map_or("unknown".to_owned(), text_of);
            log::error!("token: {of} of a key is {said} and must be {}", text_of(attribute));
            return Err(TokenError::Unsupported(format!("{of} = {}", text_of(attribute)).into()).into());
        }
    }
    Ok(())
}

/// How much is demanded of an attribute.
enum Demand {
    /// To be read, and right.
    Always,
    /// To be right unless the token does not know it.
    Unless,
    /// The same, or of any value where the token refuses to be told.
    UnlessConceded,
    /// As [`Demand::Unless`], but that CKA_MODULUS speaks for it.
    Modulus,
    Nothing,
}

fn demand(half: Half, attribute: AttributeType) -> Demand {
    use AttributeType as T;
    match attribute {
        T::Private if half == Half::Public => Demand::Nothing,
        T::Modifiable | T::Copyable => Demand::UnlessConceded,
        T::ModulusBits => Demand::Modulus,
        T::Class | T::KeyType | T::Id | T::Label | T::Token | T::Sensitive | T::Extractable | T::Private | T::EcParams => {
            Demand::Always
        }
        _ => Demand::Unless,
    }
}

/// Equal, numbers without the zero bytes that some tokens put before them, texts without the spaces that others put behind.
fn same(known: &Attribute, demanded: &Attribute) -> bool {
    match (known, demanded) {
        (Attribute::PublicExponent(known), Attribute::PublicExponent(demanded)) => {
            known.iter().skip_while(|b| **b == 0).eq(demanded.iter().skip_while(|b| **b == 0))
        }
        // Not told by tokens that tell it of no imported key, or of none.
        (Attribute::ValueLen(known), Attribute::ValueLen(_)) if u64::from(*known) == 0 => true,
        (known, demanded) => known == demanded,
    }
}

/// The objects that fit the template, with those of the attributes that they have.
///
/// Another thread or node may destroy an object between the search and the look at it, or during that, for which SoftHSM 2.6.1 has
/// more codes than one. It is left out if a new search no longer shows it.
///
/// # Errors
/// A failed call; also of an object that the token still shows.
pub(super) fn search(
    session: &Session,
    template: &[Attribute],
    types: &[AttributeType],
) -> Result<Vec<(ObjectHandle, Vec<Attribute>)>, Failure> {
    let mut found = Vec::new();
    for object in session.find_objects(template)? {
        match read(session, object, types) {
            Ok(attributes) => found.push((object, attributes)),
            Err(Failure::Call(call)) if may_have_gone(call.class()) && !session.find_objects(template)?.contains(&object) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(found)
}

fn may_have_gone(class: Class) -> bool {
    matches!(class, Class::Handle | Class::Unsupported | Class::Ambiguous | Class::Data | Class::Fatal)
}

/// Those of the attributes that the object has.
///
/// # Errors
/// A failed call. What an object does not have is no failure.
pub(super) fn read(session: &Session, object: ObjectHandle, types: &[AttributeType]) -> Result<Vec<Attribute>, Failure> {
    let unknown = |error: &Pkcs11Error| {
        matches!(
            error,
            Pkcs11Error::Pkcs11(RvError::AttributeTypeInvalid | RvError::AttributeSensitive, _)
                // Of another length than the attribute has: as good as none.
                | Pkcs11Error::TryFromSlice(_)
                | Pkcs11Error::InvalidValue
                | Pkcs11Error::NotSupported
        )
    };
    let mut found = match session.get_attributes(object, types) {
        Ok(found) => found,
        Err(error) if unknown(&error) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    // A token may refuse a whole list for one attribute that the object does not have.
    for of in types {
        if !found.iter().any(|a| a.attribute_type() == *of) {
            match session.get_attributes(object, &[*of]) {
                Ok(more) => found.extend(more),
                Err(error) if unknown(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(found)
}

fn bits(attribute: &Attribute) -> u64 {
    match attribute {
        Attribute::ModulusBits(bits) => u64::from(*bits),
        _ => 0,
    }
}

fn modulus_bits(session: &Session, object: ObjectHandle) -> Result<u64, Failure> {
    Ok(match read(session, object, &[AttributeType::Modulus])?.as_slice() {
        [Attribute::Modulus(bytes)] => {
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            let first = bytes.get(zeros).map_or(0, |byte| u64::from(byte.leading_zeros()));
            ((bytes.len() - zeros) as u64 * 8).saturating_sub(first)
        }
        _ => 0,
    })
}
