//! The tokens that every test of the token layer runs on: SoftHSM, and SoftHSM as other vendors do AES-GCM.

use std::path::Path;

use bulla_test_support::chaos::{self, Chaos};

use super::*;
use crate::token::isolated::{Variables, isolated};

/// Says to a child which token it has: a position in [`TOKENS`].
const TOKEN_VARIABLE: &str = "BULLA_TEST_TOKEN";

/// What the chaos module is told, and the suite that the token must be found to serve. The first is SoftHSM without it.
const TOKENS: [(&str, Suite); 5] = [
    ("", Suite::AesGcmCallerIv),
    ("gcm caller", Suite::AesGcmCallerIv),
    ("gcm in-place", Suite::AesGcmTokenIv),
    ("gcm appended", Suite::AesGcmAppendedIv),
    ("gcm absent", Suite::AesCbcHmac),
];

/// SoftHSM behind the chaos module that is told nothing: for tests that tell it what they want.
const CHAOS: usize = 1;

/// Runs a test on each, in a process of its own.
pub(super) fn on_every_token<F: FnOnce(&Path)>(body: F) {
    let children: Vec<Variables> = (0..TOKENS.len()).filter(|token| *token != CHAOS).map(variables).collect();
    isolated(softhsm::prepare, &children, body);
}

/// Runs a test on SoftHSM behind the chaos module, with a line to it.
pub(super) fn under_chaos<F: FnOnce(&Path)>(body: F) {
    isolated(softhsm::prepare, &[variables(CHAOS)], body);
}

/// The line to this child's chaos module, once a token has been opened.
pub(super) fn line() -> Chaos {
    Chaos::of(Path::new("."), std::process::id())
}

fn variables(token: usize) -> Variables {
    let mut variables: Variables = vec![(TOKEN_VARIABLE, token.to_string().into())];
    if token > 0 {
        let behind = softhsm::module().expect("softhsm2 is installed");
        let environment = Chaos::environment(&behind, Path::new("."), TOKENS[token].0);
        variables.extend(environment.into_iter().map(|(name, value)| (name, value.into())));
    }
    variables
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
