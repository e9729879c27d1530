//! What can go wrong on the token, and what each PKCS#11 return code means for us.
//!
//! Owns: [`TokenError`], and the one table from CKR codes to classes. Must not know: sessions, retries (see `connection`), who asked.
//! Called by: every file of `token`; `error.rs` translates `TokenError` for the API.

use std::fmt;

use cryptoki::context::Function;
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::mechanism::MechanismType;

use crate::base::ids::KeyVersionId;

/// Why the token did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenError {
    /// Every session was in use for as long as a caller may wait, or the token is out of memory for the moment. Come back later.
    Busy,
    /// The token has no room for another object. It stays so until one is destroyed.
    Full,
    /// The token makes objects, and does not keep them for the moment: function and code. Come back later.
    KeepsNothing(String),
    /// The token does not let its user make keys; all else goes on: function and code.
    MayNotMake(String),
    /// The token does not let its user destroy keys; all else goes on: function and code.
    MayNotDestroy(String),
    /// The token is away; the connection to it is being rebuilt. Come back later.
    Gone,
    /// No token fits the configured label or serial number; what was found instead.
    Absent(String),
    /// No object on the token has this id.
    NoSuchKey(KeyVersionId),
    /// The bytes do not verify under this key and context: they, or the row around them, are not what was written.
    Tampered,
    /// The token cannot do this, or does not let us.
    Unsupported(Lacking),
    /// The id is taken, or more objects carry it than may; then none of them is used. An alarm: somebody else writes to the token.
    Duplicate(KeyVersionId),
    /// The PIN is wrong, locked or expired: function and code, and what the token says of the tries that are left. Not presented again
    /// until it changes.
    Pin(String),
    /// The token says of itself that the PIN is locked, or that few tries are left. Not presented while it says so.
    PinHeld,
    /// A login failed, and the token does not say whether for the PIN: function and code. Presented once more.
    LoginFailed(String),
    /// The login failed twice, and the token does not say whether for the PIN: function and code. Not presented again until it
    /// changes or is given anew.
    PinInDoubt(String),
    /// There is no PIN: nobody has given one yet, or its file cannot be read; which.
    NoPin(String),
    /// What is configured cannot be: the module is none, or several tokens fit, or the token was not made ready.
    Setting(String),
    /// The token has fewer sessions than are needed, or others have them; function and code.
    TooFewSessions(String),
    /// The token, the module or this code is at fault; function and code, for the log.
    Fault(String),
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenError::Busy => f.write_str("the token is busy"),
            TokenError::Full => f.write_str("the token is full: it has no room for another object"),
            TokenError::MayNotMake(said) => write!(f, "the token's user may not make keys ({said})"),
            TokenError::MayNotDestroy(said) => write!(f, "the token's user may not destroy keys ({said})"),
            TokenError::Gone => f.write_str("the token is away"),
            TokenError::Absent(found) => write!(f, "the token was not found: {found}"),
            TokenError::KeepsNothing(said) => write!(f, "the token does not keep what it makes ({said})"),
            TokenError::NoSuchKey(id) => write!(f, "no object {id} on the token"),
            TokenError::Tampered => f.write_str("the ciphertext does not verify"),
            TokenError::Unsupported(what) => write!(f, "the token does not support {what}"),
            TokenError::Duplicate(id) => write!(f, "more objects {id} on the token than may be"),
            TokenError::Pin(said) => {
                write!(f, "the token refuses the PIN ({said}); it is not presented again until it changes")
            }
            TokenError::PinHeld => f.write_str(
                "the token says that its PIN is locked or that few tries are left; no PIN is presented while it says so",
            ),
            TokenError::LoginFailed(said) => write!(f, "the login failed ({said})"),
            TokenError::PinInDoubt(said) => {
                write!(f, "the login failed twice ({said}); the PIN is not presented again until it changes or is given anew")
            }
            TokenError::Setting(what) => f.write_str(what),
            TokenError::TooFewSessions(said) => {
                write!(f, "the token gives too few sessions ({said}): three at once are needed, and others may have them")
            }
            TokenError::NoPin(why) => write!(f, "no PIN: {why}"),
            TokenError::Fault(detail) => write!(f, "the token failed: {detail}"),
        }
    }
}

