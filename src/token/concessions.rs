//! What a token refuses to be told of a new object, and how that is found.
//!
//! Owns: how a refused template is made less, and what this token was found to refuse. Must not know: what the object is for. Called
//! by: whoever makes objects.
//!
//! Vendors refuse attributes whose default is what we want: one knows no CKA_COPYABLE, another none of the recover flags, a third wants
//! public halves private. So a template that is refused is tried again without one attribute after the other, in the order of
//! [`ORDER`]. Where more than one is refused, all that may be left out are, and then as many are put back as the token takes, the last in
//! that order first. What works is remembered for the life of the connection, for the call that it was found with (a token may refuse a
//! type to C_GenerateKey, which has it from the mechanism, and must have it told to C_UnwrapKey), unless the key that was made so is
//! refused after all. A connection begins with what `bulla init` recorded; where a token has since come to want what it refused then,
//! it is found anew. Nothing is given up by that: whatever was left out is read back (`readback`), and refuses the key if
//! it is not as it must be. The two exceptions only make keys harder to misuse by others who have the PIN: CKA_MODIFIABLE=false and
//! CKA_COPYABLE=false.

use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use parking_lot::Mutex;

use super::errors::{Called, Class, Failure, Lacking, TokenError};
use super::left_out::{Concession, LeftOut, Maker, ORDER};
use super::permission::{Change, Permission};
use super::session::Session;
use super::templates::{Half, text_of};

/// What this token was found to refuse, of each call.
#[derive(Default)]
pub(super) struct Concessions {
    known: Mutex<LeftOut>,
    /// What was found by asking for it alone: whether the call takes this attribute.
    asked: Mutex<Vec<(Maker, AttributeType, bool)>>,
    /// Whether it refuses its user every object.
    pub(super) permission: Permission,
}

/// Templates of the objects that one call makes.
pub(super) type Templates = Vec<(Half, Vec<Attribute>)>;

/// Makes the objects of these templates; answers their handles.
pub(super) type Make<'a> = &'a mut dyn FnMut(&[Vec<Attribute>]) -> Result<Vec<ObjectHandle>, Failure>;

impl Concessions {
    /// Of a deployment that has recorded this.
    pub(super) fn new(recorded: LeftOut) -> Self {
        Self { known: Mutex::new(recorded), ..Self::default() }
    }

    /// Whether the token refuses to be told this attribute.
    pub(super) fn unsaid(&self, attribute: AttributeType) -> bool {
        self.known.lock().any(Concession::Without(attribute))
    }

