//! What a failure of the token means to a caller.
//!
//! Owns: that meaning, for keys that the database has. Called by: the files of keys that call the token.

use crate::error::Error;
use crate::token::TokenError;

/// A key that the database has and the token does not is an alarm; what the token lacks, the caller is told.
pub(super) fn token_failure(error: TokenError) -> Error {
    match error {
        TokenError::NoSuchKey(id) => Error::Integrity(format!("key version {id} is not on the token")),
        other => other.into(),
    }
}