impl std::error::Error for TokenError {}

/// What a token cannot do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    what: String,
    said: Option<String>,
    /// What the token does not do, where `what` does not go with that word.
    does: Option<&'static str>,
}

impl Lacking {
    /// What is missing, for a caller of the API: a mechanism, an attribute, a curve by its PKCS#11 name, or words.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What is missing, and the call that was refused.
    pub(super) fn told(what: impl Into<String>, said: impl Into<String>) -> Self {
        Self { what: what.into(), said: Some(said.into()), does: None }
    }
}

impl<T: Into<String>> From<T> for Lacking {
    fn from(what: T) -> Self {
        Self { what: what.into(), said: None, does: None }
    }
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.does.unwrap_or(&self.what);
        match &self.said {
            Some(said) if said.contains(&self.what) => f.write_str(said),
            Some(said) => write!(f, "{what} ({said})"),
            None => f.write_str(what),
        }
    }
}

/// What a return code calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// The caller's data cannot be processed; session and token are fine.
    Data,
    /// The token says itself that ciphertext or signature is wrong; session and token are fine.
    Tampered,
    /// Forged data or a sick device: the code alone does not tell. A canary on the same session does.
    Ambiguous,
    /// The object handle is stale: forget it, look the object up anew, once.
    Handle,
    /// The session is unusable: close it, once again on a new one.
    Session,
    /// The login is lost: the epoch ends.
    Login,
    /// The token or the library is gone: the epoch ends.
    Gone,
    /// Out of sessions or memory: later.
    Busy,
    /// No room for the object that was to be made.
    Full,
    /// The token does not let this user make the object, or destroy it; session and token are fine.
    Forbidden,
    /// The token lacks a mechanism, an attribute, a size.
    Unsupported,
    /// The PIN is refused.
    Pin,
    /// A bug here or in the module.
    Fatal,
}

