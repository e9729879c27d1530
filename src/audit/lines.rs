//! A file's lines, one by one, in bounded memory: whoever can write the folder can make one of any length.
//!
//! Owns: that bound. Must not know: what lines say. Called by: logs, recover, verify, ship.

use std::io::{self, BufRead, Read};

/// More than one batch of lines can be, bytes. What is longer without a newline is nobody's line.
pub(super) const MOST_TORN: u64 = 128 << 20;

/// What stands at a place of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A line; it is in the buffer, without its newline.
    Line,
    /// The end of the file. What stands before it and behind the last newline is in the buffer.
    End,
    /// More than a line can be. Its beginning was read.
    TooLong,
}

/// Reads the next line into a buffer, which is emptied first.
pub(super) fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Next> {
    next_within(MOST_TORN, reader, line)
}

fn next_within(most: u64, reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Next> {
    line.clear();
    let count = reader.take(most).read_until(b'\n', line)? as u64;
    Ok(match line.pop_if(|last| *last == b'\n') {
        Some(_) => Next::Line,
        None if count == most => Next::TooLong,
        None => Next::End,
    })
}

/// Passes over the rest of a line; whether it has ended, and not the file.
pub(super) fn skip_line(reader: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let read = match reader.fill_buf() {
            Ok([]) => return Ok(false),
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        let end = read.iter().position(|b| *b == b'\n');
        let count = end.map_or(read.len(), |at| at + 1);
        reader.consume(count);
        if end.is_some() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_bounded_and_what_follows_a_long_one_is_read() {
        let mut file: &[u8] = b"one\n\n1234567\n12345678\n123456789\nlast\n123";
        let mut line = Vec::new();
        let mut next = |file: &mut &[u8]| {
            let next = next_within(8, file, &mut line).expect("memory");
            (next, String::from_utf8(line.clone()).expect("text"))
        };
        for whole in ["one", "", "1234567"] {
            assert_eq!(next(&mut file), (Next::Line, whole.to_owned()));
        }
        for _ in 0..2 {
            assert_eq!(next(&mut file), (Next::TooLong, "12345678".to_owned()));
            assert!(skip_line(&mut file).expect("memory"));
        }
        assert_eq!(next(&mut file), (Next::Line, "last".to_owned()));
        assert_eq!(next(&mut file), (Next::End, "123".to_owned()));
        assert_eq!(next(&mut file), (Next::End, String::new()));
        assert!(!skip_line(&mut file).expect("memory"));
    }
}
