//! What a token refuses to be told of a new object, and how that is found.
//!
//! Owns: the order in which a refused template is made less, and what this token was found to refuse. Must not know: what the
//! object is for. Called by: whoever makes objects.
//!
//! Vendors refuse attributes whose default is what we want: one knows no CKA_COPYABLE, another none of the recover flags, a third wants
//! public halves private. So a template that is refused is tried again without one attribute after the other, in the order of
//! [`ORDER`], then without two, then without all of them. What works is remembered for the life of the connection, unless the key that
//! was made so is refused after all. Nothing is given up by that: whatever was left out is read back (`readback`), and refuses the key if
//! it is not as it must be. The two exceptions only make keys harder to misuse by others who have the PIN: CKA_MODIFIABLE=false and
//! CKA_COPYABLE=false.

use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use parking_lot::Mutex;

use super::errors::{Called, Class, Failure, Lacking, TokenError};
use super::session::Session;
use super::templates::{Half, text_of};

/// What a template does without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Concession {
    /// This attribute is not named, whichever its value.
    Without(AttributeType),
    /// CKA_PRIVATE of public halves is not named.
    PublicUnsaid,
    /// CKA_PRIVATE of public halves is true.
    PublicPrivate,
}

/// In this order: first what the fewest tokens know.
const ORDER: [Concession; 19] = [
    Concession::Without(AttributeType::SignRecover),
    Concession::Without(AttributeType::VerifyRecover),
    Concession::Without(AttributeType::Copyable),
    Concession::Without(AttributeType::Derive),
    Concession::PublicUnsaid,
    Concession::PublicPrivate,
    Concession::Without(AttributeType::Wrap),
    Concession::Without(AttributeType::Unwrap),
    Concession::Without(AttributeType::Encrypt),
    Concession::Without(AttributeType::Decrypt),
    Concession::Without(AttributeType::Sign),
    Concession::Without(AttributeType::Verify),
    Concession::Without(AttributeType::PublicExponent),
    Concession::Without(AttributeType::Modifiable),
    Concession::Without(AttributeType::KeyType),
    Concession::Without(AttributeType::Class),
    Concession::Without(AttributeType::Sensitive),
    Concession::Without(AttributeType::Extractable),
    Concession::Without(AttributeType::ValueLen),
];

/// What this token was found to refuse.
#[derive(Default)]
pub(super) struct Concessions {
    known: Mutex<Vec<Concession>>,
}

/// Templates of the objects that one call makes.
pub(super) type Templates = Vec<(Half, Vec<Attribute>)>;

/// Makes the objects of these templates; answers their handles.
pub(super) type Make<'a> = &'a mut dyn FnMut(&[Vec<Attribute>]) -> Result<Vec<ObjectHandle>, Failure>;

impl Concessions {
    /// Whether the token refuses to be told this attribute.
    pub(super) fn unsaid(&self, attribute: AttributeType) -> bool {
        self.known.lock().contains(&Concession::Without(attribute))
    }

    /// What the token refuses to be told, for people: `CKA_COPYABLE`.
    pub(super) fn names(&self) -> Vec<String> {
        let name = |concession: &Concession| match concession {
            Concession::Without(attribute) => attribute.to_string(),
            Concession::PublicUnsaid | Concession::PublicPrivate => "CKA_PRIVATE = false of public keys".to_owned(),
        };
        self.known.lock().iter().map(name).collect()
    }

    /// Does what ends with a proved key. Where it fails, what was learnt in it is forgotten: a template less an attribute may be taken
    /// for another reason than that the attribute is refused, and would spoil every key after it.
    pub(super) fn if_proved<T>(&self, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        let before = self.known.lock().clone();
        let done = work();
        if done.is_err() {
            *self.known.lock() = before;
        }
        done
    }

    /// Makes objects, of the templates as they are or less what the token refuses.
    ///
    /// # Errors
    /// `Unsupported` with the attribute that the token refuses and that cannot be left out; `KeepsNothing`; else what the first attempt
    /// gave.
    pub(super) fn make(&self, session: &Session, templates: &Templates, make: Make<'_>) -> Result<Vec<ObjectHandle>, Failure> {
        let known = self.known.lock().clone();
        let refused = match make(&reduced(templates, &known)) {
            Err(Failure::Call(call)) if of_template(&call) != Suspicion::None => call,
            done => return done,
        };
        log::debug!("token: {}; once more", refused.describe());
        // Only what fails again is worth a search: a token may be at fault for the moment.
        let refused = match make(&reduced(templates, &known)) {
            Err(Failure::Call(again)) if of_template(&again) != Suspicion::None => again,
            done => return done,
        };
        for candidate in candidates(templates, &known, of_template(&refused)) {
            match make(&reduced(templates, &candidate)) {
                Ok(made) => {
                    self.learn(candidate, &refused);
                    return Ok(made);
                }
                Err(Failure::Call(call)) if of_template(&call) != Suspicion::None => {}
                Err(other) => return Err(other),
            }
        }
        // With a code that tokens have for their own faults too: where objects are kept may be at fault.
        if of_template(&refused) == Suspicion::Some && lives_for_the_moment(session, templates, &known, make) {
            return Err(TokenError::KeepsNothing(refused.describe()).into());
        }
        match blame(session, templates, &known, make) {
            Some(attribute) => Err(TokenError::Unsupported(Lacking::told(attribute, refused.describe())).into()),
            None => Err(Failure::Call(refused)),
        }
    }

