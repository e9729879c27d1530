//! The calls of PKCS#11 that cryptoki makes twice, or not at all.
//!
//! Owns: one-shot operations with a buffer of known size (cryptoki asks each time for the length first, which some tokens answer with a
//! round trip and others not at all), the list of mechanisms as numbers (cryptoki logs an error for each that it does not know), and
//! what a token says of itself without its clock (cryptoki refuses the whole of it for a clock that it cannot read).
//! Must not know: keys, retries, what the calls are for. Called by: Bulla's token layer, beside cryptoki's own [`Session`]s.
//!
//! All of it is safe to call: handles are numbers, which a module refuses where they are none of its own, and every pointer that is
//! handed over is to memory that outlives the call.

use std::path::Path;

use cryptoki::context::Function;
use cryptoki::error::{Error, Result, Rv, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::slot::Slot;
use cryptoki_sys::*;
use zeroize::Zeroizing;

/// A module, loaded. Beside cryptoki's own hold of it: the system gives both the same library.
pub struct Module {
    list: CK_FUNCTION_LIST,
    /// The functions of `list` are in it.
    _library: Pkcs11,
}

/// A function that takes bytes and gives bytes: C_Encrypt, C_Decrypt and C_Sign are alike.
type OneShot = unsafe extern "C" fn(CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG) -> CK_RV;

/// A function that begins such an operation.
type Begin = unsafe extern "C" fn(CK_SESSION_HANDLE, *mut CK_MECHANISM, CK_OBJECT_HANDLE) -> CK_RV;

impl Module {
    /// Loads a module.
    ///
    /// # Errors
    /// When it is no library, or has no list of functions.
    pub fn load(path: &Path) -> Result<Self> {
        // SAFETY: loading a library runs its initialisers; a PKCS#11 module is made to be loaded, and cryptoki has loaded it before.
        let library = unsafe { Pkcs11::new(path) }.map_err(Error::LibraryLoading)?;
        let mut list = std::ptr::null_mut();
        if library.C_GetFunctionList.is_err() {
            return Err(Error::NullFunctionPointer);
        }
        // SAFETY: the one function that may be called before C_Initialize; it writes a pointer to a table that lives as long as the
        // library, and the table is copied at once.
        let list = unsafe {
            let answer = library.C_GetFunctionList(&mut list);
            Rv::from(answer).into_result(Function::GetFunctionList)?;
            list.as_ref().copied().ok_or(Error::NullFunctionPointer)?
        };
        Ok(Self { list, _library: library })
    }

    /// Whether this is initialised when cryptoki has called C_Initialize. It is not where a module gives each who loads it functions of
    /// their own with a state of their own, as p11-kit's proxy and client do.
    pub fn is_initialised(&self) -> bool {
        let Some(call) = self.list.C_GetInfo else { return false };
        let mut info = CK_INFO::default();
        // SAFETY: `info` may be written for the time of the call.
        unsafe { call(&mut info) == CKR_OK }
    }

    /// C_EncryptInit and C_Encrypt, whose answer is at most `room` bytes long.
    ///
    /// # Errors
    /// What either answers.
    pub fn encrypt(
        &self,
        session: &Session,
        mechanism: &Mechanism<'_>,
        key: ObjectHandle,
        plain: &[u8],
        room: usize,
    ) -> Result<Vec<u8>> {
        begin(self.list.C_EncryptInit, Function::EncryptInit, session, mechanism, key)?;
        one_shot(self.list.C_Encrypt, Function::Encrypt, session, plain, room).map(|mut out| std::mem::take(&mut *out))
    }

    /// C_DecryptInit and C_Decrypt. What comes is no longer than what goes in, and is wiped when dropped.
    ///
    /// # Errors
    /// What either answers.
    pub fn decrypt(
        &self,
        session: &Session,
        mechanism: &Mechanism<'_>,
        key: ObjectHandle,
        encrypted: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>> {
        begin(self.list.C_DecryptInit, Function::DecryptInit, session, mechanism, key)?;
        one_shot(self.list.C_Decrypt, Function::Decrypt, session, encrypted, encrypted.len())
    }

    /// C_SignInit and C_Sign: a signature or a MAC of at most `room` bytes.
    ///
    /// # Errors
    /// What either answers.
    pub fn sign(
        &self,
        session: &Session,
        mechanism: &Mechanism<'_>,
        key: ObjectHandle,
        data: &[u8],
        room: usize,
    ) -> Result<Vec<u8>> {
        begin(self.list.C_SignInit, Function::SignInit, session, mechanism, key)?;
        one_shot(self.list.C_Sign, Function::Sign, session, data, room).map(|mut out| std::mem::take(&mut *out))
    }

    /// The mechanisms of a token, by number: all of them, also those that no library has a name for.
    ///
    /// # Errors
    /// What C_GetMechanismList answers.
    pub fn mechanisms(&self, slot: Slot) -> Result<Vec<CK_MECHANISM_TYPE>> {
        let call = self.list.C_GetMechanismList.ok_or(Error::NullFunctionPointer)?;
        let mut count = 0;
        // SAFETY: a null list asks for the count, which is written to `count`.
        let answer = unsafe { call(slot.into(), std::ptr::null_mut(), &mut count) };
        Rv::from(answer).into_result(Function::GetMechanismList)?;
        let mut list = vec![0; usize::try_from(count)?];
        // SAFETY: `list` has room for `count` numbers.
        let answer = unsafe { call(slot.into(), list.as_mut_ptr(), &mut count) };
        Rv::from(answer).into_result(Function::GetMechanismList)?;
        list.truncate(usize::try_from(count)?);
        Ok(list)
    }

    /// The token in a slot, as it describes itself.
    ///
    /// # Errors
    /// What C_GetTokenInfo answers.
    pub fn token(&self, slot: Slot) -> Result<TokenText> {
        let call = self.list.C_GetTokenInfo.ok_or(Error::NullFunctionPointer)?;
        let mut info = CK_TOKEN_INFO::default();
        // SAFETY: `info` may be written for the time of the call.
        let answer = unsafe { call(slot.into(), &mut info) };
        Rv::from(answer).into_result(Function::GetTokenInfo)?;
        Ok(TokenText::of(&info))
    }
}

/// What a token says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenText {
    /// Its label, without the spaces behind it.
    pub label: String,
    /// Who made it.
    pub manufacturer: String,
    /// Which product it is.
    pub model: String,
    /// Its serial number.
    pub serial: String,
    /// CKF_….
    pub flags: u64,
    /// The most sessions; none if it has no limit or tells none.
    pub max_sessions: Option<u64>,
    /// Bytes for private objects, in all.
    pub total_private: Option<u64>,
    /// Bytes for private objects, free.
    pub free_private: Option<u64>,
    /// Bytes for public objects, in all.
    pub total_public: Option<u64>,
    /// Bytes for public objects, free.
    pub free_public: Option<u64>,
    /// Bytes of a PIN, at least and at most, where it tells.
    pub pin_lengths: Option<(u64, u64)>,
    /// Version of the device.
    pub hardware: (u8, u8),
    /// Version of its firmware.
    pub firmware: (u8, u8),
}

impl TokenText {
    /// The same from what cryptoki has read.
    pub fn of_cryptoki(info: &cryptoki::slot::TokenInfo) -> Self {
        use cryptoki::slot::Limit;
        let flag = |set: bool, flag: u64| if set { flag } else { 0 };
        let memory = |bytes: Option<usize>| bytes.and_then(|bytes| u64::try_from(bytes).ok());
        Self {
            label: info.label().to_owned(),
            manufacturer: info.manufacturer_id().to_owned(),
            model: info.model().to_owned(),
            serial: info.serial_number().to_owned(),
            flags: flag(info.token_initialized(), CKF_TOKEN_INITIALIZED)
                | flag(info.write_protected(), CKF_WRITE_PROTECTED)
                | flag(info.user_pin_initialized(), CKF_USER_PIN_INITIALIZED)
                | flag(info.user_pin_count_low(), CKF_USER_PIN_COUNT_LOW)
                | flag(info.user_pin_final_try(), CKF_USER_PIN_FINAL_TRY)
                | flag(info.user_pin_locked(), CKF_USER_PIN_LOCKED),
            max_sessions: match info.max_session_count() {
                Limit::Max(most) => Some(most),
                Limit::Infinite | Limit::Unavailable => None,
            },
            total_private: memory(info.total_private_memory()),
            free_private: memory(info.free_private_memory()),
            total_public: memory(info.total_public_memory()),
            free_public: memory(info.free_public_memory()),
            pin_lengths: u64::try_from(info.min_pin_length()).ok().zip(u64::try_from(info.max_pin_length()).ok()),
            hardware: (info.hardware_version().major(), info.hardware_version().minor()),
            firmware: (info.firmware_version().major(), info.firmware_version().minor()),
        }
    }

    fn of(info: &CK_TOKEN_INFO) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches([' ', '\0']).to_owned();
        let known = |number: CK_ULONG| (number != CK_UNAVAILABLE_INFORMATION).then_some(number);
        Self {
            label: text(&info.label),
            manufacturer: text(&info.manufacturerID),
            model: text(&info.model),
            serial: text(&info.serialNumber),
            flags: info.flags,
            max_sessions: known(info.ulMaxSessionCount).filter(|most| *most != CK_EFFECTIVELY_INFINITE),
            total_private: known(info.ulTotalPrivateMemory),
            free_private: known(info.ulFreePrivateMemory),
            total_public: known(info.ulTotalPublicMemory),
            free_public: known(info.ulFreePublicMemory),
            pin_lengths: known(info.ulMinPinLen).zip(known(info.ulMaxPinLen)),
            hardware: (info.hardwareVersion.major, info.hardwareVersion.minor),
            firmware: (info.firmwareVersion.major, info.firmwareVersion.minor),
        }
    }

    /// Whether it was initialised.
    pub fn initialised(&self) -> bool {
        self.flags & CKF_TOKEN_INITIALIZED != 0
    }

    /// Whether nothing can be written to it.
    pub fn write_protected(&self) -> bool {
        self.flags & CKF_WRITE_PROTECTED != 0
    }

    /// Whether the user has a PIN.
    pub fn user_pin_initialised(&self) -> bool {
        self.flags & CKF_USER_PIN_INITIALIZED != 0
    }

    /// Whether a wrong PIN was presented since the last right one.
    pub fn pin_count_low(&self) -> bool {
        self.flags & CKF_USER_PIN_COUNT_LOW != 0
    }

    /// Whether wrong PINs have locked it.
    pub fn pin_locked(&self) -> bool {
        self.flags & CKF_USER_PIN_LOCKED != 0
    }

    /// Whether one more wrong PIN locks it, or one has.
    pub fn pin_at_its_end(&self) -> bool {
        self.flags & (CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED) != 0
    }
}