impl Class {
    /// Every class; the index of a counter is the position here.
    pub(super) const ALL: [(Class, &'static str); 13] = [
        (Class::Data, "data"),
        (Class::Tampered, "tampered"),
        (Class::Ambiguous, "ambiguous"),
        (Class::Handle, "handle"),
        (Class::Session, "session"),
        (Class::Login, "login"),
        (Class::Gone, "gone"),
        (Class::Busy, "busy"),
        (Class::Full, "full"),
        (Class::Forbidden, "forbidden"),
        (Class::Unsupported, "unsupported"),
        (Class::Pin, "pin"),
        (Class::Fatal, "fatal"),
    ];

    /// The class of a failed call.
    pub(super) fn of(error: &Pkcs11Error) -> Class {
        match error {
            Pkcs11Error::Pkcs11(code, function) => match Class::of_code(*code) {
                // Only a PIN that was presented can be refused.
                Class::Pin if !presents_pin(*function) => Class::Fatal,
                _ if is_of_room(*code) && makes_objects(*function) => Class::Full,
                _ if forbids(*code, *function) => Class::Forbidden,
                class => class,
            },
            Pkcs11Error::LibraryLoading(_)
            | Pkcs11Error::MissingSymbol(_)
            | Pkcs11Error::NullFunctionPointer
            | Pkcs11Error::NotSupported => Class::Unsupported,
            Pkcs11Error::TryFromInt(_)
            | Pkcs11Error::TryFromSlice(_)
            | Pkcs11Error::ParseInt(_)
            | Pkcs11Error::Utf8(_)
            | Pkcs11Error::NulError(_)
            | Pkcs11Error::InvalidValue
            | Pkcs11Error::PinNotSet => Class::Fatal,
        }
    }

    /// The table. No `_` arm: a code that a later version of cryptoki knows does not compile until it has a class.
    pub(super) fn of_code(code: RvError) -> Class {
        use RvError as R;
        match code {
            R::DataInvalid | R::DataLenRange => Class::Data,

            R::EncryptedDataInvalid
            | R::EncryptedDataLenRange
            | R::SignatureInvalid
            | R::SignatureLenRange
            | R::WrappedKeyInvalid
            | R::WrappedKeyLenRange => Class::Tampered,

            // A forged GCM tag is GENERAL_ERROR on SoftHSM 2.6.1, FUNCTION_FAILED on nShield; both, and DEVICE_ERROR, are what
            // a lost connection gives elsewhere.
            R::GeneralError | R::FunctionFailed | R::DeviceError | R::VendorDefined(_) | R::UnknownErrorCode(_) => {
                Class::Ambiguous
            }

            R::KeyHandleInvalid | R::ObjectHandleInvalid | R::WrappingKeyHandleInvalid | R::UnwrappingKeyHandleInvalid => {
                Class::Handle
            }

            R::Cancel
            | R::FunctionCanceled
            | R::OperationActive
            | R::OperationNotInitialized
            | R::SessionClosed
            | R::SessionHandleInvalid
            | R::SessionReadOnly => Class::Session,

            R::UserNotLoggedIn | R::UserAnotherAlreadyLoggedIn | R::UserTooManyTypes => Class::Login,

            R::CryptokiNotInitialized
            | R::DeviceRemoved
            | R::TokenNotPresent
            | R::TokenNotRecognized
            | R::SlotIdInvalid
            | R::LibraryLoadFailed
            | R::FipsSelfTestFailed => Class::Gone,

            R::SessionCount | R::HostMemory | R::DeviceMemory => Class::Busy,

            R::AttributeReadOnly
            | R::AttributeSensitive
            | R::AttributeTypeInvalid
            | R::AttributeValueInvalid
            | R::CurveNotSupported
            | R::DomainParamsInvalid
            | R::FunctionNotParallel
            | R::FunctionNotSupported
            | R::KeySizeRange
            | R::MechanismInvalid
            | R::MechanismParamInvalid
            | R::RandomNoRng
            | R::RandomSeedNotSupported
            | R::SessionParallelNotSupported
            | R::TemplateIncomplete
            | R::TemplateInconsistent
            | R::TokenWriteProtected
            | R::UnwrappingKeySizeRange
            | R::WrappingKeySizeRange => Class::Unsupported,

            R::PinIncorrect
            | R::PinInvalid
            | R::PinLenRange
            | R::PinExpired
            | R::PinLocked
            | R::PinTooWeak
            | R::NewPinMode
            | R::NextOtp => Class::Pin,

            R::ActionProhibited
            | R::ArgumentsBad
            | R::BufferTooSmall
            | R::CantLock
            | R::CryptokiAlreadyInitialized
            | R::ExceededMaxIterations
            | R::FunctionRejected
            | R::InformationSensitive
            | R::KeyChanged
            | R::KeyFunctionNotPermitted
            | R::KeyIndigestible
            | R::KeyNeeded
            | R::KeyNotNeeded
            | R::KeyNotWrappable
            | R::KeyTypeInconsistent
            | R::KeyUnextractable
            | R::MutexBad
            | R::MutexNotLocked
            | R::NeedToCreateThreads
            | R::NoEvent
            | R::PublicKeyInvalid
            | R::SavedStateInvalid
            | R::SessionExists
            | R::SessionReadOnlyExists
            | R::SessionReadWriteSoExists
            | R::StateUnsaveable
            | R::UnwrappingKeyTypeInconsistent
            | R::UserAlreadyLoggedIn
            | R::UserTypeInvalid
            | R::WrappingKeyTypeInconsistent
            // No PIN was refused: SoftHSM says so too when another process rewrites the token's file at that moment.
            | R::UserPinNotInitialized => Class::Fatal,
        }
    }

    /// What the caller is told when this is the last word.
    pub(super) fn verdict(self, call: &Called) -> TokenError {
        match self {
            Class::Tampered => TokenError::Tampered,
            Class::Busy => TokenError::Busy,
            Class::Full => TokenError::Full,
            Class::Forbidden if call.destroys() => TokenError::MayNotDestroy(call.describe()),
            Class::Forbidden => TokenError::MayNotMake(call.describe()),
            Class::Pin => TokenError::Pin(call.describe()),
            Class::Session | Class::Login | Class::Gone => TokenError::Gone,
            Class::Data => TokenError::Unsupported(Lacking::told("data of this length", call.describe())),
            Class::Unsupported => TokenError::Unsupported(call.lacking()),
            Class::Ambiguous | Class::Handle | Class::Fatal => TokenError::Fault(call.describe()),
        }
    }
}

/// CKR_TOKEN_RESOURCE_EXCEEDED, of PKCS#11 3.0.
const TOKEN_RESOURCE_EXCEEDED: u64 = 0x201;

/// Whether whoever makes an object is told so that there is no room for it. CKR_HOST_MEMORY may say so too: see `concessions`.
fn is_of_room(code: RvError) -> bool {
    matches!(code, RvError::DeviceMemory | RvError::UnknownErrorCode(TOKEN_RESOURCE_EXCEEDED))
}

/// Whether a function takes a PIN.
fn presents_pin(function: Function) -> bool {
    matches!(function, Function::Login | Function::InitToken | Function::InitPIN | Function::SetPIN)
}

/// Whether a function makes objects.
fn makes_objects(function: Function) -> bool {
    matches!(function, Function::GenerateKey | Function::GenerateKeyPair | Function::CreateObject | Function::UnwrapKey)
}

/// Whether this says that the user may not make the object, or destroy it: YubiHSM says CKR_FUNCTION_REJECTED, others as they like. What
/// C_UnwrapKey says may be of the pair, and CKR_ACTION_PROHIBITED of a single object that must stay.
fn forbids(code: RvError, function: Function) -> bool {
    use RvError as R;
    match function {
        Function::GenerateKey | Function::GenerateKeyPair | Function::CreateObject => matches!(
            code,
            R::ActionProhibited
                | R::FunctionRejected
                | R::KeyFunctionNotPermitted
                | R::TokenWriteProtected
                | R::UserTypeInvalid
        ),
        Function::DestroyObject => {
            matches!(code, R::FunctionRejected | R::KeyFunctionNotPermitted | R::TokenWriteProtected | R::UserTypeInvalid)
        }
        _ => false,
    }
}

/// A call that failed, and the mechanism that it was for.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) error: Pkcs11Error,
    pub(super) mechanism: Option<MechanismType>,
}

