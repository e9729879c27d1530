//! One span of a working link to the token: from C_Initialize and login to the moment something ends it.
//!
//! Owns: slot, login, sessions, handles and canary of the span; all of them are void when it ends, because after a reconnect the
//! same numbers may mean other sessions and other keys. Must not know: when a span ends (see `link`).
//! Called by: `link`, and the work it runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use cryptoki::context::{Function, Pkcs11};
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::{Limit, TokenInfo};
use cryptoki::types::AuthPin;

use super::TokenConfig;
use super::asymmetric::Refused;
use super::canary::Canary;
use super::context::{Claim, find_slot};
use super::errors::{Failure, TokenError, describe};
use super::pool::{Access, Pool};
use super::suites::Keyed;
use super::templates::{self, Half};
use crate::base::ids::KeyVersionId;
use crate::base::secret::Pin;
use crate::base::words::{ImportAlgorithm, Suite};

/// Sessions of ours outside the pool of readers: the anchor and the writer.
const RESERVED: usize = 2;

/// A working link.
pub(super) struct Epoch {
    /// Counts from 1.
    pub(super) number: u64,
    readers: Pool,
    /// One session: on SoftHSM 2.6.1 objects made in parallel fail or break, so it is also the lock of all creation.
    writer: Pool,
    handles: RwLock<HashMap<(KeyVersionId, Half), ObjectHandle>>,
    /// What the token can do, by its own account.
    pub(super) mechanisms: Vec<MechanismType>,
    pub(super) refused: Refused,
    pub(super) canary: Canary,
    /// CKA_ID of the HMAC key of suite S3, once it is known.
    integrity: Arc<OnceLock<KeyVersionId>>,
    /// Which algorithms unwrap on this token, as far as it was asked.
    unwraps: Mutex<HashMap<ImportAlgorithm, bool>>,
    /// Holds the login, which ends with the last session, and the canary's key. Never used for anything else.
    _anchor: Mutex<Session>,
}

impl Epoch {
    /// C_Initialize, slot, login, canary. On an error the library is finalised again.
    pub(super) fn connect(
        claim: &Claim,
        config: &TokenConfig,
        pin: &Pin,
        integrity: &Arc<OnceLock<KeyVersionId>>,
        number: u64,
    ) -> Result<Self, TokenError> {
        claim.initialize()?;
        let epoch = Self::log_in(claim.pkcs11(), config, pin, integrity, number).map_err(TokenError::from);
        if epoch.is_err() {
            claim.finalize();
        }
        epoch
    }

    fn log_in(
        pkcs11: &Pkcs11,
        config: &TokenConfig,
        pin: &Pin,
        integrity: &Arc<OnceLock<KeyVersionId>>,
        number: u64,
    ) -> Result<Self, Failure> {
        let (slot, info) = find_slot(pkcs11, &config.selector)?;
        let anchor = pkcs11.open_ro_session_no_drop(slot)?;
        present_pin(&anchor, &info, pin)?;
        let canary = Canary::make(pkcs11, slot, &anchor)?;
        let most = match info.max_session_count() {
            Limit::Max(most) => usize::try_from(most).unwrap_or(usize::MAX),
            Limit::Infinite | Limit::Unavailable => usize::MAX,
        };
        let limit = config.sessions.min(most.saturating_sub(RESERVED)).max(1);
        log::info!(
            "token: epoch {number}, {:?} ({}), {limit} sessions, {:?}",
            info.label(),
            info.serial_number(),
            canary.suite()
        );
        Ok(Self {
            number,
            readers: Pool::new(pkcs11.clone(), slot, Access::ReadOnly, limit),
            writer: Pool::new(pkcs11.clone(), slot, Access::ReadWrite, 1),
            handles: RwLock::default(),
            mechanisms: pkcs11.get_mechanism_list(slot)?,
            refused: Refused::default(),
            canary,
            integrity: Arc::clone(integrity),
            unwraps: Mutex::default(),
            _anchor: Mutex::new(anchor),
        })
    }

    /// The sessions for this access.
    pub(super) fn pool(&self, access: Access) -> &Pool {
        match access {
            Access::ReadOnly => &self.readers,
            Access::ReadWrite => &self.writer,
        }
    }

    /// Lends no more sessions; whoever waits for one is told that the token is gone.
    pub(super) fn close(&self) {
        self.readers.close();
        self.writer.close();
    }