fn begin(
    call: Option<Begin>,
    function: Function,
    session: &Session,
    mechanism: &Mechanism<'_>,
    key: ObjectHandle,
) -> Result<()> {
    let call = call.ok_or(Error::NullFunctionPointer)?;
    let mut mechanism = CK_MECHANISM::from(mechanism);
    // SAFETY: the mechanism's parameter is borrowed from `mechanism`, which lives as long as the call; the rest are numbers.
    let answer = unsafe { call(session.handle(), &mut mechanism, key.handle()) };
    Rv::from(answer).into_result(function)
}

fn one_shot(
    call: Option<OneShot>,
    function: Function,
    session: &Session,
    input: &[u8],
    room: usize,
) -> Result<Zeroizing<Vec<u8>>> {
    let call = call.ok_or(Error::NullFunctionPointer)?;
    let mut out = Zeroizing::new(vec![0; room.max(1)]);
    let mut length = CK_ULONG::try_from(out.len())?;
    let attempt = |out: &mut Vec<u8>, length: &mut CK_ULONG| -> Result<()> {
        // SAFETY: the input is only read (PKCS#11 has no const), `out` has room for `length` bytes, and both live as long as the call.
        let answer = unsafe {
            call(session.handle(), input.as_ptr().cast_mut(), CK_ULONG::try_from(input.len())?, out.as_mut_ptr(), length)
        };
        Rv::from(answer).into_result(function)
    };
    match attempt(&mut out, &mut length) {
        // The operation goes on, and the token has said how much room it wants.
        Err(Error::Pkcs11(RvError::BufferTooSmall, _)) if usize::try_from(length)? > out.len() => {
            out.resize(usize::try_from(length)?, 0);
            attempt(&mut out, &mut length)?;
        }
        done => done?,
    }
    let length = usize::try_from(length)?;
    if length > out.len() {
        return Err(Error::InvalidValue);
    }
    out.truncate(length);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_whatever_its_clock_says() {
        let mut info = CK_TOKEN_INFO { flags: CKF_TOKEN_INITIALIZED | CKF_USER_PIN_FINAL_TRY, ..CK_TOKEN_INFO::default() };
        info.label = *b"bulla                           ";
        info.serialNumber = *b"                ";
        info.utcTime = *b"        02:34:23";
        info.ulMaxSessionCount = 0;
        info.ulFreePrivateMemory = CK_UNAVAILABLE_INFORMATION;
        info.ulTotalPrivateMemory = 1000;
        let token = TokenText::of(&info);
        assert_eq!((token.label.as_str(), token.serial.as_str()), ("bulla", ""));
        assert!(token.initialised() && token.pin_at_its_end() && !token.pin_count_low() && !token.write_protected());
        assert_eq!((token.max_sessions, token.free_private, token.total_private), (None, None, Some(1000)));
    }
}
