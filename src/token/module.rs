//! The PKCS#11 module in this process: loaded once, held by one owner at a time.
//!
//! Owns: loading the module, C_Initialize, C_Finalize, finding the slot. Must not know: sessions, keys.
//! Called by: `epoch` (connect), `connection` (the end of an epoch), `operations` (initialising a token).
//!
//! Two contexts in one process crash SoftHSM and many vendors' modules, and unloading one runs its destructors under threads that
//! still use it. So the module is loaded at most once and never unloaded, and whoever wants to initialise it takes the [`Claim`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bulla_pkcs11::{Module, TokenText};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::slot::Slot;
use parking_lot::Mutex;

use super::config::Selector;
use super::errors::{TokenError, describe};

/// The module of this process.
static LOADED: Mutex<Option<(PathBuf, Pkcs11, Arc<Module>)>> = Mutex::new(None);

/// Whether somebody holds the claim.
static CLAIMED: AtomicBool = AtomicBool::new(false);

/// The right to initialise and finalise the module; one in the process.
pub(super) struct Claim {
    pkcs11: Pkcs11,
    module: Arc<Module>,
}

impl Claim {
    /// Loads the module, if it is not loaded yet, and takes the claim.
    ///
    /// # Errors
    /// `Setting` if the module does not load; `Unsupported` if another one is loaded; `Fault` if the claim is taken.
    pub(super) fn take(path: &Path) -> Result<Self, TokenError> {
        let mut loaded = LOADED.lock();
        let (pkcs11, module) = match &*loaded {
            Some((known, pkcs11, module)) if known == path => (pkcs11.clone(), Arc::clone(module)),
            Some((known, ..)) => {
                return Err(TokenError::Unsupported(format!("a second module; {} is loaded", known.display()).into()));
            }
            None => {
                let failed = |e| TokenError::Setting(format!("{} does not load: {}", path.display(), describe(&e)));
                let pkcs11 = Pkcs11::new(path).map_err(failed)?;
                let module = Arc::new(Module::load(path).map_err(failed)?);
                *loaded = Some((path.to_owned(), pkcs11.clone(), Arc::clone(&module)));
                (pkcs11, module)
            }
        };
        if CLAIMED.swap(true, Ordering::AcqRel) {
            return Err(TokenError::Fault("the token is open already in this process".into()));
        }
        Ok(Self { pkcs11, module })
    }

    /// The functions, as cryptoki calls them.
    pub(super) fn pkcs11(&self) -> &Pkcs11 {
        &self.pkcs11
    }

    /// Those that cryptoki does not have; none where the module shares no state between who has loaded it twice.
    pub(super) fn module(&self) -> Option<&Arc<Module>> {
        self.module.is_initialised().then_some(&self.module)
    }

    /// The token in a slot, as it describes itself.
    pub(super) fn token(&self, slot: Slot) -> Result<TokenText, Pkcs11Error> {
        match self.module() {
            Some(module) => module.token(slot),
            None => self.pkcs11.get_token_info(slot).map(|info| TokenText::of_cryptoki(&info)),
        }
    }

    /// The mechanisms of a token, by number.
    pub(super) fn mechanisms(&self, slot: Slot) -> Result<Vec<u64>, Pkcs11Error> {
        match self.module() {
            Some(module) => module.mechanisms(slot),
            // Those that cryptoki has no name for are not among them, and none of them is used here.
            None => Ok(self.pkcs11.get_mechanism_list(slot)?.into_iter().map(|mechanism| *mechanism).collect()),
        }
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
        done.map_err(|e| {
            TokenError::Fault(format!("{}; does the module's service run (a daemon, a network client)?", describe(&e)))
        })
    }

    /// C_Finalize: closes every session, ends the login, makes every handle void. No other thread may be inside a PKCS#11 call.
    /// A failure is logged and otherwise left to the next C_Initialize.
    pub(super) fn finalize(&self) {
        if let Err(e) = self.pkcs11.clone().finalize() {
            log::warn!("token: {}", describe(&e));
        }
    }

    /// Who made the module: manufacturer, description and version, as it says itself.
    ///
    /// # Errors
    /// What C_GetInfo answers.
    pub(super) fn about(&self) -> Result<String, TokenError> {
        let info = self.pkcs11.get_library_info().map_err(|e| TokenError::Fault(describe(&e)))?;
        let version = info.library_version();
        Ok(format!(
            "{}, {}, version {}.{}",
            info.manufacturer_id(),
            info.library_description(),
            version.major(),
            version.minor()
        ))
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
/// `Absent` if none fits, with what was there, slots that could not be read included; `Setting` if several do.
pub(super) fn find_slot(claim: &Claim, selector: &Selector) -> Result<(Slot, TokenText), TokenError> {
    let slots = claim.pkcs11().get_slots_with_token().map_err(|e| TokenError::Absent(describe(&e)))?;
    let mut fitting = Vec::new();
    let mut others = Vec::new();
    for slot in slots {
        match claim.token(slot) {
            Ok(token) if token.initialised() && selector.fits(&token) => fitting.push((slot, token)),
            Ok(token) if token.initialised() => others.push(format!("{:?} (serial {:?})", token.label, token.serial)),
            Ok(token) => others.push(format!("{:?} in slot {slot}, not initialised", token.label)),
            Err(error) => others.push(format!("slot {slot}, unreadable: {}", describe(&error))),
        }
    }
    match fitting.len() {
        1 => Ok(fitting.remove(0)),
        0 => Err(TokenError::Absent(format!("no token {selector}; there are: [{}]", others.join(", ")))),
        n => {
            let serials: Vec<String> = fitting.iter().map(|(_, token)| format!("{:?}", token.serial)).collect();
            Err(TokenError::Setting(format!(
                "{n} tokens {selector}, with the serial numbers {}; set serial beside label, or instead of it, in [token]",
                serials.join(", ")
            )))
        }
    }
}
