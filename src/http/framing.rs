//! Where one request ends and the next begins, so that the parser is given one at a time.
//!
//! The parser of actix-http reads requests ahead, and frames an answer by the last head that it has read: a HEAD behind a GET takes the
//! GET's body away, a request of HTTP/1.0 or with `Connection: close` changes the answer before it (RFC 9112, 6.3 and 9.3.2). What it
//! has not been given it does not know.
//!
//! Owns: counting bytes. Must not know: what is in them; whether they are well formed is the parser's to say, and where they are not, all
//! is passed on. Called by: deadlines (bytes come), connection (a request starts, an answer is ready).

use super::body::Length;

/// Which bytes of a connection may be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// A head, up to its empty line.
    Head(Head),
    /// None: the head is whole, and the handler has not said yet what follows it.
    Began,
    /// So many bytes of a body.
    Body(u64),
    /// A body in chunks (RFC 9112, 7.1).
    Chunks(Chunk),
    /// None, before the answer: the request is whole.
    Whole,
    /// All: nothing that comes is a request.
    All,
}

/// Where in a head the last byte was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// In the empty lines before it, which the parser skips.
    Before,
    /// In a line that has something.
    Line,
    /// At the end of a line.
    End,
}

/// Where in a body of chunks the last byte was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    /// In a size, which is so much so far.
    Size(u64),
    /// Behind it, in an extension or at the line's end.
    SizeEnd(u64),
    /// So many bytes of its content are to come.
    Content(u64),
    /// In the line's end behind it.
    ContentEnd,
    /// At the beginning of a line behind the last chunk: the empty one ends it all.
    Trailer,
    /// In a line there that has something.
    TrailerLine,
}

impl Framing {
    /// At the beginning of a request.
    pub const NEXT: Self = Framing::Head(Head::Before);

    /// What is left of a request whose head was passed on.
    pub fn body(length: Length) -> Self {
        match length {
            Length::Known(0) => Framing::Whole,
            Length::Known(length) => Framing::Body(length),
            Length::Unknown => Framing::Chunks(Chunk::Size(0)),
        }
    }

    /// Whether nothing may be passed on now.
    pub fn is_closed(&self) -> bool {
        matches!(self, Framing::Began | Framing::Whole)
    }

    /// How many of these bytes may be passed on, which then have been.
    pub fn pass(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while passed < bytes.len() && !self.is_closed() {
            passed += self.step(&bytes[passed..]);
        }
        passed
    }

    /// Passes at least one byte of some.
    fn step(&mut self, bytes: &[u8]) -> usize {
        let some = |most: u64| bytes.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        match *self {
            Framing::Began | Framing::Whole => 0,
            Framing::All => bytes.len(),
            Framing::Head(head) => {
                *self = match (head, bytes[0]) {
                    (Head::Before, b'\r' | b'\n') => Framing::Head(Head::Before),
                    (Head::End, b'\n') => Framing::Began,
                    (Head::End, b'\r') => Framing::Head(Head::End),
                    (_, b'\n') => Framing::Head(Head::End),
                    _ => Framing::Head(Head::Line),
                };
                1
            }
            Framing::Body(left) => {
                let some = some(left);
                let left = left - some as u64;
                *self = if left == 0 { Framing::Whole } else { Framing::Body(left) };
                some
            }
            Framing::Chunks(Chunk::Content(left)) => {
                let some = some(left);
                let left = left - some as u64;
                *self = Framing::Chunks(if left == 0 { Chunk::ContentEnd } else { Chunk::Content(left) });
                some
            }
            Framing::Chunks(chunk) => {
                *self = match (chunk, bytes[0]) {
                    (Chunk::Size(0) | Chunk::SizeEnd(0), b'\n') => Framing::Chunks(Chunk::Trailer),
                    (Chunk::Size(size) | Chunk::SizeEnd(size), b'\n') => Framing::Chunks(Chunk::Content(size)),
                    (Chunk::Size(size), digit) => match char::from(digit).to_digit(16) {
                        // One that is too large is the parser's to refuse.
                        Some(digit) => match size.checked_mul(16) {
                            Some(size) => Framing::Chunks(Chunk::Size(size + u64::from(digit))),
                            None => Framing::All,
                        },
                        None => Framing::Chunks(Chunk::SizeEnd(size)),
                    },
                    (Chunk::SizeEnd(size), _) => Framing::Chunks(Chunk::SizeEnd(size)),
                    (Chunk::ContentEnd, b'\n') => Framing::Chunks(Chunk::Size(0)),
                    (Chunk::ContentEnd, b'\r') => Framing::Chunks(Chunk::ContentEnd),
                    (Chunk::Trailer, b'\n') => Framing::Whole,
                    (Chunk::Trailer, b'\r') => Framing::Chunks(Chunk::Trailer),
                    (Chunk::TrailerLine, b'\n') => Framing::Chunks(Chunk::Trailer),
                    (Chunk::Trailer | Chunk::TrailerLine, _) => Framing::Chunks(Chunk::TrailerLine),
                    (Chunk::ContentEnd | Chunk::Content(_), _) => Framing::All,
                };
                1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes some bytes in parts of this size; how many of them, and where that left it.
    fn passed(mut framing: Framing, bytes: &[u8], size: usize) -> (usize, Framing) {
        let mut all = 0;
        for part in bytes.chunks(size) {
            let some = framing.pass(part);
            all += some;
            if some < part.len() {
                break;
            }
        }
        (all, framing)
    }

    #[test]
    fn one_request_is_passed_and_nothing_of_the_next() {
        let next = b"HEAD / HTTP/1.1\r\n\r\n";
        let chunked = Framing::body(Length::Unknown);
        for (begin, request, end) in [
            (Framing::NEXT, "GET / HTTP/1.1\r\nhost: h\r\n\r\n", Framing::Began),
            (Framing::NEXT, "\r\n\n\r\nGET / HTTP/1.1\nhost: h\n\n", Framing::Began),
            (Framing::NEXT, "GET / HTTP/1.0\r\n\n", Framing::Began),
            (Framing::body(Length::Known(5)), "\r\n\r\nx", Framing::Whole),
            (chunked, "0\r\n\r\n", Framing::Whole),
            (chunked, "5;a=b\r\nGET /\r\n1A \r\nabcdefghijklmnopqrstuvwxyz\r\n000\r\nx: y\r\nz: \r\n\r\n", Framing::Whole),
            (chunked, "2\nab\n0\n\n", Framing::Whole),
        ] {
            let both = [request.as_bytes(), next].concat();
            for size in [1, 2, 3, 7, both.len()] {
                assert_eq!(passed(begin, &both, size), (request.len(), end), "{request:?} in parts of {size}");
            }
        }
        assert_eq!(passed(Framing::body(Length::Known(0)), next, 9), (0, Framing::Whole));
    }

    #[test]
    fn what_is_not_well_formed_is_left_to_the_parser() {
        for body in ["2\r\nabc\r\n0\r\n\r\n", "10000000000000000000\r\n"] {
            let (all, framing) = passed(Framing::body(Length::Unknown), body.as_bytes(), 1);
            assert_eq!((all, framing), (body.len(), Framing::All), "{body:?}");
        }
    }
}
