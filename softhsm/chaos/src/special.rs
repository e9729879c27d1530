//! The functions that are forwarded with a difference.
//!
//! Owns: what the difference is. Must not know: rules. Called by: whoever holds the function list.

#![allow(non_snake_case, reason = "PKCS#11's own names")]

use std::sync::{Mutex, PoisonError};

use cryptoki_sys::*;

use crate::forward::{Function as F, LIST, call};
use crate::gcm;
use crate::{chaos, real};

/// Numbers become others: handles of before may be somebody else's.
pub(crate) unsafe extern "C" fn C_Initialize(arguments: CK_VOID_PTR) -> CK_RV {
    call(F::C_Initialize, || {
        // SAFETY: null, or arguments of C_Initialize.
        let mut with_reserved = unsafe { arguments.cast::<CK_C_INITIALIZE_ARGS>().as_ref() }.copied().unwrap_or_default();
        let arguments = match real::reserved() {
            Some(text) => {
                with_reserved.pReserved = text.as_ptr().cast_mut().cast();
                (&raw mut with_reserved).cast()
            }
            None => arguments,
        };
        // SAFETY: the caller's arguments, or a copy that lives as long as the call; its text lives for ever.
        let answer = unsafe { real::function(|list| list.C_Initialize)?(arguments) };
        if answer == CKR_OK {
            chaos().plug.state().renumber();
        }
        Ok(answer)
    })
}

pub(crate) unsafe extern "C" fn C_Finalize(reserved: CK_VOID_PTR) -> CK_RV {
    call(F::C_Finalize, || {
        // SAFETY: the caller's arguments.
        let answer = unsafe { real::function(|list| list.C_Finalize)?(reserved) };
        chaos().plug.state().renumber();
        Ok(answer)
    })
}

/// The entry of the module, called before everything else.
///
/// # Safety
/// `list` is null or may be written.
#[unsafe(no_mangle)] // SAFETY: the name that PKCS#11 gives it; no other library of a process exports it to this one.
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    // SAFETY: see above.
    let Some(list) = (unsafe { list.as_mut() }) else { return CKR_ARGUMENTS_BAD };
    if let Err(reason) = crate::start() {
        eprintln!("bulla-chaos: {reason}");
        return CKR_LIBRARY_LOAD_FAILED;
    }
    *list = (&raw const LIST.0).cast_mut();
    CKR_OK
}

pub(crate) unsafe extern "C" fn C_GetSlotList(with_token: CK_BBOOL, list: *mut CK_SLOT_ID, count: *mut CK_ULONG) -> CK_RV {
    call(F::C_GetSlotList, || {
        // SAFETY: the caller lets it be written, or it is null.
        let Some(room) = (unsafe { count.as_mut() }) else { return Err(CKR_ARGUMENTS_BAD) };
        if with_token != 0 && !chaos().plug.state().present {
            *room = 0;
            return Ok(CKR_OK);
        }
        // SAFETY: the caller's arguments.
        let answer = unsafe { real::function(|list| list.C_GetSlotList)?(with_token, list, count) };
        if answer == CKR_OK && !list.is_null() {
            // SAFETY: the module has written `*count` slots there.
            let slots = unsafe { std::slice::from_raw_parts_mut(list, *count as usize) };
            let mut state = chaos().plug.state();
            for slot in &mut *slots {
                *slot = state.slots.show(*slot);
            }
            slots.sort_unstable();
        }
        Ok(answer)
    })
}

/// Tells no time where it is told to have none, and of the user's PIN and of its memory what it is told to tell.
pub(crate) unsafe extern "C" fn C_GetTokenInfo(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) -> CK_RV {
    call(F::C_GetTokenInfo, || {
        let (slot, no_clock, pin_flags, room) = {
            let state = chaos().plug.state();
            (state.slot(slot)?, state.refusals.no_clock, state.pin_flags, state.room)
        };
        // SAFETY: the caller's arguments; after CKR_OK `info` is filled.
        unsafe {
            let answer = real::function(|list| list.C_GetTokenInfo)?(slot, info);
            if answer == CKR_OK && no_clock {
                (*info).flags |= CKF_CLOCK_ON_TOKEN;
                (*info).utcTime = *b"        12:34:56";
            }
            if let Some(room) = room.filter(|_| answer == CKR_OK) {
                ((*info).ulFreePrivateMemory, (*info).ulFreePublicMemory) = (room, room);
            }
            if let Some(flags) = pin_flags.filter(|_| answer == CKR_OK) {
                let all = CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED | CKF_USER_PIN_TO_BE_CHANGED;
                (*info).flags = (*info).flags & !all | flags & all;
            }
            Ok(answer)
        }
    })
}

