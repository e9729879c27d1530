//! The module behind this one.
//!
//! Owns: loading it, its function list. Called by: `forward`, `special`, `plug`.

use std::collections::HashSet;
use std::ffi::CString;
use std::sync::OnceLock;

use cryptoki_sys::{CK_FUNCTION_LIST, CK_RV, CK_SESSION_HANDLE, CK_SLOT_ID, CKR_FUNCTION_NOT_SUPPORTED, CKR_OK, Pkcs11};

use crate::{MODULE_VARIABLE, RESERVED_VARIABLE};

/// Never dropped: unloading a module runs its destructors under threads that may still be inside.
static LOADED: OnceLock<(Pkcs11, CK_FUNCTION_LIST)> = OnceLock::new();

/// Loads it, once.
///
/// # Errors
/// In words.
pub(crate) fn load() -> Result<(), String> {
    if LOADED.get().is_some() {
        return Ok(());
    }
    let path = std::env::var_os(MODULE_VARIABLE).ok_or(format!("{MODULE_VARIABLE} names no module"))?;
    // SAFETY: loading a library runs its initialisers; the path is that of a PKCS#11 module, which is made to be loaded.
    let library = unsafe { Pkcs11::new(&path) }.map_err(|e| format!("{}: {e}", path.display()))?;
    let mut list = std::ptr::null_mut();
    // SAFETY: the one function that may be called before C_Initialize; it writes a pointer to a table that lives as long as the
    // library, which is never unloaded.
    let table = unsafe {
        if library.C_GetFunctionList.is_err() || library.C_GetFunctionList(&mut list) != CKR_OK || list.is_null() {
            return Err(format!("{}: no function list", path.display()));
        }
        *list
    };
    // Of two threads that load at once the second's handle is dropped: the library stays, the first holds it too.
    let _ = LOADED.set((library, table));
    Ok(())
}

/// What C_Initialize hands it as the reserved argument, if anything.
pub(crate) fn reserved() -> Option<&'static CString> {
    static RESERVED: OnceLock<Option<CString>> = OnceLock::new();
    RESERVED.get_or_init(|| CString::new(std::env::var(RESERVED_VARIABLE).ok()?).ok()).as_ref()
}

/// One of its functions.
///
/// # Errors
/// CKR_FUNCTION_NOT_SUPPORTED when it has none.
pub(crate) fn function<F>(of: impl FnOnce(&CK_FUNCTION_LIST) -> Option<F>) -> Result<F, CK_RV> {
    LOADED.get().and_then(|(_, list)| of(list)).ok_or(CKR_FUNCTION_NOT_SUPPORTED)
}

/// Its slots, with or without a token; empty where it has none or is not initialised.
pub(crate) fn slots() -> Vec<CK_SLOT_ID> {
    let Ok(list) = function(|list| list.C_GetSlotList) else { return Vec::new() };
    let mut count = 0;
    // SAFETY: a null list asks for the count, which is written to `count`.
    if unsafe { list(0, std::ptr::null_mut(), &mut count) } != CKR_OK {
        return Vec::new();
    }
    let mut slots: Vec<CK_SLOT_ID> = vec![0; usize::try_from(count).unwrap_or(0)];
    // SAFETY: `slots` has room for `count` of them.
    if unsafe { list(0, slots.as_mut_ptr(), &mut count) } != CKR_OK {
        return Vec::new();
    }
    slots.truncate(usize::try_from(count).unwrap_or(0));
    slots
}

/// The objects that it shows to a session.
///
/// # Errors
/// Its own.
pub(crate) fn objects(session: CK_SESSION_HANDLE) -> Result<HashSet<u64>, CK_RV> {
    let (init, find, last) =
        (function(|l| l.C_FindObjectsInit)?, function(|l| l.C_FindObjects)?, function(|l| l.C_FindObjectsFinal)?);
    let mut all = HashSet::new();
    // SAFETY: an empty template; then room for as many handles as are asked for, and for their number.
    unsafe {
        match init(session, std::ptr::null_mut(), 0) {
            CKR_OK => {}
            code => return Err(code),
        }
        let (mut some, mut count) = ([0; 64], 0);
        while find(session, some.as_mut_ptr(), some.len() as u64, &mut count) == CKR_OK && count > 0 {
            all.extend(&some[..count as usize]);
        }
        last(session);
    }
    Ok(all)
}

/// Closes every session, which ends the login too. No other thread may be inside.
pub(crate) fn close_all_sessions() {
    let Ok(close) = function(|list| list.C_CloseAllSessions) else { return };
    for slot in slots() {
        // SAFETY: takes a number; a slot that has gone is refused.
        unsafe { close(slot) };
    }
}
