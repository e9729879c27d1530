//! What is asked of a person, and how a value comes in and goes out.

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bulla_client::Value;
use rustix::io::Errno;
use rustix::process;
use zeroize::Zeroizing;

use crate::base::failure::{Class, Failure};
use crate::base::hidden;
use crate::base::locale::{self, t};
use crate::base::whole_file::{self, Access};
use crate::output;

/// The most that is read of a value, MiB: far above what a server takes, and a bound on what a wrong pipe can do.
const MOST_MIB: u64 = 8;

/// Asks for something that is not shown.
///
/// # Errors
/// Where there is no terminal.
pub fn ask_hidden(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    hidden::ask(&t!("%{prompt} (not shown): ", prompt = prompt)).map_err(|e| {
        match e.raw_os_error().map(Errno::from_raw_os_error) {
            // /dev/tty of a process that has none, or of a system without it.
            Some(Errno::NXIO | Errno::NOENT) => nobody(prompt),
            _ => Failure::local(t!("the terminal: %{reason}", reason = locale::os(&e))),
        }
    })
}

/// Nobody is there who could answer.
fn nobody(asked: &str) -> Failure {
    let failure = Failure::new(t!("%{what}: nobody is there to be asked", what = asked)).class(Class::Usage);
    failure.hint(t!("say it on the command line: `--help` says how; or run this at a terminal"))
}

/// Asks for something that is shown.
///
/// # Errors
/// Where standard input is no terminal, or ends.
pub fn ask(prompt: &str) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return Err(nobody(prompt));
    }
    eprint!("{}", output::seen_in_line(&t!("%{prompt}: ", prompt = prompt)));
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(|e| Failure::local(t!("the terminal: %{reason}", reason = locale::os(&e))))?;
    if line.is_empty() {
        // The question's line is not ended by who types Ctrl-D.
        eprintln!();
        return Err(Failure::new(t!("%{prompt}: no answer", prompt = prompt)).class(Class::Usage));
    }
    Ok(line.trim().to_owned())
}

/// Lets a person type a word, unless that was said beforehand.
///
/// # Errors
/// Where another word comes, or nobody can be asked.
pub fn confirm(what: &str, word: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(nobody(what).hint(t!("--yes does it without asking")));
    }
    match ask(&t!("%{what}? Type %{word} to go on", what = what, word = word))? {
        typed if typed == word => Ok(()),
        _ => Err(Failure::new(t!("that is another word; nothing was done")).class(Class::Usage)),
    }
}

/// A value from standard input: asked for where that is a terminal, else all of it but the end of a single line.
///
/// # Errors
/// Where nothing comes.
pub fn value_of_stdin(prompt: &str) -> Result<Value, Failure> {
    present(Value::new(one_line(stdin(prompt)?)), &t!("standard input"))
}

/// Bytes from standard input: asked for where that is a terminal, else all of it.
///
/// # Errors
/// Where nothing comes.
pub fn bytes_of_stdin(prompt: &str) -> Result<Value, Failure> {
    present(Value::new(stdin(prompt)?), &t!("standard input"))
}

fn stdin(prompt: &str) -> Result<Vec<u8>, Failure> {
    if io::stdin().is_terminal() {
        return Ok(ask_hidden(prompt)?.as_bytes().to_vec());
    }
    bounded(io::stdin().lock(), &t!("standard input"))
}

/// All of it; what is too long for a value is refused, and never cut off.
fn bounded(from: impl Read, name: &str) -> Result<Vec<u8>, Failure> {
    let most = MOST_MIB << 20;
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 << 10));
    from.take(most + 1).read_to_end(&mut bytes).map_err(|e| Failure::local(locale::about(name, locale::os(&e))))?;
    if bytes.len() as u64 > most {
        return Err(Failure::new(t!("%{from} is longer than %{most} MiB", from = name, most = MOST_MIB)).class(Class::Usage));
    }
    Ok(std::mem::take(&mut *bytes))
}

