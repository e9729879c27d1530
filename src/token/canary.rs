//! A ciphertext that is known to be right, under a key that is used for nothing else. Tells forged data from a sick device, and, in
//! being made, which suite the token serves.
//!
//! Owns: the choice of the suite, by trying; the canary and where its key is. Must not know: when it is asked. Called by: `epoch`.

use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};

use super::concessions::{Concessions, Templates};
use super::errors::{Class, Failure, TokenError};
use super::left_out::Maker;
use super::pool::{Access, Opener};
use super::readback;
use super::session::{Session, logged_in};
use super::suites::{self, Keyed, Offer, SEED_LEN};
use super::templates::{self, Half, ObjectKind, Shape};
use crate::base::canonical::{Canonical, Purpose};
use crate::base::ids::KeyVersionId;
use crate::base::words::Suite;

/// What is encrypted.
const SAMPLE: &[u8] = b"still alive";

/// Keys of a session have no id.
const NOBODY: KeyVersionId = KeyVersionId::from_bytes([0; 16]);

/// CKA_ID of the canary's keys where they are token objects: one pair of them on a token, whoever uses it.
pub(super) const IDS: [KeyVersionId; 2] =
    [KeyVersionId::from_bytes(*b"bulla canary key"), KeyVersionId::from_bytes(*b"bulla canary mac")];

/// Where the canary's key is, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanaryKey {
    /// It lives as long as the login.
    Session,
    /// A token object of its own: the token keeps nothing for a session only.
    Object,
    /// SYS, or INT: this user may make no key at all.
    SystemKey,
}

/// The canary.
pub(super) struct Canary {
    suite: Suite,
    key: CanaryKey,
    cipher: ObjectHandle,
    mac: Option<ObjectHandle>,
    sealed: Vec<u8>,
}

impl Canary {
    /// Tries the suites that the token offers, the best first, and keeps the one that works. Each attempt has a session of its own,
    /// since one that fails may leave an operation open.
    ///
    /// # Errors
    /// `Unsupported` when none works; what a call failed with when that may pass: a token that is only sick for the moment is
    /// not put on a lesser suite.
    pub(super) fn make(opener: &Opener, anchor: &Session, offer: &Offer, known: &Concessions) -> Result<Self, Failure> {
        let (cipher, place) = key(opener, anchor, ObjectKind::Canary, known)?;
        // Each suite uses it once, under a key that is used for nothing else.
        let mut seed = [0; SEED_LEN];
        suites::random(anchor, &mut seed)?;
        let mut refusals = Vec::new();
        let mut doubt = None;
        for suite in &offer.suites {
            let suite = *suite;
            let mut mac = None;
            if suite == Suite::AesCbcHmac {
                if let Some(doubt) = doubt {
                    return Err(doubt);
                }
                mac = Some(key(opener, anchor, ObjectKind::CanaryMac, known)?.0);
            }
            let session = opener.open_at_once(Access::ReadOnly)?;
            let tried = Self::attempt(suite, place, &Keyed { session: &session, cipher, id: NOBODY, mac }, &seed);
            session.close()?;
            match tried {
                Ok(canary) => return Ok(canary),
                Err(failure) => match Refusal::of(suite, &failure) {
                    None => return Err(failure),
                    Some(refusal) => {
                        refusals.push(format!("{suite:?}: {}", told(&failure)));
                        if refusal == Refusal::Doubtful {
                            doubt = Some(failure);
                        }
                    }
                },
            }
        }
        let none = || TokenError::Unsupported(format!("any suite that it offers: {}", refusals.join("; ")).into()).into();
        Err(doubt.unwrap_or_else(none))
    }

    fn attempt(suite: Suite, place: CanaryKey, key: &Keyed<'_>, seed: &[u8; SEED_LEN]) -> Result<Self, Failure> {
        let sealed = suites::seal(suite, key, seed, SAMPLE, &context())?;
        let canary = Self { suite, key: place, cipher: key.cipher, mac: key.mac, sealed };
        if canary.opens(key.session)? { Ok(canary) } else { Err(TokenError::Tampered.into()) }
    }

    /// The suite that this token serves.
    pub(super) fn suite(&self) -> Suite {
        self.suite
    }

    /// Where its key is.
    pub(super) fn place(&self) -> CanaryKey {
        self.key
    }

    /// The canary's own key, to try it out.
    pub(super) fn itself<'a>(&self, session: &'a Session) -> Keyed<'a> {
        self.keyed(session, self.cipher)
    }

    /// A key with the canary's HMAC key, to try it out.
    pub(super) fn keyed<'a>(&self, session: &'a Session, cipher: ObjectHandle) -> Keyed<'a> {
        Keyed { session, cipher, id: NOBODY, mac: self.mac }
    }

    /// Whether this session still decrypts what is known to be right.
    pub(super) fn lives(&self, session: &Session) -> bool {
        self.opens(session).unwrap_or_else(|failure| {
            log::warn!("token: a ciphertext that is known to be right does not decrypt: {}", told(&failure));
            false
        })
    }

    fn opens(&self, session: &Session) -> Result<bool, Failure> {
        let sample = suites::open(self.suite, &self.itself(session), &self.sealed, &context())?;
        Ok(sample.as_slice() == SAMPLE)
    }
}

