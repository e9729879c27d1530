//! Whether the token is plugged in, and the numbers under which it shows itself while it is.
//!
//! Owns: unplugging, the numbering, the cap on sessions, keys that hide, mechanisms that are not there. Called by: `forward`, `special`,
//! `attributes`, `command`.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_MECHANISM, CK_MECHANISM_TYPE, CK_RV, CKR_DEVICE_REMOVED, CKR_MECHANISM_INVALID, CKR_OBJECT_HANDLE_INVALID,
    CKR_SESSION_HANDLE_INVALID, CKR_SLOT_ID_INVALID, CKR_TOKEN_NOT_PRESENT,
};

use crate::forward::Function;
use crate::gcm::Gcm;
use crate::numbers::Numbering;
use crate::real;
use crate::refusals::Refusals;

/// The plug. Calls into the module are made while it is held for reading; pulling it takes it for writing.
pub(crate) struct Plug {
    held: RwLock<()>,
    state: Mutex<State>,
}

/// What calls look up and leave behind.
#[derive(Default)]
pub(crate) struct State {
    /// Whether the token is plugged in.
    pub(crate) present: bool,
    pub(crate) slots: Numbering,
    pub(crate) sessions: Numbering,
    pub(crate) objects: Numbering,
    /// The most sessions that may be open; none: the module's own limit.
    pub(crate) most_sessions: Option<usize>,
    /// For how long a new key is not found.
    pub(crate) hide: Duration,
    /// Which keys were made when, by the module's own handles; only while keys hide.
    pub(crate) born: HashMap<u64, Instant>,
    /// Attributes that are not told as they are: number and bytes.
    pub(crate) lies: HashMap<u64, Vec<u8>>,
    /// Attributes that are kept from the module, and what is told of them: number and bytes.
    pub(crate) kept: HashMap<u64, Vec<u8>>,
    /// What C_Decrypt answers to a ciphertext that does not verify; none: the module's own code.
    pub(crate) forged: Option<CK_RV>,
    pub(crate) gcm: Gcm,
    /// Mechanisms that the module has and the token does not.
    pub(crate) absent: HashSet<CK_MECHANISM_TYPE>,
    /// Whether what others make is found only after the next login.
    pub(crate) stale: bool,
    /// Objects that are found, by the module's own handles: of the last login, and made since; none: all.
    pub(crate) fresh: Option<HashSet<u64>>,
    /// Free memory of both kinds that CK_TOKEN_INFO tells; none: the module's own.
    pub(crate) room: Option<u64>,
    /// Flags of CK_TOKEN_INFO that tell of the user's PIN; none: the module's own.
    pub(crate) pin_flags: Option<u64>,
    pub(crate) refusals: Refusals,
}

impl State {
    /// The module's number of a slot.
    pub(crate) fn slot(&self, shown: u64) -> Result<u64, CK_RV> {
        self.slots.real(shown).ok_or(CKR_SLOT_ID_INVALID)
    }

    /// The module's number of a session.
    pub(crate) fn session(&self, shown: u64) -> Result<u64, CK_RV> {
        self.sessions.real(shown).ok_or(CKR_SESSION_HANDLE_INVALID)
    }

    /// The module's number of an object. 0 is no object and stays so.
    pub(crate) fn object(&self, shown: u64) -> Result<u64, CK_RV> {
        if shown == 0 { Ok(0) } else { self.objects.real(shown).ok_or(CKR_OBJECT_HANDLE_INVALID) }
    }

    /// That the token has a mechanism.
    ///
    /// # Safety
    /// `mechanism` is null or points to one.
    pub(crate) unsafe fn offers(&self, mechanism: *const CK_MECHANISM) -> Result<(), CK_RV> {
        // SAFETY: see above.
        let absent = unsafe { mechanism.as_ref() }.is_some_and(|m| self.absent.contains(&m.mechanism));
        if absent { Err(CKR_MECHANISM_INVALID) } else { Ok(()) }
    }

    /// This process has made an object of a template.
    pub(crate) fn made(&mut self, template: &[CK_ATTRIBUTE], real: u64) {
        self.refusals.made(template, real);
        if !self.hide.is_zero() {
            self.born.insert(real, Instant::now());
        }
        if let Some(fresh) = &mut self.fresh {
            fresh.insert(real);
        }
    }

    /// Whether a key is too young to be found, or another process's of after the login.
    pub(crate) fn hides(&self, real: u64) -> bool {
        let young = self.born.get(&real).is_some_and(|born| born.elapsed() < self.hide);
        young || self.fresh.as_ref().is_some_and(|fresh| !fresh.contains(&real))
    }

    /// Everything gets other numbers.
    pub(crate) fn renumber(&mut self) {
        self.slots.clear();
        self.sessions.clear();
        self.objects.clear();
        self.born.clear();
        self.fresh = None;
        self.gcm.forget_sessions();
    }
}

impl Plug {
    /// Plugged in.
    pub(crate) fn new() -> Self {
        Self { held: RwLock::default(), state: Mutex::new(State { present: true, ..State::default() }) }
    }

    /// Keeps the plug where it is.
    pub(crate) fn hold(&self) -> RwLockReadGuard<'_, ()> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The numbers and the rest; never held over a call into the module.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pulls it: sessions and login are over, numbers are void.
    pub(crate) fn pull(&self) {
        let _held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        self.state().present = false;
        self.state().renumber();
        real::close_all_sessions();
    }

    /// Plugs it in again.
    pub(crate) fn replug(&self) {
        let mut state = self.state();
        state.renumber();
        state.present = true;
    }
}

/// What a function answers while the token is away; none: what it always does, since it is about the library.
pub(crate) fn absence(function: Function) -> Option<CK_RV> {
    use Function as F;
    match function {
        F::C_Initialize | F::C_Finalize | F::C_GetInfo | F::C_GetFunctionList | F::C_GetSlotList => None,
        F::C_GetSlotInfo
        | F::C_GetTokenInfo
        | F::C_GetMechanismList
        | F::C_GetMechanismInfo
        | F::C_InitToken
        | F::C_OpenSession
        | F::C_CloseAllSessions => Some(CKR_TOKEN_NOT_PRESENT),
        _ => Some(CKR_DEVICE_REMOVED),
    }
}
