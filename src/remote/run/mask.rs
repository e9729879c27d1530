//! Values replaced in a stream of bytes.

use std::io::{self, Read, Write};

use memchr::memmem;
use zeroize::Zeroizing;

/// What stands in the place of a value.
const MASK: &[u8] = b"<concealed by bulla>";

/// A value that is shorter is not looked for: it would be found where it is none.
const SHORTEST: usize = 4;

/// The values to be replaced; those of several lines by their lines as well, since programs print these one by one.
pub(super) struct Values(Vec<Zeroizing<Vec<u8>>>);

impl Values {
    /// Of all that are long enough, the longest first, so that no part of one is replaced before the whole.
    pub(super) fn of<'v>(values: impl Iterator<Item = &'v [u8]>) -> Self {
        let mut all: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        for value in values {
            let lines = value.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
            for part in std::iter::once(value).chain(lines) {
                if part.len() >= SHORTEST && !all.iter().any(|known| ***known == *part) {
                    all.push(Zeroizing::new(part.to_vec()));
                }
            }
        }
        all.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self(all)
    }

    /// Copies a stream to its end; what could be the beginning of a value waits for what follows.
    pub(super) fn copy(&self, mut from: impl Read, mut to: impl Write) -> io::Result<()> {
        let mut held = Zeroizing::new(Vec::new());
        let mut buffer = Zeroizing::new(vec![0; 16 << 10]);
        loop {
            let count = match from.read(&mut buffer) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            held.extend_from_slice(&buffer[..count]);
            let rest = self.replace(&held, count == 0, &mut to)?;
            held.drain(..rest);
            to.flush()?;
            if count == 0 {
                return Ok(());
            }
        }
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

    /// Gives so many bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(to.len());
            to[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn values_are_found_wherever_reads_end() {
        let values = Values::of([&b"s3cret"[..], b"s3cret-longer", b"abc", b"line one\nline two"].into_iter());
        let text = b"a s3cret b s3cret-longer s3cre s3crs3cret abc line two, line one\nline two s3cr";
        let expected = "a M b M s3cre s3crM abc M, M s3cr".replace('M', "<concealed by bulla>");
        for step in 1..=text.len() {
            let mut out = Vec::new();
            values.copy(Slow(text, step), &mut out).expect("memory");
            assert_eq!(String::from_utf8_lossy(&out), expected, "{step} bytes at a time");
        }
    }
}
