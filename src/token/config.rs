//! How to reach a token.
//!
//! Owns: the settings of the token layer. Called by: app, which fills them in.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bulla_pkcs11::TokenText;

use super::left_out::LeftOut;

/// Which token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// By its label; it must be the only one with it.
    Label(String),
    /// By its serial number.
    Serial(String),
    /// By both: for two tokens with one label, and for those whose serial number is empty.
    Both {
        /// Its label.
        label: String,
        /// Its serial number.
        serial: String,
    },
}

impl Selector {
    pub(super) fn fits(&self, token: &TokenText) -> bool {
        match self {
            Selector::Label(wanted) => *wanted == token.label,
            Selector::Serial(wanted) => *wanted == token.serial,
            Selector::Both { label, serial } => *label == token.label && *serial == token.serial,
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Label(label) => write!(f, "labelled {label:?}"),
            Selector::Serial(serial) => write!(f, "with serial number {serial:?}"),
            Selector::Both { label, serial } => write!(f, "labelled {label:?} with serial number {serial:?}"),
        }
    }
}

/// How to reach the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenConfig {
    /// The vendor's PKCS#11 module (a shared library).
    pub module: PathBuf,
    /// Which of its tokens.
    pub selector: Selector,
    /// Sessions for the use of keys, at most; fewer if the token has fewer. Two more are kept: one holds the login, one makes and
    /// destroys keys.
    pub sessions: usize,
    /// How long a call waits for a session to come free before it is `Busy`; longer for the one that makes keys.
    pub session_wait: Duration,
    /// How long opening tries again when it fails, for other reasons than the PIN.
    pub open_wait: Duration,
    /// Between two re-initialisations that look for an object which the token does not show, at least.
    pub look_again: Duration,
    /// How long an object is missed, through one of those at least, before it is said that there is none.
    pub missed_for: Duration,
    /// What the deployment has recorded that the token refuses to be told of new objects. The rest is found.
    pub left_out: LeftOut,
}
