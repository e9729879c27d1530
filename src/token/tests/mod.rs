//! The token layer on real tokens (see `tokens`). Each test has a process and a token folder of its own; see softhsm/README.md.

use std::path::Path;
use std::thread;
use std::time::Duration;

use cryptoki::mechanism::Mechanism;
use cryptoki::session::UserType;

use super::epoch::{Epoch, auth_pin};
use super::errors::Failure;
use super::module::Claim;
use super::pool::Access;
use super::session::Session;
use super::status::Operation;
use super::templates::Half;
use super::*;
use crate::base::canonical::{Canonical, Purpose};
use crate::base::ids::KeyVersionId;
use crate::base::secret::Pin;
use crate::base::words::Suite;

mod chaos;
mod codes;
mod faults;
mod import;
mod objects;
mod operations;
mod pairs;
mod permission;
mod refusals;
mod tokens;

use tokens::suite;

fn pin(text: &str) -> Pin {
    Pin::new(text.to_owned())
}

/// The refusal of a wrong PIN.
fn wrong_pin() -> TokenError {
    TokenError::Pin("C_Login: CKR_PIN_INCORRECT".to_owned())
}

fn config(sessions: usize, wait_ms: u64) -> TokenConfig {
    TokenConfig {
        module: tokens::module(),
        selector: Selector::Label(tokens::label().into()),
        sessions,
        session_wait: Duration::from_millis(wait_ms),
        open_wait: Duration::ZERO,
        look_again: Duration::ZERO,
        missed_for: Duration::ZERO,
        left_out: LeftOut::default(),
    }
}

/// A new token, open.
fn new_token(sessions: usize, wait_ms: u64) -> Token {
    tokens::initialise();
    let token = Token::open(config(sessions, wait_ms), pin("1234")).expect("open");
    if suite() == Suite::AesCbcHmac {
        token.authenticate_with(INTEGRITY);
        token.create(&INTEGRITY, ObjectKind::Int).expect("a key for its tags");
    }
    token
}

/// Where suite S3 has its HMAC key.
const INTEGRITY: KeyVersionId = KeyVersionId::from_bytes([0x11; 16]);

fn new_key(token: &Token) -> KeyVersionId {
    let id = KeyVersionId::new();
    token.create(&id, ObjectKind::Cmk(Material::Aes(32))).expect("a new key");
    id
}

fn context(text: &str) -> Canonical {
    Canonical::new(Purpose::DataKey).text(text)
}