fn told(failure: &Failure) -> String {
    match failure {
        Failure::Call(call) => call.describe(),
        Failure::Final(error) => error.to_string(),
    }
}

fn context() -> Canonical {
    Canonical::new(Purpose::SelfTest).text("canary")
}

/// A key for the canary, and where it is: the best that the token gives.
fn key(opener: &Opener, anchor: &Session, kind: ObjectKind, known: &Concessions) -> Result<(ObjectHandle, CanaryKey), Failure> {
    let mut refusal = None;
    for shape in kind.shapes() {
        match generate(anchor, shape, &templates::of_session(shape), known) {
            Ok(made) => return Ok((made, CanaryKey::Session)),
            Err(failure) if is_refusal(anchor, &failure) => refusal = refusal.or(Some(failure)),
            Err(failure) => return Err(failure),
        }
    }
    let refusal = refusal.unwrap_or_else(|| TokenError::Unsupported("a key for its own test".into()).into());
    log::info!("token: no key lives for a session only ({}); looking for one on the token", told(&refusal));
    let id = if kind == ObjectKind::Canary { &IDS[0] } else { &IDS[1] };
    // Two processes that log in first at the same time make one each: any of them does.
    if let Some(object) = anchor.find_objects(&templates::search(Half::Secret, id))?.first() {
        return Ok((*object, CanaryKey::Object));
    }
    let made = opener.open(Access::ReadWrite).map_err(Failure::from).and_then(|writer| {
        let made = kind.shapes().into_iter().find_map(|shape| {
            generate(&writer, shape, &vec![(Half::Secret, kind.template(shape, Half::Secret, id))], known).ok()
        });
        writer.close()?;
        Ok(made)
    });
    if let Ok(Some(object)) = made {
        return Ok((object, CanaryKey::Object));
    }
    let role = if kind == ObjectKind::Canary { ObjectKind::Sys.role() } else { ObjectKind::Int.role() };
    match by_role(anchor, role)? {
        Some(object) => Ok((object, CanaryKey::SystemKey)),
        // The login was asked.
        None => Err(match refusal {
            Failure::Call(call) if call.says_nobody_may() => TokenError::MayNotMake(call.describe()).into(),
            refusal => refusal,
        }),
    }
}

/// How many of the canary's keys on the token are more than are used.
///
/// # Errors
/// A failed search.
pub(super) fn spare(session: &Session) -> Result<usize, Failure> {
    IDS.iter().try_fold(0, |spare, id| {
        Ok(spare + session.find_objects(&templates::search(Half::Secret, id))?.len().saturating_sub(1))
    })
}

fn generate(session: &Session, shape: Shape, templates: &Templates, known: &Concessions) -> Result<ObjectHandle, Failure> {
    let made = known.make(session, Maker::Key, templates, &mut |t| Ok(vec![session.generate_key(&shape.maker(), &t[0])?]))?;
    made.first().copied().ok_or_else(|| TokenError::Fault("no handle of a new key".into()).into())
}

/// Whether a failure says that the token does not do it, rather than that it is away.
fn is_refusal(anchor: &Session, failure: &Failure) -> bool {
    match failure {
        Failure::Final(TokenError::Unsupported(_)) => true,
        Failure::Final(_) => false,
        Failure::Call(call) if call.says_nobody_may() => logged_in(anchor).unwrap_or(false),
        Failure::Call(call) => {
            matches!(call.class(), Class::Unsupported | Class::Fatal | Class::Ambiguous | Class::Full | Class::Forbidden)
        }
    }
}

/// A secret key of ours with this role.
fn by_role(session: &Session, role: &str) -> Result<Option<ObjectHandle>, Failure> {
    let template = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Token(true)];
    let found = readback::search(session, &template, &[AttributeType::Label])?;
    let plays =
        |attributes: &[Attribute]| matches!(attributes, [Attribute::Label(label)] if label.starts_with(role.as_bytes()));
    Ok(found.into_iter().find(|(_, attributes)| plays(attributes)).map(|(object, _)| object))
}

/// What a failed attempt says of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The token does not do it this way.
    Clear,
    /// It may be that, or a device that is sick for the moment.
    Doubtful,
}

impl Refusal {
    /// None: the failure says nothing of the suite.
    fn of(suite: Suite, failure: &Failure) -> Option<Self> {
        match failure {
            Failure::Final(TokenError::Unsupported(_) | TokenError::Tampered) => Some(Refusal::Clear),
            Failure::Final(_) => None,
            Failure::Call(call) => match call.class() {
                Class::Unsupported | Class::Data | Class::Tampered | Class::Fatal => Some(Refusal::Clear),
                // A token that needs an IV has no code for there being none: NSS says CKR_HOST_MEMORY.
                Class::Ambiguous | Class::Busy if suite == Suite::AesGcmAppendedIv => Some(Refusal::Clear),
                Class::Ambiguous => Some(Refusal::Doubtful),
                Class::Handle
                | Class::Session
                | Class::Login
                | Class::Gone
                | Class::Busy
                | Class::Full
                | Class::Forbidden
                | Class::Pin => None,
            },
        }
    }
}
