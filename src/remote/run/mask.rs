//! Values replaced in a stream of bytes.

use std::io::{self, Write};

use memchr::memmem;
use parking_lot::RwLock;
use zeroize::Zeroizing;

/// What stands in the place of a value.
const MASK: &[u8] = b"<concealed by bulla>";

/// A value that is shorter is not looked for: it would be found where it is none.
const SHORTEST: usize = 4;

/// The values to be replaced, those of a run's beginning and those that came since.
#[derive(Default)]
pub(super) struct Masks(RwLock<Values>);

impl Masks {
    /// Replaces these from now on as well.
    pub(super) fn add<'v>(&self, values: impl Iterator<Item = &'v [u8]>) {
        self.0.write().add(values);
    }

    /// Copies a stream, given piece by piece, to its end; what could be the beginning of a value waits for what follows.
    pub(super) fn copy(&self, mut next: impl FnMut() -> Option<Piece>, mut to: impl Write) -> io::Result<()> {
        let mut held = Zeroizing::new(Vec::new());
        loop {
            let piece = next();
            held.extend_from_slice(piece.as_deref().map_or(&[], Vec::as_slice));
            let rest = self.0.read().replace(&held, piece.is_none(), &mut to)?;
            held.drain(..rest);
            to.flush()?;
            if piece.is_none() {
                return Ok(());
            }
        }
    }
}

/// A part of what a program printed.
pub(super) type Piece = Zeroizing<Vec<u8>>;

/// Values, and those of several lines by their lines as well, since programs print these one by one.
#[derive(Default)]
struct Values(Vec<Zeroizing<Vec<u8>>>);

impl Values {
    /// All that are long enough, the longest first, so that no part of one is replaced before the whole.
    fn add<'v>(&mut self, values: impl Iterator<Item = &'v [u8]>) {
        for value in values {
            let lines = value.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
            for part in std::iter::once(value).chain(lines) {
                if part.len() >= SHORTEST && !self.0.iter().any(|known| ***known == *part) {
                    self.0.push(Zeroizing::new(part.to_vec()));
                }
            }
        }
        self.0.sort_by_key(|value| std::cmp::Reverse(value.len()));
    }

    /// Writes what can be written; gives how much that was of the text.
    fn replace(&self, text: &[u8], last: bool, to: &mut impl Write) -> io::Result<usize> {
        let mut at = 0;
        loop {
            let first = self.0.iter().filter_map(|value| Some((memmem::find(&text[at..], value)?, value.len())));
            // Of those that begin at one place, the longest.
            let Some((offset, length)) = first.min_by_key(|(offset, length)| (*offset, std::cmp::Reverse(*length))) else {
                break;
            };
            // A longer one may begin there or before, whose end is not there yet.
            if !last && self.may_begin(&text[at..]).is_some_and(|begin| begin <= offset) {
                break;
            }
            to.write_all(&text[at..at + offset])?;
            to.write_all(MASK)?;
            at += offset + length;
        }
        let end = if last { text.len() } else { at + self.may_begin(&text[at..]).unwrap_or(text.len() - at) };
        to.write_all(&text[at..end])?;
        Ok(end)
    }

    /// Where the end of a text is the beginning of a value.
    fn may_begin(&self, text: &[u8]) -> Option<usize> {
        let begins = |value: &Zeroizing<Vec<u8>>| {
            let longest = (value.len() - 1).min(text.len());
            (1..=longest).rev().find(|n| text.ends_with(&value[..*n])).map(|n| text.len() - n)
        };
        self.0.iter().filter_map(begins).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"a s3cret b s3cret-longer s3cre s3crs3cret abc line two, line one\nline two s3cr";

    fn masks() -> Masks {
        let masks = Masks::default();
        masks.add([&b"s3cret"[..], b"s3cret-longer", b"abc", b"line one\nline two"].into_iter());
        masks
    }

    #[test]
    fn values_are_found_wherever_reads_end() {
        let expected = "a M b M s3cre s3crM abc M, M s3cr".replace('M', "<concealed by bulla>");
        for step in 1..=TEXT.len() {
            let (mut out, mut pieces) = (Vec::new(), TEXT.chunks(step));
            masks().copy(|| pieces.next().map(|piece| Zeroizing::new(piece.to_vec())), &mut out).expect("memory");
            assert_eq!(String::from_utf8_lossy(&out), expected, "{step} bytes at a time");
        }
    }

    #[test]
    fn a_value_that_comes_later_is_replaced_from_then_on() {
        let (masks, mut out, mut turn) = (masks(), Vec::new(), 0);
        let next = || {
            turn += 1;
            match turn {
                1 => Some(Zeroizing::new(b"later s3cret ".to_vec())),
                2 => {
                    masks.add([&b"later"[..]].into_iter());
                    Some(Zeroizing::new(b"later s3cret".to_vec()))
                }
                _ => None,
            }
        };
        masks.copy(next, &mut out).expect("memory");
        let expected = "later M M M".replace('M', "<concealed by bulla>");
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
