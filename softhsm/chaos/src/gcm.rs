//! AES-GCM as different vendors do it: who makes the IV, and where it goes.
//!
//! Owns: the modes, and the record of IVs. Called by: `special`.

use std::collections::{HashMap, HashSet};

use cryptoki_sys::*;

use crate::{chaos, random};

/// Who makes the IV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mode {
    /// The caller.
    #[default]
    Caller,
    /// The token: it wants twelve zero bytes and writes its own over them.
    InPlace,
    /// The token: it wants no IV and puts its own, so many bytes, behind the ciphertext.
    Appended(usize),
}

/// The mode, and what is remembered between calls.
#[derive(Default)]
pub(crate) struct Gcm {
    pub(crate) mode: Mode,
    /// IVs to be appended, by the module's session handle.
    pending: HashMap<u64, Vec<u8>>,
    seen: HashSet<Vec<u8>>,
    pub(crate) recorded: u64,
    pub(crate) repeated: u64,
}

impl Gcm {
    /// The sessions are void.
    pub(crate) fn forget_sessions(&mut self) {
        self.pending.clear();
    }

    fn record(&mut self, iv: &[u8]) {
        self.recorded += 1;
        if !self.seen.insert(iv.to_vec()) {
            self.repeated += 1;
        }
    }
}

/// C_EncryptInit.
type Init = unsafe extern "C" fn(CK_SESSION_HANDLE, *mut CK_MECHANISM, CK_OBJECT_HANDLE) -> CK_RV;

/// C_Encrypt.
type Encrypt = unsafe extern "C" fn(CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG) -> CK_RV;

/// Begins an encryption in the mode that is set.
///
/// # Safety
/// `mechanism` is as PKCS#11 demands it.
pub(crate) unsafe fn encrypt_init(real: Init, session: u64, mechanism: *mut CK_MECHANISM, key: u64) -> CK_RV {
    // SAFETY: not null, and then a mechanism.
    let Some(given) = (unsafe { mechanism.as_ref() }).filter(|m| m.mechanism == CKM_AES_GCM) else {
        // SAFETY: the caller's arguments.
        return unsafe { real(session, mechanism, key) };
    };
    // SAFETY: the parameter of this mechanism, or null.
    let Some(params) = (unsafe { given.pParameter.cast::<CK_GCM_PARAMS>().as_mut() }) else {
        return CKR_MECHANISM_PARAM_INVALID;
    };
    let theirs: &mut [u8] = match usize::try_from(params.ulIvLen) {
        Ok(0) | Err(_) => &mut [],
        // SAFETY: pIv points to ulIvLen bytes, which the caller lets be written.
        Ok(length) => unsafe { std::slice::from_raw_parts_mut(params.pIv, length) },
    };
    let mode = chaos().plug.state().gcm.mode;
    let mut iv = match mode {
        Mode::Caller => theirs.to_vec(),
        Mode::InPlace if theirs.len() == 12 && theirs.iter().all(|byte| *byte == 0) => vec![0; 12],
        Mode::Appended(length) if theirs.is_empty() => vec![0; length],
        Mode::InPlace | Mode::Appended(_) => return CKR_MECHANISM_PARAM_INVALID,
    };
    if mode != Mode::Caller {
        random::fill(&mut iv);
    }
    let mut ours = CK_GCM_PARAMS {
        pIv: iv.as_mut_ptr(),
        ulIvLen: iv.len() as CK_ULONG,
        ulIvBits: iv.len() as CK_ULONG * 8,
        pAAD: params.pAAD,
        ulAADLen: params.ulAADLen,
        ulTagBits: params.ulTagBits,
    };
    let mut sent = CK_MECHANISM { pParameter: (&raw mut ours).cast(), ..*given };
    // SAFETY: a whole mechanism, alive for the call; session and key are the module's own numbers.
    let answer = unsafe { real(session, &mut sent, key) };
    if answer == CKR_OK {
        if mode == Mode::InPlace {
            theirs.copy_from_slice(&iv);
        }
        let gcm = &mut chaos().plug.state().gcm;
        gcm.record(&iv);
        if let Mode::Appended(_) = mode {
            gcm.pending.insert(session, iv);
        }
    }
    answer
}

/// Encrypts, and appends the IV where that is the mode.
///
/// # Safety
/// `data`, `out` and `out_length` are as PKCS#11 demands them.
pub(crate) unsafe fn encrypt(
    real: Encrypt,
    session: u64,
    data: *mut CK_BYTE,
    length: CK_ULONG,
    out: *mut CK_BYTE,
    out_length: *mut CK_ULONG,
) -> CK_RV {
    let pending = chaos().plug.state().gcm.pending.get(&session).cloned();
    // SAFETY: a place for a length, or null, which the module refuses.
    let (Some(iv), Some(room)) = (pending, unsafe { out_length.as_mut() }) else {
        // SAFETY: the caller's arguments.
        return unsafe { real(session, data, length, out, out_length) };
    };
    let more = iv.len() as CK_ULONG;
    let mut without = 0;
    // SAFETY: a null buffer asks for the length, which is written to `without`.
    let answer = unsafe { real(session, data, length, std::ptr::null_mut(), &mut without) };
    if answer != CKR_OK || out.is_null() || *room < without + more {
        let asked = out.is_null();
        *room = without + more;
        return if answer == CKR_OK && !asked { CKR_BUFFER_TOO_SMALL } else { answer };
    }
    // SAFETY: the caller's buffer, which has room for `without` bytes.
    let answer = unsafe { real(session, data, length, out, &mut without) };
    if answer == CKR_OK {
        // SAFETY: the buffer has room for `without + more` bytes, of which the module has written `without` (the length that it
        // asked for is the most that it writes).
        unsafe { std::ptr::copy_nonoverlapping(iv.as_ptr(), out.add(without as usize), iv.len()) };
        *room = without + more;
    }
    chaos().plug.state().gcm.pending.remove(&session);
    answer
}
