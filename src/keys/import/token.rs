//! Import tokens: what a caller sends back so that its material is unwrapped with the right pair.
//!
//! Owns: the bytes below. Must not know: rows, pairs. Called by: keys::import::parameters.
//!
//! ```text
//! Base64 of:  0x01 | expiry, ms since 1970 (i64, big-endian) | id of the pair (16) | secret (32)
//! ```
//!
//! The secret makes it unforgeable: the database holds its hash alone. The expiry only serves to tell an old token from a false
//! one when the pair is gone; what counts is the row's.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::base::clock::Timestamp;
use crate::base::ids::KeyVersionId;

const FORMAT: u8 = 1;
const SECRET_LEN: usize = 32;
const LEN: usize = 1 + 8 + 16 + SECRET_LEN;

/// An import token.
pub(super) struct ImportToken {
    pub(super) id: KeyVersionId,
    pub(super) expires_at: Timestamp,
    secret: [u8; SECRET_LEN],
}

impl ImportToken {
    /// A token for a pair; `secret` must be random.
    pub(super) fn new(id: KeyVersionId, expires_at: Timestamp, secret: [u8; SECRET_LEN]) -> Self {
        Self { id, expires_at, secret }
    }

    /// Reads a token; none if it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok().filter(|bytes| bytes.len() == LEN)?;
        let (format, rest) = bytes.split_first()?;
        let (expiry, rest) = rest.split_first_chunk::<8>()?;
        let (id, secret) = rest.split_first_chunk::<16>()?;
        let secret = secret.try_into().ok()?;
        let expires_at = Timestamp(i64::from_be_bytes(*expiry));
        (*format == FORMAT).then(|| Self { id: KeyVersionId::from_bytes(*id), expires_at, secret })
    }

    /// The text that the caller gets.
    pub(super) fn encode(&self) -> String {
        let expiry = self.expires_at.0.to_be_bytes();
        STANDARD.encode([[FORMAT].as_slice(), &expiry, self.id.as_bytes(), &self.secret].concat())
    }

    /// What the database keeps of the secret.
    pub(super) fn digest(&self) -> Vec<u8> {
        digest(&SHA256, &self.secret).as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_back_and_nothing_else_is_one() {
        let token = ImportToken::new(KeyVersionId::new(), Timestamp(1_700_000_000_000), [7; 32]);
        let text = token.encode();
        let read = ImportToken::parse(&text).expect("a token");
        assert_eq!((read.id, read.expires_at, read.digest()), (token.id, token.expires_at, token.digest()));
        for bad in ["", "AAAA", "not base64!", &text[4..], &format!("{text}AAAA"), &text.replacen("AQ", "AA", 1)] {
            assert!(ImportToken::parse(bad).is_none(), "{bad}");
        }
    }
}
