//! Every return code from every function that Bulla calls: never a panic, never bytes that should not come, the right class.

use std::collections::BTreeMap;

use bulla_test_support::chaos::{Chaos, Function, RETURN_CODES};
use zeroize::Zeroizing;

use super::tokens::{line, under_chaos};
use super::*;
use crate::base::secret::KeyMaterial;
use crate::base::words::{EncryptionAlgorithm, ImportAlgorithm, KeySpec, KeyUsage, MacAlgorithm, SignatureAlgorithm};

/// What a code means, said here a second time and by name, so that the table in `errors` is held by something.
#[rustfmt::skip]
const MEANINGS: [(Meaning, &str); 8] = [
    (Meaning::Tampered, "ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE SIGNATURE_INVALID SIGNATURE_LEN_RANGE WRAPPED_KEY_INVALID
        WRAPPED_KEY_LEN_RANGE"),
    (Meaning::Ambiguous, "GENERAL_ERROR FUNCTION_FAILED DEVICE_ERROR AEAD_DECRYPT_FAILED TOKEN_RESOURCE_EXCEEDED
        OPERATION_CANCEL_FAILED KEY_EXHAUSTED PENDING SESSION_ASYNC_NOT_SUPPORTED SEED_RANDOM_REQUIRED OPERATION_NOT_VALIDATED
        TOKEN_NOT_INITIALIZED PARAMETER_SET_NOT_SUPPORTED"),
    (Meaning::Handle, "KEY_HANDLE_INVALID OBJECT_HANDLE_INVALID WRAPPING_KEY_HANDLE_INVALID UNWRAPPING_KEY_HANDLE_INVALID"),
    (Meaning::Session, "CANCEL FUNCTION_CANCELED OPERATION_ACTIVE OPERATION_NOT_INITIALIZED SESSION_CLOSED SESSION_HANDLE_INVALID
        SESSION_READ_ONLY"),
    (Meaning::Away, "USER_NOT_LOGGED_IN USER_ANOTHER_ALREADY_LOGGED_IN USER_TOO_MANY_TYPES CRYPTOKI_NOT_INITIALIZED DEVICE_REMOVED
        TOKEN_NOT_PRESENT TOKEN_NOT_RECOGNIZED SLOT_ID_INVALID LIBRARY_LOAD_FAILED FIPS_SELF_TEST_FAILED"),
    (Meaning::Busy, "SESSION_COUNT HOST_MEMORY DEVICE_MEMORY"),
    (Meaning::Unsupported, "ATTRIBUTE_READ_ONLY ATTRIBUTE_SENSITIVE ATTRIBUTE_TYPE_INVALID ATTRIBUTE_VALUE_INVALID CURVE_NOT_SUPPORTED
        DATA_INVALID DATA_LEN_RANGE DOMAIN_PARAMS_INVALID FUNCTION_NOT_PARALLEL FUNCTION_NOT_SUPPORTED KEY_SIZE_RANGE
        MECHANISM_INVALID MECHANISM_PARAM_INVALID RANDOM_NO_RNG RANDOM_SEED_NOT_SUPPORTED SESSION_PARALLEL_NOT_SUPPORTED
        TEMPLATE_INCOMPLETE TEMPLATE_INCONSISTENT TOKEN_WRITE_PROTECTED UNWRAPPING_KEY_SIZE_RANGE WRAPPING_KEY_SIZE_RANGE"),
    // Refused PINs too: none of these functions but C_Login takes one.
    (Meaning::Fault, "ACTION_PROHIBITED ARGUMENTS_BAD BUFFER_TOO_SMALL CANT_LOCK CRYPTOKI_ALREADY_INITIALIZED EXCEEDED_MAX_ITERATIONS
        FUNCTION_REJECTED INFORMATION_SENSITIVE KEY_CHANGED KEY_FUNCTION_NOT_PERMITTED KEY_INDIGESTIBLE KEY_NEEDED KEY_NOT_NEEDED
        KEY_NOT_WRAPPABLE KEY_TYPE_INCONSISTENT KEY_UNEXTRACTABLE MUTEX_BAD MUTEX_NOT_LOCKED NEED_TO_CREATE_THREADS NEW_PIN_MODE
        NEXT_OTP NO_EVENT PIN_EXPIRED PIN_INCORRECT PIN_INVALID PIN_LEN_RANGE PIN_LOCKED PIN_TOO_WEAK PUBLIC_KEY_INVALID
        SAVED_STATE_INVALID SESSION_EXISTS SESSION_READ_ONLY_EXISTS SESSION_READ_WRITE_SO_EXISTS STATE_UNSAVEABLE
        UNWRAPPING_KEY_TYPE_INCONSISTENT USER_ALREADY_LOGGED_IN USER_PIN_NOT_INITIALIZED USER_TYPE_INVALID
        WRAPPING_KEY_TYPE_INCONSISTENT"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Tampered,
    Ambiguous,
    Handle,
    Session,
    Away,
    Busy,
    Unsupported,
    Fault,
}

/// All codes with their meaning; none is missing, none is said twice.
pub(super) fn codes() -> BTreeMap<String, Meaning> {
    let mut codes = BTreeMap::new();
    for (meaning, names) in MEANINGS {
        for name in names.split_whitespace() {
            assert!(codes.insert(format!("CKR_{name}"), meaning).is_none(), "{name} twice");
        }
    }
    for (name, _) in RETURN_CODES {
        assert!(codes.contains_key(*name), "{name} has no meaning here");
    }
    assert_eq!(codes.len(), RETURN_CODES.len());
    // A vendor's own code, and one that nobody knows.
    codes.insert("0x80000001".to_owned(), Meaning::Ambiguous);
    codes.insert("0x1ff".to_owned(), Meaning::Ambiguous);
    codes
}

const SECRET: &[u8] = b"not to be seen";

/// Material of a key, from outside.
const MATERIAL: [u8; 32] = [7; 32];

/// A token with its keys, and what is done on it.
struct Bench {
    token: Token,
    chaos: Chaos,
    cmk: KeyVersionId,
    int: KeyVersionId,
    wrapped: Wrapped,
    /// A wrapping pair, and material encrypted to it.
    pair: KeyVersionId,
    material: Vec<u8>,
}

impl Bench {
    fn new(sessions: usize) -> Self {
        let token = new_token(sessions, 1000);
        let (cmk, int) = (new_key(&token), KeyVersionId::new());
        token.create(&int, ObjectKind::Int).expect("create");
        let wrapped = token.wrap(suite(), &cmk, SECRET, &context("a")).expect("wrap");
        let pair = KeyVersionId::new();
        let public = token.create_wrapping_pair(&pair, ImportAlgorithm::OaepSha1).expect("a pair");
        let material = wrapping::wrap(&public, ImportAlgorithm::OaepSha1, &MATERIAL).expect("wrapped");
        Self { token, chaos: line(), cmk, int, wrapped, pair, material }
    }

    /// Material as a caller sends it.
    fn incoming(&self) -> Incoming<'_> {
        Incoming::Wrapped { pair: &self.pair, algorithm: ImportAlgorithm::OaepSha1, bytes: &self.material }
    }

    /// Does what calls this function. Nothing comes back that was not asked for.
    fn exercise(&self, function: &str) -> Result<(), TokenError> {
        let (token, a) = (&self.token, context("a"));
        match function {
            "C_DecryptInit" | "C_Decrypt" => {
                token.unwrap(suite(), &self.cmk, &self.wrapped, &a).map(|secret| assert_eq!(*secret, SECRET))
            }
            "C_EncryptInit" | "C_Encrypt" => token.wrap(suite(), &self.cmk, SECRET, &a).map(|wrapped| {
                assert!(!wrapped.windows(SECRET.len()).any(|w| w == SECRET));
            }),
            "C_GenerateRandom" => token.health(),
            "C_SignInit" | "C_Sign" => token.mac(&self.int, b"input").map(drop),
            "C_VerifyInit" | "C_Verify" | "C_GetAttributeValue" => token.prove(&self.int, ObjectKind::Int),
            "C_FindObjectsInit" | "C_FindObjects" | "C_FindObjectsFinal" => token.exists(&self.cmk).map(|found| assert!(found)),
            "C_GetSessionInfo" => token.mac(&KeyVersionId::new(), b"input").map(|_| panic!("no such key")),
            "C_GenerateKey" => token.create(&KeyVersionId::new(), ObjectKind::Int),
            "C_GenerateKeyPair" => token.create(&KeyVersionId::new(), ObjectKind::Aud),
            "C_DestroyObject" => token.destroy_own(&self.int),
            "C_CreateObject" => {
                let clear = KeyMaterial::new(Zeroizing::new(MATERIAL.to_vec()));
                let (incoming, version) = (Incoming::Clear(&clear), KeyVersionId::new());
                let check = token.check_value(&incoming, &version, KeySpec::Aes256)?;
                token.import(&incoming, &version, KeySpec::Aes256, &check)
            }
            "C_UnwrapKey" | "C_WrapKey" => token.check_value(&self.incoming(), &self.cmk, KeySpec::Aes256).map(drop),
            other => panic!("{other} is in no exercise"),
        }
    }

    /// Waits until the token is served. A session on which a call was kept from ending its operation is noticed, and replaced.
    fn until_back(&self) {
        let start = std::time::Instant::now();
        while let Err(error) = self.exercise("C_Decrypt") {
            assert_eq!(error, TokenError::Gone);
            assert!(start.elapsed() < Duration::from_secs(20), "not back");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Whether a code says that this user may not do what the function does; and whether that is to destroy an object.
fn forbidden(function: &str, code: &str) -> Option<bool> {
    let destroys = function == "C_DestroyObject";
    let makes = matches!(function, "C_GenerateKey" | "C_GenerateKeyPair" | "C_CreateObject");
    let of_user = match code {
        "CKR_FUNCTION_REJECTED" | "CKR_KEY_FUNCTION_NOT_PERMITTED" | "CKR_TOKEN_WRITE_PROTECTED" | "CKR_USER_TYPE_INVALID" => {
            true
        }
        // Somebody is logged in.
        "CKR_USER_NOT_LOGGED_IN" | "CKR_SESSION_READ_ONLY" => true,
        "CKR_ACTION_PROHIBITED" => makes,
        _ => false,
    };
    (of_user && (makes || destroys)).then_some(destroys)
}

/// What the token says of a key that is not as long as it must be, or none.
const OF_THE_KEY: [&str; 10] = [
    "CKR_MECHANISM_INVALID",
    "CKR_KEY_SIZE_RANGE",
    "CKR_KEY_TYPE_INCONSISTENT",
    "CKR_KEY_INDIGESTIBLE",
    "CKR_KEY_NOT_WRAPPABLE",
    "CKR_KEY_UNEXTRACTABLE",
    "CKR_ATTRIBUTE_VALUE_INVALID",
    "CKR_TEMPLATE_INCONSISTENT",
    "CKR_DATA_INVALID",
    "CKR_DATA_LEN_RANGE",
];

/// What must come of a function that always answers a code of this meaning.
fn expected(function: &str, code: &str, meaning: Meaning, found: &TokenError) -> bool {
    let canary_dead = matches!(function, "C_DecryptInit" | "C_Decrypt");
    let of_material = matches!(function, "C_UnwrapKey" | "C_WrapKey");
    if let Some(destroys) = forbidden(function, code) {
        return match found {
            TokenError::MayNotMake(_) => !destroys,
            TokenError::MayNotDestroy(_) => destroys,
            _ => false,
        };
    }
    let makes = matches!(function, "C_GenerateKey" | "C_GenerateKeyPair" | "C_CreateObject" | "C_UnwrapKey");
    if makes && code == "CKR_TOKEN_RESOURCE_EXCEEDED" {
        return *found == TokenError::Full;
    }
    match meaning {
        Meaning::Ambiguous if of_material => *found == TokenError::Tampered,
        // What does not wrap with AES key wrap is no AES key.
        Meaning::Unsupported | Meaning::Fault if function == "C_WrapKey" && OF_THE_KEY.contains(&code) => {
            *found == TokenError::Tampered
        }
        Meaning::Tampered => *found == TokenError::Tampered,
        Meaning::Ambiguous if canary_dead => *found == TokenError::Gone,
        Meaning::Ambiguous | Meaning::Handle | Meaning::Fault => matches!(found, TokenError::Fault(_)),
        Meaning::Session | Meaning::Away => *found == TokenError::Gone,
        Meaning::Busy => *found == TokenError::Busy || *found == TokenError::Full,
        Meaning::Unsupported => matches!(found, TokenError::Unsupported(_)),
    }
}

/// Whether the library may have taken the code for no failure. It drops what C_FindObjectsFinal answers (the search that is left open
/// is noticed by the next), and reads attributes that are there although the token says that some are not.
fn dropped(function: &str, code: &str, outcome: &Result<(), TokenError>) -> bool {
    match function {
        "C_FindObjectsFinal" => matches!(outcome, Ok(()) | Err(TokenError::Gone)),
        "C_GetAttributeValue" if matches!(code, "CKR_ATTRIBUTE_SENSITIVE" | "CKR_ATTRIBUTE_TYPE_INVALID") => *outcome == Ok(()),
        // An answer that is never of the right length is none.
        "C_GetAttributeValue" if code == "CKR_BUFFER_TOO_SMALL" => matches!(outcome, Err(TokenError::Unsupported(_))),
        // The operating system's random bytes do.
        "C_GenerateRandom" => matches!(code, "CKR_RANDOM_NO_RNG" | "CKR_FUNCTION_NOT_SUPPORTED") && *outcome == Ok(()),
        _ => false,
    }
}

const AT_WORK: [&str; 20] = [
    "C_DecryptInit",
    "C_Decrypt",
    "C_EncryptInit",
    "C_Encrypt",
    "C_GenerateRandom",
    "C_SignInit",
    "C_Sign",
    "C_VerifyInit",
    "C_Verify",
    "C_GetAttributeValue",
    "C_FindObjectsInit",
    "C_FindObjects",
    "C_FindObjectsFinal",
    "C_GetSessionInfo",
    "C_GenerateKey",
    "C_GenerateKeyPair",
    "C_DestroyObject",
    "C_CreateObject",
    "C_UnwrapKey",
    "C_WrapKey",
];

#[test]
fn every_code_of_every_function_at_work_has_its_class() {
    under_chaos(|_| {
        let bench = Bench::new(2);
        let mut wrong = Vec::new();
        for function in AT_WORK {
            for (code, meaning) in codes() {
                // `late`: the function has done its work, so there is something that could leak.
                for late in ["", "late"] {
                    // A key that was made, or is gone, is no leak, and costs time.
                    if late == "late"
                        && matches!(function, "C_GenerateKey" | "C_GenerateKeyPair" | "C_CreateObject" | "C_DestroyObject")
                    {
                        continue;
                    }
                    bench.chaos.tell(&format!("fail {function} {code} {late}"));
                    let outcome = bench.exercise(function);
                    bench.chaos.tell("clear");
                    let said = format!("{outcome:?}");
                    assert!(!said.contains("not to be seen"), "{said}");
                    if !dropped(function, &code, &outcome)
                        && !outcome.as_ref().is_err_and(|found| expected(function, &code, meaning, found))
                    {
                        wrong.push(format!("{function} {code} {late}: {said} for {meaning:?}"));
                    }
                    bench.until_back();
                    // A refusal is remembered until a key is made.
                    if matches!(outcome, Err(TokenError::MayNotMake(_))) {
                        assert_eq!(bench.exercise("C_GenerateKey"), Ok(()));
                    }
                }
            }
        }
        assert!(bench.token.status().makes_keys);
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
        assert_eq!(bench.exercise("C_Decrypt"), Ok(()));
    });
}

/// A session that is opened, or closed, while the token is at work.
#[test]
fn every_code_of_every_function_of_sessions_has_its_class() {
    under_chaos(|_| {
        let bench = Bench::new(1);
        let mut wrong = Vec::new();
        for function in ["C_OpenSession", "C_CloseSession"] {
            for (code, meaning) in codes() {
                // The one session is thrown away, and a new one is needed.
                bench.until_back();
                bench.chaos.tell("fail C_GenerateRandom CKR_SESSION_HANDLE_INVALID times=1");
                bench.chaos.tell(&format!("fail {function} {code}"));
                let outcome = bench.token.health();
                bench.chaos.tell("clear");
                let right = match (function, meaning) {
                    ("C_CloseSession", _) => outcome == Ok(()),
                    (_, Meaning::Busy | Meaning::Unsupported | Meaning::Fault) => {
                        outcome.as_ref().is_err_and(|found| expected(function, &code, meaning, found))
                    }
                    // A token that opens no session is gone.
                    _ => outcome == Err(TokenError::Gone),
                };
                let of_data = matches!(&*code, "CKR_DATA_INVALID" | "CKR_DATA_LEN_RANGE") && outcome == Err(TokenError::Gone);
                if !right && !of_data {
                    wrong.push(format!("{function} {code}: {outcome:?} for {meaning:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    });
}

/// Whatever Bulla does on a token, it calls no function that these tables do not have.
#[test]
fn no_function_is_missing_in_these_tables() {
    under_chaos(|_| {
        let bench = Bench::new(2);
        AT_WORK.iter().filter(|function| **function != "C_GetSessionInfo").for_each(|function| {
            bench.exercise(function).expect("it works");
        });
        let token = &bench.token;
        let new = |spec, usage| {
            let id = KeyVersionId::new();
            token.create(&id, ObjectKind::Cmk(Material::of(spec, usage).expect("known"))).expect("create");
            id
        };
        let signs = new(KeySpec::EcP256, KeyUsage::SignVerify);
        token.sign_digest(&signs, SignatureAlgorithm::EcdsaSha256, &[7; 32]).expect("sign");
        let decrypts = new(KeySpec::Rsa2048, KeyUsage::EncryptDecrypt);
        let sealed =
            token.public_key(&decrypts).expect("public").encrypt(EncryptionAlgorithm::OaepSha256, b"x").expect("sealed");
        token.decrypt_oaep(&decrypts, EncryptionAlgorithm::OaepSha256, &sealed).expect("decrypt");
        let macs = new(KeySpec::HmacSha256, KeyUsage::GenerateVerifyMac);
        token.hmac(&macs, MacAlgorithm::HmacSha256, b"x").expect("mac");
        let imported = KeyVersionId::new();
        let check = token.check_value(&bench.incoming(), &imported, KeySpec::Aes256).expect("a check value");
        token.import(&bench.incoming(), &imported, KeySpec::Aes256, &check).expect("import");
        assert_eq!(token.unwraps(ImportAlgorithm::Pkcs1), Ok(true));
        assert_eq!(token.probe(), Ok(suite()));
        assert_eq!(token.ids().map(|ids| ids.contains(&imported)), Ok(true));
        assert_eq!(token.inspect(&imported).map(|objects| objects.len()), Ok(1));
        let called = bench.chaos.tell("calls");
        for function in
            called.split(' ').filter_map(|pair| pair.split_once('=')).filter(|(_, n)| *n != "0").map(|(name, _)| name)
        {
            let tested = AT_WORK.contains(&function) || AT_OPENING.contains(&function);
            // Of these, C_Login has a test of its own, two make the throw-away token, and one compares the module with itself when it is loaded for the short calls.
            let elsewhere =
                ["C_OpenSession", "C_CloseSession", "C_Login", "C_InitToken", "C_InitPIN", "C_GetFunctionList", "C_GetInfo"];
            assert!(tested || elsewhere.contains(&function), "{function} is in no table");
        }
    });
}

/// Opening a token: what fails is answered with the right class, at once, and leaves nothing behind. What C_Login answers has a test of
/// its own (`chaos`).
#[test]
fn every_code_of_every_function_at_opening_has_its_class() {
    under_chaos(|_| {
        drop(new_token(2, 1000));
        let chaos = line();
        let mut wrong = Vec::new();
        for function in AT_OPENING {
            for (code, meaning) in codes() {
                let logins = chaos.calls(Function::C_Login);
                chaos.tell(&format!("fail {function} {code}"));
                // Closed as well: with C_Finalize that fails, until the next opening.
                let outcome = Token::open(config(2, 1000), pin("1234")).map(drop);
                chaos.tell("clear");
                let logins = chaos.calls(Function::C_Login) - logins;
                if function == "C_Finalize" {
                    drop(Token::open(config(2, 1000), pin("1234")).expect("finalised first, then initialised"));
                }
                if !allowed(function, &code, meaning, &outcome) || logins > 1 {
                    wrong.push(format!("{function} {code}: {outcome:?} for {meaning:?}, {logins} logins"));
                }
            }
        }
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
        let token = Token::open(config(2, 1000), pin("1234")).expect("open");
        assert_eq!(token.health(), Ok(()));
    });
}

const AT_OPENING: [&str; 13] = [
    "C_Initialize",
    "C_GetSlotList",
    "C_GetTokenInfo",
    "C_OpenSession",
    "C_GenerateKey",
    "C_GenerateRandom",
    "C_EncryptInit",
    "C_Encrypt",
    "C_DecryptInit",
    "C_Decrypt",
    "C_CloseSession",
    "C_GetMechanismList",
    "C_Finalize",
];

/// What may come of opening a token while a function always answers a code.
fn allowed(function: &str, code: &str, meaning: Meaning, outcome: &Result<(), TokenError>) -> bool {
    match (function, outcome) {
        ("C_OpenSession", Err(TokenError::TooFewSessions(_))) => code == "CKR_SESSION_COUNT",
        // The library is not there, or the slots cannot be listed: nothing was found.
        ("C_Initialize", found) => matches!(found, Err(TokenError::Fault(_))),
        ("C_GetSlotList" | "C_GetTokenInfo", found) => matches!(found, Err(TokenError::Absent(_))),
        ("C_EncryptInit" | "C_Encrypt" | "C_DecryptInit" | "C_Decrypt", Err(TokenError::Unsupported(_))) => {
            matches!(meaning, Meaning::Unsupported | Meaning::Fault | Meaning::Tampered)
        }
        ("C_GenerateKey", Err(TokenError::MayNotMake(_))) => forbidden(function, code).is_some(),
        ("C_GenerateKey", Err(TokenError::Full)) => expected(function, code, meaning, &TokenError::Full),
        ("C_CloseSession" | "C_Finalize", Ok(())) => true,
        ("C_GenerateRandom", Ok(())) => matches!(code, "CKR_RANDOM_NO_RNG" | "CKR_FUNCTION_NOT_SUPPORTED"),
        (_, Err(found)) => expected("C_Decrypt", code, meaning, found) || expected("", code, meaning, found),
        (_, Ok(())) => false,
    }
}
