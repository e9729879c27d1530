//! The one percent-encoding of the signature schemes: RFC 3986, `A-Z a-z 0-9 - _ . ~` stay, all else is `%XX` in upper case.
//!
//! Owns: that encoding, applied once or twice, into strings whose length is known beforehand: they hold secrets, and a string
//! that grows leaves copies behind. Called by: v1, v3.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Bytes of one escape: `%XX` when encoded once, `%25XX` when encoded twice.
#[derive(Clone, Copy)]
pub(super) enum Times {
    Once = 3,
    Twice = 5,
}

/// Appends the encoded text.
pub(super) fn push(out: &mut String, text: &str, times: Times) {
    for piece in utf8_percent_encode(text, ESCAPED) {
        match (times, piece.strip_prefix('%')) {
            (Times::Twice, Some(digits)) => {
                out.push_str("%25");
                out.push_str(digits);
            }
            _ => out.push_str(piece),
        }
    }
}

/// The length of the encoded text.
pub(super) fn length(text: &str, times: Times) -> usize {
    let stays = |b: &u8| b.is_ascii_alphanumeric() || b"-_.~".contains(b);
    text.bytes().map(|b| if stays(&b) { 1 } else { times as usize }).sum()
}
