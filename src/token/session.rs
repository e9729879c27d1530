//! A session on the token: cryptoki's, with operations that are one call and failures that name their mechanism.
//!
//! Owns: how many bytes an answer may have; that nobody searches while objects change, where the module needs it. Must not know: keys,
//! retries. Called by: everything that works on the token.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bulla_pkcs11::Module;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::{Session as Opened, SessionState};
use parking_lot::RwLock;
use zeroize::Zeroizing;

use super::errors::Failure;

/// A session that is open.
pub(super) struct Session {
    opened: Opened,
    /// None where only cryptoki's functions share the state of the module; an operation is then three calls.
    module: Option<Arc<Module>>,
    turns: Turns,
}

/// Keeps searches and changes of objects apart, in one process.
///
/// SoftHSM 2.6.1 reads what it shows to a search from its file again, also an object that another thread is still making: then the
/// making fails with CKR_TEMPLATE_INCONSISTENT or another code that says nothing of it, an attribute has another value, or the
/// object is gone. Elsewhere nothing waits: a pair of RSA keys takes a network HSM seconds.
#[derive(Clone)]
pub(super) struct Turns(Option<Arc<RwLock<()>>>);

/// How long one waits for the other: longer than SoftHSM makes a pair. What hangs in the module holds nobody up for good.
const TURN: Duration = Duration::from_secs(5);

impl Turns {
    /// Those of a token of this manufacturer.
    pub(super) fn of(manufacturer: &str) -> Self {
        Self(manufacturer.starts_with("SoftHSM").then(Arc::default))
    }

    fn search<T>(&self, search: impl FnOnce() -> T) -> T {
        let _turn = self.0.as_ref().and_then(|lock| lock.try_read_for(TURN));
        search()
    }

    fn change<T>(&self, change: impl FnOnce() -> T) -> T {
        let _turn = self.0.as_ref().and_then(|lock| lock.try_write_for(TURN));
        change()
    }
}

/// What cryptoki does as well as we would: attributes, random bytes.
impl Deref for Session {
    type Target = Opened;

    fn deref(&self) -> &Opened {
        &self.opened
    }
}

impl Session {
    /// A session of this module.
    pub(super) fn new(opened: Opened, module: Option<Arc<Module>>, turns: Turns) -> Self {
        Self { opened, module, turns }
    }

    /// Closes it.
    pub(super) fn close(self) -> Result<(), Failure> {
        Ok(self.opened.close()?)
    }

    /// Encrypts; what comes is at most `more` bytes longer than the plaintext.
    pub(super) fn encrypt(
        &self,
        mechanism: &Mechanism<'_>,
        key: ObjectHandle,
        plain: &[u8],
        more: usize,
    ) -> Result<Vec<u8>, Failure> {
        let done = match &self.module {
            Some(module) => module.encrypt(&self.opened, mechanism, key, plain, plain.len() + more),
            None => self.opened.encrypt(mechanism, key, plain),
        };
        done.map_err(Failure::with(mechanism.mechanism_type()))
    }

    /// Decrypts.
    pub(super) fn decrypt(
        &self,
        mechanism: &Mechanism<'_>,
        key: ObjectHandle,
        encrypted: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let done = match &self.module {
            Some(module) => module.decrypt(&self.opened, mechanism, key, encrypted),
            None => self.opened.decrypt(mechanism, key, encrypted).map(Zeroizing::new),
        };
        done.map_err(Failure::with(mechanism.mechanism_type()))
    }

    /// Signs, or makes a MAC, of at most `room` bytes.
    pub(super) fn sign(
        &self,
        mechanism: &Mechanism<'_>,
        key: ObjectHandle,
        data: &[u8],
        room: usize,
    ) -> Result<Vec<u8>, Failure> {
        let done = match &self.module {
            Some(module) => module.sign(&self.opened, mechanism, key, data, room),
            None => self.opened.sign(mechanism, key, data),
        };
        done.map_err(Failure::with(mechanism.mechanism_type()))
    }

    /// The objects that fit a template.
    pub(super) fn find_objects(&self, template: &[Attribute]) -> Result<Vec<ObjectHandle>, Failure> {
        Ok(self.turns.search(|| self.opened.find_objects(template))?)
    }

    /// C_CreateObject.
    pub(super) fn create_object(&self, template: &[Attribute]) -> Result<ObjectHandle, Failure> {
        Ok(self.turns.change(|| self.opened.create_object(template))?)
    }

    /// C_DestroyObject.
    pub(super) fn destroy_object(&self, object: ObjectHandle) -> Result<(), Failure> {
        Ok(self.turns.change(|| self.opened.destroy_object(object))?)
    }

    /// C_GenerateKey.
    pub(super) fn generate_key(&self, mechanism: &Mechanism<'_>, template: &[Attribute]) -> Result<ObjectHandle, Failure> {
        let made = self.turns.change(|| self.opened.generate_key(mechanism, template));
        made.map_err(Failure::with(mechanism.mechanism_type()))
    }

    /// C_GenerateKeyPair: the public half, then the private one.
    pub(super) fn generate_key_pair(
        &self,
        mechanism: &Mechanism<'_>,
        public: &[Attribute],
        private: &[Attribute],
    ) -> Result<(ObjectHandle, ObjectHandle), Failure> {
        let made = self.turns.change(|| self.opened.generate_key_pair(mechanism, public, private));
        made.map_err(Failure::with(mechanism.mechanism_type()))
    }

    /// C_UnwrapKey.
    pub(super) fn unwrap_key(
        &self,
        mechanism: &Mechanism<'_>,
        by: ObjectHandle,
        wrapped: &[u8],
        template: &[Attribute],
    ) -> Result<ObjectHandle, Failure> {
        let made = self.turns.change(|| self.opened.unwrap_key(mechanism, by, wrapped, template));
        made.map_err(Failure::with(mechanism.mechanism_type()))
    }
}

/// Whether the token's user is logged in, by the session's own account.
pub(super) fn logged_in(session: &Session) -> Result<bool, Failure> {
    let state = session.get_session_info()?.session_state();
    Ok(matches!(state, SessionState::RoUser | SessionState::RwUser))
}