    fn learn(&self, found: Vec<Concession>, refused: &Called) {
        *self.known.lock() = found;
        log::info!("token: {}: templates without {} are taken", refused.describe(), self.names().join(", "));
    }
}

/// How likely a failure is about the template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suspicion {
    None,
    /// The code is one that tokens give for it too.
    Some,
    /// The code says so.
    Clear,
}

fn of_template(call: &Called) -> Suspicion {
    use RvError as R;
    match &call.error {
        Pkcs11Error::Pkcs11(
            R::AttributeTypeInvalid
            | R::AttributeValueInvalid
            | R::AttributeReadOnly
            | R::TemplateInconsistent
            | R::TemplateIncomplete,
            _,
        ) => Suspicion::Clear,
        Pkcs11Error::Pkcs11(R::GeneralError | R::FunctionFailed | R::ArgumentsBad, _) => Suspicion::Some,
        _ => Suspicion::None,
    }
}

/// What is tried in the place of a refused template: one concession more, then two, then all; where the code may mean something
/// else, no pairs.
fn candidates(templates: &Templates, known: &[Concession], suspicion: Suspicion) -> Vec<Vec<Concession>> {
    let with = |more: &[Concession]| [known, more].concat();
    let base = reduced(templates, known);
    let effective: Vec<Concession> =
        ORDER.into_iter().filter(|c| !known.contains(c) && reduced(templates, &with(&[*c])) != base).collect();
    let mut all: Vec<Vec<Concession>> = effective.iter().map(|c| with(&[*c])).collect();
    if suspicion == Suspicion::Clear {
        for (at, first) in effective.iter().enumerate() {
            all.extend(effective[at + 1..].iter().map(|second| with(&[*first, *second])));
        }
    }
    for count in 3..=effective.len() {
        all.push(with(&effective[..count]));
    }
    all
}

/// The templates less what is conceded.
fn reduced(templates: &Templates, conceded: &[Concession]) -> Vec<Vec<Attribute>> {
    let less = |(half, template): &(Half, Vec<Attribute>)| {
        let mut template = template.clone();
        for concession in conceded {
            match concession {
                Concession::Without(attribute) => template.retain(|a| a.attribute_type() != *attribute),
                Concession::PublicUnsaid if *half == Half::Public => {
                    template.retain(|a| a.attribute_type() != AttributeType::Private);
                }
                Concession::PublicPrivate if *half == Half::Public => {
                    template.retain(|a| a.attribute_type() != AttributeType::Private);
                    template.push(Attribute::Private(true));
                }
                Concession::PublicUnsaid | Concession::PublicPrivate => {}
            }
        }
        template
    };
    templates.iter().map(less).collect()
}

/// Whether the token makes the objects if it need not keep them.
fn lives_for_the_moment(session: &Session, templates: &Templates, known: &[Concession], make: Make<'_>) -> bool {
    let mut of_session = reduced(templates, known);
    if !of_session.iter().flatten().any(|a| *a == Attribute::Token(true)) {
        return false;
    }
    of_session.iter_mut().for_each(|template| template.retain(|a| a.attribute_type() != AttributeType::Token));
    make(&of_session).map(|made| discard(session, made)).is_ok()
}

fn discard(session: &Session, made: Vec<ObjectHandle>) {
    for object in made {
        if let Err(error) = session.destroy_object(object) {
            log::error!("token: an object of a trial is left: {error:?}");
        }
    }
}

/// The attribute without which the token would make the objects, found by leaving out one at a time. What is made so is destroyed.
fn blame(session: &Session, templates: &Templates, known: &[Concession], make: Make<'_>) -> Option<String> {
    let base = reduced(templates, known);
    for (at, template) in base.iter().enumerate() {
        for attribute in template {
            let mut less = base.clone();
            less[at].retain(|a| a.attribute_type() != attribute.attribute_type());
            match make(&less) {
                Ok(made) => {
                    discard(session, made);
                    return Some(format!("{} = {}", attribute.attribute_type(), text_of(attribute)));
                }
                Err(Failure::Call(call)) if matches!(call.class(), Class::Gone | Class::Session | Class::Login) => return None,
                Err(_) => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::material::Curve;
    use crate::token::templates::{self, Shape};

    /// A token that refuses these attributes, and public halves that are not private if it is told to.
    fn refuses(refused: &[AttributeType], public_false: bool, templates: &[Vec<Attribute>]) -> bool {
        templates
            .iter()
            .flatten()
            .any(|a| refused.contains(&a.attribute_type()) || (public_false && *a == Attribute::Private(false)))
    }

    #[test]
    fn every_two_refusals_are_found_by_trying() {
        let pair = templates::of_session(Shape::Ec(Curve::P256));
        let optional = [
            AttributeType::SignRecover,
            AttributeType::VerifyRecover,
            AttributeType::Derive,
            AttributeType::Wrap,
            AttributeType::Unwrap,
            AttributeType::Verify,
            AttributeType::Sensitive,
        ];
        for first in optional {
            for second in optional {
                for public_false in [false, true] {
                    let taken = candidates(&pair, &[], Suspicion::Clear)
                        .into_iter()
                        .find(|c| !refuses(&[first, second], public_false, &reduced(&pair, c)));
                    let taken = taken.unwrap_or_else(|| panic!("{first}, {second}"));
                    let left = reduced(&pair, &taken);
                    assert!(!refuses(&[first, second], public_false, &left));
                    // What makes the key what it is, is asked for whatever else is not.
                    assert!(left.iter().flatten().any(|a| matches!(a, Attribute::EcParams(_))));
                }
            }
        }
    }
}