/// Where the token is stale, what is there now is all of others' that is found until the next.
pub(crate) unsafe extern "C" fn C_Login(
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    pin: *mut CK_UTF8CHAR,
    length: CK_ULONG,
) -> CK_RV {
    call(F::C_Login, || {
        let (session, stale) = {
            let state = chaos().plug.state();
            (state.session(session)?, state.stale)
        };
        // SAFETY: the caller's arguments.
        let answer = unsafe { real::function(|list| list.C_Login)?(session, user, pin, length) };
        if answer == CKR_OK && stale {
            let there = real::objects(session)?;
            chaos().plug.state().fresh = Some(there);
        }
        Ok(answer)
    })
}

pub(crate) unsafe extern "C" fn C_GetMechanismList(
    slot: CK_SLOT_ID,
    list: *mut CK_MECHANISM_TYPE,
    count: *mut CK_ULONG,
) -> CK_RV {
    call(F::C_GetMechanismList, || {
        let (slot, absent) = {
            let state = chaos().plug.state();
            (state.slot(slot)?, state.absent.clone())
        };
        // SAFETY: the caller's arguments.
        let answer = unsafe { real::function(|list| list.C_GetMechanismList)?(slot, list, count) };
        if answer == CKR_OK && !list.is_null() {
            // SAFETY: the module has written `*count` mechanisms there, and a length to `count`.
            let (all, count) = unsafe { (std::slice::from_raw_parts_mut(list, *count as usize), &mut *count) };
            let offered: Vec<CK_MECHANISM_TYPE> = all.iter().copied().filter(|mechanism| !absent.contains(mechanism)).collect();
            all[..offered.len()].copy_from_slice(&offered);
            *count = offered.len() as CK_ULONG;
        }
        Ok(answer)
    })
}

pub(crate) unsafe extern "C" fn C_GetMechanismInfo(
    slot: CK_SLOT_ID,
    mechanism: CK_MECHANISM_TYPE,
    info: *mut CK_MECHANISM_INFO,
) -> CK_RV {
    call(F::C_GetMechanismInfo, || {
        let slot = {
            let state = chaos().plug.state();
            if state.absent.contains(&mechanism) {
                return Err(CKR_MECHANISM_INVALID);
            }
            state.slot(slot)?
        };
        // SAFETY: the caller's arguments.
        Ok(unsafe { real::function(|list| list.C_GetMechanismInfo)?(slot, mechanism, info) })
    })
}

pub(crate) unsafe extern "C" fn C_OpenSession(
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    application: CK_VOID_PTR,
    notify: CK_NOTIFY,
    session: *mut CK_SESSION_HANDLE,
) -> CK_RV {
    /// One at a time, so that the cap holds.
    static OPENING: Mutex<()> = Mutex::new(());
    call(F::C_OpenSession, || {
        let _one = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = {
            let state = chaos().plug.state();
            if let Some(code) = state.refusals.read_only.filter(|_| flags & CKF_RW_SESSION == 0) {
                return Err(code);
            }
            if state.most_sessions.is_some_and(|most| state.sessions.len() >= most) {
                return Err(CKR_SESSION_COUNT);
            }
            state.slot(slot)?
        };
        // SAFETY: the caller's arguments; after CKR_OK a handle stands in `session`.
        unsafe {
            let answer = real::function(|list| list.C_OpenSession)?(slot, flags, application, notify, session);
            if answer == CKR_OK {
                *session = chaos().plug.state().sessions.show(*session);
            }
            Ok(answer)
        }
    })
}

