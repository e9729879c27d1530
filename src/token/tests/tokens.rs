//! The tokens that the tests of the token layer run on: SoftHSM, SoftHSM as other vendors do AES-GCM, and NSS.

use std::path::{Path, PathBuf};

use bulla_test_support::chaos::{self, Chaos};
use cryptoki::slot::Slot;

use super::*;
use crate::token::isolated::{Variables, isolated_each};

/// Says to a child which token it has: a position in [`TOKENS`].
const TOKEN_VARIABLE: &str = "BULLA_TEST_TOKEN";

/// What the chaos module is told, and the suite that the token must be found to serve. The first is SoftHSM without it.
const TOKENS: [(&str, Suite); 6] = [
    ("", Suite::AesGcmCallerIv),
    ("gcm caller", Suite::AesGcmCallerIv),
    ("gcm in-place", Suite::AesGcmTokenIv),
    ("gcm appended", Suite::AesGcmAppendedIv),
    ("mechanism absent CKM_AES_GCM", Suite::AesCbcHmac),
    // NSS 3.87. Its database has no room for CKA_COPYABLE (C_GenerateKey: CKR_GENERAL_ERROR) and stores CKA_LOCAL=false for keys
    // that it made itself, so Bulla refuses it as it is. C_Encrypt leaves the tag of AES-GCM out of the length that it asks
    // for, which nobody asks.
    ("keep CKA_DESTROYABLE 01; lie CKA_LOCAL 01", Suite::AesGcmCallerIv),
];

/// SoftHSM behind the chaos module that is told nothing: for tests that tell it what they want.
const CHAOS: usize = 1;

/// The other implementation.
const NSS: usize = 5;

/// Where Debian and others put it.
const NSS_MODULES: [&str; 3] =
    ["/usr/lib/x86_64-linux-gnu/libsoftokn3.so", "/usr/lib/aarch64-linux-gnu/libsoftokn3.so", "/usr/lib64/libsoftokn3.so"];

/// Runs a test on each, in a process of its own.
pub(super) fn on_every_token<F: FnOnce(&Path)>(body: F) {
    let children: Vec<Variables> = (0..TOKENS.len()).filter(|token| *token != CHAOS).map(variables).collect();
    isolated_each(softhsm::prepare, &children, body);
}

/// The same without NSS: for what is about SoftHSM's files, its PINs, its names.
pub(super) fn on_every_softhsm<F: FnOnce(&Path)>(body: F) {
    let children: Vec<Variables> = (0..TOKENS.len()).filter(|token| ![CHAOS, NSS].contains(token)).map(variables).collect();
    isolated_each(softhsm::prepare, &children, body);
}

/// Runs a test on SoftHSM as it is.
pub(super) fn on_softhsm<F: FnOnce(&Path)>(body: F) {
    isolated_each(softhsm::prepare, &[variables(0)], body);
}

/// Runs a test on SoftHSM behind the chaos module, with a line to it.
pub(super) fn under_chaos<F: FnOnce(&Path)>(body: F) {
    isolated_each(softhsm::prepare, &[variables(CHAOS)], body);
}

/// The line to this child's chaos module, once a token has been opened.
pub(super) fn line() -> Chaos {
    Chaos::of(Path::new("."), std::process::id())
}

fn variables(token: usize) -> Variables {
    let mut variables: Variables = vec![(TOKEN_VARIABLE, token.to_string().into())];
    if token > 0 {
        let behind = if token == NSS { nss() } else { softhsm::module().expect("softhsm2 is installed") };
        let environment = Chaos::environment(&behind, Path::new("."), TOKENS[token].0);
        variables.extend(environment.into_iter().map(|(name, value)| (name, value.into())));
    }
    if token == NSS {
        let database = "configdir='sql:.' certPrefix='' keyPrefix='' secmod='' flags=";
        variables.push((chaos::RESERVED_VARIABLE, database.into()));
    }
    variables
}

fn nss() -> PathBuf {
    NSS_MODULES.iter().map(PathBuf::from).find(|path| path.exists()).expect("libnss3 is installed")
}

/// The label of this child's token.
pub(super) fn label() -> &'static str {
    if current() == NSS { "NSS Certificate DB" } else { "bulla test" }
}

/// Gives this child's token its PIN. NSS makes its database by itself, without one.
pub(super) fn initialise() {
    let (module, user) = (module(), pin("1234"));
    if current() != NSS {
        return Token::initialise(&module, label(), &pin("so-pin"), &user).expect("a new token");
    }
    let claim = Claim::take(&module).expect("the module");
    claim.initialize().expect("C_Initialize");
    let pkcs11 = claim.pkcs11();
    let blank = |slot: &Slot| claim.token(*slot).is_ok_and(|token| !token.initialised());
    let slot = pkcs11.get_slots_with_token().expect("slots").into_iter().find(blank).expect("the database");
    let session = pkcs11.open_rw_session_no_drop(slot).expect("a session");
    session.login(UserType::So, Some(&auth_pin(&pin("")))).expect("C_Login");
    session.init_pin(&auth_pin(&user)).expect("C_InitPIN");
    claim.finalize();
}

fn current() -> usize {
    std::env::var(TOKEN_VARIABLE).ok().and_then(|token| token.parse().ok()).expect("set for every child")
}

/// The module of this child's token.
pub(super) fn module() -> PathBuf {
    if current() == 0 { softhsm::module().expect("softhsm2 is installed") } else { chaos::module() }
}

/// The suite of this child's token.
pub(super) fn suite() -> Suite {
    TOKENS[current()].1
}

/// How long a secret of this length is, wrapped.
pub(super) fn sealed_len(secret: usize) -> usize {
    match suite() {
        Suite::AesGcmCallerIv | Suite::AesGcmTokenIv => 12 + secret + 16,
        Suite::AesGcmAppendedIv => 1 + 12 + secret + 16,
        Suite::AesCbcHmac => 16 + (secret / 16 + 1) * 16 + 32,
    }
}
