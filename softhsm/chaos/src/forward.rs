//! Every function of PKCS#11 2.40: what befalls a call, and the plain way on to the module behind.
//!
//! Owns: the list of functions, and the forwards that only exchange numbers. Must not know: how rules come about.
//! Called by: whoever holds the function list; `special` and `attributes` have the functions that do more.

use std::marker::PhantomData;

use cryptoki_sys::*;

use crate::faults::Effect;
use crate::plug::{State, absence};
use crate::{attributes, chaos, real, special};

/// How an argument is exchanged on its way in, and after success on its way out.
trait Kind {
    /// Its type in C.
    type C: Copy;

    /// What the module is given.
    fn real(given: Self::C, _state: &State) -> Result<Self::C, CK_RV> {
        Ok(given)
    }

    /// Puts the shown number where the module wrote its own.
    ///
    /// # Safety
    /// `_given` is as PKCS#11 demands it, and the call was CKR_OK.
    unsafe fn show(_given: Self::C, _state: &mut State) {}
}

/// Not exchanged.
struct Plain<T>(PhantomData<T>);

impl<T: Copy> Kind for Plain<T> {
    type C = T;
}

/// A number of one kind, given.
macro_rules! given {
    ($($name:ident by $look:ident;)*) => {$(
        struct $name;
        impl Kind for $name {
            type C = CK_ULONG;
            fn real(given: CK_ULONG, state: &State) -> Result<CK_ULONG, CK_RV> {
                state.$look(given)
            }
        }
    )*};
}

given! { Slot by slot; Session by session; Object by object; }

/// Where the module writes a number of one kind.
macro_rules! written {
    ($($name:ident in $numbers:ident;)*) => {$(
        struct $name;
        impl Kind for $name {
            type C = *mut CK_ULONG;
            unsafe fn show(given: *mut CK_ULONG, state: &mut State) {
                // SAFETY: after CKR_OK the module has written a number there.
                unsafe { *given = state.$numbers.show(*given) };
            }
        }
    )*};
}

written! { NewObject in objects; NewSlot in slots; }

/// A mechanism, which the token may not have.
struct Mechanism;

impl Kind for Mechanism {
    type C = *mut CK_MECHANISM;

    fn real(given: *mut CK_MECHANISM, state: &State) -> Result<*mut CK_MECHANISM, CK_RV> {
        // SAFETY: PKCS#11 demands of the caller a mechanism, or null where the module says so.
        unsafe { state.offers(given) }.map(|()| given)
    }
}

type Text = Plain<*mut CK_UTF8CHAR>;
type Bytes = Plain<*mut CK_BYTE>;
type Number = Plain<CK_ULONG>;
type Length = Plain<*mut CK_ULONG>;
type Template = Plain<*mut CK_ATTRIBUTE>;
type Pointer = Plain<CK_VOID_PTR>;

macro_rules! functions {
    (
        plain { $($name:ident($($argument:ident: $kind:ty),*);)* }
        special { $($module:ident::$more:ident,)* }
    ) => {
        /// A function of PKCS#11.
        #[allow(non_camel_case_types, reason = "these are their names")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Function { $(#[doc = "Forwarded."] $name,)* $(#[doc = "Forwarded with a difference."] $more,)* }

        impl Function {
            /// Every function.
            pub const ALL: &'static [Function] = &[$(Function::$name,)* $(Function::$more,)*];

            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Function::$name => stringify!($name),)* $(Function::$more => stringify!($more),)* }
            }
        }

        $(
            #[allow(non_snake_case, reason = "PKCS#11's own name")]
            unsafe extern "C" fn $name($($argument: <$kind as Kind>::C),*) -> CK_RV {
                call(Function::$name, || {
                    let real = real::function(|list| list.$name)?;
                    let state = chaos().plug.state();
                    $(let $argument = <$kind as Kind>::real($argument, &state)?;)*
                    drop(state);
                    // SAFETY: the caller's promises are PKCS#11's, and the arguments are the caller's but for exchanged numbers.
                    let answer = unsafe { real($($argument),*) };
                    if answer == CKR_OK {
                        let _state = &mut chaos().plug.state();
                        // SAFETY: the call was CKR_OK.
                        unsafe { $(<$kind as Kind>::show($argument, _state);)* }
                    }
                    Ok(answer)
                })
            }
        )*

        /// What C_GetFunctionList hands out.
        pub(crate) static LIST: Shared = Shared(CK_FUNCTION_LIST {
            version: CK_VERSION { major: 2, minor: 40 },
            $($name: Some($name),)*
            $($more: Some($module::$more),)*
        });
    };
}

/// A function list may be read by all threads.
pub(crate) struct Shared(pub(crate) CK_FUNCTION_LIST);

// SAFETY: a table of function pointers; nothing in it is ever written.
unsafe impl Sync for Shared {}

