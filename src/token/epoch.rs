//! One span of a working connection to the token: from C_Initialize and login to the moment something ends it.
//!
//! Owns: slot, login, sessions, handles and canary of the span; all of them are void when it ends, because after a reconnect the
//! same numbers may mean other sessions and other keys. Must not know: when a span ends (see `connection`).
//! Called by: `connection`, and the work it runs.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bulla_pkcs11::TokenText;
use cryptoki::context::Function;
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::UserType;
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use parking_lot::{Mutex, RwLock};

use super::canary::Canary;
use super::concessions::Concessions;
use super::config::TokenConfig;
use super::errors::{Called, Failure, TokenError};
use super::module::{Claim, find_slot};
use super::pin::Pins;
use super::pool::{Access, Opener, Pool};
use super::readback;
use super::session::{Session, Turns, logged_in};
use super::suites::{self, Keyed};
use super::templates::{self, Half};
use crate::base::ids::KeyVersionId;
use crate::base::public_key::PublicKey;
use crate::base::secret::Pin;
use crate::base::signals;
use crate::base::words::{ImportAlgorithm, Suite};

/// Between two questions what is free.
pub(super) const ROOM_EVERY: Duration = Duration::from_secs(60);

/// Sessions of ours outside the pool of readers: the anchor and the writer.
const RESERVED: usize = 2;

/// What is free on the token, as it told when it was last asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) asked: Instant,
    pub(super) private: Option<u64>,
    pub(super) public: Option<u64>,
}

impl Room {
    fn of(token: &TokenText) -> Self {
        Self { asked: Instant::now(), private: token.free_private, public: token.free_public }
    }
}

/// What is known of a token beyond the span: it does not change when it comes back.
pub(super) struct Lasting {
    /// CKA_ID of the HMAC key of suite S3, once it is known.
    pub(super) integrity: OnceLock<KeyVersionId>,
    /// What it refuses to be told of new objects.
    pub(super) concessions: Concessions,
}

impl Lasting {
    /// Before the first span.
    pub(super) fn new(config: &TokenConfig) -> Self {
        Self { integrity: OnceLock::new(), concessions: Concessions::new(config.left_out.clone()) }
    }
}

/// Which OAEP parameters the token has refused in this epoch, so that it is asked once.
#[derive(Default)]
pub(super) struct Refused {
    pub(super) sha1: AtomicBool,
    pub(super) sha256: AtomicBool,
}

