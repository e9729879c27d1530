//! The PKCS#11 library in this process: loaded once, held by one owner at a time.
//!
//! Owns: loading the module, C_Initialize, C_Finalize, finding the slot. Must not know: sessions, keys.
//! Called by: `epoch` (connect), `link` (the end of an epoch), `mod` (initialising a token).
//!
//! Two contexts in one process crash SoftHSM and many vendors' modules, and unloading one runs its destructors under threads that
//! still use it. So the module is loaded at most once and never unloaded, and whoever wants to initialise it takes the [`Claim`].

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::slot::{Slot, TokenInfo};

use super::Selector;
use super::errors::{TokenError, describe};

/// The module of this process.
static LOADED: Mutex<Option<(PathBuf, Pkcs11)>> = Mutex::new(None);

/// Whether somebody holds the claim.
static CLAIMED: AtomicBool = AtomicBool::new(false);

/// The right to initialise and finalise the module; one in the process.
pub(super) struct Claim {
    pkcs11: Pkcs11,
}

impl Claim {
    /// Loads the module, if it is not loaded yet, and takes the claim.
    ///
    /// # Errors
    /// `Unsupported` if the module does not load or another one is loaded; `Fault` if the claim is taken.
    pub(super) fn take(module: &Path) -> Result<Self, TokenError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let pkcs11 = match &*loaded {
            Some((path, pkcs11)) if path == module => pkcs11.clone(),
            Some((path, _)) => {
                return Err(TokenError::Unsupported(format!("a second module; {} is loaded", path.display())));
            }
            None => {
                let pkcs11 = Pkcs11::new(module)
                    .map_err(|e| TokenError::Unsupported(format!("loading {}: {}", module.display(), describe(&e))))?;
                *loaded = Some((module.to_owned(), pkcs11.clone()));
                pkcs11
            }
        };
        if CLAIMED.swap(true, Ordering::AcqRel) {
            return Err(TokenError::Fault("the token is open already in this process".into()));
        }
        Ok(Self { pkcs11 })
    }

    /// The function table.
    pub(super) fn pkcs11(&self) -> &Pkcs11 {
        &self.pkcs11
    }

    /// C_Initialize with the operating system's locks.
    pub(super) fn initialize(&self) -> Result<(), TokenError> {
        let initialize = || self.pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
        let done = match initialize() {
            // The C_Finalize before has failed; nobody else in this process would have initialised it.
            Err(Pkcs11Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {
                self.finalize();
                initialize()
            }
            done => done,
        };
        done.map_err(|e| TokenError::Fault(describe(&e)))
    }

    /// C_Finalize: closes every session, ends the login, makes every handle void. No other thread may be inside a PKCS#11 call.
    /// A failure is logged and otherwise left to the next C_Initialize.
    pub(super) fn finalize(&self) {
        if let Err(e) = self.pkcs11.clone().finalize() {
            log::warn!("token: {}", describe(&e));
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        CLAIMED.store(false, Ordering::Release);
    }
}

/// Finds the one initialised token that fits. Slot numbers are never trusted: they move when a token or an HA member goes.
///
/// # Errors
/// `Absent` if none fits, with what was there; `Fault` if several do.
pub(super) fn find_slot(pkcs11: &Pkcs11, selector: &Selector) -> Result<(Slot, TokenInfo), TokenError> {
    let slots = pkcs11.get_slots_with_token().map_err(|e| TokenError::Absent(describe(&e)))?;
    let mut fitting = Vec::new();
    let mut others = Vec::new();
    for slot in slots {
        let Ok(info) = pkcs11.get_token_info(slot) else { continue };
        if !info.token_initialized() {
            continue;
        }
        if selector.fits(info.label(), info.serial_number()) {
            fitting.push((slot, info));
        } else {
            others.push(format!("{:?} ({})", info.label(), info.serial_number()));
        }
    }
    match fitting.len() {
        1 => Ok(fitting.remove(0)),
        0 => Err(TokenError::Absent(format!("no token {selector}; there are: [{}]", others.join(", ")))),
        n => Err(TokenError::Fault(format!("{n} tokens {selector}; name one by its serial number"))),
    }
}
