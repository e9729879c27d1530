//! A ciphertext that is known to be right, under a key that lives as long as the epoch. Tells forged data from a sick device, and,
//! in being made, which suite the token serves.
//!
//! Owns: the choice of the suite, by trying; the canary. Must not know: when it is asked. Called by: `epoch`.

use cryptoki::context::Pkcs11;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::slot::Slot;

use super::errors::{Class, Failure, TokenError};
use super::suites::{self, Keyed, SEED_LEN};
use super::templates;
use crate::base::canonical::{Canonical, Purpose};
use crate::base::ids::KeyVersionId;
use crate::base::words::Suite;

/// What the canary sings.
const SONG: &[u8] = b"still alive";

/// Keys of a session have no id.
const NOBODY: KeyVersionId = KeyVersionId::from_bytes([0; 16]);

/// The canary.
pub(super) struct Canary {
    suite: Suite,
    cipher: ObjectHandle,
    mac: Option<ObjectHandle>,
    sealed: Vec<u8>,
}

impl Canary {
    /// Tries the suites that the token offers, the best first, and keeps the one that works. Its keys live on the anchor; each
    /// attempt has a session of its own, since one that fails may leave an operation open.
    ///
    /// # Errors
    /// `Unsupported` when none works; what a call failed with when that may pass: a token that is only sick for the moment is
    /// not put on a lesser suite.
    pub(super) fn make(pkcs11: &Pkcs11, slot: Slot, anchor: &Session) -> Result<Self, Failure> {
        let cipher = anchor.generate_key(&Mechanism::AesKeyGen, &templates::session_key())?;
        // Each suite uses it once, under a key that is used for nothing else.
        let mut seed = [0; SEED_LEN];
        suites::random(anchor, &mut seed)?;
        let mut refusals = Vec::new();
        let mut doubt = None;
        for suite in suites::offered(pkcs11, slot)? {
            let mut mac = None;
            if suite == Suite::AesCbcHmac {
                if let Some(doubt) = doubt {
                    return Err(doubt);
                }
                mac = Some(anchor.generate_key(&Mechanism::GenericSecretKeyGen, &templates::session_mac_key())?);
            }
            let session = pkcs11.open_ro_session_no_drop(slot)?;
            let tried = Self::attempt(suite, &Keyed { session: &session, cipher, id: NOBODY, mac }, &seed);
            session.close()?;
            match tried {
                Ok(canary) => return Ok(canary),
                Err(failure) => match Refusal::of(suite, &failure) {
                    None => return Err(failure),
                    Some(refusal) => {
                        refusals.push(format!("{suite:?}: {failure:?}"));
                        if refusal == Refusal::Doubtful {
                            doubt = Some(failure);
                        }
                    }
                },
            }
        }
        Err(doubt.unwrap_or_else(|| TokenError::Unsupported(refusals.join(", ")).into()))
    }

    fn attempt(suite: Suite, key: &Keyed<'_>, seed: &[u8; SEED_LEN]) -> Result<Self, Failure> {
        let sealed = suites::seal(suite, key, seed, SONG, &context())?;
        let canary = Self { suite, cipher: key.cipher, mac: key.mac, sealed };
        if canary.sing(key.session)? { Ok(canary) } else { Err(TokenError::Tampered.into()) }
    }

    /// The suite that this token serves.
    pub(super) fn suite(&self) -> Suite {
        self.suite
    }

    /// A key with the canary's HMAC key, to try it out.
    pub(super) fn keyed<'a>(&self, session: &'a Session, cipher: ObjectHandle) -> Keyed<'a> {
        Keyed { session, cipher, id: NOBODY, mac: self.mac }
    }

    /// Whether this session still decrypts what is known to be right.
    pub(super) fn lives(&self, session: &Session) -> bool {
        self.sing(session).unwrap_or_else(|failure| {
            log::warn!("token: the canary is dead: {failure:?}");
            false
        })
    }

    fn sing(&self, session: &Session) -> Result<bool, Failure> {
        let song = suites::open(self.suite, &self.keyed(session, self.cipher), &self.sealed, &context())?;
        Ok(song.as_slice() == SONG)
    }
}

fn context() -> Canonical {
    Canonical::new(Purpose::SelfTest).text("canary")
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
            Failure::Call(error) => match Class::of(error) {
                Class::Unsupported | Class::Data | Class::Tampered | Class::Fatal => Some(Refusal::Clear),
                // A token that needs an IV has no code for there being none: NSS says CKR_HOST_MEMORY.
                Class::Ambiguous | Class::Busy if suite == Suite::AesGcmAppendedIv => Some(Refusal::Clear),
                Class::Ambiguous => Some(Refusal::Doubtful),
                Class::Handle | Class::Session | Class::Login | Class::Gone | Class::Busy | Class::Pin => None,
            },
        }
    }
}