/// A working connection.
pub(super) struct Epoch {
    /// Counts from 1.
    pub(super) number: u64,
    /// Before C_Initialize: some modules show what another process made only if it was there then.
    pub(super) begun: Instant,
    /// The token, as it described itself at the login.
    pub(super) token: TokenText,
    slot: Slot,
    pub(super) room: Mutex<Room>,
    readers: Pool,
    /// One session: on SoftHSM 2.6.1 objects made in parallel fail or break, so it is also the lock of all creation.
    writer: Pool,
    handles: RwLock<HashMap<(KeyVersionId, Half), ObjectHandle>>,
    /// Public halves, which never change.
    publics: RwLock<HashMap<KeyVersionId, PublicKey>>,
    /// What the token can do, by its own account.
    pub(super) mechanisms: Vec<u64>,
    pub(super) refused: Refused,
    pub(super) canary: Canary,
    pub(super) lasting: Arc<Lasting>,
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
        pins: &Pins,
        lasting: &Arc<Lasting>,
        number: u64,
    ) -> Result<Self, TokenError> {
        let begun = Instant::now();
        claim.initialize()?;
        let epoch = Self::log_in(claim, config, pins, lasting, number, begun).map_err(TokenError::from);
        if epoch.is_err() {
            claim.finalize();
        }
        epoch
    }

    fn log_in(
        claim: &Claim,
        config: &TokenConfig,
        pins: &Pins,
        lasting: &Arc<Lasting>,
        number: u64,
        begun: Instant,
    ) -> Result<Self, Failure> {
        let (slot, token) = find_slot(claim, &config.selector)?;
        let mechanisms = claim.mechanisms(slot)?;
        let offer = suites::offered(&mechanisms)?;
        let opener = Opener::new(claim.pkcs11().clone(), claim.module().cloned(), slot, Turns::of(&token.manufacturer));
        let anchor = opener.open_at_once(Access::ReadOnly)?;
        present_pin(&anchor, &token, pins, || claim.token(slot).ok())?;
        let most = token.max_sessions.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let limit = config.sessions.min(most.saturating_sub(RESERVED)).max(1);
        let readers = Pool::new(opener.clone(), Access::ReadOnly, limit);
        let writer = Pool::new(opener.clone(), Access::ReadWrite, 1);
        // Before any reader's: on a device with few sessions it would find none left.
        match opener.open(Access::ReadWrite) {
            Ok(session) => writer.adopt(session),
            Err(error) => log::info!("token: no session that writes: {}", Called { error, mechanism: None }.describe()),
        }
        let canary = Canary::make(&opener, &anchor, &offer, &lasting.concessions)?;
        log::info!(
            "token: epoch {number}, {:?} (serial {:?}), {limit} sessions, {:?}",
            token.label,
            token.serial,
            canary.suite()
        );
        Ok(Self {
            number,
            begun,
            room: Mutex::new(Room::of(&token)),
            token,
            slot,
            readers,
            writer,
            handles: RwLock::default(),
            publics: RwLock::default(),
            mechanisms,
            refused: Refused::default(),
            canary,
            lasting: Arc::clone(lasting),
            unwraps: Mutex::default(),
            _anchor: Mutex::new(anchor),
        })
    }

    /// Whether what is free was asked so long ago that it is worth another call; never of a token that does not tell.
    pub(super) fn room_is_old(&self) -> bool {
        let room = *self.room.lock();
        (room.private.is_some() || room.public.is_some()) && room.asked.elapsed() >= ROOM_EVERY
    }

    /// Asks the token what is free.
    pub(super) fn ask_for_room(&self, claim: &Claim) -> Result<(), Failure> {
        let token = claim.token(self.slot)?;
        *self.room.lock() = Room::of(&token);
        Ok(())
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
        if let Some(handle) = self.handles.read().get(&(*id, half)) {
            return Ok(*handle);
        }
        match session.find_objects(&templates::search(half, id))?.as_slice() {
            [handle] => {
                self.handles.write().insert((*id, half), *handle);
                Ok(*handle)
            }
            [] if logged_in(session)? => Err(TokenError::NoSuchKey(*id).into()),
            // Without a login private objects cannot be seen: that is no proof that there is none.
            [] => Err(Pkcs11Error::Pkcs11(RvError::UserNotLoggedIn, Function::FindObjects).into()),
            [..] => Err(duplicate(id).into()),
        }
    }

    /// Takes note of objects that were just found.
    pub(super) fn found(&self, id: &KeyVersionId, objects: &[(Half, ObjectHandle)]) {
        let mut handles = self.handles.write();
        for (half, handle) in objects {
            handles.insert((*id, *half), *handle);
        }
    }

    /// The public half of a pair, read from the token once.
    pub(super) fn public_key(
        &self,
        id: &KeyVersionId,
        read: impl FnOnce() -> Result<PublicKey, Failure>,
    ) -> Result<PublicKey, Failure> {
        if let Some(known) = self.publics.read().get(id) {
            return Ok(known.clone());
        }
        let public = read()?;
        self.publics.write().insert(*id, public.clone());
        Ok(public)
    }

    /// A key of ours, ready for this suite.
    ///
    /// # Errors
    /// As [`Epoch::handle`]; `Fault` for suite S3 while its HMAC key is not known.
    pub(super) fn keyed<'a>(&self, session: &'a Session, suite: Suite, id: &KeyVersionId) -> Result<Keyed<'a>, Failure> {
        let mac = match (suite, self.lasting.integrity.get()) {
            (Suite::AesCbcHmac, Some(integrity)) => Some(self.handle(session, integrity, Half::Secret)?),
            (Suite::AesCbcHmac | Suite::AesGcmCallerIv | Suite::AesGcmTokenIv | Suite::AesGcmAppendedIv, _) => None,
        };
        Ok(Keyed { session, cipher: self.handle(session, id, Half::Secret)?, id: *id, mac })
    }

    /// Forgets the handles that work on this id may have used.
    pub(super) fn forget_used(&self, id: &KeyVersionId) {
        self.forget(id);
        if let Some(integrity) = self.lasting.integrity.get() {
            self.forget(integrity);
        }
    }

    /// Forgets the handles of an id.
    pub(super) fn forget(&self, id: &KeyVersionId) {
        let mut handles = self.handles.write();
        for half in Half::ALL {
            handles.remove(&(*id, half));
        }
        self.publics.write().remove(id);
    }

    /// Whether the token unwraps with an algorithm: what is remembered, or else what `ask` finds.
    pub(super) fn unwraps(
        &self,
        algorithm: ImportAlgorithm,
        ask: impl FnOnce() -> Result<bool, Failure>,
    ) -> Result<bool, Failure> {
        let known = self.unwraps.lock().get(&algorithm).copied();
        if let Some(known) = known {
            return Ok(known);
        }
        let found = ask()?;
        self.unwraps.lock().insert(algorithm, found);
        Ok(found)
    }
}

/// More objects than may be: said once here, so that the log has it whoever asked.
pub(super) fn duplicate(id: &KeyVersionId) -> TokenError {
    log::error!("token: more than one object has the id {id}; none is used");
    TokenError::Duplicate(*id)
}

/// Every key object of an id, in one search.
pub(super) fn find_all(session: &Session, id: &KeyVersionId) -> Result<Vec<(Half, ObjectHandle)>, Failure> {
    let found = readback::search(session, &templates::search_all(id), &[AttributeType::Class])?;
    let half = |attributes: &[Attribute]| match attributes {
        [Attribute::Class(class)] => Half::of(*class),
        _ => None,
    };
    Ok(found.into_iter().filter_map(|(object, attributes)| Some((half(&attributes)?, object))).collect())
}

/// C_Login, once. A kill in the middle of it costs SoftHSM 2.6.1 the whole token, so signals wait until it is done.
/// `again` is how the token describes itself behind it.
fn present_pin(
    session: &Session,
    token: &TokenText,
    pins: &Pins,
    again: impl Fn() -> Option<TokenText>,
) -> Result<(), Failure> {
    if !token.user_pin_initialised() {
        let what = "no user PIN was set on the token (CKF_USER_PIN_INITIALIZED is not set); none was presented";
        return Err(TokenError::Setting(what.to_owned()).into());
    }
    let pin = pins.to_present(token)?;
    match signals::held_off(|| session.login(UserType::User, Some(&auth_pin(&pin)))) {
        Ok(()) => {
            pins.accepted();
            Ok(())
        }
        // Of a token without a login it is as much in vain as any other code.
        Err(Pkcs11Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) if logged_in(session).unwrap_or(false) => {
            pins.accepted();
            Ok(())
        }
        Err(error) => {
            let call = Called { error, mechanism: None };
            log::info!("token: {}", call.describe());
            Err(pins.refused(&call, again().as_ref()).into())
        }
    }
}

/// The PIN as cryptoki takes it; wiped when dropped.
pub(super) fn auth_pin(pin: &Pin) -> AuthPin {
    AuthPin::from(pin.expose().to_owned())
}