impl Called {
    /// What its code calls for.
    pub(super) fn class(&self) -> Class {
        Class::of(&self.error)
    }

    /// Whether it was for an object to be destroyed.
    fn destroys(&self) -> bool {
        matches!(self.error, Pkcs11Error::Pkcs11(_, Function::DestroyObject))
    }

    /// Whether an object was not made or not destroyed with a code that says: by nobody, or on a session that only reads. Where
    /// somebody is logged in, on the session that writes, it says that this user may not.
    pub(super) fn says_nobody_may(&self) -> bool {
        let Pkcs11Error::Pkcs11(RvError::UserNotLoggedIn | RvError::SessionReadOnly, function) = &self.error else {
            return false;
        };
        makes_objects(*function) || matches!(function, Function::DestroyObject)
    }

    /// Function, mechanism and code, e.g. `C_EncryptInit with CKM_AES_GCM: CKR_MECHANISM_INVALID`.
    pub(super) fn describe(&self) -> String {
        match (&self.error, self.mechanism) {
            (Pkcs11Error::Pkcs11(code, function), Some(mechanism)) => {
                format!("C_{function:?} with {mechanism}: {}", code_name(*code))
            }
            (error, _) => describe(error),
        }
    }

    /// What is missing.
    fn lacking(&self) -> Lacking {
        let (what, does) = match (&self.error, self.mechanism) {
            (Pkcs11Error::Pkcs11(RvError::TokenWriteProtected | RvError::SessionReadOnly, _), _) => {
                ("permission to write".to_owned(), Some("writing by this user"))
            }
            (_, Some(mechanism)) => (mechanism.to_string(), None),
            (Pkcs11Error::Pkcs11(code, _), None) => (format!("way to do this ({})", code_name(*code)), Some("what was asked")),
            (error, None) => (describe(error), None),
        };
        Lacking { does, ..Lacking::told(what, self.describe()) }
    }
}