functions! {
    plain {
        C_GetInfo(info: Plain<*mut CK_INFO>);
        C_GetSlotInfo(slot: Slot, info: Plain<*mut CK_SLOT_INFO>);
        C_InitToken(slot: Slot, pin: Text, length: Number, label: Text);
        C_InitPIN(session: Session, pin: Text, length: Number);
        C_SetPIN(session: Session, old: Text, old_length: Number, new: Text, new_length: Number);
        C_GetOperationState(session: Session, state: Bytes, length: Length);
        C_SetOperationState(session: Session, state: Bytes, length: Number, encrypts: Object, authenticates: Object);
        C_Logout(session: Session);
        C_CopyObject(session: Session, object: Object, template: Template, count: Number, made: NewObject);
        C_GetObjectSize(session: Session, object: Object, size: Length);
        C_SetAttributeValue(session: Session, object: Object, template: Template, count: Number);
        C_FindObjectsInit(session: Session, template: Template, count: Number);
        C_FindObjectsFinal(session: Session);
        C_EncryptUpdate(session: Session, part: Bytes, length: Number, encrypted: Bytes, encrypted_length: Length);
        C_EncryptFinal(session: Session, last: Bytes, length: Length);
        C_DecryptUpdate(session: Session, part: Bytes, length: Number, decrypted: Bytes, decrypted_length: Length);
        C_DecryptFinal(session: Session, last: Bytes, length: Length);
        C_DigestInit(session: Session, mechanism: Mechanism);
        C_Digest(session: Session, data: Bytes, length: Number, digest: Bytes, digest_length: Length);
        C_DigestUpdate(session: Session, part: Bytes, length: Number);
        C_DigestKey(session: Session, key: Object);
        C_DigestFinal(session: Session, digest: Bytes, length: Length);
        C_SignInit(session: Session, mechanism: Mechanism, key: Object);
        C_Sign(session: Session, data: Bytes, length: Number, signature: Bytes, signature_length: Length);
        C_SignUpdate(session: Session, part: Bytes, length: Number);
        C_SignFinal(session: Session, signature: Bytes, length: Length);
        C_SignRecoverInit(session: Session, mechanism: Mechanism, key: Object);
        C_SignRecover(session: Session, data: Bytes, length: Number, signature: Bytes, signature_length: Length);
        C_VerifyInit(session: Session, mechanism: Mechanism, key: Object);
        C_Verify(session: Session, data: Bytes, length: Number, signature: Bytes, signature_length: Number);
        C_VerifyUpdate(session: Session, part: Bytes, length: Number);
        C_VerifyFinal(session: Session, signature: Bytes, length: Number);
        C_VerifyRecoverInit(session: Session, mechanism: Mechanism, key: Object);
        C_VerifyRecover(session: Session, signature: Bytes, length: Number, data: Bytes, data_length: Length);
        C_DigestEncryptUpdate(session: Session, part: Bytes, length: Number, encrypted: Bytes, encrypted_length: Length);
        C_DecryptDigestUpdate(session: Session, part: Bytes, length: Number, decrypted: Bytes, decrypted_length: Length);
        C_SignEncryptUpdate(session: Session, part: Bytes, length: Number, encrypted: Bytes, encrypted_length: Length);
        C_DecryptVerifyUpdate(session: Session, part: Bytes, length: Number, decrypted: Bytes, decrypted_length: Length);
        C_WrapKey(session: Session, mechanism: Mechanism, by: Object, key: Object, wrapped: Bytes, length: Length);
        C_DeriveKey(
            session: Session, mechanism: Mechanism, base: Object, template: Template, count: Number, made: NewObject
        );
        C_SeedRandom(session: Session, seed: Bytes, length: Number);
        C_GenerateRandom(session: Session, random: Bytes, length: Number);
        C_GetFunctionStatus(session: Session);
        C_CancelFunction(session: Session);
        C_WaitForSlotEvent(flags: Plain<CK_FLAGS>, slot: NewSlot, reserved: Pointer);
    }
    special {
        special::C_Initialize, special::C_Finalize, special::C_GetFunctionList, special::C_GetSlotList,
        special::C_GetMechanismList, special::C_GetMechanismInfo, special::C_OpenSession, special::C_CloseSession,
        special::C_CloseAllSessions, special::C_GetSessionInfo, special::C_EncryptInit, special::C_Encrypt,
        special::C_DecryptInit, special::C_Decrypt, attributes::C_GetAttributeValue, attributes::C_GenerateKey,
        attributes::C_GenerateKeyPair, attributes::C_FindObjects, attributes::C_CreateObject, attributes::C_UnwrapKey,
        attributes::C_DestroyObject, special::C_GetTokenInfo, special::C_Login,
    }
}

/// Runs a call: counts it, lets befall it what the rules say, and makes it while the plug stays where it is.
pub(crate) fn call(function: Function, real: impl FnOnce() -> Result<CK_RV, CK_RV>) -> CK_RV {
    let met = chaos().faults.meet(function);
    if let Some(Effect::Fail(code)) = met.failure {
        return code;
    }
    let _held = chaos().plug.hold();
    if let Some(code) = absence(function)
        && !chaos().plug.state().present
    {
        return code;
    }
    let answer = real().unwrap_or_else(|code| code);
    met.end();
    match met.failure {
        Some(Effect::FailLate(code)) => code,
        _ => answer,
    }
}
