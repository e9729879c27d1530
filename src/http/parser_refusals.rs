//! The parser's own refusals, recognised among what is sent.
//!
//! Owns: what such an answer looks like, and what the parser meant by it. Must not know: connections, what answers of the service look like
//! beyond their first line and `cache-control`. Called by: deadlines.

use crate::error::Error;

/// The longest request target served, in bytes. Old clients put a whole secret, percent-encoded, into it; the parser's own limit
/// is 65,534.
pub(super) const MAX_TARGET: usize = 65_000;

/// Finds an answer of the parser's own at the end of what is to be sent: where it begins, and its status. Such an answer has no
/// body, a status of 400 or more and no `cache-control: no-store`, which every answer of this module has. An answer of the service
/// cannot be mistaken for one: no body of ours has a CR LF in it (JSON and XML escape CR), so a buffer that ends in an empty line
/// ends in a head, and that head begins at the last `HTTP/1.`.
pub(super) fn refusal(out: &[u8]) -> Option<(usize, u16)> {
    const VERSION: &[u8] = b"HTTP/1.";
    const OWN: &[u8] = b"\r\ncache-control: no-store";
    if !out.ends_with(b"\r\n\r\n") {
        return None;
    }
    let at = out.windows(VERSION.len()).rposition(|w| w == VERSION)?;
    let head = &out[at..];
    let status: u16 = str::from_utf8(head.get(9..12)?).ok()?.parse().ok()?;
    let ours = head.windows(OWN.len()).any(|w| w == OWN);
    (status >= 400 && !ours).then_some((at, status))
}

/// What the parser meant by a status. It says 400 also to a request target longer than it can hold.
pub(super) fn error_of(status: u16, line_length: usize) -> Error {
    match status {
        408 => Error::RequestTimeout,
        413 => Error::BodyTooLarge,
        414 | 431 => Error::HeadTooLarge,
        400 if line_length > MAX_TARGET => Error::HeadTooLarge,
        400..=499 => Error::MalformedRequest("It must be a well-formed request of HTTP/1.1."),
        _ => Error::Internal(format!("the HTTP parser answered {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_parsers_own_answers_and_nothing_else() {
        let refused = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\ndate: x\r\n\r\n";
        assert_eq!(refusal(refused.as_bytes()), Some((0, 400)));
        let ours =
            "HTTP/1.1 200 OK\r\ncache-control: no-store\r\ncontent-length: 29\r\n\r\n{\"a\":\"HTTP/1.1 400 B\\r\\n\\r\\n\"}";
        assert_eq!(refusal(format!("{ours}{refused}").as_bytes()), Some((ours.len(), 400)));
        for other in [
            "",
            "\r\n\r\n",
            ours,
            "HTTP/1.1 100 Continue\r\n\r\n",
            &format!("{ours}HTTP/1.1 100 Continue\r\n\r\n"),
            "HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 99\r\ncache-control: no-store\r\n\r\n",
            "HTTP/1.1",
        ] {
            assert_eq!(refusal(other.as_bytes()), None, "{other:?}");
        }
    }
}
