//! What a failure of the token is to whoever ran a command or started a server, and what to do about it.
//!
//! Owns: the exit codes and hints of [`TokenError`]. Must not know: what was done on the token.

use crate::base::failure::{Class, Reason};
use crate::token::TokenError;

impl Reason for TokenError {
    fn class(&self) -> Class {
        match self {
            TokenError::Pin(_) | TokenError::PinHeld | TokenError::PinInDoubt(_) | TokenError::LoginFailed(_) => Class::Pin,
            TokenError::NoPin(_) | TokenError::Setting(_) => Class::Local,
            TokenError::Busy
            | TokenError::Gone
            | TokenError::Absent(_)
            | TokenError::TooFewSessions(_)
            | TokenError::KeepsNothing(_) => Class::Unavailable,
            TokenError::Full
            | TokenError::MayNotMake(_)
            | TokenError::MayNotDestroy(_)
            | TokenError::Unsupported(_)
            | TokenError::NoSuchKey(_)
            | TokenError::Tampered
            | TokenError::Duplicate(_)
            | TokenError::Fault(_) => Class::Other,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        Some(match self {
            TokenError::Pin(_) => {
                "put the right PIN where the configuration names it before you start again: a token locks after a few wrong ones, and \
                 one that is locked is unlocked with its vendor's tools"
            }
            TokenError::PinHeld => {
                "unlock the PIN or reset its tries with the vendor's tools; where one try is left, a login with the right PIN there \
                 does it"
            }
            TokenError::PinInDoubt(_) | TokenError::LoginFailed(_) => {
                "the token does not say whether it was the PIN; look whether it is well and the PIN right before you start again, since \
                 each start presents it anew"
            }
            TokenError::TooFewSessions(_) => {
                "end others that have sessions on the token, or raise its limit; docs/tokens.md says what each session is for"
            }
            TokenError::KeepsNothing(_) => {
                "look at the place where the token keeps its objects: folder, disk, file rights, daemon"
            }
            TokenError::MayNotMake(_) | TokenError::MayNotDestroy(_) => {
                "keys that are there are served all the same; give the token's user that right with the vendor's tools, or leave keys to a \
                 node whose user has it"
            }
            TokenError::Full => {
                "destroy objects that nobody needs with the vendor's tools; `bulla check` lists those without a row"
            }
            TokenError::Unsupported(_) => "docs/tokens.md says what a token needs, and which were tried",
            TokenError::Busy
            | TokenError::Gone
            | TokenError::Absent(_)
            | TokenError::NoPin(_)
            | TokenError::Setting(_)
            | TokenError::NoSuchKey(_)
            | TokenError::Tampered
            | TokenError::Duplicate(_)
            | TokenError::Fault(_) => return None,
        })
    }
}
