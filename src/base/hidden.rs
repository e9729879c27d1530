//! A line that is typed at the terminal and not shown.
//!
//! Owns: the terminal's modes while that lasts; they are as they were afterwards, also where a signal ends the process (Ctrl-C, Ctrl-\) or
//! stops it (Ctrl-Z). Must not know: what is asked for. Called by: remote, admin and config (the PIN).
//!
//! Not a library's, since the one that was used here (rpassword 7) raises SIGINT before it has put the modes back, and takes Ctrl-Z away.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::sync::Arc;

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::SIGCONT;
use zeroize::Zeroizing;

use super::undo;

/// Asks at the terminal of the process, whatever its standard input is.
///
/// # Errors
/// Where there is no terminal, or it ends.
pub fn ask(prompt: &str) -> io::Result<Zeroizing<String>> {
    let terminal = Arc::new(OpenOptions::new().read(true).write(true).open("/dev/tty")?);
    let shown = tcgetattr(&*terminal)?;
    let mut hidden = shown.clone();
    // Not line by line: the system's lines end at 4095 bytes. Signals stay.
    hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON);
    hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
    hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
    let hide = {
        let (terminal, hidden, prompt) = (Arc::clone(&terminal), hidden, prompt.to_owned());
        move || -> io::Result<()> {
            tcsetattr(&*terminal, OptionalActions::Now, &hidden)?;
            (&*terminal).write_all(prompt.as_bytes())
        }
    };
    let show = {
        let (terminal, shown) = (Arc::clone(&terminal), shown.clone());
        move || -> io::Result<()> {
            tcsetattr(&*terminal, OptionalActions::Now, &shown)?;
            (&*terminal).write_all(b"\n")
        }
    };
    let (again, show_first) = (hide.clone(), show.clone());
    undo::guarded(
        move |signal| {
            let _ = if signal == SIGCONT { again() } else { show_first() };
            true
        },
        || {
            let answer = hide().and_then(|()| line(&mut &*terminal, &shown));
            show()?;
            answer
        },
    )?
}

/// One line, with the keys that erase.
fn line(from: &mut impl Read, modes: &Termios) -> io::Result<Zeroizing<String>> {
    let code = |index| modes.special_codes[index];
    read_line(from, code(SpecialCodeIndex::VERASE), code(SpecialCodeIndex::VKILL), code(SpecialCodeIndex::VEOF))
}

#[allow(clippy::unbuffered_bytes, reason = "what follows the line is for who reads next")]
fn read_line(from: &mut impl Read, erase: u8, kill: u8, end: u8) -> io::Result<Zeroizing<String>> {
    let mut typed = Zeroizing::new(Vec::with_capacity(64 << 10));
    for byte in from.bytes() {
        match byte? {
            b'\n' | b'\r' => return text(&mut typed),
            0x08 | 0x7f => erase_last(&mut typed),
            key if key == erase => erase_last(&mut typed),
            key if key == kill => typed.clear(),
            key if key == end && typed.is_empty() => break,
            key if key == end => return text(&mut typed),
            key => typed.push(key),
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// The last character, of one byte or several.
fn erase_last(typed: &mut Vec<u8>) {
    while typed.pop().is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000) {}
}

fn text(typed: &mut Vec<u8>) -> io::Result<Zeroizing<String>> {
    match String::from_utf8(std::mem::take(typed)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            Err(io::Error::new(io::ErrorKind::InvalidData, "no UTF-8"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_is_left_of_the_keys() {
        let typed = |keys: &[u8]| read_line(&mut &*keys, 0x7f, 0x15, 0x04).map(|line| line.to_string()).map_err(|e| e.kind());
        for (keys, expected) in [
            ("abc\n", "abc"),
            ("abc\rx", "abc"),
            ("abx\x7fc\n", "abc"),
            ("aü\x7f\x08b\n", "b"),
            ("wrong\x15right\n", "right"),
            ("abc\x04", "abc"),
            ("\x7f\n", ""),
        ] {
            assert_eq!(typed(keys.as_bytes()), Ok(expected.to_owned()), "{keys:?}");
        }
        let long = "x".repeat(20_000);
        assert_eq!(typed(format!("{long}\n").as_bytes()), Ok(long));
        assert_eq!(typed(b"\x04"), Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(typed(b"abc"), Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(typed(b"\xff\n"), Err(io::ErrorKind::InvalidData));
    }
}