/// Hands bytes of any length on, part by part: those of a file, else of standard input, asked for where that is a terminal.
///
/// # Errors
/// Where nothing comes, or it cannot be read.
pub fn each_part(file: Option<&Path>, prompt: &str, mut part: impl FnMut(&[u8])) -> Result<(), Failure> {
    let (name, mut from): (String, Box<dyn Read>) = match file {
        Some(file) => (file.display().to_string(), Box::new(open(file)?)),
        None if io::stdin().is_terminal() => {
            part(ask_hidden(prompt)?.as_bytes());
            return Ok(());
        }
        None => (t!("standard input").into_owned(), Box::new(io::stdin().lock())),
    };
    let mut buffer = Zeroizing::new(vec![0; 64 << 10]);
    let mut empty = true;
    loop {
        match from.read(&mut buffer) {
            Ok(0) if empty => return Err(no_value(&name)),
            Ok(0) => return Ok(()),
            Ok(length) => {
                empty = false;
                part(&buffer[..length]);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Failure::local(locale::about(name, locale::os(&e)))),
        }
    }
}

/// Without the end of a single line, which `echo` adds and editors leave. A text of several lines and bytes that are no text stay as they are.
fn one_line(mut bytes: Vec<u8>) -> Vec<u8> {
    if std::str::from_utf8(&bytes).is_ok() && bytes.iter().filter(|b| **b == b'\n').count() == 1 && bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    bytes
}

/// A value from a file, byte for byte.
///
/// # Errors
/// Where it cannot be read, or is empty.
pub fn value_of_file(file: &Path) -> Result<Value, Failure> {
    present(Value::new(bytes_of_file(file)?), &file.display().to_string())
}

/// A value from a file, without the end of a single line.
///
/// # Errors
/// Where it cannot be read, or is empty.
pub fn line_of_file(file: &Path) -> Result<Value, Failure> {
    present(Value::new(one_line(bytes_of_file(file)?)), &file.display().to_string())
}

fn bytes_of_file(file: &Path) -> Result<Vec<u8>, Failure> {
    bounded(open(file)?, &file.display().to_string())
}

fn open(file: &Path) -> Result<fs::File, Failure> {
    fs::File::open(file).map_err(Failure::of_file(file))
}

fn present(value: Value, from: &str) -> Result<Value, Failure> {
    if value.expose().is_empty() {
        return Err(no_value(from));
    }
    Ok(value)
}

fn no_value(from: &str) -> Failure {
    Failure::new(t!("%{from} is empty: no value", from = from)).class(Class::Usage).hint(t!("it has at least one byte"))
}

/// Prints a value: its bytes alone in a pipe or file, with a line's end on a terminal. Bytes that are no text never go to a terminal.
///
/// # Errors
/// Where it is binary and standard output is a terminal, or that cannot be written.
pub fn print_value(value: &Value) -> Result<(), Failure> {
    let mut bytes = Zeroizing::new(value.expose().to_vec());
    if io::stdout().is_terminal() {
        check_printable(&bytes)?;
        if !bytes.ends_with(b"\n") {
            bytes.push(b'\n');
        }
    }
    output::bytes(&bytes)
}

/// Whether a terminal shows these bytes and obeys none of them: text, without control characters but those of lines.
fn check_printable(bytes: &[u8]) -> Result<(), Failure> {
    let text = std::str::from_utf8(bytes);
    if text.is_ok_and(|text| !text.chars().any(|c| c.is_control() && !"\n\t\r".contains(c))) {
        return Ok(());
    }
    let failure = Failure::new(t!("the value is binary, and standard output is a terminal")).class(Class::Usage);
    Err(failure.hint(t!("--out FILE, or a pipe")))
}

/// The file that an argument names; none for -, which is standard output.
pub fn file_named(out: &Path) -> Option<&Path> {
    (out.as_os_str() != "-").then_some(out)
}

/// Writes a file that only its owner may read, whole or not at all. Where a link leads to a file, that one is written. What is open already, as
/// /dev/stdout is, gets the bytes where it stands.
///
/// # Errors
/// Where it cannot be written.
pub fn write_private(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let named = Failure::of_file(file);
    let mut open = match descriptor_of(file) {
        Some(descriptor) => open_already(descriptor).map_err(&named)?,
        // A pipe, a terminal: nothing to replace.
        None if file.exists() && !file.is_file() => fs::OpenOptions::new().write(true).open(file).map_err(&named)?,
        None => {
            let target = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
            return whole_file::write(&target, bytes, &Access::PRIVATE).map(drop).map_err(named);
        }
    };
    if open.is_terminal() {
        check_printable(bytes)?;
    }
    open.write_all(bytes).map_err(named)
}

/// Links that are followed on the way to a descriptor, as many as the kernel follows.
const MOST_LINKS: usize = 40;