    /// What the token refuses to be told, as far as it is known.
    pub(super) fn left_out(&self) -> LeftOut {
        let mut left_out = self.known.lock().clone();
        for (maker, attribute, takes) in &*self.asked.lock() {
            if !takes {
                left_out.add(*maker, Concession::Without(*attribute));
            }
        }
        left_out
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

    /// Whether a call takes an attribute, asked once: the templates, which live for the moment, are made with and without it. None where
    /// they are not made at all.
    ///
    /// # Errors
    /// Only what says nothing of templates: a lost session, login or token.
    pub(super) fn takes(
        &self,
        session: &Session,
        maker: Maker,
        templates: &Templates,
        attribute: &Attribute,
        make: Make<'_>,
    ) -> Result<Option<bool>, Failure> {
        let of = attribute.attribute_type();
        let found = self.asked.lock().iter().find(|(by, about, _)| (*by, *about) == (maker, of)).map(|(.., takes)| *takes);
        if found.is_some() {
            return Ok(found);
        }
        let known: Vec<Concession> = self.known(maker).into_iter().filter(|c| *c != Concession::Without(of)).collect();
        let without = reduced(templates, &[&known[..], &[Concession::Without(of)]].concat());
        let mut with = without.clone();
        with.iter_mut().for_each(|template| template.push(attribute.clone()));
        for (templates, takes) in [(with, true), (without, false)] {
            match make(&templates) {
                Ok(made) => {
                    discard(session, made);
                    if !takes {
                        log::info!("token: {of} is refused; it is of any value");
                    }
                    self.asked.lock().push((maker, of, takes));
                    return Ok(Some(takes));
                }
                Err(Failure::Call(call)) if of_template(&call) == Suspicion::None && call.class() != Class::Unsupported => {
                    return Err(Failure::Call(call));
                }
                Err(_) => {}
            }
        }
        Ok(None)
    }

    /// Nothing is made with which a call could be asked for an attribute that is not as it was wanted.
    pub(super) fn cannot_be_asked(&self, maker: Maker, attribute: AttributeType) {
        self.asked.lock().push((maker, attribute, false));
    }

    /// Makes objects, of the templates as they are or less what the token refuses.
    ///
    /// # Errors
    /// `Unsupported` with the attribute that the token refuses and that cannot be left out; `Full`; `KeepsNothing` and `MayNotMake` where it makes
    /// the same for a session, or did not let its user make any a short while ago; else what the first attempt gave.
    pub(super) fn make(
        &self,
        session: &Session,
        maker: Maker,
        templates: &Templates,
        make: Make<'_>,
    ) -> Result<Vec<ObjectHandle>, Failure> {
        let known = self.known(maker);
        let refused = match make(&reduced(templates, &known)) {
            Err(Failure::Call(call)) => call,
            done => return done,
        };
        // openCryptoki's at its 2,048th object. A module without memory would not make one for the moment either.
        if matches!(&refused.error, Pkcs11Error::Pkcs11(RvError::HostMemory, _))
            && lives_for_the_moment(session, templates, &known, make)
        {
            log::error!("token: {}, and room for a key that does not stay: it is full", refused.describe());
            return Err(TokenError::Full.into());
        }
        if is_kept(templates)
            && may_be_of_user(&refused)
            && let Some(before) = self.permission.refusal(Change::Make)
        {
            let said = refused.describe();
            let keeps_nothing = matches!(before, TokenError::KeepsNothing(_));
            return Err(if keeps_nothing { TokenError::KeepsNothing(said) } else { TokenError::MayNotMake(said) }.into());
        }
        if of_template(&refused) == Suspicion::None {
            return Self::of_user(session, templates, &known, make, refused);
        }
        log::debug!("token: {}; once more", refused.describe());
        // Only what fails again is worth a search: a token may be at fault for the moment.
        let refused = match make(&reduced(templates, &known)) {
            Err(Failure::Call(again)) if of_template(&again) != Suspicion::None => again,
            done => return done,
        };
        if let Some(made) = self.search(session, maker, templates, &known, &refused, make)? {
            return Ok(made);
        }
        // What the token was known to refuse it may want by now.
        if !known.is_empty() && of_template(&refused) == Suspicion::Clear {
            if let Some(made) = taken(make(&reduced(templates, &[])))? {
                self.learn(maker, Vec::new(), &refused);
                return Ok(made);
            }
            if let Some(made) = self.search(session, maker, templates, &[], &refused, make)? {
                return Ok(made);
            }
        }
        let effective = effective(maker, templates, &known);
        if lives_for_the_moment(session, templates, &known, make) {
            return Err(not_kept(&refused).into());
        }
        let mut found = Blame::Nothing;
        for conceded in [Vec::new()].into_iter().chain(most_that_may_go(&effective).into_iter().take(1)) {
            found = blame(session, templates, &[&known[..], &conceded].concat(), make);
            if matches!(found, Blame::Refused(_)) {
                break;
            }
        }
        match found {
            Blame::Refused(attribute) => Err(TokenError::Unsupported(Lacking::told(attribute, refused.describe())).into()),
            // Another code may be of the value, which `create` names better, or of bytes that do not unwrap.
            Blame::Missed(attribute) if matches!(refused.error, Pkcs11Error::Pkcs11(RvError::AttributeTypeInvalid, _)) => {
                Err(TokenError::Unsupported(Lacking::told(attribute, refused.describe())).into())
            }
            Blame::Missed(_) | Blame::Nothing => Err(Failure::Call(refused)),
        }
    }

    /// Makes the objects of templates less what must be, beyond what is known; none where that is of no use.
    fn search(
        &self,
        session: &Session,
        maker: Maker,
        templates: &Templates,
        known: &[Concession],
        refused: &Called,
        make: Make<'_>,
    ) -> Result<Option<Vec<ObjectHandle>>, Failure> {
        let effective = effective(maker, templates, known);
        for one in &effective {
            let candidate = [known, &[*one]].concat();
            if let Some(made) = taken(make(&reduced(templates, &candidate)))? {
                self.learn(maker, candidate, refused);
                return Ok(Some(made));
            }
        }
        let mut works = |conceded: &[Concession]| {
            let made = taken(make(&reduced(templates, &[known, conceded].concat())))?;
            Ok(made.map(|made| discard(session, made)).is_some())
        };
        for most in most_that_may_go(&effective) {
            if works(&most)? {
                let out = put_back(most, &mut works)?;
                let candidate = [known, &out].concat();
                let made = make(&reduced(templates, &candidate))?;
                self.learn(maker, candidate, refused);
                return Ok(Some(made));
            }
        }
        Ok(None)
    }

    /// A failure whose code says nothing of the template: of a user who may not make objects that stay, if the token makes the same for
    /// a session.
    fn of_user(
        session: &Session,
        templates: &Templates,
        known: &[Concession],
        make: Make<'_>,
        refused: Called,
    ) -> Result<Vec<ObjectHandle>, Failure> {
        if refused.class() == Class::Forbidden || !is_kept(templates) || !may_be_of_user(&refused) {
            return Err(Failure::Call(refused));
        }
        // Only what fails again: a token may be at fault for the moment.
        let refused = match make(&reduced(templates, known)) {
            Err(Failure::Call(again)) if may_be_of_user(&again) => again,
            done => return done,
        };
        let kept = !lives_for_the_moment(session, templates, known, make);
        Err(if kept { Failure::Call(refused) } else { not_kept(&refused).into() })
    }

    fn known(&self, maker: Maker) -> Vec<Concession> {
        self.known.lock().of(maker).to_vec()
    }

    fn learn(&self, maker: Maker, found: Vec<Concession>, refused: &Called) {
        if self.known(maker) == found {
            return;
        }
        self.known.lock().set(maker, found);
        let names = self.left_out().names();
        let without =
            if names.is_empty() { "whole templates".to_owned() } else { format!("templates without {}", names.join(", ")) };
        log::info!("token: {}: {without} are taken", refused.describe());
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

/// Whether the objects are to stay on the token.
fn is_kept(templates: &Templates) -> bool {
    templates.iter().any(|(_, template)| template.contains(&Attribute::Token(true)))
}

/// Whether a failure to make an object may be one of its user's rights, by its class.
fn may_be_of_user(call: &Called) -> bool {
    matches!(call.class(), Class::Forbidden | Class::Unsupported | Class::Fatal | Class::Ambiguous | Class::Data)
}

/// Of a token that makes the object for a session and does not keep it. With a code that tokens have for their own faults too, where
/// objects are kept may be at fault.
pub(super) fn not_kept(call: &Called) -> TokenError {
    use RvError as R;
    let said = format!("{} where CKA_TOKEN = true", call.describe());
    match &call.error {
        Pkcs11Error::Pkcs11(R::GeneralError | R::FunctionFailed | R::DeviceError | R::ArgumentsBad, _) => {
            TokenError::KeepsNothing(said)
        }
        _ => TokenError::MayNotMake(said),
    }
}

/// What was made; none where the template is refused.
fn taken(tried: Result<Vec<ObjectHandle>, Failure>) -> Result<Option<Vec<ObjectHandle>>, Failure> {
    match tried {
        Ok(made) => Ok(Some(made)),
        Err(Failure::Call(call)) if of_template(&call) != Suspicion::None => Ok(None),
        Err(other) => Err(other),
    }
}

/// What would make these templates others than they are.
fn effective(maker: Maker, templates: &Templates, known: &[Concession]) -> Vec<Concession> {
    let base = reduced(templates, known);
    let changes =
        |c: &Concession| !known.contains(c) && maker.may_do_without(*c) && reduced(templates, &[known, &[*c]].concat()) != base;
    ORDER.into_iter().filter(changes).collect()
}

/// All that may be left out, in the ways that exclude each other: a token may not do without CKA_VALUE_LEN, or want public halves
/// private, or refuse them.
fn most_that_may_go(effective: &[Concession]) -> Vec<Vec<Concession>> {
    let less = |without: &[Concession]| effective.iter().copied().filter(|c| !without.contains(c)).collect();
    let (private, length) = (Concession::PublicPrivate, Concession::Without(AttributeType::ValueLen));
    let mut all: Vec<Vec<Concession>> = vec![less(&[private, length]), less(&[length]), less(&[private]), less(&[])];
    all.dedup();
    all
}

/// Of what may be left out together, what must be: the rest is put back. Takes a number of attempts that grows with the logarithm of
/// how many they are, for each that must stay out; each makes objects and destroys them again.
fn put_back(
    mut rest: Vec<Concession>,
    works: &mut dyn FnMut(&[Concession]) -> Result<bool, Failure>,
) -> Result<Vec<Concession>, Failure> {
    let mut out = Vec::new();
    while !works(&out)? {
        // The shortest beginning of the rest that does: its last must stay out.
        let (mut too_few, mut enough) = (0, rest.len());
        while enough - too_few > 1 {
            let half = too_few.midpoint(enough);
            if works(&[&out[..], &rest[..half]].concat())? { enough = half } else { too_few = half }
        }
        if rest.is_empty() {
            break;
        }
        rest.truncate(enough);
        out.extend(rest.pop());
    }
    Ok(out)
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
    if !is_kept(templates) {
        return false;
    }
    let mut of_session = reduced(templates, known);
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

/// Which attribute is at fault.
enum Blame {
    /// The token would make the objects without it.
    Refused(String),
    /// It refuses the template with it, and calls it incomplete without.
    Missed(String),
    Nothing,
}

/// What is at fault, found by leaving out one at a time. What is made so is destroyed.
fn blame(session: &Session, templates: &Templates, known: &[Concession], make: Make<'_>) -> Blame {
    let base = reduced(templates, known);
    let mut missed = Blame::Nothing;
    for (at, template) in base.iter().enumerate() {
        for attribute in template {
            let named = || format!("{} = {}", attribute.attribute_type(), text_of(attribute));
            let mut less = base.clone();
            less[at].retain(|a| a.attribute_type() != attribute.attribute_type());
            match make(&less) {
                Ok(made) => {
                    discard(session, made);
                    return Blame::Refused(named());
                }
                Err(Failure::Call(call)) if matches!(call.class(), Class::Gone | Class::Session | Class::Login) => {
                    return Blame::Nothing;
                }
                Err(Failure::Call(call)) if matches!(call.error, Pkcs11Error::Pkcs11(RvError::TemplateIncomplete, _)) => {
                    missed = Blame::Missed(named());
                }
                Err(_) => {}
            }
        }
    }
    missed
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
    fn every_two_refusals_and_three_harmless_ones_are_found_by_trying() {
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
        let found = |refused: &[AttributeType], public_false: bool| {
            let mut works = |c: &[Concession]| Ok(!refuses(refused, public_false, &reduced(&pair, c)));
            let most = most_that_may_go(&effective(Maker::Pair, &pair, &[])).into_iter().find(|c| works(c).expect("no call"));
            put_back(most.unwrap_or_else(|| panic!("{refused:?}")), &mut works).expect("no call")
        };
        for first in optional {
            for second in optional {
                for public_false in [false, true] {
                    let taken = found(&[first, second], public_false);
                    // No more than must be.
                    let least = usize::from(public_false) + if first == second { 1 } else { 2 };
                    assert_eq!(taken.len(), least, "{first}, {second}: {taken:?}");
                    let left = reduced(&pair, &taken);
                    assert!(!refuses(&[first, second], public_false, &left));
                    // What makes the key what it is, is asked for whatever else is not.
                    assert!(left.iter().flatten().any(|a| matches!(a, Attribute::EcParams(_))));
                }
            }
        }
        let three = [AttributeType::KeyType, AttributeType::Class, AttributeType::Extractable];
        assert_eq!(found(&three, false), three.map(Concession::Without).into_iter().rev().collect::<Vec<_>>());
    }

    #[test]
    fn what_bytes_become_is_always_said() {
        let key = templates::of_session(Shape::Aes(32));
        for maker in [Maker::Unwrap, Maker::Create] {
            for essential in [AttributeType::KeyType, AttributeType::Class, AttributeType::ValueLen] {
                assert!(effective(Maker::Key, &key, &[]).contains(&Concession::Without(essential)));
                assert!(!effective(maker, &key, &[]).contains(&Concession::Without(essential)));
            }
        }
    }
}