/// Function and code of a failed call, e.g. `C_Decrypt: CKR_GENERAL_ERROR`.
pub(super) fn describe(error: &Pkcs11Error) -> String {
    match error {
        Pkcs11Error::Pkcs11(code, function) => format!("C_{function:?}: {}", code_name(*code)),
        Pkcs11Error::NullFunctionPointer => "the module lacks the function".to_owned(),
        other => other.to_string(),
    }
}

/// The name that PKCS#11 gives a return code; its number where it gives none.
pub(super) fn code_name(code: RvError) -> String {
    match code {
        RvError::VendorDefined(number) | RvError::UnknownErrorCode(number) => format!("CKR 0x{number:x}"),
        // cryptoki writes the same words together.
        named => format!("{named:?}").chars().fold("CKR".to_owned(), |mut name, letter| {
            if letter.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
            name
        }),
    }
}

/// Why a piece of work on a session ended early.
#[derive(Debug)]
pub(super) enum Failure {
    /// A call failed; the connection decides by its class.
    Call(Called),
    /// Decided already; nothing to retry, and the session is fine.
    Final(TokenError),
}

impl Failure {
    /// A call for this mechanism failed.
    pub(super) fn with(mechanism: MechanismType) -> impl Fn(Pkcs11Error) -> Failure {
        move |error| Failure::Call(Called { error, mechanism: Some(mechanism) })
    }
}

impl From<Pkcs11Error> for Failure {
    fn from(error: Pkcs11Error) -> Self {
        Failure::Call(Called { error, mechanism: None })
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Failure::Final(error)
    }
}

