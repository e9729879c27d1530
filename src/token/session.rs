//! A session on the token: cryptoki's, with operations that are one call and failures that name their mechanism.
//!
//! Owns: how many bytes an answer may have. Must not know: keys, retries. Called by: everything that works on the token.

use std::ops::Deref;
use std::sync::Arc;

use bulla_pkcs11::Module;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::Session as Opened;
use zeroize::Zeroizing;

use super::errors::Failure;

/// A session that is open.
pub(super) struct Session {
    opened: Opened,
    /// None where only cryptoki's functions share the state of the module; an operation is then three calls.
    module: Option<Arc<Module>>,
}

/// What cryptoki does as well as we would: searches, attributes, random bytes.
impl Deref for Session {
    type Target = Opened;

    fn deref(&self) -> &Opened {
        &self.opened
    }
}

impl Session {
    /// A session of this module.
    pub(super) fn new(opened: Opened, module: Option<Arc<Module>>) -> Self {
        Self { opened, module }
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

    /// C_GenerateKey.
    pub(super) fn generate_key(&self, mechanism: &Mechanism<'_>, template: &[Attribute]) -> Result<ObjectHandle, Failure> {
        self.opened.generate_key(mechanism, template).map_err(Failure::with(mechanism.mechanism_type()))
    }

    /// C_GenerateKeyPair: the public half, then the private one.
    pub(super) fn generate_key_pair(
        &self,
        mechanism: &Mechanism<'_>,
        public: &[Attribute],
        private: &[Attribute],
    ) -> Result<(ObjectHandle, ObjectHandle), Failure> {
        self.opened.generate_key_pair(mechanism, public, private).map_err(Failure::with(mechanism.mechanism_type()))
    }

    /// C_UnwrapKey.
    pub(super) fn unwrap_key(
        &self,
        mechanism: &Mechanism<'_>,
        by: ObjectHandle,
        wrapped: &[u8],
        template: &[Attribute],
    ) -> Result<ObjectHandle, Failure> {
        self.opened.unwrap_key(mechanism, by, wrapped, template).map_err(Failure::with(mechanism.mechanism_type()))
    }
}