    /// The object of this id and class; looked up once in the epoch, because a look-up costs as much as there are objects.
    ///
    /// # Errors
    /// `NoSuchKey`, `Duplicate`; a failed call.
    pub(super) fn handle(&self, session: &Session, id: &KeyVersionId, half: Half) -> Result<ObjectHandle, Failure> {
        if let Some(handle) = self.handles.read().unwrap_or_else(PoisonError::into_inner).get(&(*id, half)) {
            return Ok(*handle);
        }
        match find(session, id, half)?.as_slice() {
            [handle] => {
                self.handles.write().unwrap_or_else(PoisonError::into_inner).insert((*id, half), *handle);
                Ok(*handle)
            }
            [] if logged_in(session)? => Err(TokenError::NoSuchKey(*id).into()),
            // Without a login private objects cannot be seen: that is no proof that there is none.
            [] => Err(Pkcs11Error::Pkcs11(RvError::UserNotLoggedIn, Function::FindObjects).into()),
            [..] => Err(duplicate(id).into()),
        }
    }

    /// A key of ours, ready for this suite.
    ///
    /// # Errors
    /// As [`Epoch::handle`]; `Fault` for suite S3 while its HMAC key is not known.
    pub(super) fn keyed<'a>(&self, session: &'a Session, suite: Suite, id: &KeyVersionId) -> Result<Keyed<'a>, Failure> {
        let mac = match (suite, self.integrity.get()) {
            (Suite::AesCbcHmac, Some(integrity)) => Some(self.handle(session, integrity, Half::Secret)?),
            (Suite::AesCbcHmac | Suite::AesGcmCallerIv | Suite::AesGcmTokenIv | Suite::AesGcmAppendedIv, _) => None,
        };
        Ok(Keyed { session, cipher: self.handle(session, id, Half::Secret)?, id: *id, mac })
    }

    /// Forgets the handles that work on this id may have used.
    pub(super) fn forget_used(&self, id: &KeyVersionId) {
        self.forget(id);
        if let Some(integrity) = self.integrity.get() {
            self.forget(integrity);
        }
    }

    /// Forgets the handles of an id.
    pub(super) fn forget(&self, id: &KeyVersionId) {
        let mut handles = self.handles.write().unwrap_or_else(PoisonError::into_inner);
        for half in Half::ALL {
            handles.remove(&(*id, half));
        }
    }

    /// Whether the token unwraps with an algorithm: what is remembered, or else what `ask` finds.
    pub(super) fn unwraps(
        &self,
        algorithm: ImportAlgorithm,
        ask: impl FnOnce() -> Result<bool, Failure>,
    ) -> Result<bool, Failure> {
        let known = self.unwraps.lock().unwrap_or_else(PoisonError::into_inner).get(&algorithm).copied();
        if let Some(known) = known {
            return Ok(known);
        }
        let found = ask()?;
        self.unwraps.lock().unwrap_or_else(PoisonError::into_inner).insert(algorithm, found);
        Ok(found)
    }
}

/// More objects than may be: said once here, so that the log has it whoever asked.
pub(super) fn duplicate(id: &KeyVersionId) -> TokenError {
    log::error!("token: more than one object has the id {id}; none is used");
    TokenError::Duplicate(*id)
}

/// The token objects of this id and class.
pub(super) fn find(session: &Session, id: &KeyVersionId, half: Half) -> Result<Vec<ObjectHandle>, Failure> {
    Ok(session.find_objects(&templates::search(half, id))?)
}

fn logged_in(session: &Session) -> Result<bool, Failure> {
    let state = session.get_session_info()?.session_state();
    Ok(matches!(state, SessionState::RoUser | SessionState::RwUser))
}

/// C_Login, once. A PIN on its last try is not tried: it is for a person to use or reset it.
fn present_pin(session: &Session, info: &TokenInfo, pin: &Pin) -> Result<(), Failure> {
    if info.user_pin_locked() || info.user_pin_final_try() {
        log::error!("token: the PIN is locked or has one try left; it is not tried");
        return Err(TokenError::Pin.into());
    }
    match session.login(UserType::User, Some(&auth_pin(pin))) {
        Ok(()) | Err(Pkcs11Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(e) => {
            log::error!("token: {}", describe(&e));
            Err(e.into())
        }
    }
}

/// The PIN as cryptoki takes it; wiped when dropped.
pub(super) fn auth_pin(pin: &Pin) -> AuthPin {
    AuthPin::from(pin.expose().to_owned())
}