/// The last word on a failure that is not retried.
impl From<Failure> for TokenError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Final(error) => error,
            Failure::Call(call) => call.class().verdict(&call),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_decide_a_path() {
        use RvError as R;
        for (code, class) in [
            (R::GeneralError, Class::Ambiguous),
            (R::FunctionFailed, Class::Ambiguous),
            (R::DeviceError, Class::Ambiguous),
            (R::VendorDefined(0x8000_0001), Class::Ambiguous),
            (R::UnknownErrorCode(0x1ff), Class::Ambiguous),
            (R::EncryptedDataInvalid, Class::Tampered),
            (R::SignatureInvalid, Class::Tampered),
            (R::DataLenRange, Class::Data),
            (R::KeyHandleInvalid, Class::Handle),
            (R::ObjectHandleInvalid, Class::Handle),
            (R::OperationActive, Class::Session),
            (R::SessionHandleInvalid, Class::Session),
            (R::UserNotLoggedIn, Class::Login),
            (R::CryptokiNotInitialized, Class::Gone),
            (R::TokenNotPresent, Class::Gone),
            (R::DeviceRemoved, Class::Gone),
            (R::SlotIdInvalid, Class::Gone),
            (R::SessionCount, Class::Busy),
            (R::MechanismInvalid, Class::Unsupported),
            (R::PinIncorrect, Class::Pin),
            (R::PinLocked, Class::Pin),
            (R::UserPinNotInitialized, Class::Fatal),
            (R::ArgumentsBad, Class::Fatal),
        ] {
            assert_eq!(Class::of_code(code), class, "{code:?}");
        }
    }

    /// No code of any class but `Tampered` may by itself say that data was tampered with, and none of the caller's data that
    /// the token is gone: forged input must not start a reconnect.
    #[test]
    fn verdicts_keep_tampering_and_outage_apart() {
        for (class, name) in Class::ALL {
            let error = Pkcs11Error::Pkcs11(RvError::GeneralError, Function::Decrypt);
            let verdict = class.verdict(&Called { error, mechanism: None });
            assert_eq!(verdict == TokenError::Tampered, class == Class::Tampered, "{name}");
            let away = matches!(class, Class::Gone | Class::Login | Class::Session);
            assert_eq!(verdict == TokenError::Gone, away, "{name}");
        }
        for (position, (class, _)) in Class::ALL.iter().enumerate() {
            assert_eq!(*class as usize, position);
        }
    }

    #[test]
    fn failures_are_named_as_pkcs11_names_them() {
        for (code, name) in [
            (RvError::AttributeTypeInvalid, "CKR_ATTRIBUTE_TYPE_INVALID"),
            (RvError::RandomNoRng, "CKR_RANDOM_NO_RNG"),
            (RvError::UserPinNotInitialized, "CKR_USER_PIN_NOT_INITIALIZED"),
            (RvError::VendorDefined(0x8000_0001), "CKR 0x80000001"),
        ] {
            assert_eq!(code_name(code), name);
        }
        let error = Pkcs11Error::Pkcs11(RvError::MechanismParamInvalid, Function::DecryptInit);
        let call = Called { error, mechanism: Some(MechanismType::RSA_PKCS_OAEP) };
        assert_eq!(call.describe(), "C_DecryptInit with CKM_RSA_PKCS_OAEP: CKR_MECHANISM_PARAM_INVALID");
        assert_eq!(call.lacking().what(), "CKM_RSA_PKCS_OAEP", "what a caller is told names no function of ours");
        let told = |code, function| Called { error: Pkcs11Error::Pkcs11(code, function), mechanism: None }.lacking();
        for (lacking, caller, operator) in [
            (
                told(RvError::AttributeValueInvalid, Function::CreateObject),
                "way to do this (CKR_ATTRIBUTE_VALUE_INVALID)",
                "what was asked (C_CreateObject: CKR_ATTRIBUTE_VALUE_INVALID)",
            ),
            (
                told(RvError::TokenWriteProtected, Function::GenerateKey),
                "permission to write",
                "writing by this user (C_GenerateKey: CKR_TOKEN_WRITE_PROTECTED)",
            ),
        ] {
            // "There is no … on the token", and "the token does not support …".
            assert_eq!((lacking.what(), lacking.to_string().as_str()), (caller, operator));
        }
        let refused = |code, function| Class::of(&Pkcs11Error::Pkcs11(code, function));
        for code in [RvError::FunctionRejected, RvError::TokenWriteProtected, RvError::UserTypeInvalid] {
            assert_eq!(refused(code, Function::GenerateKeyPair), Class::Forbidden, "{code:?}");
            assert_eq!(refused(code, Function::DestroyObject), Class::Forbidden, "{code:?}");
            assert_ne!(refused(code, Function::Decrypt), Class::Forbidden, "{code:?}");
        }
        let full = |function| Class::of(&Pkcs11Error::Pkcs11(RvError::DeviceMemory, function));
        assert_eq!((full(Function::GenerateKey), full(Function::Decrypt)), (Class::Full, Class::Busy));
        assert_eq!(refused(RvError::UnknownErrorCode(0x201), Function::CreateObject), Class::Full);
    }
}