/// The descriptor of this process that a path names: /dev/stdout, /dev/fd/N, /proc/self/fd/N, and links to these.
fn descriptor_of(file: &Path) -> Option<i32> {
    let ours = fs::canonicalize("/proc/self/fd").ok()?;
    let mut path = file.to_owned();
    for _ in 0..MOST_LINKS {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => fs::canonicalize(folder).ok()?,
            _ => fs::canonicalize(".").ok()?,
        };
        if folder == ours {
            return path.file_name()?.to_str()?.parse().ok();
        }
        path = folder.join(fs::read_link(folder.join(path.file_name()?)).ok()?);
    }
    None
}

/// What a descriptor stands for, at the place where it stands: opened anew, a file would be written from its beginning.
fn open_already(descriptor: i32) -> io::Result<fs::File> {
    let open = match descriptor {
        1 => io::stdout().as_fd().try_clone_to_owned()?,
        2 => io::stderr().as_fd().try_clone_to_owned()?,
        other => {
            let this = process::pidfd_open(process::getpid(), process::PidfdFlags::empty())?;
            process::pidfd_getfd(&this, other, process::PidfdGetfdFlags::empty())?
        }
    };
    Ok(open.into())
}

/// Opens a file for its owner alone, anew.
///
/// # Errors
/// Of the system.
pub fn create_private(file: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Seek;
    use std::os::fd::AsRawFd;

    #[test]
    fn the_end_of_a_single_line_is_no_part_of_it() {
        for (given, expected) in
            [("a\n", "a"), ("a\r\n", "a"), ("a", "a"), ("a\nb\n", "a\nb\n"), ("a\r", "a\r"), ("a\n\n", "a\n\n")]
        {
            assert_eq!(one_line(given.as_bytes().to_vec()), expected.as_bytes(), "{given:?}");
        }
        assert_eq!(one_line(b"\xff\n".to_vec()), b"\xff\n");
    }

    #[test]
    fn what_is_too_long_is_refused_and_not_cut_off() {
        let most = (MOST_MIB as usize) << 20;
        assert_eq!(bounded(io::repeat(7).take(most as u64), "f").map(|bytes| bytes.len()), Ok(most));
        let refused = bounded(io::repeat(7).take(most as u64 + 1), "f").expect_err("longer");
        assert_eq!((refused.class, refused.reason.as_str()), (Class::Usage, "f is longer than 8 MiB"));
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut length = 0;
        assert!(each_part(Some(file.path()), "", |_| ()).is_err_and(|e| e.reason.ends_with("is empty: no value")));
        file.as_file().set_len(most as u64 + 5).expect("long");
        each_part(Some(file.path()), "", |part| length += part.len()).expect("of any length");
        assert_eq!(length, most + 5);
    }

    /// Whatever an earlier write left that was killed, it is a whole secret.
    #[test]
    fn nothing_stays_of_a_write_that_was_killed() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("f");
        for left in ["of one that came first", "of one that took the place of another"] {
            fs::write(folder.path().join(".f.bulla-new"), left).expect("written");
            write_private(&file, b"s3cret").expect("written");
            assert_eq!(fs::read(&file).expect("there"), b"s3cret");
            let names = fs::read_dir(folder.path()).expect("a folder");
            assert_eq!(names.map(|entry| entry.expect("an entry").file_name()).collect::<Vec<_>>(), ["f"]);
        }
    }

    #[test]
    fn what_is_open_already_is_written_to_and_files_are_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("f");
        let mut open = fs::File::create_new(&file).expect("a file");
        open.write_all(b"first ").expect("written");
        let link = folder.path().join("link");
        let path = format!("/dev/fd/{}", open.as_raw_fd());
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        write_private(Path::new(&path), b"one ").expect("written");
        write_private(&link, b"two ").expect("written");
        open.write_all(b"last").expect("written");
        assert_eq!(fs::read(&file).expect("read"), b"first one two last");
        open.rewind().expect("a file");
        write_private(&file, b"new").expect("written");
        assert_eq!(fs::read(&file).expect("read"), b"new");
        assert_eq!(descriptor_of(Path::new("/dev/stdout")), Some(1));
        assert_eq!(descriptor_of(Path::new("/proc/self/fd/2")), Some(2));
        assert_eq!(descriptor_of(&file), None);
        assert!(write_private(Path::new("/dev/fd/987654"), b"x").is_err());
    }
}