pub(crate) unsafe extern "C" fn C_CloseSession(session: CK_SESSION_HANDLE) -> CK_RV {
    call(F::C_CloseSession, || {
        let real = chaos().plug.state().session(session)?;
        // SAFETY: takes a number.
        let answer = unsafe { real::function(|list| list.C_CloseSession)?(real) };
        chaos().plug.state().sessions.remove(session);
        Ok(answer)
    })
}

pub(crate) unsafe extern "C" fn C_CloseAllSessions(slot: CK_SLOT_ID) -> CK_RV {
    call(F::C_CloseAllSessions, || {
        let slot = chaos().plug.state().slot(slot)?;
        // SAFETY: takes a number.
        let answer = unsafe { real::function(|list| list.C_CloseAllSessions)?(slot) };
        chaos().plug.state().sessions.clear();
        Ok(answer)
    })
}

pub(crate) unsafe extern "C" fn C_GetSessionInfo(session: CK_SESSION_HANDLE, info: *mut CK_SESSION_INFO) -> CK_RV {
    call(F::C_GetSessionInfo, || {
        let session = chaos().plug.state().session(session)?;
        // SAFETY: the caller's arguments; after CKR_OK `info` is filled.
        unsafe {
            let answer = real::function(|list| list.C_GetSessionInfo)?(session, info);
            if answer == CKR_OK {
                (*info).slotID = chaos().plug.state().slots.show((*info).slotID);
            }
            Ok(answer)
        }
    })
}

pub(crate) unsafe extern "C" fn C_EncryptInit(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    call(F::C_EncryptInit, || {
        let init = real::function(|list| list.C_EncryptInit)?;
        // SAFETY: the caller's argument.
        unsafe { chaos().plug.state().offers(mechanism) }?;
        let (session, key) = session_and_key(session, key)?;
        // SAFETY: the caller's arguments.
        Ok(unsafe { gcm::encrypt_init(init, session, mechanism, key) })
    })
}

pub(crate) unsafe extern "C" fn C_Encrypt(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    length: CK_ULONG,
    out: *mut CK_BYTE,
    out_length: *mut CK_ULONG,
) -> CK_RV {
    call(F::C_Encrypt, || {
        let encrypt = real::function(|list| list.C_Encrypt)?;
        let session = chaos().plug.state().session(session)?;
        // SAFETY: the caller's arguments.
        Ok(unsafe { gcm::encrypt(encrypt, session, data, length, out, out_length) })
    })
}

pub(crate) unsafe extern "C" fn C_DecryptInit(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    call(F::C_DecryptInit, || {
        // SAFETY: the caller's argument.
        unsafe { chaos().plug.state().offers(mechanism) }?;
        let (session, key) = session_and_key(session, key)?;
        // SAFETY: the caller's arguments.
        Ok(unsafe { real::function(|list| list.C_DecryptInit)?(session, mechanism, key) })
    })
}

/// Says of a ciphertext that does not verify what it is told to say.
pub(crate) unsafe extern "C" fn C_Decrypt(
    session: CK_SESSION_HANDLE,
    encrypted: *mut CK_BYTE,
    length: CK_ULONG,
    out: *mut CK_BYTE,
    out_length: *mut CK_ULONG,
) -> CK_RV {
    call(F::C_Decrypt, || {
        let (session, forged) = {
            let state = chaos().plug.state();
            (state.session(session)?, state.forged)
        };
        // SAFETY: the caller's arguments.
        let answer = unsafe { real::function(|list| list.C_Decrypt)?(session, encrypted, length, out, out_length) };
        let does_not_verify = matches!(answer, CKR_GENERAL_ERROR | CKR_ENCRYPTED_DATA_INVALID | CKR_AEAD_DECRYPT_FAILED);
        Ok(forged.filter(|_| does_not_verify).unwrap_or(answer))
    })
}

fn session_and_key(session: u64, key: u64) -> Result<(u64, u64), CK_RV> {
    let state = chaos().plug.state();
    Ok((state.session(session)?, state.object(key)?))
}
