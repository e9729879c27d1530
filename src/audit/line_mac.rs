//! The MAC of a line: that this service wrote it, and no one who can merely write the file.
//!
//! Owns: the key and the member `mac`. Must not know: where the key comes from. Called by: chain, recover, verify; app and admin,
//! which derive the key from INT on the token, one for each node.

use aws_lc_rs::{constant_time, hmac};

/// Bytes of a MAC: HMAC-SHA-256, truncated (RFC 2104 section 5).
const MAC_LEN: usize = 16;

/// What stands before the MAC's digits, and behind them.
const BEFORE: &[u8] = br#","mac":""#;
const BEHIND: &[u8] = br#""}"#;

/// Bytes that the member takes of a line, its closing brace included.
const MEMBER_LEN: usize = BEFORE.len() + 2 * MAC_LEN + BEHIND.len();

/// The key of a node's lines. Lives in memory only.
#[derive(Clone)]
pub struct LineKey(hmac::Key);

impl LineKey {
    /// The key from INT's signature (32 bytes) over what names deployment and node.
    pub fn new(signature: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, signature))
    }

    /// Ends a line whose other members are there, but not the closing brace.
    pub(super) fn close(&self, line: &mut Vec<u8>, begin: usize) {
        let tag = hmac::sign(&self.0, &line[begin..]);
        let mut digits = [0; 2 * MAC_LEN];
        hex::encode_to_slice(&tag.as_ref()[..MAC_LEN], &mut digits).expect("32 digits hold 16 bytes");
        line.extend_from_slice(BEFORE);
        line.extend_from_slice(&digits);
        line.extend_from_slice(BEHIND);
    }

    /// Whether a line bears its MAC under this key.
    pub(super) fn verifies(&self, line: &[u8]) -> bool {
        let Some((members, mac)) = split(line) else { return false };
        let tag = hmac::sign(&self.0, members);
        constant_time::verify_slices_are_equal(&tag.as_ref()[..MAC_LEN], &mac).is_ok()
    }
}

/// A line without its MAC and closing brace, and the MAC; none unless it ends as `close` ends it.
pub(super) fn split(line: &[u8]) -> Option<(&[u8], [u8; MAC_LEN])> {
    let (members, member) = line.split_at_checked(line.len().checked_sub(MEMBER_LEN)?)?;
    let digits = member.strip_prefix(BEFORE)?.strip_suffix(BEHIND)?;
    let mut mac = [0; MAC_LEN];
    hex::decode_to_slice(digits, &mut mac).ok()?;
    (!digits.iter().any(u8::is_ascii_uppercase)).then_some((members, mac))
}
