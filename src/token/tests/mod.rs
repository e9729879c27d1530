//! The token layer on a real SoftHSM. Each test has a process and a token folder of its own; see softhsm/README.md.

use cryptoki::session::Session;

use super::epoch::Epoch;
use super::isolated::isolated;
use super::*;
use crate::canonical::Purpose;

mod faults;
mod objects;
mod operations;
mod pairs;

const S1: Suite = Suite::AesGcmCallerIv;

fn pin(text: &str) -> Pin {
    Pin::new(text.to_owned())
}

fn config(sessions: usize, wait_ms: u64) -> TokenConfig {
    TokenConfig {
        module: softhsm::module().expect("softhsm2 is installed"),
        selector: Selector::Label("bulla test".into()),
        sessions,
        session_wait: Duration::from_millis(wait_ms),
    }
}

/// A new token, open.
fn new_token(sessions: usize, wait_ms: u64) -> Token {
    let config = config(sessions, wait_ms);
    Token::initialise(&config.module, "bulla test", &pin("so-pin"), &pin("1234")).expect("a new token");
    Token::open(config, pin("1234")).expect("open")
}

fn new_key(token: &Token) -> KeyVersionId {
    let id = KeyVersionId::new();
    token.create(&id, ObjectKind::Cmk(Material::Aes(32))).expect("a new key");
    id
}

fn context(text: &str) -> Canonical {
    Canonical::new(Purpose::DataKey).text(text)
}
